internal import Bytes
internal import Crypto
internal import HTTP
internal import Net
internal import Pipeline
internal import Telemetry

/// An allowed request on its way to the service, and the response on its way back.
extension ClientConnection {
  // MARK: - Forward

  func forward(with permit: consuming Permit) {
    guard let slot = worker.log.reserve() else { return refuse(.logFull) }
    self.slot = slot
    isObserved = permit.refusalObserved != nil
    forwardedHead.removeAll(keepingCapacity: true)
    do throws(KeyError) {
      try service.forwardedHeads[exchange.upstream].append(
        exchange, with: permit, signing: worker.assertionKeys, at: worker.loop.wallSeconds, to: &forwardedHead)
    } catch {
      return refuse(.engineFailed(detail: "the identity assertion cannot be signed: \(error)"))
    }
    requestBody.asChunks = exchange.forwardedFraming == .chunked
    requestBody.left = exchange.bodyLimit?.bytes
    if phase == .collecting || phase == .parked, !continueBody() { return refuse(bodyTooLarge) }
    if let millis = exchange.route?.timeouts.total ?? service.limits.totalMillis { totalDue = beganMillis + millis }
    requestPace = Self.pace(service)
    responsePace = requestPace
    phase = .forwarding
    mayRetry = exchange.head.method.isIdempotent && exchange.head.framing == .none
    acquireUpstream(fresh: false)
  }

  /// Goes on with a body of which something was read before the decision; false if that is too much already.
  func continueBody() -> Bool {
    collected.owesEnd = requestBody.asChunks && requestBody.isEnded
    if collected.owesEnd { appendTrailers(requestBody.reader.trailers, to: &collected.trailers) }
    guard let limit = requestBody.left else { return true }
    guard UInt64(collected.bytes.count) <= limit else { return false }
    requestBody.left = limit - UInt64(collected.bytes.count)
    return true
  }

  var bodyTooLarge: Rejection {
    .bodyTooLarge(limit: exchange.bodyLimit?.bytes ?? 0, setting: exchange.bodyLimit?.setting ?? "limits.body")
  }

  static func pace(_ service: Service) -> Pace {
    Pace(rate: service.limits.bodyRate, graceMillis: Defaults.bodyRateGraceMillis)
  }

  var group: UpstreamGroup { service.upstreams[exchange.upstream] }

  // Within the time for the whole, where there is one.
  func setDeadline(_ millis: UInt64) {
    guard totalDue != 0 else { return deadline.set(millis) }
    let now = worker.loop.now
    deadline.set(min(millis, totalDue > now ? totalDue - now : 0))
  }

  func acquireUpstream(fresh: Bool) {
    attempt += 1
    let group = group
    guard fresh || group.admits() else { return fail(.circuitOpen) }
    if !fresh, let pooled = group.take() { return serve(on: pooled) }
    let attempt = attempt
    // Connecting and waiting have times of their own.
    if totalDue == 0 { deadline.clear() } else { setDeadline(.max) }
    let isWanted = { [weak self] in
      guard let self else { return false }
      return phase == .forwarding && upstream == nil && self.attempt == attempt
    }
    group.connect(for: worker, within: exchange.route?.timeouts.connect, isWanted: isWanted) { [weak self] result in
      guard let self, isWanted() else {
        if case .success(let connection) = result { connection.letGo() }
        return
      }
      switch result {
      case .success(let connection): serve(on: connection)
      case .failure(let fault): fail(fault)
      }
    }
  }

  func serve(on connection: UpstreamConnection) {
    upstream = connection
    setDeadline(responseTimeout)
    connection.begin(for: self)
    forwardedHead.withUnsafeBytes { connection.send($0) }
    if !isProceeding { proceed() } else { pumpRequest() }
  }

