public import HTTP

/// What went wrong behind us after a request was allowed: the decision stands, the answer is a 5xx.
public enum UpstreamFault: String, Error, Sendable, CaseIterable {
  /// No connection could be made.
  case connect
  /// No connection was made in time.
  case connectTimeout = "connect_timeout"
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
  /// The last requests got no answer, so it is not asked for a while.
  case circuitOpen = "circuit_open"

  /// The status the client gets if nothing of a response was sent yet.
  public var status: Status {
    switch self {
    case .connect, .tls, .reset, .malformed: .badGateway
    case .timeout, .connectTimeout: .gatewayTimeout
    case .busy, .circuitOpen: .serviceUnavailable
    }
  }

  /// What the client is told.
  public var publicText: String {
    switch self {
    case .connect, .connectTimeout, .tls, .circuitOpen: "The service behind cannot be reached."
    case .timeout: "The service behind did not answer in time."
    case .reset: "The service behind broke off."
    case .malformed: "The service behind gave an answer that cannot be relayed."
    case .busy: "The service behind is busy."
    }
  }
}
