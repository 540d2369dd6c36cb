internal import Bytes
internal import Cedar
internal import HTTP
internal import JOSE

/// One row of the route table: which requests it is for, and what they ask for.
public final class Route: Sendable {
  /// Who may use a route.
  public enum Access: String, Sendable, CaseIterable {
    /// Whom policies permit.
    case policy
    /// Whoever has a valid token.
    case authenticated
    /// Everyone; no token is asked for.
    case `public`
    /// CORS preflights and nothing else (Fetch, "CORS-preflight request").
    case preflight
  }

  /// Times of one route, in milliseconds.
  public struct Timeouts: Sendable {
    /// How long connecting may take.
    public var connect: UInt64?
    /// How long the service may take to begin its response.
    public var response: UInt64?
    /// How long a body may pause.
    public var body: UInt64?
    /// How long the whole may take.
    public var total: UInt64?
  }

  /// The route as written: its methods and path, and its host if it names one.
  public let text: String
  /// Which methods.
  let methods: RouteMethods
  /// Which paths.
  public let path: RoutePath
  /// How the service behind reads paths.
  let reading: PathReading
  /// Which hosts; nil for all.
  let host: RouteHost?
  /// The methods by name; empty for all.
  public var methodNames: [String] { methods.tokens }
  /// A host that the route is for: the one it names, or some host below it; nil if it is for all.
  public var exampleHost: String? { host.map { $0.isWildcard ? "x" + String(decoding: $0.name, as: UTF8.self) : $0.text } }
  /// Who may use it.
  public let access: Access
  /// Cedar's action; nil for the method's.
  let action: EntityUID?
  /// Cedar's resource; nil for the path's.
  let resource: ResourceTemplate?
  /// The fields of the body that policies see; nil where the body goes by unread.
  public let body: BodyFields?
  /// Where entities are looked up; nil if they are not.
  let entities: EntitySource?
  /// Whether more must be learned than the head and the token say.
  let asksForMore: Bool
  /// Scopes that a token must have, all of them.
  public let scopes: [String]
  /// Whether whoever asks must prove to hold the key of its token (DPoP).
  let demandsProof: Bool
  /// Whether a token must be bound to the certificate of the client that sends it (RFC 8705).
  let demandsCertificate: Bool
  /// What the sign-in behind a token must be like; nil for nothing.
  let stepUp: StepUp?
  /// Whether decisions are enforced; nil as for all requests.
  public let mode: Snapshot.Mode?
  /// Which streams end when their request would be refused by now; nil as for all requests.
  let closeStreams: StreamRule?
  /// The service behind, by its place in the configuration's `upstreams`; 0 is the usual one.
  public let upstream: Int
  /// How long things may take there; nil for what is as usual.
  public let timeouts: Timeouts
  /// The largest body of a request in bytes; nil for what is as usual.
  public let bodyLimit: UInt64?
  /// Who decides; nil as for all requests.
  let engine: Engine?
  /// How requests are signed for the service behind; nil if they are not.
  public let signing: RouteSigning?

  init(
    methods: RouteMethods, path: RoutePath, reading: PathReading, host: RouteHost?, access: Access, action: EntityUID?,
    resource: ResourceTemplate?, body: BodyFields?, entities: EntitySource?, scopes: [String], demandsProof: Bool,
    demandsCertificate: Bool = false, stepUp: StepUp?,
    mode: Snapshot.Mode?, closeStreams: StreamRule? = nil, upstream: Int, timeouts: Timeouts, bodyLimit: UInt64?, engine: Engine? = nil,
    signing: RouteSigning? = nil
  ) {
    text = "\(methods.text) \(host.map { $0.text } ?? "")\(path.text)"
    self.methods = methods
    self.path = path
    self.reading = reading
    self.host = host
    self.access = access
    self.action = action
    self.resource = resource
    self.body = body
    self.entities = entities
    asksForMore = body != nil || entities != nil
    self.scopes = scopes
    self.demandsProof = demandsProof
    self.demandsCertificate = demandsCertificate
    self.stepUp = stepUp
    self.mode = mode
    self.closeStreams = closeStreams
    self.upstream = upstream
    self.timeouts = timeouts
    self.bodyLimit = bodyLimit
    self.engine = engine
    self.signing = signing
  }
}

/// Which methods a route is for: some, or all.
struct RouteMethods: Sendable {
  /// The methods as written.
  let text: String
  /// The tokens; empty for all.
  let tokens: [String]
  private let known: UInt16

  /// Reads `GET`, `GET,HEAD` or `*`; nil if a method is no token of capital letters.
  init?(_ text: some StringProtocol) {
    self.text = String(text)
    guard self.text != "*" else {
      tokens = []
      known = 0
      return
    }
    let parts = self.text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
    var known: UInt16 = 0
    for part in parts {
      guard !part.isEmpty, part.allSatisfy({ (0x41...0x5a).contains($0) || $0 == UInt8(ascii: "-") }) else { return nil }
      let method = Method(token: part)
      if method != .other { known |= 1 << UInt16(method.rawValue) }
    }
    tokens = parts.map { String(decoding: $0, as: UTF8.self) }
    self.known = known
  }

  /// How well a method fits: 3 by itself, 2 for a HEAD by its GET, 1 by `*`, 0 not at all.
  func rank(_ head: borrowing RequestHead) -> Int {
    if tokens.isEmpty { return 1 }
    if head.method != .other {
      if known & 1 << UInt16(head.method.rawValue) != 0 { return 3 }
      return head.method == .head && known & 1 << UInt16(Method.get.rawValue) != 0 ? 2 : 0
    }
    return tokens.contains { token in head.fields.withBytes(head.methodRange) { $0.elementsEqual(token.utf8) } } ? 3 : 0
  }

  /// Whether a request could be for both by equal right.
  func overlaps(_ other: RouteMethods) -> Bool {
    if tokens.isEmpty || other.tokens.isEmpty { return tokens.isEmpty && other.tokens.isEmpty }
    return tokens.contains { token in other.tokens.contains { exactlyEquals($0, token) } }
  }
}

/// A host, or all hosts below one.
struct RouteHost: Sendable, Equatable {
  /// As written, in lower case.
  let text: String
  /// The bytes after `*`, or of the whole.
  let name: [UInt8]
  /// Whether it is `*.name`.
  let isWildcard: Bool

  /// Reads `api.example.com` or `*.example.com`; nil if it is neither.
  init?(_ text: String) {
    let lower = text.utf8.map { ASCII.lowercased($0) }
    isWildcard = lower.starts(with: "*.".utf8)
    let name = isWildcard ? Array(lower.dropFirst()) : lower
    let plain = isWildcard ? Array(name.dropFirst()) : name
    guard !plain.contains(UInt8(ascii: ":")) || plain.first == UInt8(ascii: "["),
      let host = plain.withUnsafeBytes({ Authority.canonicalHost($0) }), host.utf8.elementsEqual(plain)
    else { return nil }
    self.name = name
    self.text = String(decoding: lower, as: UTF8.self)
  }

  /// Whether a canonical host is meant; a wildcard wants at least one more label.
  func matches(_ host: String) -> Bool {
    isWildcard ? host.utf8.count > name.count && host.utf8.suffix(name.count).elementsEqual(name) : host.utf8.elementsEqual(name)
  }
}
