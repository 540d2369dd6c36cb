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

  private unowned let worker: Worker
  private let stream: ByteStream
  private(set) var phase = Phase.reading
  private(set) var exchange: Exchange
  private var service: Service

  private var inbound = ByteQueue()
  private var outbound = ByteQueue()
  private var isReadable = false
  private var isPartial = false
  private var isProceeding = false
  private lazy var deadline = Deadline(worker.loop) { [unowned self] in expired() }

  // The exchange in flight.
  private var upstream: UpstreamConnection?
  private var tunnel: Tunnel?
  /// The stream that lasts, if its request is asked about again.
  private(set) var review: StreamReview?
  private var requestBody = BodyRelay(from: .none, asChunks: false)
  private var collected = CollectedBody()
  private var forwardedHead: [UInt8] = []
  private var slot: DecisionLogPort.Slot?
  private var isObserved = false
  private var isRecorded = false
  private var isResponding = false
  private var mayRetry = false
  private var closesAfterResponse = false
  private var attempt = 0
  private var beganAt: UInt64 = 0
  private var decidedAt: UInt64 = 0
  private var lookupBeganAt: UInt64 = 0
  private var lookupMicros: Int?

  /// - Parameter received: what was read already of what the client says.
  init(_ stream: ByteStream, peer: Peer, worker: Worker, received: ByteQueue? = nil) {
    self.worker = worker
    self.stream = stream
    service = worker.service
    exchange = Exchange(peer: peer, under: worker.service.snapshot)
    if let received {
      inbound = received
      // The event that brought these bytes does not come again.
      isReadable = true
    }
    super.init()
    stream.owner = self
    deadline.set(Defaults.headTimeoutMillis)
  }

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
  private func readHead() -> Bool {
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
    case .incomplete: becamePartial()
    case .complete(let consumed):
      inbound.consume(consumed)
      headIsComplete()
    case .refused(let refusal): headIsRefused(refusal)
    }
    return true
  }

  private func becamePartial() {
    // The clock runs from the first byte of a head and not from the latest: a slow client gets no extension.
    if !isPartial { deadline.set(Defaults.headTimeoutMillis) }
    isPartial = true
  }

  private func headIsComplete() {
    begin()
    requestBody = BodyRelay(from: exchange.head.framing, asChunks: exchange.head.framing == .chunked)
    decide()
  }

  private func headIsRefused(_ refusal: HTTPRefusal) {
    begin()
    refuse(.syntax(refusal))
  }

  private func begin() {
    isPartial = false
    isRecorded = false
    isResponding = false
    isObserved = false
    closesAfterResponse = false
    slot = nil
    waitsFor = nil
    lookupMicros = nil
    attempt = 0
    beganAt = LoopClock.monotonicNanos()
    service = worker.service
    exchange.begin(id: worker.nextID(), at: worker.loop.wallSeconds, arrival: beganAt, under: service.snapshot)
    exchange.trace = worker.beginTrace(exchange.head)
    worker.requestsInFlight(1)
  }

  // MARK: - Match, authenticate, map, authorize

  /// Runs the page; again, when a fact that it waited for has arrived.
  func decide() {
    let outcome = exchange.decide(worker.facts)
    decidedAt = LoopClock.monotonicNanos()
    if let issuer = exchange.trail.issuerDoubted { worker.doubtKeys(of: issuer) }
    if let comparison = exchange.comparison(worker.facts) { worker.compare(comparison, of: exchange.id) }
    switch consume outcome {
    case .forward(let permit): forward(with: permit)
    case .answer(let answer):
      slot = worker.log.reserve()
      answerOurselves(answer, closing: !exchange.head.keepAlive || !requestBody.isEnded, upstreamError: nil)
    case .refuse(let rejection): refuse(rejection)
    case .wait(let dependency): wait(for: dependency)
    }
  }

  private func wait(for dependency: Dependency) {
    switch dependency {
    case .body: return collect()
    case .keys, .loadBalancerKey, .introspection: break
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

  // MARK: - A body that the decision needs

  /// Begins to read the body, or goes on: the page waits for the whole of it.
  private func collect() {
    guard let wanted = exchange.bodyWanted else { return refuse(.engineFailed(detail: "no body is wanted")) }
    phase = .collecting
    requestBody.asChunks = false
    let limit = min(wanted.maximumBytes, exchange.route?.bodyLimit ?? .max)
    guard UInt64(collected.bytes.count) <= limit else { return refuseCollected(limit) }
    requestBody.left = limit - UInt64(collected.bytes.count)
    guard !requestBody.isEnded else { return bodyIsWhole() }
    deadline.set(wanted.timeoutMillis)
    if exchange.head.expectsContinue, !exchange.hasContinued {
      exchange.continued()
      // A client whose body is here already waits for nothing.
      if inbound.isEmpty { MessageWriter.continue.withUnsafeBytes { send($0) } }
    }
    proceed()
  }

  /// Reads on in the body; false if nothing can be done before more bytes come.
  private func collectMore(_ rounds: inout Int) -> Bool {
    let outcome: BodyRelay.Outcome
    let before = collected.bytes.count
    if !inbound.isEmpty {
      var used = 0
      outcome = inbound.withBytes { bytes in
        used = bytes.count
        return collect(bytes)
      }
      if case .ended(let consumed) = outcome { used = consumed }
      inbound.consume(used)
    } else {
      guard isReadable else { return false }
      rounds += 1
      if rounds > Worker.roundsPerTurn {
        worker.loop.later { [weak self] in self?.proceed() }
        return false
      }
      let buffer = worker.readBuffer
      switch stream.read(into: buffer) {
      case .bytes(let count, let drained):
        if drained { isReadable = false }
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        outcome = collect(bytes)
        if case .ended(let consumed) = outcome, consumed < count { inbound.append(UnsafeRawBufferPointer(rebasing: bytes[consumed...])) }
      case .wouldBlock:
        isReadable = false
        return false
      case .end, .failed:
        // The body breaks off, and nobody is left to answer.
        abandon()
        return false
      }
    }
    guard worker.hold(collected.bytes.count - before) else {
      refuse(.overloaded(detail: "the bodies that are held for decisions are more than \(Defaults.heldBodyBytes) bytes"))
      return true
    }
    switch outcome {
    case .more: break
    case .ended: bodyIsWhole()
    case .refused(let refusal): refuse(.syntax(refusal))
    case .tooLarge:
      refuseCollected(UInt64(collected.bytes.count) + (requestBody.left ?? 0))
    }
    return true
  }

  private func refuseCollected(_ limit: UInt64) {
    refuse(.bodyTooLarge(limit: limit, setting: exchange.bodyWanted?.maximumBytes == limit ? "body.max" : "body_limit"))
  }

  private func collect(_ bytes: UnsafeRawBufferPointer) -> BodyRelay.Outcome {
    var none: [UInt8] = []
    return requestBody.relay(bytes, collecting: &none) { collected.bytes.append($0) }
  }

  private func bodyIsWhole() {
    collected.bytes.withBytes { exchange.bodyArrived($0) }
    decide()
  }

  /// Gives up what is held of the body.
  private func dropCollected() {
    _ = worker.hold(-collected.bytes.count)
    collected = CollectedBody()
  }

  // MARK: - Forward

  private func forward(with permit: consuming Permit) {
    guard let slot = worker.log.reserve() else { return refuse(.logFull) }
    self.slot = slot
    isObserved = permit.refusalObserved != nil
    forwardedHead.removeAll(keepingCapacity: true)
    do throws(KeyError) {
      try service.forwardedHeads[exchange.upstream].append(exchange, with: permit, signing: worker.assertionKeys, to: &forwardedHead)
    } catch {
      return refuse(.engineFailed(detail: "the identity assertion cannot be signed: \(error)"))
    }
    requestBody.asChunks = exchange.head.framing == .chunked
    requestBody.left = exchange.route?.bodyLimit
    if phase == .collecting || phase == .parked, !continueBody() {
      return refuse(.bodyTooLarge(limit: requestBody.left ?? 0, setting: "body_limit"))
    }
    phase = .forwarding
    mayRetry = exchange.head.method.isIdempotent && exchange.head.framing == .none
    acquireUpstream(fresh: false)
  }

  /// Goes on with a body of which something was read before the decision; false if that is too much already.
  private func continueBody() -> Bool {
    collected.owesEnd = requestBody.asChunks && requestBody.isEnded
    guard let limit = requestBody.left else { return true }
    guard UInt64(collected.bytes.count) <= limit else { return false }
    requestBody.left = limit - UInt64(collected.bytes.count)
    return true
  }

  private func acquireUpstream(fresh: Bool) {
    attempt += 1
    let pool = service.pools[exchange.upstream]
    if !fresh, let pooled = pool.take() { return serve(on: pooled) }
    let attempt = attempt
    deadline.clear()
    pool.connect(for: worker, within: exchange.route?.timeouts.connect) { [weak self] result in
      guard let self, phase == .forwarding, upstream == nil, self.attempt == attempt else {
        if case .success(let connection) = result { connection.close() }
        return
      }
      switch result {
      case .success(let connection): serve(on: connection)
      case .failure(let fault): fail(fault)
      }
    }
  }

  private func serve(on connection: UpstreamConnection) {
    upstream = connection
    deadline.set(responseTimeout)
    connection.begin(for: self)
    forwardedHead.withUnsafeBytes { connection.send($0) }
    if !isProceeding { proceed() } else { pumpRequest() }
  }

  private var responseTimeout: UInt64 { exchange.route?.timeouts.response ?? service.limits.responseTimeoutMillis }
  private var bodyTimeout: UInt64 { exchange.route?.timeouts.body ?? service.limits.bodyTimeoutMillis }

  /// Sends on what has come of the request's body, as fast as the upstream takes it.
  func pumpRequest() {
    var rounds = 0
    while phase == .forwarding, !requestIsSent, let upstream, upstream.takesMore {
      let outcome: BodyRelay.Outcome
      if !collected.isEmpty {
        sendCollected(to: upstream)
        outcome = .more
      } else if !inbound.isEmpty {
        var used = 0
        outcome = inbound.withBytes { bytes in
          used = bytes.count
          return relayRequest(bytes, to: upstream)
        }
        if case .ended(let consumed) = outcome { used = consumed }
        inbound.consume(used)
      } else {
        guard isReadable else { return }
        rounds += 1
        if rounds > Worker.roundsPerTurn { return worker.loop.later { [weak self] in self?.proceed() } }
        let buffer = worker.readBuffer
        switch stream.read(into: buffer) {
        case .bytes(let count, let drained):
          if drained { isReadable = false }
          let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
          outcome = relayRequest(bytes, to: upstream)
          if case .ended(let consumed) = outcome, consumed < count { inbound.append(UnsafeRawBufferPointer(rebasing: bytes[consumed...])) }
        case .wouldBlock:
          isReadable = false
          return
        case .end, .failed:
          // The body breaks off: the upstream must not take what came for the whole.
          return abandon()
        }
      }
      deadline.set(isResponding ? bodyTimeout : responseTimeout)
      if case .refused(let refusal) = outcome { return bodyIsRefused(.syntax(refusal)) }
      if case .tooLarge = outcome { return bodyIsRefused(.bodyTooLarge(limit: exchange.route?.bodyLimit ?? 0, setting: "body_limit")) }
    }
  }

  private func sendCollected(to upstream: UpstreamConnection) {
    let before = collected.bytes.count
    var out = worker.takeBuffer()
    collected.appendNext(asChunk: requestBody.asChunks, to: &out)
    _ = worker.hold(collected.bytes.count - before)
    out.withUnsafeBytes { upstream.send($0) }
    worker.giveBack(out)
  }

  private func relayRequest(_ bytes: UnsafeRawBufferPointer, to upstream: UpstreamConnection) -> BodyRelay.Outcome {
    mayRetry = false
    var out = worker.takeBuffer()
    let outcome = requestBody.relay(bytes, collecting: &out) { upstream.send($0) }
    worker.giveBack(out)
    return outcome
  }

  private func bodyIsRefused(_ rejection: Rejection) {
    upstream?.abort()
    upstream = nil
    guard !isResponding else { return abort() }
    refuse(rejection)
  }

  // MARK: - The response

  /// Whether more of a response can be taken: what was sent has left.
  var takesMore: Bool { outbound.isEmpty && phase == .forwarding }

  /// Sends bytes of a response.
  func send(_ bytes: UnsafeRawBufferPointer) {
    guard phase != .closed else { return }
    if !outbound.isEmpty { return outbound.append(bytes) }
    switch stream.write(bytes) {
    case .wrote(let count):
      if count < bytes.count { outbound.append(UnsafeRawBufferPointer(rebasing: bytes[count...])) }
    case .failed: abandon()
    }
  }

  /// The upstream has begun its response: the decision's record is written, and no other answer can be given any more.
  ///
  /// - Returns: how the response is to be written for this client.
  func responseBegins(_ head: borrowing ResponseHead) -> ResponseRewrite {
    isResponding = true
    let minorVersion = exchange.head.minorVersion
    let framing: BodyFraming =
      switch head.framing {
      case .none, .length: head.framing
      // HTTP/1.0 knows no chunks: its responses end with the connection (RFC 9112 §6.3).
      case .chunked, .untilClose: minorVersion == 1 ? .chunked : .untilClose
      }
    // A request whose body has not ended yet may never end: what would follow it cannot be found.
    closesAfterResponse = !exchange.head.keepAlive || framing == .untilClose || worker.isDraining || !requestBody.isEnded
    deadline.set(bodyTimeout)
    record(status: head.status.code)
    watch(upgraded: false, status: head.status.code)
    return ResponseRewrite(framing: framing, keepAlive: !closesAfterResponse, clientMinorVersion: minorVersion)
  }

  /// Whether the client understands interim responses.
  var takesInterimResponses: Bool { exchange.head.minorVersion == 1 }

  /// Whether the client offered another protocol.
  var offersUpgrade: Bool { exchange.head.upgradeRange != nil }

  /// The service speaks another protocol from here on: the decision's record is written, and what both say is passed on.
  func protocolsSwitched(_ head: borrowing ResponseHead, saying rest: UnsafeRawBufferPointer, _ service: ByteStream) {
    var toClient = ByteQueue()
    swap(&toClient, &outbound)
    var out = worker.takeBuffer()
    let rewrite = ResponseRewrite(framing: .none, keepAlive: true, clientMinorVersion: 1)
    HeadWriter.appendResponse(head, rewrite, adding: worker.responseFields(for: exchange), to: &out)
    toClient.append(out)
    worker.giveBack(out)
    toClient.append(rest)
    isResponding = true
    record(status: head.status.code)
    watch(upgraded: true, status: head.status.code)
    phase = .tunnelling
    deadline.set(Defaults.tunnelIdleMillis)
    var toService = ByteQueue()
    swap(&toService, &inbound)
    var frames: WebSocketFrames?
    if (head.fields.values(of: .upgrade).map({ $0.lowercased() }) == ["websocket"]) {
      frames = WebSocketFrames()
      frames?.advance(over: rest)
    }
    let tunnel = Tunnel(
      client: stream, toClient, frames, upstream: service, toService, of: worker,
      moved: { [unowned self] in deadline.set(Defaults.tunnelIdleMillis) },
      over: { [unowned self] end in tunnelEnded(end) })
    self.tunnel = tunnel
    tunnel.begin()
  }

  private func tunnelEnded(_ end: Tunnel.End) {
    guard phase == .tunnelling else { return }
    switch end {
    case .ended:
      upstream?.close()
      upstream = nil
      close()
    case .told: endStream()
    case .broken: abort()
    }
  }

  // MARK: - A stream that lasts

  private func watch(upgraded: Bool, status: Int) {
    guard exchange.isAskedAgain(upgraded: upgraded) else { return }
    review = StreamReview(of: exchange, status: status, isObserved: isObserved, at: worker) { [unowned self] id in streamRefused(by: id) }
  }

  /// Its request would be refused by now.
  private func streamRefused(by id: DecisionID) {
    guard phase == .tunnelling else { return abort() }
    deadline.set(Defaults.drainIdleMillis)
    tunnel?.end(because: "decision \(id)")
  }

  private func endReview() {
    review?.end()
    review = nil
  }

  /// Bytes of the response went by.
  func responseGoesOn() { deadline.set(bodyTimeout) }

  /// Whether the whole request was sent: only then may its upstream connection serve another.
  var requestIsSent: Bool { requestBody.isEnded && collected.isEmpty }

  /// The response is complete.
  func responseEnded() {
    upstream = nil
    guard phase == .forwarding else { return }
    finish(closing: closesAfterResponse || !requestBody.isEnded)
  }

  /// The upstream has failed.
  func fail(_ fault: UpstreamFault) {
    guard phase == .forwarding else { return }
    upstream = nil
    // A response that has begun cannot become another one: it breaks off, visibly.
    guard !isResponding else { return abort() }
    worker.countUpstreamFault(fault)
    let answer = Answer(fault, id: exchange.id)
    answerOurselves(answer, closing: !requestBody.isEnded || !exchange.head.keepAlive, upstreamError: fault)
  }

  /// The upstream's connection died before a byte of a response, as an idle connection may at any moment: tries another, once.
  ///
  /// - Returns: false if the request must not be sent twice.
  func retry() -> Bool {
    guard phase == .forwarding, mayRetry, attempt == 1, !isResponding else { return false }
    upstream = nil
    acquireUpstream(fresh: true)
    return true
  }

  // MARK: - Refuse

  private func refuse(_ rejection: Rejection) {
    exchange.refused(rejection)
    if slot == nil { slot = worker.log.reserve() }
    let answer = Answer(
      rejection, id: exchange.id, challenge: exchange.challenge(worker.facts), cors: exchange.corsFields(status: rejection.status),
      manner: exchange.manner)
    let isReadOn: Bool
    switch rejection {
    // Bytes after these are never interpreted.
    case .syntax, .headTimeout: isReadOn = false
    default: isReadOn = exchange.head.keepAlive && requestBody.isEnded
    }
    answerOurselves(answer, closing: !isReadOn, upstreamError: nil)
  }

  private func answerOurselves(_ answer: Answer, closing: Bool, upstreamError: UpstreamFault?) {
    let closes = closing || worker.isDraining
    var fields = FieldBlock()
    fields.append("Content-Type", answer.contentType)
    fields.append("Cache-Control", answer.cacheControl)
    fields.append(IdentityHeaders.decisionID, exchange.id.description)
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

  private func record(status: Int, upstreamError: UpstreamFault? = nil) {
    guard !isRecorded else { return }
    isRecorded = true
    worker.requestsInFlight(-1)
    let now = LoopClock.monotonicNanos()
    var record = exchange.record(status: status, wallMillis: UInt64(max(worker.loop.wallMillis, 0)), observed: isObserved)
    record.authorizeMicros = micros(from: beganAt, to: decidedAt)
    record.lookupMicros = lookupMicros
    record.totalMicros = micros(from: beganAt, to: now)
    if phase == .forwarding { record.upstreamMicros = micros(from: decidedAt, to: now) }
    record.upstreamError = upstreamError?.rawValue
    worker.write(record, of: exchange, spanFacts(now, status: status, upstreamError), in: slot)
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

  private func micros(from start: UInt64, to end: UInt64) -> Int? { end >= start && start != 0 ? Int((end - start) / 1000) : nil }

  // MARK: - The end of an exchange, and of the connection

  private func finish(closing: Bool) {
    mayRetry = false
    if review != nil { endReview() }
    if !collected.isEmpty { dropCollected() }
    if closing { return closeWhenSent() }
    phase = .reading
    if inbound.isEmpty { inbound.release() }
    deadline.set(worker.isDraining ? Defaults.drainIdleMillis : Defaults.idleTimeoutMillis)
    // The next request may be here already. Its turn comes in the loop that called us, or now.
    proceed()
  }

  private func flush() {
    let outcome = outbound.withBytes { stream.write($0) }
    switch outcome {
    case .wrote(let count): outbound.consume(count)
    case .failed: return abandon()
    }
    guard outbound.isEmpty else { return }
    outbound.release()
    switch phase {
    case .closing: endStream()
    case .forwarding:
      deadline.set(bodyTimeout)
      upstream?.pump()
    case .reading: proceed()
    case .parked, .collecting, .tunnelling, .closed: break
    }
  }

  private func closeWhenSent() {
    phase = .closing
    guard !outbound.isEmpty else { return endStream() }
    deadline.set(Defaults.bodyIdleTimeoutMillis)
  }

  private func endStream() {
    guard phase != .closed else { return }
    forget()
    // Unread bytes would turn the close into a reset, and that could destroy the answer on its way.
    stream.closeDiscarding(limitBytes: Defaults.discardBytes, millis: Defaults.discardMillis)
  }

  /// Nobody is left to answer, or nothing can be read any more.
  private func close() {
    guard phase != .closed else { return }
    forget()
    stream.close()
  }

  /// Breaks off, so that the client can see that what it has is not the whole.
  private func abort() {
    guard phase != .closed else { return }
    forget()
    stream.abort()
  }

  /// The client has gone in the middle of an exchange.
  private func abandon() {
    guard phase != .closed else { return }
    let wasInFlight = phase == .forwarding || phase == .parked || phase == .collecting
    if wasInFlight, !isRecorded {
      if slot == nil { slot = worker.log.reserve() }
      record(status: 0)
    }
    abort()
  }

  private func forget() {
    upstream?.abort()
    upstream = nil
    tunnel = nil
    if review != nil { endReview() }
    phase = .closed
    deadline.clear()
    inbound.release()
    outbound.release()
    if !collected.isEmpty { dropCollected() }
    worker.forget(self)
  }

  private func expired() {
    switch phase {
    case .reading:
      guard isPartial else { return close() }
      begin()
      refuse(.headTimeout)
    case .collecting: refuse(.bodyTimeout)
    case .parked:
      worker.unpark(self)
      if case .decision = waitsFor { return received(.timedOut("there was no answer in time")) }
      if case .entities = waitsFor { return received(EntityAnswer.failed("there was no answer in time")) }
      guard let waitsFor else { return abandon() }
      refuse(waitsFor.rejection("no answer came in time", issuer: exchange.issuerWaitedFor))
    case .forwarding:
      upstream?.abort()
      fail(.timeout)
    case .tunnelling, .closing: abort()
    case .closed: break
    }
  }

  /// The process is leaving: an idle connection is closed soon, any other after its response.
  func drain() {
    if phase == .reading, !isPartial { deadline.set(Defaults.drainIdleMillis) }
  }

  /// The time for finishing is over.
  func cutOff() { abandon() }
}