  var responseTimeout: UInt64 { exchange.route?.timeouts.response ?? group.plan.settings.limits.responseTimeoutMillis }
  var bodyTimeout: UInt64 { exchange.route?.timeouts.body ?? group.plan.settings.limits.bodyTimeoutMillis }

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
        guard isReadable else { return waitForBody() }
        rounds += 1
        if rounds > Worker.roundsPerTurn { return worker.loop.later { [weak self] in self?.proceed() } }
        let buffer = worker.readBuffer
        switch stream.read(into: buffer) {
        case .bytes(let count, let drained):
          if drained { isReadable = false }
          requestPace.moved(count, at: worker.loop.now)
          let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
          outcome = relayRequest(bytes, to: upstream)
          if case .ended(let consumed) = outcome, consumed < count { inbound.append(UnsafeRawBufferPointer(rebasing: bytes[consumed...])) }
        case .wouldBlock:
          isReadable = false
          return waitForBody()
        case .end, .failed:
          // The body breaks off: the upstream must not take what came for the whole.
          return abandon()
        }
      }
      setDeadline(isResponding ? bodyTimeout : responseTimeout)
      if case .refused(let refusal) = outcome { return bodyIsRefused(.syntax(refusal)) }
      if case .tooLarge = outcome { return bodyIsRefused(bodyTooLarge) }
    }
    requestPace.rest(at: worker.loop.now)
  }

  // The client's turn: it may pause for so long, and be slow for so long.
  func waitForBody() {
    requestPace.wait(at: worker.loop.now)
    setDeadline(min(bodyTimeout, requestPace.left(at: worker.loop.now)))
  }

  // Whether what is waited for is the client: the rest of its body.
  var waitsForBody: Bool { !requestIsSent && !isReadable && upstream?.takesMore ?? false }

  func sendCollected(to upstream: UpstreamConnection) {
    let before = collected.bytes.count
    var out = worker.takeBuffer()
    collected.appendNext(asChunk: requestBody.asChunks, to: &out)
    _ = worker.hold(collected.bytes.count - before)
    out.withUnsafeBytes { upstream.send($0) }
    worker.giveBack(out)
  }

  func relayRequest(_ bytes: UnsafeRawBufferPointer, to upstream: UpstreamConnection) -> BodyRelay.Outcome {
    mayRetry = false
    var out = worker.takeBuffer()
    let outcome = requestBody.relay(bytes, collecting: &out, trailers: { appendTrailers($0, to: &$1) }) { upstream.send($0) }
    worker.giveBack(out)
    return outcome
  }

  private func appendTrailers(_ lines: [UInt8], to out: inout [UInt8]) {
    service.forwardedHeads[exchange.upstream].appendTrailers(lines, of: exchange, to: &out)
  }

  func bodyIsRefused(_ rejection: Rejection) {
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
      guard count < bytes.count else { return }
      outbound.append(UnsafeRawBufferPointer(rebasing: bytes[count...]))
      responsePace.wait(at: worker.loop.now)
      unsent = stream.unsentBytes
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
    closesAfterResponse = !exchange.head.keepAlive || framing == .untilClose || worker.isDraining || !requestBody.isEnded || isSpent
    setDeadline(bodyTimeout)
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
    var toClient = outbound.take()
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
    let toService = inbound.take()
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

  func tunnelEnded(_ end: Tunnel.End) {
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

  // Its request would be refused by now.
  private func streamRefused(by id: DecisionID) {
    guard phase == .tunnelling else { return abort() }
    deadline.set(Defaults.drainIdleMillis)
    tunnel?.end(because: "decision \(id)")
  }

  /// The stream is over, whoever ended it.
  func endReview() {
    review?.end()
    review = nil
  }

  /// Bytes of the response went by.
  func responseGoesOn() { setDeadline(outbound.isEmpty ? bodyTimeout : min(bodyTimeout, responsePace.left(at: worker.loop.now))) }

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
    if fault == .circuitOpen { worker.reached(.upstreamBreaker) }
    let answer = Answer(fault, id: exchange.id, retryAfter: fault == .circuitOpen ? group.secondsLeft : 1)
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
}
