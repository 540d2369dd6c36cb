internal import Bytes
internal import JSON

/// Tokens that must not be accepted though they verify: what an operator writes down when something leaked.
///
/// A JSON array of objects. Each names what is revoked by exactly one of `jti` (one token), `origin_jti` (a sign-in and everything
/// refreshed from it) or `sub` (somebody's tokens issued before `issued_before`); `issuer` narrows it to one `iss`; `note` is for people.
///
///     [ { "jti": "5f2c…" },
///       { "origin_jti": "90ab…", "note": "laptop lost on Tuesday" },
///       { "sub": "alice", "issued_before": 1795424374, "issuer": "https://…" } ]
public struct RevocationList: Sendable {
  /// What a token matched.
  public enum Match: Sendable, Equatable, CustomStringConvertible {
    case jti
    case originJTI
    case subject(issuedBefore: Int64)

    /// One line for the log.
    public var description: String {
      switch self {
      case .jti: "jti is revoked"
      case .originJTI: "origin_jti is revoked"
      case .subject(let time): "tokens of this sub issued before \(time) are revoked"
      }
    }
  }

  /// Where a list cannot be read.
  public struct ParseError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Byte offset in the file.
    public let offset: Int
    /// What is wrong there.
    public let message: String
    /// The message.
    public var description: String { "\(message) (byte \(offset))" }
  }

  private struct Key: Hashable {
    /// nil stands for every issuer.
    let issuer: ExactString?
    let value: ExactString
  }

  /// Most bytes of a file.
  public static let byteLimit = 64 << 20

  /// How many entries it has.
  public let count: Int
  private let jtis: Set<Key>
  private let originJTIs: Set<Key>
  private let subjects: [Key: Int64]

  /// A list that revokes nothing.
  public static let empty = RevocationList()

  private init() {
    count = 0
    jtis = []
    originJTIs = []
    subjects = [:]
  }

  /// Reads a list; one entry that cannot be read spoils it, because half a revocation list is none.
  public init(_ text: some Collection<UInt8>) throws(ParseError) {
    let document: JSONValue
    do throws(JSONError) {
      document = try JSONParser.parse(text, limits: .init(depth: 4, bytes: Self.byteLimit))
    } catch {
      throw ParseError(offset: error.offset, message: error.description)
    }
    guard let entries = document.array else { throw ParseError(offset: document.span.lowerBound, message: "expected an array of objects") }
    var jtis: Set<Key> = []
    var originJTIs: Set<Key> = []
    var subjects: [Key: Int64] = [:]
    for entry in entries {
      let item = try Item(entry)
      let key = Key(issuer: item.issuer.map { ExactString($0) }, value: ExactString(item.value))
      switch item.kind {
      case .jti: jtis.insert(key)
      case .originJTI: originJTIs.insert(key)
      case .subject(let time): subjects[key] = max(subjects[key] ?? .min, time)
      }
    }
    count = entries.count
    self.jtis = jtis
    self.originJTIs = originJTIs
    self.subjects = subjects
  }

  /// Why a token is revoked, or nil. A token of a revoked subject that does not say when it was issued is revoked.
  public func match(_ token: VerifiedToken) -> Match? {
    guard count > 0 else { return nil }
    func holds(_ keys: Set<Key>, _ value: String) -> Bool {
      keys.contains(Key(issuer: nil, value: ExactString(value)))
        || keys.contains(Key(issuer: ExactString(token.issuer), value: ExactString(value)))
    }
    if let jti = token.jti, holds(jtis, jti) { return .jti }
    if let origin = token.originJTI, holds(originJTIs, origin) { return .originJTI }
    let times = [nil, ExactString(token.issuer)].compactMap { subjects[Key(issuer: $0, value: ExactString(token.subject))] }
    guard let time = times.max(), (token.issuedAt ?? .min) < time else { return nil }
    return .subject(issuedBefore: time)
  }

  /// One entry of the file.
  private struct Item {
    let kind: Match
    let value: String
    let issuer: String?

    init(_ entry: JSONValue) throws(ParseError) {
      func fail(_ message: String, _ at: JSONValue? = nil) -> ParseError {
        ParseError(offset: (at ?? entry).span.lowerBound, message: message)
      }
      guard let members = entry.object else { throw fail("expected an object, found \(entry.kindName)") }
      let known = ["jti", "origin_jti", "sub", "issued_before", "issuer", "note"]
      for member in members where !known.contains(where: { exactlyEquals($0, member.name) }) {
        throw ParseError(offset: member.nameSpan.lowerBound, message: "unknown member \(ShownText.quoted(member.name))")
      }
      let named = ["jti", "origin_jti", "sub"].filter { entry[$0] != nil }
      guard named.count == 1 else { throw fail("expected exactly one of jti, origin_jti and sub") }
      guard let target = entry[named[0]], let value = target.string, !value.isEmpty else {
        throw fail("\(named[0]) must be a string with something in it", entry[named[0]])
      }
      self.value = value
      if let issuer = entry["issuer"] {
        guard let text = issuer.string else { throw fail("issuer must be a string", issuer) }
        self.issuer = text
      } else {
        issuer = nil
      }
      switch named[0] {
      case "sub":
        guard let time = entry["issued_before"] else { throw fail("sub needs issued_before: tokens issued before that time are revoked") }
        guard let seconds = NumericDate.seconds(time) else { throw fail("issued_before must be seconds since 1970", time) }
        kind = .subject(issuedBefore: seconds)
      default:
        if let time = entry["issued_before"] { throw fail("issued_before goes with sub only", time) }
        kind = named[0] == "jti" ? .jti : .originJTI
      }
    }
  }
}
