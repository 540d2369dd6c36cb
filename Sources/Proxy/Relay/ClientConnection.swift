internal import Bytes
internal import Crypto
internal import HTTP
internal import Net
internal import Pipeline
internal import Telemetry

/// One client's connection: reads requests, has them decided, and sends what answers them, one at a time and in order.
///
/// The life of a request begins here. While a request is in flight no further one is looked at; its bytes wait in the
/// socket, so that a client cannot make us hold more than one head and one buffer.
final class ClientConnection: Waiter, StreamOwner {
  enum Phase {
    /// Between requests, or within a head.
    case reading
    /// The page waits for the request's body.
    case collecting
    /// The page waits for a fact.
    case parked
    /// Allowed: an upstream connection serves it, or is being made.
    case forwarding
    /// Client and service speak another protocol.
    case tunnelling
    /// The last bytes are on their way.
    case closing
    case closed
  }

  let worker: Worker
  let stream: ByteStream
  var phase = Phase.reading
  var exchange: Exchange
  var service: Service

  var inbound: MeteredQueue
  var outbound: MeteredQueue
  var isReadable = false
  var isPartial = false
  var isProceeding = false
  lazy var deadline = Deadline(worker.loop) { [unowned self] in expired() }

  // The exchange in flight.
  var upstream: UpstreamConnection?
  var tunnel: Tunnel?
  /// The stream that lasts, if its request is asked about again.
  var review: StreamReview?
  var requestBody = BodyRelay(from: .none, asChunks: false)
  var collected = CollectedBody()
  var forwardedHead: [UInt8] = []
  var slot: DecisionLogPort.Slot?
  var isObserved = false
  var isRecorded = false
  var isResponding = false
  var closesAfterRefusal = false
  var mayRetry = false
  var closesAfterResponse = false
  var attempt = 0
  var beganAt: UInt64 = 0
  var decidedAt: UInt64 = 0
  var lookupBeganAt: UInt64 = 0
  var lookupMicros: Int?

  // What it has used of its limits.
  var requestCount = 0
  var isInFlight = false
  var beganMillis: UInt64 = 0
  // When the whole must be over, in the loop's milliseconds; 0 for never.
  var totalDue: UInt64 = 0
  var requestPace: Pace
  var responsePace: Pace
  // What the kernel had not sent yet when it took no more: it says so again only when a good part has gone.
  var unsent = 0
  /// Since when nothing is asked on it.
  var idleSince: UInt64

  /// - Parameter received: what was read already of what the client says.
  init(_ stream: ByteStream, peer: Peer, worker: Worker, received: ByteQueue? = nil) {
    self.worker = worker
    self.stream = stream
    service = worker.service
    exchange = Exchange(peer: peer, under: worker.service.snapshot)
    inbound = MeteredQueue(worker.meter, holding: received ?? ByteQueue())
    outbound = MeteredQueue(worker.meter)
    requestPace = Self.pace(service)
    responsePace = requestPace
    idleSince = worker.loop.now
    // The event that brought these bytes does not come again.
    if received != nil { isReadable = true }
    super.init()
    stream.owner = self
    deadline.set(service.limits.headMillis)
  }

  /// Lends the exchange to what looks at the whole of it: it is large, and would be copied otherwise. Nothing in `body` may come back to
  /// this connection's exchange.
  func withExchange<R>(_ body: (inout Exchange) -> R) -> R { body(&exchange) }

  // MARK: - Events

  func streamReady(_ stream: ByteStream, _ readiness: Readiness) {
    if !readiness.isDisjoint(with: [.failed, .hungUp]), phase == .forwarding || phase == .parked || phase == .collecting {
      // Nobody is left to answer. (A peer that only closed its sending side is still there: that is `peerClosed` alone.)
      return abandon()
    }
    if readiness.contains(.writable), !outbound.isEmpty { flush() }
    guard phase != .closed else { return }
    if !readiness.isDisjoint(with: [.readable, .peerClosed, .failed, .hungUp]) {
      isReadable = true
      proceed()
    }
  }

  /// Goes on with whatever the phase allows.
  func proceed() {
    guard !isProceeding else { return }
    isProceeding = true
    defer { isProceeding = false }
    var rounds = 0
    while true {
      if phase == .reading, outbound.isEmpty {
        guard readHead() else { break }
      } else if phase == .collecting {
        guard collectMore(&rounds) else { break }
      } else {
        break
      }
    }
    if phase == .forwarding { pumpRequest() }
  }

  // MARK: - Parse

