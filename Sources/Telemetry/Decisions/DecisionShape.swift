public import Bytes
internal import Crypto
internal import HTTP
internal import JSON

/// What of a decision is written: which of its fields are kept, and how many decisions that allowed.
///
/// What is refused, what could not be decided and what would have been refused is always written.
public struct DecisionShape: Sendable {
  /// How principals are written.
  public enum Principals: Sendable {
    /// As they are.
    case plain
    /// As a keyed hash: the same principal is the same hash, and nobody without the key can tell who it is.
    case hashed(key: Secret<[UInt8]>)
    /// Not at all.
    case omitted
  }

  /// How client addresses are written.
  public enum Addresses: String, Sendable, CaseIterable {
    /// As they are.
    case full
    /// The network: 24 bits of an IPv4 address, 48 of an IPv6 one.
    case prefix
    /// Not at all.
    case omit
  }

  private let principals: Principals
  private let addresses: Addresses
  private let drops: [Drop]
  private let allowedOneIn: UInt64

  /// A shape; the defaults write everything.
  ///
  /// - Parameters:
  ///   - drops: JSON Pointers to what is left out, each one that `problem(ofDrop:)` has nothing against.
  ///   - allowedOneIn: of so many decisions that allowed, one is written.
  public init(principals: Principals = .plain, addresses: Addresses = .full, drops: [String] = [], allowedOneIn: Int = 1) {
    self.principals = principals
    self.addresses = addresses
    self.drops = drops.compactMap { Drop($0) }
    self.allowedOneIn = UInt64(max(allowedOneIn, 1))
  }

  /// Whether everything is written as it is.
  var isPlain: Bool {
    if case .plain = principals { addresses == .full && drops.isEmpty && allowedOneIn == 1 } else { false }
  }

  /// Whether a decision is written. The choice is by its random name: a caller cannot steer it.
  func keeps(_ record: borrowing DecisionRecord) -> Bool {
    allowedOneIn == 1 || !Self.isOrdinary(record) || record.id.low % allowedOneIn == 0
  }

  // Allowed by all policies, those in the shadow too, and marked by none.
  private static func isOrdinary(_ record: borrowing DecisionRecord) -> Bool {
    guard record.decision == .allow, !record.isAudited, record.difference == nil else { return false }
    return record.would.map { $0.decision == .allow } ?? true
  }

  /// Takes out of a record what is not to be written, and says in it what that was.
  func apply(to record: inout DecisionRecord) {
    if allowedOneIn > 1, Self.isOrdinary(record) { record.weight = Int(clamping: allowedOneIn) }
    shapePrincipal(of: &record)
    shapeAddress(of: &record)
    for drop in drops { drop.apply(to: &record) }
  }

  private func shapePrincipal(of record: inout DecisionRecord) {
    guard let principal = record.principal else { return }
    switch principals {
    case .plain: return
    case .hashed(let key):
      // The type stays: it says nothing about who it is.
      let type = principal.utf8.firstIndex(of: ASCII.quote).map { String(principal[..<$0]) } ?? ""
      let code = HMAC.code(.sha256, key: key.exposed, message: principal.utf8)
      record.principal = "\(type)\"hmac:\(Hex.encode(code.prefix(16)))\""
    case .omitted: record.principal = nil
    }
    record.redacted.append("/principal")
    // Claims and groups say who it is as well.
    guard record.input != nil else { return }
    record.input = nil
    record.redacted.append("/input")
  }

  private func shapeAddress(of record: inout DecisionRecord) {
    guard addresses != .full, let text = record.client.ip else { return }
    record.client.ip = addresses == .omit ? nil : Self.network(of: text)
    record.redacted.append("/client/ip")
    guard let input = record.input, let rest = Drop.removing(["context", "client"], from: input) else { return }
    record.input = rest
    record.redacted.append("/input/context/client")
  }

  static func network(of text: String) -> String? {
    guard let address = IPAddress(text)?.unmapped else { return nil }
    let octets = address.octets
    func number(_ octets: ArraySlice<UInt8>) -> UInt64 { octets.reduce(0) { $0 << 8 | UInt64($1) } }
    if address.isV4 { return "\(IPAddress(v4: UInt32(truncatingIfNeeded: number(octets[...]) & 0xffff_ff00)))/24" }
    return "\(IPAddress(v6: number(octets[..<8]) & 0xffff_ffff_ffff_0000, 0))/48"
  }

  /// Why something cannot be left out; nil if it can.
  public static func problem(ofDrop pointer: String) -> (message: String, help: String)? {
    guard Drop(pointer) == nil else { return nil }
    let near = Spelling.nearest(to: pointer, among: Drop.names).map { "did you mean \($0)? " } ?? ""
    return (
      "\"\(pointer)\" cannot be left out of decisions", near + "what can: \(Drop.names.joined(separator: ", ")), and anything in /input"
    )
  }
}

/// One thing that is left out of records.
struct Drop: Sendable {
  private let pointer: String
  private let tokens: [String]

  static let names = [
    "/detail", "/resource", "/http/host", "/http/path", "/http/user_agent", "/token", "/token/kid", "/token/client_id", "/token/jti_hash",
    "/input",
  ]

  init?(_ pointer: String) {
    guard let parsed = JSONPointer(pointer) else { return nil }
    let isInput = parsed.tokens.first.map { exactlyEquals($0, "input") } ?? false
    guard isInput || Self.names.contains(where: { exactlyEquals($0, pointer) }) else { return nil }
    self.pointer = pointer
    tokens = parsed.tokens
  }

  func apply(to record: inout DecisionRecord) {
    var isGone = true
    switch pointer {
    case "/detail": isGone = Self.take(&record.detail)
    case "/resource": isGone = Self.take(&record.resource)
    case "/http/host": isGone = Self.take(&record.http.host)
    case "/http/path": isGone = Self.take(&record.http.path)
    case "/http/user_agent": isGone = Self.take(&record.http.userAgent)
    case "/token": isGone = Self.take(&record.token)
    case "/token/kid": isGone = Self.take(&record.token, \.keyID)
    case "/token/client_id": isGone = Self.take(&record.token, \.clientID)
    case "/token/jti_hash": isGone = Self.take(&record.token, \.jtiHash)
    case "/input": isGone = Self.take(&record.input)
    default:
      guard let input = record.input, let rest = Self.removing(tokens.dropFirst(), from: input) else { return }
      record.input = rest
    }
    if isGone { record.redacted.append(pointer) }
  }

  private static func take<Value>(_ field: inout Value?) -> Bool {
    defer { field = nil }
    return field != nil
  }

  private static func take(_ token: inout DecisionRecord.TokenFacts?, _ field: WritableKeyPath<DecisionRecord.TokenFacts, String?>) -> Bool
  {
    guard var facts = token, facts[keyPath: field] != nil else { return false }
    facts[keyPath: field] = nil
    token = facts
    return true
  }

  /// A value without what a path of names leads to; nil if it leads to nothing.
  static func removing(_ path: some Collection<String>, from value: JSONValue) -> JSONValue? {
    guard let name = path.first, var members = value.object, let place = members.firstIndex(where: { exactlyEquals($0.name, name) }) else {
      return nil
    }
    let rest = path.dropFirst()
    if rest.isEmpty {
      members.remove(at: place)
    } else {
      guard let inner = removing(Array(rest), from: members[place].value) else { return nil }
      members[place].value = inner
    }
    return JSONValue(.object(members))
  }
}
