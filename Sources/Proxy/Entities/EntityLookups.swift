internal import HTTP
internal import Net
internal import Pipeline
internal import Telemetry

/// Looks up entities for the workers: on the control loop, each URL once at a time whoever waits for it, so many at once.
///
/// A lookup that fails is told as such and serves for a moment: a source that is down is not asked by every request.
final class EntityLookups {
  private struct Flight {
    var workers: [Int]
    let beganAt: UInt64
  }

  private let loop: EventLoop
  private let client: HTTPClient
  private let serverLog: ServerLog
  private let metrics: MetricsShard
  private let duration: MetricsShard.Histogram
  /// How a worker is told.
  var tell: (WorkerMessage, Int) -> Void = { _, _ in }
  private var answers = EntityAnswers()
  private var generation: UInt64
  private var flights: [EntityLookup: Flight] = [:]
  // Those whose turn has not come, the first of them at `next`.
  private var waiting: [EntityLookup] = []
  private var next = 0
  private var calls = 0
  private var failureNotedAt: UInt64 = 0

  /// Bounds of the client for lookups; times and sizes are those of each source.
  static var limits: HTTPClient.Limits {
    var limits = HTTPClient.Limits()
    limits.idlePerPlace = 16
    limits.idle = 64
    // Shorter than common servers' own limits, so that a reused connection is rarely a dead one.
    limits.idleMillis = Defaults.upstreamIdleMillis
    return limits
  }

  init(_ loop: EventLoop, client: HTTPClient, generation: UInt64, serverLog: ServerLog, metrics: MetricsShard) {
    self.loop = loop
    self.client = client
    self.generation = generation
    self.serverLog = serverLog
    self.metrics = metrics
    duration = metrics.histogram(.entityLookupDuration)
  }

  /// Another load is in force: answers for the one before serve no more.
  func adopt(_ generation: UInt64) {
    self.generation = generation
    answers = EntityAnswers()
  }

  /// A worker waits for the answer to a lookup.
  func want(_ lookup: EntityLookup, for worker: Int) {
    if let answer = answers.answer(to: lookup, at: loop.now) {
      return tell(.entities(lookup, answer.answer, until: answer.until), worker)
    }
    if let flight = flights[lookup] {
      if !flight.workers.contains(worker) { flights[lookup]?.workers.append(worker) }
      return
    }
    flights[lookup] = Flight(workers: [worker], beganAt: LoopClock.monotonicNanos())
    if calls < Defaults.entityCalls { return ask(lookup) }
    guard waiting.count - next < Defaults.entityCallsWaiting else {
      return finish(lookup, .failed("too many lookups wait for their turn"))
    }
    waiting.append(lookup)
  }

  private func ask(_ lookup: EntityLookup) {
    let url: HTTPURL
    do throws(NetError) { url = try HTTPURL.parse(lookup.url) } catch {
      return finish(lookup, .failed(error.description))
    }
    let waited = elapsedMicros(lookup) / 1000
    guard waited < lookup.source.timeoutMillis else { return finish(lookup, .failed("its turn did not come in time")) }
    client.limits.totalMillis = lookup.source.timeoutMillis - waited
    client.limits.connectMillis = client.limits.totalMillis
    client.limits.bodyBytes = lookup.source.maximumBytes
    calls += 1
    client.send(HTTPClient.Request(.get, url, fields: lookup.source.headers)) { [unowned self] result in
      calls -= 1
      switch result {
      case .failure(let error): finish(lookup, .failed(error.description))
      case .success(let response):
        let answer = lookup.answer(
          status: response.status, contentType: response.field("Content-Type"), isEncoded: response.head.fields.has(.contentEncoding),
          body: response.body)
        finish(lookup, answer)
      }
      askNext()
    }
  }

  private func askNext() {
    while calls < Defaults.entityCalls, next < waiting.count {
      next += 1
      ask(waiting[next - 1])
    }
    if next == waiting.count || next > Defaults.entityCallsWaiting {
      waiting.removeFirst(next)
      next = 0
    }
  }

  private func elapsedMicros(_ lookup: EntityLookup) -> UInt64 {
    let now = LoopClock.monotonicNanos()
    return (now - min(flights[lookup]?.beganAt ?? now, now)) / 1000
  }

  private func finish(_ lookup: EntityLookup, _ answer: EntityAnswer) {
    let micros = elapsedMicros(lookup)
    let serves: UInt64
    let result: String
    switch answer {
    case .failed(let why):
      (serves, result) = (Defaults.entitiesAbsentMillis, "failed")
      note(why)
    case .entities(let entities, _):
      result = entities.isEmpty ? "absent" : "found"
      serves = entities.isEmpty ? min(lookup.source.cacheMillis, Defaults.entitiesAbsentMillis) : lookup.source.cacheMillis
    }
    metrics.add(metrics.counter(.entityLookups, MetricLabel("result", result)))
    metrics.observe(duration, micros: Int(clamping: micros))
    metrics.publish()
    let until = loop.now + serves
    if lookup.generation == generation { answers.keep(answer, to: lookup, until: until, at: loop.now) }
    for worker in flights.removeValue(forKey: lookup)?.workers ?? [] { tell(.entities(lookup, answer, until: until), worker) }
  }

  private func note(_ why: String) {
    // Once a second at most: what fails for one request fails for all of them.
    guard failureNotedAt == 0 || loop.now >= failureNotedAt + 1000 else { return }
    failureNotedAt = loop.now
    serverLog.warn("entity_lookup_failed", ["why": .text(why)])
  }
}
