internal import Bytes
internal import HTTP
public import JSON

/// The header fields that tell the upstream who is asking. They are ours: whatever a client sends under these names, or
/// under a spelling that some server takes for them, is removed from every request.
public struct IdentityHeaders: Sendable {
  /// The principal's id, `<prefix>|<sub>`.
  public static let principal = "X-Stockade-Principal"
  /// The token's `sub`.
  public static let subject = "X-Stockade-Subject"
  /// The group names, separated by commas; empty without groups.
  public static let groups = "X-Stockade-Groups"
  /// What we sign for the service.
  public static let assertionName = "X-Stockade-Assertion"
  /// The decision's id, also in answers to the client.
  public static let decisionID = "X-Stockade-Decision-Id"

  /// The field for the principal's id; empty for none.
  public let principal: String
  /// The field for the subject; empty for none.
  public let subject: String
  /// The field for the groups; empty for none.
  public let groups: String
  /// Whether the service behind gets the token.
  public let keepsAuthorization: Bool
  /// The field for what we sign; empty for none.
  public var assertion = "" {
    didSet { prepare() }
  }
  /// More fields, each from a claim.
  public var claims: [(name: String, claim: JSONPointer)] = [] {
    didSet { prepare() }
  }
  /// Fields of the request that the decision looks at: spellings of them that a careless server takes for the same field, and
  /// that nobody decided on, are removed.
  var evaluated: [String] = [] {
    didSet { prepare() }
  }
  /// Whether clients' TLS ends here: then what they say under the names by which proxies tell of certificates (RFC 9440) is theirs alone.
  var endsTLS = false {
    didSet { prepare() }
  }
  /// How the head of a request is written for the service behind.
  private(set) var rewrite: RequestRewrite
  /// The same for a request that is signed on its way there.
  private(set) var signedRewrite: RequestRewrite
  /// Nobody: every header is there and empty, so that the upstream never reads an older or foreign value.
  private(set) var nobody = FieldBlock()

  /// The names; by default ours.
  public init(
    principal: String = Self.principal, subject: String = Self.subject, groups: String = Self.groups, keepsAuthorization: Bool = true
  ) {
    self.principal = principal
    self.subject = subject
    self.groups = groups
    self.keepsAuthorization = keepsAuthorization
    rewrite = RequestRewrite(owned: OwnedFields())
    signedRewrite = rewrite
    prepare()
  }

  /// Every name of ours, whether set or not.
  public var names: [String] {
    [Self.principal, Self.subject, Self.groups, Self.decisionID, DebugTicket.field]
      + ([principal, subject, groups, assertion] + claims.map(\.name)).filter { !$0.isEmpty }
  }

  private mutating func prepare() {
    let names = self.names + (endsTLS ? ["Client-Cert", "Client-Cert-Chain"] : [])
    rewrite = RequestRewrite(owned: OwnedFields(names, prefixes: ["x-amzn-oidc-"], evaluated: evaluated))
    rewrite.keepsAuthorization = keepsAuthorization
    // The upstream answers it, and its 100 is relayed: whether a body is wanted is the upstream's to say.
    rewrite.keepsExpect = true
    // Whoever is allowed to ask is allowed to ask for another protocol; what follows is tunnelled.
    rewrite.offersUpgrade = true
    signedRewrite = rewrite
    signedRewrite.owned = OwnedFields(names + RequestSignature.ownedFields, prefixes: ["x-amzn-oidc-"], evaluated: evaluated)
    signedRewrite.keepsAuthorization = false
    signedRewrite.forwardsTrailers = false
    nobody = block(principal: "", subject: "", groups: [], claims: JSONValue(.null))
  }

  /// The lines for one identity.
  func block(principal: String, subject: String, groups: [String], claims: JSONValue) -> FieldBlock {
    var block = FieldBlock()
    func add(_ name: String, _ value: String) { if !name.isEmpty { block.append(name, value) } }
    add(self.principal, Self.escaped(principal))
    add(self.subject, Self.escaped(subject))
    add(self.groups, groups.map(Self.escaped).joined(separator: ","))
    for (name, claim) in self.claims { add(name, claim.value(in: claims).map(Self.text) ?? "") }
    return block
  }

  // A claim as a header's value: texts escaped, a list as a list; what has no plain text is empty.
  private static func text(_ claim: JSONValue) -> String {
    switch claim.kind {
    case .string(let text): escaped(text)
    case .bool(let flag): flag ? "true" : "false"
    case .integer(let number): "\(number)"
    case .number(let text): escaped(text)
    case .array(let elements): elements.filter { $0.array == nil }.map(text).joined(separator: ",")
    case .null, .object: ""
    }
  }

  /// Why a field cannot be one of ours; nil if it can.
  static func problem(ofName name: String) -> String? {
    var block = FieldBlock()
    guard block.append(name, "x") else { return "\"\(name)\" is not the name of a field" }
    let steering = [
      "host", "authorization", "cookie", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length",
      "content-type", "expect", "forwarded", "proxy-authorization", "x-stockade-decision-id",
    ]
    let lower = folded(name)
    if steering.contains(lower) || lower.utf8.starts(with: "x-forwarded-".utf8) {
      return "\(name) already has a meaning; choose a name of your own"
    }
    return nil
  }

  /// A name as careless servers read it: letters without case, `_` and `.` as `-`.
  static func folded(_ name: String) -> String {
    String(
      decoding: name.utf8.map { $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") ? UInt8(ascii: "-") : ASCII.lowercased($0) },
      as: UTF8.self)
  }

  /// A value as it can stand in a header and be taken apart again: visible ASCII as it is, everything else, and `%` and
  /// `,`, percent-encoded (RFC 3986 §2.1) over UTF-8.
  static func escaped(_ value: String) -> String {
    PercentEncoding.encode(value.utf8) { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "%") && $0 != UInt8(ascii: ",") }
  }
}
