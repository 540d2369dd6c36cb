internal import Net
internal import Pipeline

/// A service as a worker knows it: its addresses, each with its connections, and the requests that wait for one.
///
/// A request goes to the address with the fewest requests in flight; of equals, to the one after the last that got one. Addresses that
/// are down or left out for a while are passed over, unless that would leave none: then all are asked as if they were well, for a
/// request that may fail is better than one that is not tried. Where no connection can be made, up to two more addresses are tried.
final class UpstreamGroup {
  let plan: UpstreamPlan
  let pools: [UpstreamPool]
  private let breaker: Breaker
  private let loop: EventLoop
  private var rotation = 0
  private var waiting: ArraySlice<Waiter> = []
  private var waitingCount = 0
  private var isServing = false

  private var settings: UpstreamSettings { plan.settings }
  private static let tries = 3

  typealias Completion = (Result<UpstreamConnection, UpstreamFault>) -> Void

  private final class Waiter {
    let call: Call
    var timer: TimerID?
    var isDone = false

    init(_ call: Call) { self.call = call }
  }

  /// A request that needs a connection.
  private struct Call {
    let worker: Worker
    let millis: UInt64
    let isWanted: () -> Bool
    let completion: Completion
    var tried: UInt64 = 0
  }

  init(_ plan: UpstreamPlan, tls: TLSContext?, resolver: Resolver, loop: EventLoop) {
    self.plan = plan
    self.loop = loop
    let breaker = Breaker(plan.settings.breaker)
    self.breaker = breaker
    pools = plan.urls.map { url in
      UpstreamPool(url, of: plan.settings, tls: url.isSecure ? tls : nil, breaker: breaker, resolver: resolver, loop: loop)
    }
    for pool in pools { pool.mayEject = { [weak self] in self?.mayEjectAnother ?? false } }
  }

  // MARK: - Which address

  private var mayEjectAnother: Bool {
    pools.count { $0.standing.isEjected(at: loop.now) } < settings.ejection.most(of: pools.count)
  }

  private func best(besides tried: UInt64 = 0) -> Int? {
    guard pools.count > 1 else { return tried == 0 && pools[0].hasRoom ? 0 : nil }
    let now = loop.now
    let areAllOut = pools.allSatisfy { $0.standing.isOut(at: now) }
    var found: Int?
    for offset in pools.indices {
      let index = (rotation + offset) % pools.count
      let pool = pools[index]
      guard tried & 1 << UInt64(index) == 0, pool.hasRoom, areAllOut || !pool.standing.isOut(at: now) else { continue }
      if found.map({ pool.busy < pools[$0].busy }) ?? true { found = index }
    }
    return found
  }

  // MARK: - Connections

  /// Whether a request may be sent at all.
  func admits() -> Bool { breaker.admits(at: loop.now) }
  /// If not, how many seconds it may be until then.
  var secondsLeft: UInt64 { breaker.secondsLeft(at: loop.now) }

  /// An idle connection to the right address; nil if there is none, or others wait.
  func take() -> UpstreamConnection? {
    guard waiting.isEmpty, let index = best(), let connection = pools[index].take() else { return nil }
    rotation = (index + 1) % pools.count
    return connection
  }

  /// Makes a connection, or waits for one. The completion is never called from within.
  ///
  /// - Parameters:
  ///   - millis: how long connecting to an address may take; nil for as long as is usual.
  ///   - isWanted: whether there still is a request that needs it.
  func connect(for worker: Worker, within millis: UInt64?, isWanted: @escaping () -> Bool, _ completion: @escaping Completion) {
    let millis = millis ?? settings.limits.connectTimeoutMillis
    let call = Call(worker: worker, millis: millis, isWanted: isWanted, completion: completion)
    guard waiting.isEmpty, let index = best() else { return wait(call) }
    start(call, at: index)
  }

  private func start(_ call: Call, at index: Int) {
    rotation = (index + 1) % pools.count
    pools[index].connect(for: call.worker, within: call.millis) { [self] result in
      guard case .failure(let fault) = result, fault != .busy else { return call.completion(result) }
      var next = call
      next.tried |= 1 << UInt64(index)
      if next.tried.nonzeroBitCount < Self.tries, call.isWanted(), let other = best(besides: next.tried) { return start(next, at: other) }
      if breaker.failed(at: loop.now) { call.worker.circuitOpened(settings.name) }
      call.completion(result)
    }
  }

  // MARK: - Waiting

  private func wait(_ call: Call) {
    guard waitingCount < settings.limits.waiting else {
      call.worker.reached(.upstreamWaiting)
      return loop.later { call.completion(.failure(.busy)) }
    }
    call.worker.reached(.upstreamConnections)
    let waiter = Waiter(call)
    waitingCount += 1
    waiting.append(waiter)
    waiter.timer = loop.after(settings.limits.waitingMillis) { [self, unowned waiter] in
      end(waiter)
      // Whoever came first waits no longer than the others: what is over stands at the front.
      while waiting.first?.isDone ?? false { waiting.removeFirst() }
      call.worker.reached(.upstreamWaitingTimeout)
      call.completion(.failure(.busy))
    }
    for pool in pools where pool.freed == nil { pool.freed = { [weak self] in self?.serveLater() } }
  }

  private func end(_ waiter: Waiter) {
    waiter.isDone = true
    waitingCount -= 1
    if let timer = waiter.timer { loop.cancel(timer) }
  }

  // In a turn of its own: whoever made room is still at it.
  private func serveLater() {
    guard !isServing else { return }
    isServing = true
    loop.later { [self] in
      isServing = false
      serve()
    }
  }

  private func serve() {
    while let waiter = waiting.first {
      guard !waiter.isDone else {
        waiting.removeFirst()
        continue
      }
      guard waiter.call.isWanted() else {
        end(waiter)
        continue
      }
      guard let index = best() else { return }
      waiting.removeFirst()
      end(waiter)
      guard let connection = pools[index].take() else {
        start(waiter.call, at: index)
        continue
      }
      rotation = (index + 1) % pools.count
      waiter.call.completion(.success(connection))
    }
    for pool in pools { pool.freed = nil }
  }

  // MARK: - The end

  /// Another group takes over.
  func retire() { for pool in pools { pool.retire() } }

  /// Closes what is idle.
  func closeIdle() { for pool in pools { pool.closeIdle() } }
}