  /// Reads on in the head; false if nothing can be done before more bytes come.
  func readHead() -> Bool {
    if inbound.isEmpty || isPartial {
      guard isReadable else { return false }
      let buffer = worker.readBuffer
      switch stream.read(into: buffer) {
      case .bytes(let count, let drained):
        if drained { isReadable = false }
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        if inbound.isEmpty {
          switch RequestHeadParser.parse(bytes, limits: worker.headLimits, into: &exchange.head) {
          case .incomplete:
            inbound.append(bytes)
            becamePartial()
            return hasRoomForHead()
          case .complete(let consumed):
            if consumed < count { inbound.append(UnsafeRawBufferPointer(rebasing: bytes[consumed...])) }
            headIsComplete()
          case .refused(let refusal): headIsRefused(refusal)
          }
          return true
        }
        inbound.append(bytes)
      case .wouldBlock:
        isReadable = false
        return false
      case .end, .failed:
        close()
        return false
      }
    }
    switch inbound.withBytes({ RequestHeadParser.parse($0, limits: worker.headLimits, into: &exchange.head) }) {
    case .incomplete:
      becamePartial()
      return hasRoomForHead()
    case .complete(let consumed):
      inbound.consume(consumed)
      headIsComplete()
    case .refused(let refusal): headIsRefused(refusal)
    }
    return true
  }

  func becamePartial() {
    // The clock runs from the first byte of a head and not from the latest: a slow client gets no extension.
    if !isPartial { deadline.set(worker.service.limits.headMillis) }
    isPartial = true
  }

  // Beginnings of heads are held like all else.
  func hasRoomForHead() -> Bool {
    guard worker.isFull else { return true }
    begin()
    requestBody = BodyRelay(from: .none, asChunks: false)
    closesAfterRefusal = true
    refuse(worker.full)
    return false
  }

  func headIsComplete() {
    begin()
    requestBody = BodyRelay(from: exchange.head.framing, asChunks: exchange.head.framing == .chunked, limits: service.chunkLimits)
    if let rejection = worker.overload { return refuse(rejection) }
    decide()
  }

  func headIsRefused(_ refusal: HTTPRefusal) {
    begin()
    worker.heardOtherProtocol(refusal, from: exchange.client.peer)
    refuse(.syntax(refusal))
  }

  func begin() {
    isPartial = false
    isRecorded = false
    isResponding = false
    isObserved = false
    closesAfterResponse = false
    closesAfterRefusal = false
    totalDue = 0
    slot = nil
    waitsFor = nil
    lookupMicros = nil
    attempt = 0
    beganAt = LoopClock.monotonicNanos()
    beganMillis = worker.loop.now
    service = worker.service
    exchange.begin(id: worker.nextID(), at: worker.loop.wallSeconds, arrival: beganAt, under: service.snapshot)
    exchange.trace = worker.beginTrace(exchange.head)
    requestCount += 1
    isInFlight = true
    worker.requestsInFlight(1)
  }

  func leaveFlight() {
    guard isInFlight else { return }
    isInFlight = false
    worker.requestsInFlight(-1)
  }

  // Whether the connection has had its share, which its last response says.
  var isSpent: Bool {
    guard requestCount >= service.limits.requestsPerConnection else { return false }
    worker.reached(.requestsPerConnection)
    return true
  }

  // MARK: - Match, authenticate, map, authorize

  /// Runs the page; again, when a fact that it waited for has arrived.
  func decide() {
    let outcome = exchange.decide(worker.facts)
    decidedAt = LoopClock.monotonicNanos()
    if let issuer = exchange.trail.issuerDoubted { worker.doubtKeys(of: issuer) }
    if let comparison = withExchange({ $0.comparison(worker.facts) }) { worker.compare(comparison, of: exchange) }
    switch consume outcome {
    case .forward(let permit): forward(with: permit)
    case .answer(let answer):
      slot = worker.log.reserve()
      answerOurselves(answer, closing: !exchange.head.keepAlive || !requestBody.isEnded, upstreamError: nil)
    case .refuse(let rejection): refuse(rejection)
    case .wait(let dependency): wait(for: dependency)
    }
  }

  func wait(for dependency: Dependency) {
    switch dependency {
    case .body: return collect()
    case .keys, .loadBalancerKey, .introspection, .credentials: break
    case .entities(let lookup):
      lookupBeganAt = LoopClock.monotonicNanos()
      if let answer = worker.answer(to: lookup) { return received(answer) }
    case .decision(let question): if let answer = worker.answer(to: question) { return received(answer) }
    }
    // What is waited for again gets no extension.
    if waitsFor != dependency { deadline.set(dependency.patienceMillis) }
    waitsFor = dependency
    phase = .parked
    worker.park(self, until: dependency)
  }

  override var isWaiting: Bool { phase == .parked }

