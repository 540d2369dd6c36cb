internal import HTTP
internal import Net
internal import Pipeline

/// A worker's connections to one address of a service: idle ones, youngest first, and the making of new ones.
///
/// A name's addresses are looked up again while there are connections, so that one that has moved is left: what is idle there is
/// closed, and what is busy is closed when it is done.
final class UpstreamPool {
  private let loop: EventLoop
  private let url: HTTPURL
  private let tls: TLSContext?
  private let settings: UpstreamSettings
  private let resolver: Resolver
  private let breaker: Breaker
  private var idle: [UpstreamConnection] = []
  private var open: Set<ObjectIdentifier> = []
  private var connecting = 0
  private var sweep: TimerID?
  private var addresses: [IPAddress] = []
  // Counted up when an address goes, so that connections know without comparing addresses that theirs is still there.
  private var generation = 0
  /// Whether requests should go here.
  var standing = Standing()
  /// Called when there is room for a request that waits; nil if none waits.
  var freed: (() -> Void)?
  /// Says whether it may be left out for a while.
  var mayEject: () -> Bool = { false }
  /// Whether another pool has taken over: what becomes idle is closed.
  private(set) var isRetired = false

  init(_ url: HTTPURL, of settings: UpstreamSettings, tls: TLSContext?, breaker: Breaker, resolver: Resolver, loop: EventLoop) {
    self.loop = loop
    self.url = url
    self.tls = tls
    self.settings = settings
    self.resolver = resolver
    self.breaker = breaker
  }

  // MARK: - Idle connections

  /// The connection that became idle last: the least likely to have been closed by the other side.
  func take() -> UpstreamConnection? { idle.popLast() }

  /// Keeps an idle connection for the next request.
  func put(_ connection: UpstreamConnection) {
    guard connection.generation == generation || isStillThere(connection) else { return connection.close() }
    connection.idleSince = loop.now
    idle.append(connection)
    if sweep == nil { scheduleSweep() }
    freed?()
  }

  /// An idle connection has been closed by the other side.
  func remove(_ connection: UpstreamConnection) { idle.removeAll { $0 === connection } }

  /// A connection is no more; false if that was known.
  func closed(_ connection: UpstreamConnection) -> Bool {
    guard open.remove(ObjectIdentifier(connection)) != nil else { return false }
    freed?()
    return true
  }

  /// How many requests are there.
  var busy: Int { open.count + connecting - idle.count }

  /// Whether another request can go there at once.
  var hasRoom: Bool { !idle.isEmpty || open.count + connecting < settings.limits.connections }

  /// Another pool takes over.
  func retire() {
    isRetired = true
    closeIdle()
  }

  /// Closes what is idle.
  func closeIdle() { closeIdle { _ in true } }

  private func closeIdle(where isOver: (UpstreamConnection) -> Bool) {
    let connections = idle.filter(isOver)
    guard !connections.isEmpty else { return }
    idle.removeAll(where: isOver)
    for connection in connections { connection.close() }
  }

  private func scheduleSweep() {
    sweep = loop.after(1000) { [weak self] in
      guard let self else { return }
      sweep = nil
      closeIdle { loop.now >= $0.idleSince + settings.limits.idleMillis }
      guard !idle.isEmpty else { return }
      refresh()
      scheduleSweep()
    }
  }

  // MARK: - What becomes of requests

  /// A request was answered there, in whatever way.
  func answered() {
    standing.answered(at: loop.now)
    breaker.answered()
  }

  /// A request got no answer there.
  func failed(for worker: Worker) {
    addressFailed(for: worker)
    if breaker.failed(at: loop.now) { worker.circuitOpened(settings.name) }
  }

  private func addressFailed(for worker: Worker) {
    guard standing.failed(at: loop.now, settings.ejection), mayEject() else { return }
    standing.eject(at: loop.now, settings.ejection)
    worker.ejected(url.description, of: settings.name)
  }

  // MARK: - Addresses

  private var isNamed: Bool { url.socketPath == nil && IPAddress(url.host) == nil }

  private func isStillThere(_ connection: UpstreamConnection) -> Bool {
    guard isNamed, let ip = connection.peer.ip, !addresses.contains(ip.unmapped) else {
      connection.generation = generation
      return true
    }
    return false
  }

  private func refresh() {
    guard isNamed else { return }
    // What is remembered comes at once, and is renewed behind it when its time is over.
    resolver.resolve(url.host) { [weak self] result in
      if case .success(let found) = result { self?.adopt(found) }
    }
  }

  private func adopt(_ found: [IPAddress]) {
    let hasLost = addresses.contains { !found.contains($0) }
    addresses = found
    guard hasLost else { return }
    generation += 1
    closeIdle { !isStillThere($0) }
  }

  // MARK: - New connections

  /// Makes a connection within a time. The completion is never called from within.
  func connect(for worker: Worker, within millis: UInt64, _ completion: @escaping (Result<UpstreamConnection, UpstreamFault>) -> Void) {
    connecting += 1
    if let path = url.socketPath {
      return connect(to: [.unix(path: path)], within: millis) { [self] in finish($0, for: worker, completion) }
    }
    resolver.resolve(url.host) { [self] result in
      switch result {
      case .failure(let error): finish(.failure(error), for: worker, completion)
      case .success(let found):
        adopt(found)
        connect(to: sockets(found), within: millis) { [self] result in
          guard case .failure(let error) = result, isNamed, !error.isExhaustion else { return finish(result, for: worker, completion) }
          connectAnew(after: error, besides: found, within: millis) { [self] in finish($0, for: worker, completion) }
        }
      }
    }
  }

  // Nobody was there: perhaps the name means another place by now. Nothing of the request was sent yet, whatever it is.
  private func connectAnew(
    after error: NetError, besides tried: [IPAddress], within millis: UInt64, _ completion: @escaping (Result<ByteStream, NetError>) -> Void
  ) {
    resolver.doubt(url.host)
    resolver.resolve(url.host) { [self] result in
      guard case .success(let found) = result, found.contains(where: { !tried.contains($0) }) else { return completion(.failure(error)) }
      adopt(found)
      connect(to: sockets(found), within: millis, completion)
    }
  }

  private func sockets(_ addresses: [IPAddress]) -> [SocketAddress] { addresses.map { .ip($0, port: url.port) } }

  private func connect(to places: [SocketAddress], within millis: UInt64, _ completion: @escaping (Result<ByteStream, NetError>) -> Void) {
    Connector.connect(loop, to: places, host: settings.tls?.serverName ?? url.host, tls: tls, timeoutMillis: millis, completion: completion)
  }

  private func finish(
    _ result: Result<ByteStream, NetError>, for worker: Worker, _ completion: @escaping (Result<UpstreamConnection, UpstreamFault>) -> Void
  ) {
    connecting -= 1
    switch result {
    case .success(let stream):
      let connection = UpstreamConnection(stream, pool: self, worker: worker)
      connection.generation = generation
      open.insert(ObjectIdentifier(connection))
      completion(.success(connection))
    case .failure(let error):
      let fault = Self.fault(error)
      worker.upstreamFailed(error, at: url)
      if fault != .busy { addressFailed(for: worker) }
      freed?()
      loop.later { completion(.failure(fault)) }
    }
  }

  private static func fault(_ error: NetError) -> UpstreamFault {
    // That we have no descriptor left says nothing of the service.
    if error.isExhaustion { return .busy }
    switch error {
    case .tls: return .tls
    case .timedOut: return .connectTimeout
    default: return .connect
    }
  }
}
