public import HTTP

/// Every bound on what clients and services may use: the one closed table from a limit to its setting, what the client is answered,
/// and what the log and the metrics call it. The raw value is the label of `stockade_limits_reached_total`.
///
/// `stockade config limits` prints it, and a golden test.
public enum Limit: String, Sendable, CaseIterable {
  case connections
  case connectionsPerPeer = "connections_per_peer"
  case handshakes
  case handshakeRate = "handshake_rate"
  case handshakeTimeout = "handshake_timeout"
  case requestsPerConnection = "requests_per_connection"
  case requestsInFlight = "requests_in_flight"
  case header
  case headerCount = "header_count"
  case target
  case body
  case headerTimeout = "header_timeout"
  case idleTimeout = "idle_timeout"
  case bodyTimeout = "body_timeout"
  case bodyRate = "body_rate"
  case totalTimeout = "total_timeout"
  case buffered
  case connectTimeout = "connect_timeout"
  case responseTimeout = "response_timeout"
  case upstreamConnections = "upstream_connections"
  case upstreamWaiting = "upstream_waiting"
  case upstreamWaitingTimeout = "upstream_waiting_timeout"
  case upstreamBreaker = "upstream_breaker"

  /// One row of the table.
  public struct Row: Sendable {
    /// The setting, by its place in the file; for a service, the usual one's.
    public let setting: String
    /// What the client is answered; nil if nothing is.
    public let status: Status?
    /// What the log calls it: the record's `reason`, or its `upstream_error` after `upstream:`; nil where there is no request.
    public let logged: String?
    /// What happens, beyond the answer.
    public let effect: String
  }

  /// The row.
  public var row: Row {
    switch self {
    case .connections:
      Row(
        setting: "limits.connections", status: nil, logged: nil,
        effect: "Those that have been idle for longest are closed; where none is idle, new ones wait in the kernel's queue.")
    case .connectionsPerPeer:
      Row(setting: "limits.connections_per_peer", status: .tooManyRequests, logged: nil, effect: "Answered unread, and closed.")
    case .handshakes:
      Row(setting: "limits.handshakes", status: nil, logged: nil, effect: "The one that has been under way for longest is closed.")
    case .handshakeRate:
      Row(setting: "limits.handshake_rate", status: nil, logged: nil, effect: "New connections wait in the kernel's queue.")
    case .handshakeTimeout: Row(setting: "limits.handshake_timeout", status: nil, logged: nil, effect: "Closed.")
    case .requestsPerConnection:
      Row(setting: "limits.requests_per_connection", status: nil, logged: nil, effect: "The last response says that it is the last.")
    case .requestsInFlight: Row(setting: "limits.requests_in_flight", overload: "Retry-After: 1.")
    case .header: Row(setting: "limits.header", .requestHeaderFieldsTooLarge, "request_too_large", "Closed; of a response: 502.")
    case .headerCount: Row(setting: "limits.header_count", .requestHeaderFieldsTooLarge, "request_too_large", "Closed; of a response: 502.")
    case .target: Row(setting: "limits.target", .uriTooLong, "request_too_large", "Closed.")
    case .body: Row(setting: "limits.body", .contentTooLarge, "request_too_large", "Nothing, or a broken-off request, reaches the service.")
    case .headerTimeout:
      Row(setting: "limits.header_timeout", .requestTimeout, "request_timeout", "Closed, without an answer if nothing came.")
    case .idleTimeout: Row(setting: "limits.idle_timeout", status: nil, logged: nil, effect: "Closed.")
    case .bodyTimeout:
      Row(setting: "upstream.body_timeout", .requestTimeout, "request_timeout", "A response that has begun breaks off.")
    case .bodyRate: Row(setting: "limits.body_rate", .requestTimeout, "request_timeout", "A response that has begun breaks off.")
    case .totalTimeout:
      Row(setting: "limits.total_timeout", .gatewayTimeout, "upstream: timeout", "A response that has begun breaks off.")
    case .buffered: Row(setting: "limits.buffered", overload: "Retry-After: 1; accepting rests until it is less.")
    case .connectTimeout:
      Row(setting: "upstream.connect_timeout", .gatewayTimeout, "upstream: connect_timeout", "Other addresses are tried first.")
    case .responseTimeout: Row(setting: "upstream.response_timeout", .gatewayTimeout, "upstream: timeout", "The request is broken off.")
    case .upstreamConnections: Row(setting: "upstream.max_connections", status: nil, logged: nil, effect: "The request waits for one.")
    case .upstreamWaiting: Row(setting: "upstream.max_waiting", .serviceUnavailable, "upstream: busy", "Retry-After: 1.")
    case .upstreamWaitingTimeout: Row(setting: "upstream.waiting_timeout", .serviceUnavailable, "upstream: busy", "Retry-After: 1.")
    case .upstreamBreaker:
      Row(setting: "upstream.breaker.failures", .serviceUnavailable, "upstream: circuit_open", "Retry-After: until it is asked again.")
    }
  }

  /// The limit that a refused head has reached; nil if it is none.
  init?(reachedBy refusal: HTTPRefusal) {
    switch refusal {
    case .headTooLarge, .fieldNameTooLong, .trailersTooLarge: self = .header
    case .tooManyFields, .tooManyTrailers: self = .headerCount
    case .targetTooLong: self = .target
    default: return nil
    }
  }

  /// The table as text, a row a line.
  public static var table: String {
    let rows = allCases.map { limit -> [String] in
      let row = limit.row
      let field = Fields.all.first { $0.path.joined(separator: ".").utf8.elementsEqual(row.setting.utf8) }
      return [
        row.setting, field?.fallback ?? "none", row.status.map { "\($0.code)" } ?? "-", row.logged ?? "-", limit.rawValue, row.effect,
      ]
    }
    let titles = ["setting", "default", "status", "log", "metric", "what happens"]
    let widths = titles.indices.map { column in ([titles] + rows).map { $0[column].utf8.count }.max() ?? 0 }
    return ([titles] + rows).map { cells in
      zip(cells, widths).dropLast().map { $0.0 + String(repeating: " ", count: $0.1 - $0.0.utf8.count + 2) }.joined() + (cells.last ?? "")
        + "\n"
    }.joined()
  }
}

extension Limit.Row {
  fileprivate init(setting: String, _ status: Status, _ logged: String, _ effect: String) {
    self.init(setting: setting, status: status, logged: logged, effect: effect)
  }

  fileprivate init(setting: String, overload effect: String) {
    self.init(setting: setting, status: .serviceUnavailable, logged: "overload", effect: effect)
  }
}

extension Rejection {
  /// The limit that was reached; nil if it is refused for something else.
  public var limit: Limit? {
    switch self {
    case .syntax(let refusal): Limit(reachedBy: refusal)
    case .headTimeout: .headerTimeout
    case .bodyTooLarge: .body
    case .bodyTimeout: .bodyTimeout
    case .bodyTooSlow: .bodyRate
    case .overloaded(let limit, _): limit
    case .untraceable, .multipleCredentials, .noToken, .token, .proof, .noRoute, .unmappable, .bodyUnsupported, .bodyInvalid,
      .insufficientScope, .insufficientAuthentication, .policyForbids, .noPolicyPermits, .policyFailed, .keysUnavailable,
      .introspectionUnavailable, .engineFailed, .engineTimedOut, .entityLookupFailed, .credentialsRefused, .credentialsUnavailable,
      .logFull:
      nil
    }
  }
}