  override func received(_ answer: EntityAnswer) {
    waitsFor = nil
    lookupMicros = micros(from: lookupBeganAt, to: LoopClock.monotonicNanos())
    exchange.entitiesArrived(answer)
    decide()
  }

  override func received(_ answer: RemoteAnswer) {
    waitsFor = nil
    exchange.decisionArrived(answer)
    decide()
  }

  /// Another load is in force, and this exchange was not decided under the one it began with.
  func beginAnew() {
    service = worker.service
    waitsFor = nil
    exchange.beginAnew(under: service.snapshot)
    decide()
  }

  override func goOn() {
    guard phase == .parked else { return }
    decide()
  }

  override func turnedAway() {
    guard phase == .parked, let waitsFor else { return }
    refuse(waitsFor.rejection("too many requests wait", issuer: exchange.issuerWaitedFor))
  }

  override var origin: [UInt8] { exchange.client.peer.place }

  // MARK: - Refuse

  func refuse(_ rejection: Rejection) {
    exchange.refused(rejection)
    if let limit = rejection.limit { worker.reached(limit) }
    if slot == nil { slot = worker.log.reserve() }
    let answer = Answer(
      rejection, id: exchange.id, challenge: exchange.challenge(worker.facts), cors: exchange.corsFields(status: rejection.status),
      manner: exchange.manner, explanation: Explanations.text(for: exchange))
    let isReadOn: Bool
    switch rejection {
    // Bytes after these are never interpreted.
    case .syntax, .headTimeout: isReadOn = false
    default: isReadOn = exchange.head.keepAlive && requestBody.isEnded && !closesAfterRefusal
    }
    answerOurselves(answer, closing: !isReadOn, upstreamError: nil)
  }

  func answerOurselves(_ answer: Answer, closing: Bool, upstreamError: UpstreamFault?) {
    let closes = closing || worker.isDraining || isSpent
    var fields = FieldBlock()
    fields.append("Content-Type", answer.contentType)
    fields.append("Cache-Control", answer.cacheControl)
    fields.append(IdentityHeaders.decisionID, exchange.id)
    for field in answer.fields { fields.append(field.name, field.value) }
    var out = worker.takeBuffer()
    MessageWriter.appendResponse(
      answer.status, fields, body: answer.body, answering: exchange.head.method, keepAlive: !closes,
      minorVersion: exchange.head.minorVersion,
      to: &out)
    record(status: answer.status.code, upstreamError: upstreamError)
    out.withUnsafeBytes { send($0) }
    worker.giveBack(out)
    guard phase != .closed else { return }
    finish(closing: closes)
  }

  // MARK: - Log

  func record(status: Int, upstreamError: UpstreamFault? = nil) {
    guard !isRecorded else { return }
    isRecorded = true
    let now = LoopClock.monotonicNanos()
    let wallMillis = UInt64(max(worker.loop.wallMillis, 0))
    var counted = withExchange { $0.counted(status: status, wallMillis: wallMillis, observed: isObserved) }
    counted.authorizeMicros = micros(from: beganAt, to: decidedAt)
    counted.totalMicros = micros(from: beganAt, to: now)
    if phase == .forwarding { counted.upstreamMicros = micros(from: decidedAt, to: now) }
    worker.count(counted)
    if !worker.log.isOff || exchange.isTraced {
      var record = withExchange { $0.record(status: status, wallMillis: wallMillis, observed: isObserved) }
      record.authorizeMicros = counted.authorizeMicros
      record.lookupMicros = lookupMicros
      record.totalMicros = counted.totalMicros
      record.upstreamMicros = counted.upstreamMicros
      record.upstreamError = upstreamError?.rawValue
      worker.write(&record, exchange.trace, spanFacts(now, status: status, upstreamError), in: slot)
    }
    slot = nil
  }

  // Nothing where nothing is recorded.
  private func spanFacts(_ now: UInt64, status: Int, _ fault: UpstreamFault?) -> SpanFacts {
    var facts = SpanFacts()
    guard exchange.isTraced else { return facts }
    facts.began = beganAt
    facts.authenticated = exchange.trail.authenticatedAt
    facts.decided = decidedAt >= beganAt ? decidedAt : now
    facts.ended = now
    facts.isForwarded = phase == .forwarding
    if facts.isForwarded, isResponding { facts.upstreamStatus = status }
    facts.routePath = exchange.route?.path.text
    facts.scheme = exchange.client.scheme?.rawValue ?? "http"
    facts.upstream = service.plan.upstreams.indices.contains(exchange.upstream) ? service.plan.upstreams[exchange.upstream].host : ""
    return facts
  }

  func micros(from start: UInt64, to end: UInt64) -> Int? { end >= start && start != 0 ? Int((end - start) / 1000) : nil }
}
