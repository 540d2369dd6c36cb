/// The head of a response, RFC 9112 §2.1: what an upstream sent, and what it means for the request it answers.
///
/// One value serves all responses of a connection, so that nothing is allocated for a response.
public struct ResponseHead: Sendable {
  /// The bytes of the head and its field lines.
  public internal(set) var fields = FieldSection()
  /// The status.
  public internal(set) var status = Status.internalServerError
  /// Where the reason phrase lies in the bytes; empty without one.
  public internal(set) var reasonRange = 0..<0
  /// The version's second digit: 0 or 1.
  public internal(set) var minorVersion: UInt8 = 1
  /// How the body is delimited.
  public internal(set) var framing = BodyFraming.none
  /// Whether the connection may carry another request after this response.
  public internal(set) var keepAlive = false

  var progress = HeadProgress()

  /// A head to parse into.
  public init() {}

  /// Whether the connection now belongs to another protocol, RFC 9110 §15.2.2.
  public var switchesProtocols: Bool { status == .switchingProtocols }

  mutating func reset() {
    fields.removeAll()
    status = .internalServerError
    reasonRange = 0..<0
    minorVersion = 1
    framing = .none
    keepAlive = false
  }
}
