internal import Net
internal import Pipeline
internal import Telemetry

/// A stream that lasts, a tunnel or a response that flows, whose request is asked about again: when its token ends, when another
/// load is in force, when tokens are revoked or keys withdrawn.
///
/// The page judges the very head that was forwarded, as it would judge it now. What it would refuse ends the stream, whatever the
/// reason: that a fact cannot be had is one too. It makes a decision of its own, whose record names the one that began the stream.
final class StreamReview: Waiter {
  private unowned let worker: Worker
  private var exchange: Exchange
  private let beganBy: DecisionID
  private let status: Int
  private var wasObserved: Bool
  // Whoever wakes those that wait may still hold it when its stream is over.
  private var isOver = false
  private let refused: (DecisionID) -> Void
  private lazy var timer = Deadline(worker.loop) { [unowned self] in expired() }

  // The wall clock may be set while a timer runs.
  private static let longestTimerSeconds: Int64 = 60

  /// A stream that was allowed just now.
  ///
  /// - Parameters:
  ///   - exchange: the request that began it.
  ///   - status: the status that was sent.
  ///   - isObserved: whether it passed although it would have been refused.
  ///   - refused: called once, when it is to end, with the name of the decision.
  init(of exchange: Exchange, status: Int, isObserved: Bool, at worker: Worker, refused: @escaping (DecisionID) -> Void) {
    self.worker = worker
    self.exchange = exchange
    self.status = status
    self.refused = refused
    beganBy = exchange.id
    wasObserved = isObserved
    super.init()
    setTimer()
  }

  override var origin: [UInt8] { exchange.client.peer.place }

  /// The stream is over by itself.
  func end() {
    isOver = true
    worker.unpark(self)
    waitsFor = nil
    timer.clear()
  }

  private func setTimer() {
    guard let endsAt = exchange.identityEndsAt else { return timer.clear() }
    let (seconds, overflow) = endsAt.subtractingReportingOverflow(worker.loop.wallSeconds)
    // Bounded before it is multiplied, so that no `exp` can overflow it, whatever an issuer may write.
    timer.set(UInt64(overflow ? Self.longestTimerSeconds : min(max(seconds, 1), Self.longestTimerSeconds)) * 1000)
  }

  private func expired() {
    if let waitsFor {
      worker.unpark(self)
      return refuse(waitsFor.rejection("no answer came in time", issuer: exchange.issuerWaitedFor))
    }
    guard let endsAt = exchange.identityEndsAt, worker.loop.wallSeconds >= endsAt else { return setTimer() }
    ask()
  }

  /// Something has changed that may change the decision.
  func ask() {
    worker.unpark(self)
    waitsFor = nil
    exchange.askAgain(
      id: worker.nextID(), at: worker.loop.wallSeconds, arrival: LoopClock.monotonicNanos(), under: worker.service.snapshot)
    decide()
  }

  private func decide() {
    let outcome = exchange.decide(worker.facts)
    switch consume outcome {
    case .forward(let permit): goesOn(observing: permit.refusalObserved != nil)
    // What is a document of ours by now is no stream.
    case .answer: refuse(.noRoute(detail: "its path is that of a document of ours by now"))
    case .refuse(let rejection): refuse(rejection)
    case .wait(let dependency): wait(for: dependency)
    }
  }

  private func goesOn(observing isObserved: Bool) {
    waitsFor = nil
    // What would have ended it is told once.
    if isObserved, !wasObserved { record(observed: true) }
    wasObserved = isObserved
    setTimer()
  }

  private func refuse(_ rejection: Rejection) {
    isOver = true
    waitsFor = nil
    timer.clear()
    exchange.refused(rejection)
    record(observed: false)
    refused(exchange.id)
  }

  private func record(observed: Bool) {
    let wallMillis = UInt64(max(worker.loop.wallMillis, 0))
    var counted = exchange.counted(status: status, wallMillis: wallMillis, observed: observed)
    counted.isOfStream = true
    worker.count(counted)
    guard !worker.log.isOff else { return }
    var record = exchange.record(status: status, wallMillis: wallMillis, observed: observed)
    record.streamOf = beganBy
    worker.write(ofStream: &record)
  }

  // MARK: - Waiting

  private func wait(for dependency: Dependency) {
    if case .body = dependency { return refuse(.engineFailed(detail: "the decision needs the request's body, which is not kept")) }
    if waitsFor != dependency { timer.set(dependency.patienceMillis) }
    waitsFor = dependency
    switch dependency {
    case .entities(let lookup): if let answer = worker.answer(to: lookup) { return received(answer) }
    case .decision(let question): if let answer = worker.answer(to: question) { return received(answer) }
    case .keys, .loadBalancerKey, .introspection, .credentials, .body: break
    }
    worker.park(self, until: dependency)
  }

  /// A fact has arrived, or something has changed.
  override func goOn() {
    guard !isOver else { return }
    if isWaiting { decide() } else { ask() }
  }

  override func received(_ answer: EntityAnswer) {
    exchange.entitiesArrived(answer)
    decide()
  }

  override func received(_ answer: RemoteAnswer) {
    exchange.decisionArrived(answer)
    decide()
  }

  override func turnedAway() {
    guard let waitsFor else { return }
    refuse(waitsFor.rejection("too many requests wait", issuer: exchange.issuerWaitedFor))
  }
}
