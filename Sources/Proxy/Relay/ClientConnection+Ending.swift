internal import Bytes
internal import HTTP
internal import Net
internal import Pipeline
internal import Telemetry

/// The end of an exchange, and of the connection: in order, in time, or broken off.
extension ClientConnection {
  func finish(closing: Bool) {
    mayRetry = false
    leaveFlight()
    if review != nil { endReview() }
    if !collected.isEmpty { dropCollected() }
    if closing { return closeWhenSent() }
    phase = .reading
    if inbound.isEmpty { inbound.release() }
    idleSince = worker.loop.now
    deadline.set(worker.isDraining ? Defaults.drainIdleMillis : service.limits.idleMillis)
    // The next request may be here already. Its turn comes in the loop that called us, or now.
    proceed()
  }

  func flush() {
    let outcome = outbound.withBytes { stream.write($0) }
    switch outcome {
    case .wrote(let count):
      outbound.consume(count)
      responsePace.moved(count, at: worker.loop.now)
    case .failed: return abandon()
    }
    guard outbound.isEmpty else {
      unsent = stream.unsentBytes
      if phase == .forwarding { responseGoesOn() }
      return
    }
    outbound.release()
    responsePace.rest(at: worker.loop.now)
    switch phase {
    case .closing: endStream()
    case .forwarding:
      setDeadline(bodyTimeout)
      upstream?.pump()
    case .reading: proceed()
    case .parked, .collecting, .tunnelling, .closed: break
    }
  }

  func closeWhenSent() {
    phase = .closing
    guard !outbound.isEmpty else { return endStream() }
    deadline.set(min(Defaults.bodyIdleTimeoutMillis, responsePace.left(at: worker.loop.now)))
  }

  func endStream() {
    guard phase != .closed else { return }
    forget()
    // Unread bytes would turn the close into a reset, and that could destroy the answer on its way.
    stream.closeDiscarding(limitBytes: Defaults.discardBytes, millis: Defaults.discardMillis)
  }

  /// Nobody is left to answer, or nothing can be read any more.
  func close() {
    guard phase != .closed else { return }
    forget()
    stream.close()
  }

  /// Breaks off, so that the client can see that what it has is not the whole.
  func abort() {
    guard phase != .closed else { return }
    forget()
    stream.abort()
  }

  /// The client has gone in the middle of an exchange.
  func abandon() {
    guard phase != .closed else { return }
    let wasInFlight = phase == .forwarding || phase == .parked || phase == .collecting
    if wasInFlight, !isRecorded {
      if slot == nil { slot = worker.log.reserve() }
      record(status: 0)
    }
    abort()
  }

  func forget() {
    upstream?.abort()
    upstream = nil
    tunnel = nil
    if review != nil { endReview() }
    phase = .closed
    leaveFlight()
    deadline.clear()
    inbound.release()
    outbound.release()
    if !collected.isEmpty { dropCollected() }
    worker.forget(self)
  }

  func expired() {
    switch phase {
    case .reading:
      guard isPartial else {
        worker.reached(.idleTimeout)
        return close()
      }
      begin()
      refuse(.headTimeout)
    case .collecting: refuse(.bodyTimeout)
    case .parked:
      worker.unpark(self)
      if case .decision = waitsFor { return received(.timedOut("there was no answer in time")) }
      if case .entities = waitsFor { return received(EntityAnswer.failed("there was no answer in time")) }
      guard let waitsFor else { return abandon() }
      refuse(waitsFor.rejection("no answer came in time", issuer: exchange.issuerWaitedFor))
    case .forwarding: expiredForwarding()
    case .tunnelling, .closing: abort()
    case .closed: break
    }
  }

  // Whether the client has taken something since the kernel was last asked.
  func clientGoesOn() -> Bool {
    guard !outbound.isEmpty else { return false }
    let before = unsent
    unsent = stream.unsentBytes
    guard unsent < before else { return false }
    responsePace.moved(before - unsent, at: worker.loop.now)
    return responsePace.left(at: worker.loop.now) > 0
  }

  func expiredForwarding() {
    let isOver = totalDue != 0 && worker.loop.now >= totalDue
    if !isOver, isResponding, clientGoesOn() { return responseGoesOn() }
    let waitsForBody = waitsForBody
    if isOver {
      worker.reached(.totalTimeout)
    } else if isResponding {
      let isSlow = min(requestPace.left(at: worker.loop.now), responsePace.left(at: worker.loop.now)) == 0
      worker.reached(isSlow ? .bodyRate : .bodyTimeout)
    } else if waitsForBody {
      let isSlow = requestPace.left(at: worker.loop.now) == 0
      return bodyIsRefused(isSlow ? .bodyTooSlow(rate: service.limits.bodyRate) : .bodyTimeout)
    } else if let upstream {
      worker.reached(.responseTimeout)
      upstream.gotNoAnswer()
    }
    upstream?.abort()
    fail(.timeout)
  }

  /// Whether nothing is asked on it, and nothing is on its way.
  var isIdle: Bool { phase == .reading && !isPartial && outbound.isEmpty && inbound.isEmpty }

  /// Others need its place.
  func makeRoom() { close() }

  /// The process is leaving: an idle connection is closed soon, any other after its response.
  func drain() {
    if phase == .reading, !isPartial { deadline.set(Defaults.drainIdleMillis) }
  }

  /// The time for finishing is over.
  func cutOff() { abandon() }
}
