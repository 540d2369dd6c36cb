internal import Bytes
internal import HTTP
internal import Net
internal import Pipeline

/// A body that the decision needs, read before it.
extension ClientConnection {
  /// Begins to read the body, or goes on: the page waits for the whole of it.
  func collect() {
    guard let wanted = exchange.bodyWanted else { return refuse(.engineFailed(detail: "no body is wanted")) }
    phase = .collecting
    requestBody.asChunks = false
    let limit = min(wanted.maximumBytes, exchange.bodyLimit?.bytes ?? .max)
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
  func collectMore(_ rounds: inout Int) -> Bool {
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
      refuse(worker.full)
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

  func refuseCollected(_ limit: UInt64) {
    let wanted = exchange.bodyWanted.flatMap { $0.maximumBytes == limit ? "the route's \($0.setting)" : nil }
    refuse(.bodyTooLarge(limit: limit, setting: wanted ?? exchange.bodyLimit?.setting ?? "limits.body"))
  }

  func collect(_ bytes: UnsafeRawBufferPointer) -> BodyRelay.Outcome {
    var none: [UInt8] = []
    return requestBody.relay(bytes, collecting: &none, trailers: { _, _ in }) { collected.bytes.append($0) }
  }

  func bodyIsWhole() {
    collected.bytes.withBytes { exchange.bodyArrived($0) }
    decide()
  }

  /// Gives up what is held of the body.
  func dropCollected() {
    _ = worker.hold(-collected.bytes.count)
    collected = CollectedBody()
  }
}
