internal import Bytes
internal import HTTP
internal import Net
internal import Pipeline

/// One connection to the service behind: serves one exchange at a time, and waits in the pool in between.
final class UpstreamConnection: StreamOwner {
  private let pool: UpstreamPool
  private let worker: Worker
  private let stream: ByteStream
  private var client: ClientConnection?
  private var method = Method.other
  private var inbound: MeteredQueue
  private var outbound: MeteredQueue
  private var current = ResponseHead()
  // Lent, as a client's exchange is.
  private var head: ResponseHead {
    _read { yield current }
    _modify { yield &current }
  }
  private var response: BodyRelay?
  private var isReadable = true
  private var hasServed = false
  private var hasAnswered = false
  private var isPumping = false

  /// When it became idle, in the loop's milliseconds.
  var idleSince: UInt64 = 0
  /// Which of the pool's sets of addresses its own was last found in.
  var generation = 0
  /// The address that it leads to.
  var peer: SocketAddress { stream.peer }

  init(_ stream: ByteStream, pool: UpstreamPool, worker: Worker) {
    self.pool = pool
    self.worker = worker
    self.stream = stream
    inbound = MeteredQueue(worker.meter)
    outbound = MeteredQueue(worker.meter)
    stream.owner = self
    worker.upstreamConnections(1)
  }

  /// Begins an exchange.
  func begin(for client: ClientConnection) {
    self.client = client
    method = client.exchange.head.method
    response = nil
    hasAnswered = false
  }

  /// Whether it takes more of a request: what was sent has left.
  var takesMore: Bool { outbound.isEmpty }

  /// Sends bytes of a request.
  func send(_ bytes: UnsafeRawBufferPointer) {
    if !outbound.isEmpty { return outbound.append(bytes) }
    switch stream.write(bytes) {
    case .wrote(let count):
      if count < bytes.count { outbound.append(UnsafeRawBufferPointer(rebasing: bytes[count...])) }
    case .failed:
      // The response may be here all the same (an early refusal of a large body), so reading says what is the matter.
      isReadable = true
      worker.loop.later { [weak self] in self?.pump() }
    }
  }

  func streamReady(_ stream: ByteStream, _ readiness: Readiness) {
    guard let client else {
      // Idle: whatever is read now is nothing we asked for. A connection that says anything is not used again.
      if !readiness.isDisjoint(with: [.readable, .peerClosed, .failed, .hungUp]) {
        pool.remove(self)
        close()
      }
      return
    }
    if readiness.contains(.writable), !outbound.isEmpty {
      if case .wrote(let count) = outbound.withBytes({ stream.write($0) }) { outbound.consume(count) }
      if outbound.isEmpty { client.pumpRequest() }
    }
    if !readiness.isDisjoint(with: [.readable, .peerClosed, .failed, .hungUp]) {
      isReadable = true
      pump()
    }
  }

  /// Reads the response and sends it on, as fast as the client takes it.
  func pump() {
    guard !isPumping else { return }
    isPumping = true
    defer { isPumping = false }
    var rounds = 0
    while let client, client.takesMore, isReadable {
      rounds += 1
      if rounds > Worker.roundsPerTurn { return worker.loop.later { [weak self] in self?.pump() } }
      let buffer = worker.readBuffer
      switch stream.read(into: buffer) {
      case .bytes(let count, let drained):
        if drained { isReadable = false }
        hasAnswered = true
        received(UnsafeRawBufferPointer(rebasing: buffer[..<count]), for: client)
      case .wouldBlock: isReadable = false
      case .end: peerEnded(client)
      case .failed: broken(client, .reset)
      }
    }
  }

  private func received(_ bytes: UnsafeRawBufferPointer, for client: ClientConnection) {
    guard response == nil else { return relay(bytes, collecting: [], for: client) }
    guard inbound.isEmpty else {
      inbound.append(bytes)
      // Out of the queue while it is read: what is sent on may end the exchange, and that touches the queue.
      let waiting = inbound.take()
      return waiting.withBytes { readHead($0, for: client) }
    }
    readHead(bytes, for: client)
  }

