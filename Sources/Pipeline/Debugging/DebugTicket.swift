public import Bytes
internal import Cedar
internal import Crypto
internal import HTTP
internal import JSON

/// Lets one subject on one route be told all that led to its decisions, for a short while. Whoever has the key makes them.
public struct DebugTicket: Sendable, Equatable {
  /// Whose requests: the token's `sub`, or the principal's whole id.
  public var subject: String
  /// Which route, as the decision log names it; where no route matches, the path.
  public var route: String
  /// When it was made, in seconds since 1970.
  public var issuedAt: Int64
  /// When it ends.
  public var expiresAt: Int64

  /// The field that requests carry it in; never forwarded.
  public static let field = "X-Stockade-Debug-Ticket"
  /// The field of a forwarded request's response that has the explanation, in base64url.
  public static let explanationField = "X-Stockade-Explanation"

  /// A ticket.
  public init(subject: String, route: String, issuedAt: Int64, expiresAt: Int64) {
    self.subject = subject
    self.route = route
    self.issuedAt = issuedAt
    self.expiresAt = expiresAt
  }

  /// The ticket as it travels: its content and the code over it, both in base64url.
  public func signed(with key: Secret<[UInt8]>) -> String {
    let content = JSONValue.object([
      "sub": .string(subject), "route": .string(route), "iat": .integer(issuedAt), "exp": .integer(expiresAt),
    ])
    let payload = Base64URL.encode(Array(content.text.utf8))
    return "\(payload).\(Base64URL.encode(Self.code(payload, key)))"
  }

  /// Reads a ticket that one of the keys signed; nil for anything else. Nothing of it is looked at before its code is right.
  static func verified(_ text: String, keys: [Secret<[UInt8]>]) -> DebugTicket? {
    guard text.utf8.count <= longestBytes else { return nil }
    let parts = text.utf8.split(separator: UInt8(ascii: "."), maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 2, let given = Base64URL.decode(parts[1]) else { return nil }
    let payload = String(decoding: parts[0], as: UTF8.self)
    // All of them, so that time does not tell which.
    guard keys.reduce(false, { constantTimeEquals(code(payload, $1), given) || $0 }), let bytes = Base64URL.decode(parts[0]) else {
      return nil
    }
    do throws(JSONError) {
      let content = try JSONParser.parse(bytes)
      guard let subject = content["sub"]?.string, let route = content["route"]?.string, let issuedAt = content["iat"]?.integer,
        let expiresAt = content["exp"]?.integer
      else { return nil }
      return DebugTicket(subject: subject, route: route, issuedAt: issuedAt, expiresAt: expiresAt)
    } catch { return nil }
  }

  // What it is comes first, so that the key's other uses, should there be any, make no tickets.
  private static func code(_ payload: String, _ key: Secret<[UInt8]>) -> [UInt8] {
    HMAC.code(.sha256, key: key.exposed, message: Array("stockade debug ticket 1\n\(payload)".utf8))
  }

  private static let longestBytes = 4096
}

/// Who makes debug tickets, and how long they may last.
public struct DebugTickets: Sendable {
  /// The keys: the first makes tickets, all are accepted.
  public let keys: [Secret<[UInt8]>]
  /// The longest time from a ticket's making to its end, in seconds.
  public var longestSeconds: Int64 = 3600

  /// Tickets of these keys.
  public init(keys: [Secret<[UInt8]>]) { self.keys = keys }

  /// Whether a ticket is good at a time.
  func accept(_ ticket: DebugTicket, at time: Int64) -> Bool {
    let (life, isTooLong) = ticket.expiresAt.subtractingReportingOverflow(ticket.issuedAt)
    guard !isTooLong, life > 0, life <= longestSeconds, ticket.expiresAt > time else { return false }
    // From the future it could last longer than it may.
    return ticket.issuedAt <= time &+ Defaults.clockSkewSeconds
  }
}

extension DebugTickets {
  /// Reads the settings; nil where there are none.
  static func read(_ root: Setting, _ report: inout ConfigurationReport) -> DebugTickets? {
    guard let setting = root["debug_tickets"], let keys = setting["keys"], !keys.texts.isEmpty else { return nil }
    if keys.texts.contains(where: { $0.utf8.count < 16 }) {
      report.add(
        keys, "debug tickets need keys of at least 16 bytes", help: "write debug_tickets: { keys: ['${file:/run/secrets/ticket-key}'] }")
    }
    var tickets = DebugTickets(keys: keys.texts.map { Secret(Array($0.utf8)) })
    if let millis = setting["max_ttl"]?.integer { tickets.longestSeconds = millis / 1000 }
    return tickets
  }
}

extension Exchange {
  /// Whether whoever sent this request is to be told all that led to its decision: it carries one good ticket, which is for the
  /// subject of its verified token and for its route.
  public var hasDebugTicket: Bool {
    guard let tickets = snapshot.debugTickets, let identity = trail.identity, trail.question != nil else { return false }
    let values = head.fields.values(named: "x-stockade-debug-ticket")
    guard values.count == 1, let ticket = DebugTicket.verified(values[0], keys: tickets.keys), tickets.accept(ticket, at: time) else {
      return false
    }
    let id = identity.principal.id
    let prefix =
      snapshot.issuers.issuers.indices.contains(identity.issuerIndex)
      ? snapshot.issuers.issuers[identity.issuerIndex].mapping.idPrefix : ""
    guard exactlyEquals(ticket.subject, id) || exactlyEquals("\(prefix)|\(ticket.subject)", id) else { return false }
    return exactlyEquals(ticket.route, route?.text ?? head.rawPath)
  }
}
