internal import HTTP

/// What clients may use. Numbers are for the whole process: `share` gives the part of one worker.
public struct ClientLimits: Sendable, Equatable {
  /// Connections, in all.
  public var connections = Defaults.clientConnections
  /// Connections of one address; nil for no bound.
  public var connectionsPerPeer: Int?
  /// TLS handshakes under way at one time, in all.
  public var handshakes = Defaults.handshakes
  /// TLS handshakes begun in a second, in all.
  public var handshakesPerSecond = Defaults.handshakesPerSecond
  /// How long a TLS handshake may take, in milliseconds.
  public var handshakeMillis = Defaults.handshakeTimeoutMillis
  /// Requests on one connection.
  public var requestsPerConnection = Defaults.requestsPerConnection
  /// Requests at one time, in all.
  public var requestsInFlight = Defaults.requestsInFlight
  /// Bytes of a head.
  public var headBytes = Defaults.headBytes
  /// Field lines of a head.
  public var fieldLines = Defaults.fieldLines
  /// Bytes of a request target.
  public var targetBytes = Defaults.targetBytes
  /// The largest body where no route says otherwise; nil for no bound.
  public var bodyBytes: UInt64?
  /// How long a head may take, in milliseconds.
  public var headMillis = Defaults.headTimeoutMillis
  /// How long an idle connection is kept, in milliseconds.
  public var idleMillis = Defaults.idleTimeoutMillis
  /// How long a forwarded request may take in all, in milliseconds; nil for no bound.
  public var totalMillis: UInt64?
  /// The slowest a body may be, in bytes a second; 0 for no bound.
  public var bodyRate = Defaults.bodyRate
  /// Bytes that are held in memory, in all.
  public var bufferedBytes = Defaults.bufferedBytes

  /// The defaults.
  public init() {}

  init(_ setting: Setting?) {
    guard let setting else { return }
    connections = setting["connections"]?.whole ?? connections
    connectionsPerPeer = setting["connections_per_peer"]?.whole
    handshakes = setting["handshakes"]?.whole ?? handshakes
    handshakesPerSecond = setting["handshake_rate"]?.whole ?? handshakesPerSecond
    handshakeMillis = setting["handshake_timeout"]?.count ?? handshakeMillis
    requestsPerConnection = setting["requests_per_connection"]?.whole ?? requestsPerConnection
    requestsInFlight = setting["requests_in_flight"]?.whole ?? requestsInFlight
    headBytes = setting["header"]?.whole ?? headBytes
    fieldLines = setting["header_count"]?.whole ?? fieldLines
    targetBytes = setting["target"]?.whole ?? targetBytes
    bodyBytes = setting["body"]?.count
    headMillis = setting["header_timeout"]?.count ?? headMillis
    idleMillis = setting["idle_timeout"]?.count ?? idleMillis
    totalMillis = setting["total_timeout"]?.count
    bodyRate = setting["body_rate"]?.count ?? bodyRate
    bufferedBytes = setting["buffered"]?.whole ?? bufferedBytes
  }

  /// How heads are read.
  var head: HeadLimits {
    var limits = HeadLimits()
    limits.headBytes = headBytes
    limits.fieldLines = fieldLines
    limits.targetBytes = targetBytes
    return limits
  }

  /// The part of one of so many workers: what is for all is divided equally and rounded up, so that workers share nothing.
  public func share(of workers: Int) -> ClientLimits {
    func part(_ number: Int) -> Int { (number + max(workers, 1) - 1) / max(workers, 1) }
    var limits = self
    limits.connections = part(connections)
    limits.connectionsPerPeer = connectionsPerPeer.map(part)
    limits.handshakes = part(handshakes)
    limits.handshakesPerSecond = part(handshakesPerSecond)
    limits.requestsInFlight = part(requestsInFlight)
    limits.bufferedBytes = part(bufferedBytes)
    return limits
  }
}
