/// How a response is written for the client.
public struct ResponseRewrite: Sendable {
  /// How the body will be delimited on the client's connection.
  public var framing: BodyFraming
  /// Whether the client's connection lives on.
  public var keepAlive: Bool
  /// The version's second digit in the client's request.
  public var clientMinorVersion: UInt8
  /// Names that are removed from what the upstream sent.
  public var owned: OwnedFields?

  /// A rewrite for one response.
  public init(framing: BodyFraming, keepAlive: Bool, clientMinorVersion: UInt8, owned: OwnedFields? = nil) {
    self.framing = framing
    self.keepAlive = keepAlive
    self.clientMinorVersion = clientMinorVersion
    self.owned = owned
  }
}
