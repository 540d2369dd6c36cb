internal import Net
internal import Pipeline

/// A worker's connections to the service behind: idle ones, youngest first, and the making of new ones.
final class UpstreamPool {
  private let loop: EventLoop
  private let url: HTTPURL
  private let tls: TLSContext?
  private let limits: UpstreamLimits
  private let resolver: Resolver
  private var idle: [UpstreamConnection] = []
  private var open: Set<ObjectIdentifier> = []
  private var connecting = 0
  private var sweep: TimerID?
  /// Whether another pool has taken over: what becomes idle is closed.
  private(set) var isRetired = false

  init(_ url: HTTPURL, tls: TLSContext?, limits: UpstreamLimits, loop: EventLoop) throws(NetError) {
    self.loop = loop
    self.url = url
    self.tls = tls
    self.limits = limits
    resolver = try Resolver(loop)
  }

  /// The connection that became idle last: the least likely to have been closed by the other side.
  func take() -> UpstreamConnection? { idle.popLast() }

  /// Keeps an idle connection for the next request.
  func put(_ connection: UpstreamConnection) {
    connection.idleSince = loop.now
    idle.append(connection)
    if sweep == nil { scheduleSweep() }
  }

  /// An idle connection has been closed by the other side.
  func remove(_ connection: UpstreamConnection) { idle.removeAll { $0 === connection } }

  /// A connection is no more; false if that was known.
  func closed(_ connection: UpstreamConnection) -> Bool { open.remove(ObjectIdentifier(connection)) != nil }

  /// How many connections there are, idle ones included.
  var count: Int { open.count }

  /// Another pool takes over.
  func retire() {
    isRetired = true
    closeIdle()
  }

  /// Closes what is idle.
  func closeIdle() {
    let connections = idle
    idle = []
    for connection in connections { connection.close() }
  }

  /// Makes a connection, within a time of its own if one is given. The completion is never called from within.
  func connect(
    for worker: Worker, within millis: UInt64? = nil, _ completion: @escaping (Result<UpstreamConnection, UpstreamFault>) -> Void
  ) {
    let millis = millis ?? limits.connectTimeoutMillis
    guard open.count + connecting < limits.connections else {
      return loop.later { completion(.failure(.busy)) }
    }
    connecting += 1
    if let path = url.socketPath { return connect(to: [.unix(path: path)], within: millis, for: worker, completion) }
    resolver.resolve(url.host) { [self] result in
      switch result {
      case .success(let addresses): connect(to: addresses.map { .ip($0, port: url.port) }, within: millis, for: worker, completion)
      case .failure(let error): finish(.failure(error), for: worker, completion)
      }
    }
  }

  private func connect(
    to addresses: [SocketAddress], within millis: UInt64, for worker: Worker,
    _ completion: @escaping (Result<UpstreamConnection, UpstreamFault>) -> Void
  ) {
    Connector.connect(loop, to: addresses, host: url.host, tls: tls, timeoutMillis: millis) { [self] result in
      if case .failure = result { resolver.doubt(url.host) }
      finish(result, for: worker, completion)
    }
  }

  private func finish(
    _ result: Result<ByteStream, NetError>, for worker: Worker, _ completion: @escaping (Result<UpstreamConnection, UpstreamFault>) -> Void
  ) {
    connecting -= 1
    switch result {
    case .success(let stream):
      let connection = UpstreamConnection(stream, pool: self, worker: worker)
      open.insert(ObjectIdentifier(connection))
      completion(.success(connection))
    case .failure(let error):
      worker.upstreamFailed(error)
      if case .tls = error { return loop.later { completion(.failure(.tls)) } }
      loop.later { completion(.failure(.connect)) }
    }
  }

  private func scheduleSweep() {
    sweep = loop.after(1000) { [unowned self] in
      sweep = nil
      let limit = loop.now
      let kept = idle.firstIndex { limit < $0.idleSince + limits.idleMillis } ?? idle.count
      let old = idle[..<kept]
      idle.removeFirst(kept)
      for connection in old { connection.close() }
      if !idle.isEmpty { scheduleSweep() }
    }
  }
}
