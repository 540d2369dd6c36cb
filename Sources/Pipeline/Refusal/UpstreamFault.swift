public import HTTP

/// What went wrong behind us after a request was allowed: the decision stands, the answer is a 5xx.
public enum UpstreamFault: String, Error, Sendable, CaseIterable {
  /// No connection could be made.
  case connect
  /// TLS with the upstream failed, its certificate among other things.
  case tls
  /// No response in time.
  case timeout
  /// The connection broke before a whole response came.
  case reset
  /// The response could be read in two ways, or not at all.
  case malformed
  /// Too many requests wait for a connection.
  case busy

  /// The status the client gets if nothing of a response was sent yet.
  public var status: Status {
    switch self {
    case .connect, .tls, .reset, .malformed: .badGateway
    case .timeout: .gatewayTimeout
    case .busy: .serviceUnavailable
    }
  }

  /// What the client is told.
  public var publicText: String {
    switch self {
    case .connect, .tls: "The service behind cannot be reached."
    case .timeout: "The service behind did not answer in time."
    case .reset: "The service behind broke off."
    case .malformed: "The service behind gave an answer that cannot be relayed."
    case .busy: "The service behind is busy."
    }
  }
}