  private func readHead(_ bytes: UnsafeRawBufferPointer, for client: ClientConnection) {
    var rest = bytes
    while true {
      switch ResponseHeadParser.parse(rest, limits: worker.headLimits, answering: method, upgradeOffered: client.offersUpgrade, into: &head)
      {
      case .incomplete: return inbound.append(rest)
      case .refused: return broken(client, .malformed)
      case .complete(let consumed):
        rest = UnsafeRawBufferPointer(rebasing: rest[consumed...])
        if head.switchesProtocols { return switchProtocols(rest, for: client) }
        guard head.status.isInformational else { return beginResponse(rest, for: client) }
        if client.takesInterimResponses {
          var out = worker.takeBuffer()
          HeadWriter.appendResponse(head, ResponseRewrite(framing: .none, keepAlive: true, clientMinorVersion: 1), to: &out)
          out.withUnsafeBytes { client.send($0) }
          worker.giveBack(out)
        }
        guard self.client != nil else { return }
        if rest.isEmpty { return }
      }
    }
  }

  // From here on the connection belongs to another protocol, and to the tunnel that speaks it.
  private func switchProtocols(_ rest: UnsafeRawBufferPointer, for client: ClientConnection) {
    guard outbound.isEmpty else { return broken(client, .malformed) }
    self.client = nil
    pool.answered()
    client.protocolsSwitched(head, saying: rest, stream)
  }

  private func beginResponse(_ rest: UnsafeRawBufferPointer, for client: ClientConnection) {
    pool.answered()
    let rewrite = client.responseBegins(head)
    var out = worker.takeBuffer()
    HeadWriter.appendResponse(head, rewrite, adding: client.withExchange { worker.responseFields(for: $0) }, to: &out)
    response = BodyRelay(from: head.framing, asChunks: rewrite.framing == .chunked, limits: worker.service.chunkLimits)
    relay(rest, collecting: out, for: client)
  }

  private func relay(_ bytes: UnsafeRawBufferPointer, collecting head: consuming [UInt8], for client: ClientConnection) {
    // Out of its place while it reads, so that what it holds is not copied for each piece, and what is sent on may end the exchange.
    guard var body = response.take() else { return }
    var out = head
    let fields = self.head.fields
    let outcome = body.relay(bytes, collecting: &out, trailers: { TrailerSection.append($0, of: fields, owned: nil, to: &$1) }) {
      client.send($0)
    }
    worker.giveBack(out)
    response = body
    guard self.client != nil else { return }
    switch outcome {
    case .more:
      client.responseGoesOn()
      // A body of known length may be complete without a byte to say so.
      if body.isEnded { ended(leaving: 0, client) }
    case .ended(let consumed): ended(leaving: bytes.count - consumed, client)
    case .refused, .tooLarge: broken(client, .malformed)
    }
  }

  private func ended(leaving surplus: Int, _ client: ClientConnection) {
    // Bytes after a response belong to no request: whoever sent them is out of step.
    // What may still be read would be the connection's end, of which no further event tells: it must not wait in the pool.
    let isReusable = head.keepAlive && surplus == 0 && !isReadable && client.requestIsSent && outbound.isEmpty && stream.isOpen
    release()
    if isReusable { letGo() } else { close() }
    client.responseEnded()
  }

  /// Nobody needs it any more: it serves the next request, or is closed.
  func letGo() { if hasServed, stream.isOpen, !worker.isDraining, !pool.isRetired { pool.put(self) } else { close() } }

  /// Its request got no answer in time.
  func gotNoAnswer() { pool.failed(for: worker) }

  private func peerEnded(_ client: ClientConnection) {
    isReadable = false
    guard var body = response else { return broken(client, inbound.isEmpty ? .reset : .malformed) }
    guard body.reader.endsWithConnection else { return broken(client, .reset) }
    // The end of the connection is the end of the body, which chunks must be told.
    if body.asChunks { ChunkedEncoder.end.withUnsafeBytes { client.send($0) } }
    body = BodyRelay(from: .none, asChunks: false)
    guard self.client != nil else { return }
    release()
    close()
    client.responseEnded()
  }

  private func broken(_ client: ClientConnection, _ fault: UpstreamFault) {
    let isStale = hasServed && !hasAnswered && fault == .reset
    let isUnanswered = !hasAnswered && fault == .reset
    release()
    close()
    if isStale, client.retry() { return }
    if isUnanswered { pool.failed(for: worker) }
    client.fail(fault)
  }

  /// Parts from the client; the exchange is over.
  private func release() {
    client = nil
    response = nil
    hasServed = true
    inbound.release()
  }

  /// Closes; the client knows.
  func close() {
    end()
    stream.close()
    closed()
  }

  /// Breaks off: the upstream must not take what it has for a whole request.
  func abort() {
    end()
    stream.abort()
    closed()
  }

  private func end() {
    client = nil
    inbound.release()
    outbound.release()
  }
  private func closed() { if pool.closed(self) { worker.upstreamConnections(-1) } }
}
