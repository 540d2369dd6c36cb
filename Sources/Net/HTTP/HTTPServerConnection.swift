internal import Bytes
internal import HTTP

/// One client of an `HTTPServer`: requests one after the other, whatever the client sends ahead.
final class HTTPServerConnection: StreamOwner {
  private enum Phase {
    case head
    case body
    case answering
    case closed
  }

  private let server: HTTPServer
  private let stream: ByteStream
  private var phase = Phase.head
  private var head = RequestHead()
  private var input = ByteQueue()
  // Whether the socket may have bytes that no event will announce.
  private var mayRead = true
  private var body: [UInt8] = []
  private var bodyLeft = 0
  private var chunks: ChunkedDecoder?
  private var output = ByteQueue()
  private var closesAfterOutput = false
  private var requestCount = 0
  private var isProceeding = false
  private var deadline: Deadline?

  init(_ server: HTTPServer, _ stream: ByteStream) {
    self.server = server
    self.stream = stream
  }

  func begin() {
    stream.owner = self
    deadline = Deadline(server.loop) { [unowned self] in expire() }
    deadline?.set(server.limits.requestMillis)
  }

  func streamReady(_ stream: ByteStream, _ readiness: Readiness) {
    if !readiness.isDisjoint(with: [.readable, .peerClosed, .hungUp, .failed]) { mayRead = true }
    proceed()
  }

  /// The response to the present request.
  func answer(_ response: HTTPServer.Response) {
    guard phase == .answering else { return }
    let isLast = requestCount >= server.limits.requestsPerConnection
    let keepAlive = head.keepAlive && !response.closes && !server.isDraining && !isLast
    write(response, keepAlive: keepAlive)
    proceed()
  }

  func closeIfIdle() {
    if phase == .head, input.isEmpty, output.isEmpty { close() }
  }

  func close() {
    finish { $0.close() }
  }

  private func finish(_ closing: (ByteStream) -> Void) {
    guard phase != .closed else { return }
    phase = .closed
    deadline?.clear()
    deadline = nil
    closing(stream)
    server.closed(self)
  }

  // MARK: - Proceeding

  // Everything that can be done now, in a loop and never by recursion: a client may have sent a thousand requests ahead.
  private func proceed() {
    guard !isProceeding else { return }
    isProceeding = true
    defer { isProceeding = false }
    while phase != .closed {
      guard flush() else { return }
      if phase == .answering { return }
      switch phase == .head ? takeHead() : takeBody() {
      case .again: continue
      case .starved: guard fill() else { return }
      }
    }
  }

  private enum Progress {
    case again
    case starved
  }

  private func takeHead() -> Progress {
    if input.isEmpty { return .starved }
    switch input.withBytes({ RequestHeadParser.parse($0, limits: server.limits.head, into: &head) }) {
    case .incomplete: return .starved
    case .refused(let refusal):
      refuse(refusal)
      return .again
    case .complete(let consumed):
      input.consume(consumed)
      requestCount += 1
      body = []
      chunks = nil
      bodyLeft = 0
      switch head.framing {
      case .none, .untilClose: deliver()
      case .length(let count):
        guard count <= UInt64(server.limits.bodyBytes) else { return tooLarge() }
        bodyLeft = Int(count)
        phase = .body
      case .chunked:
        chunks = ChunkedDecoder()
        phase = .body
      }
      if phase == .body, head.expectsContinue, input.isEmpty { output.append(MessageWriter.continue) }
      return .again
    }
  }

  private func takeBody() -> Progress {
    if chunks != nil { return takeChunks() }
    let count = min(bodyLeft, input.count)
    input.withBytes { body.append(contentsOf: $0.prefix(count)) }
    input.consume(count)
    bodyLeft -= count
    if bodyLeft > 0 { return .starved }
    deliver()
    return .again
  }

  private func takeChunks() -> Progress {
    while true {
      switch input.withBytes({ chunks?.next($0) ?? .end(consumed: 0) }) {
      case .needMore:
        input.consume(input.count)
        return .starved
      case .data(let range):
        guard range.count <= server.limits.bodyBytes - body.count else { return tooLarge() }
        input.withBytes { body.append(contentsOf: $0[range]) }
        input.consume(range.upperBound)
      case .end(let consumed):
        input.consume(consumed)
        deliver()
        return .again
      case .refused(let refusal):
        refuse(refusal)
        return .again
      }
    }
  }

  private func deliver() {
    phase = .answering
    deadline?.clear()
    let request = HTTPServer.Request(head: head, body: body, peer: stream.peer)
    body = []
    server.respond(request, HTTPServer.Answer(self))
  }

  private func tooLarge() -> Progress {
    let sentence = "The body is larger than \(server.limits.bodyBytes) bytes.\n"
    write(HTTPServer.Response(.contentTooLarge, "text/plain", sentence), keepAlive: false)
    return .again
  }

  private func refuse(_ refusal: HTTPRefusal) {
    write(HTTPServer.Response(refusal.status, "text/plain", refusal.sentence + "\n"), keepAlive: false)
  }

  // MARK: - Bytes

  private func write(_ response: HTTPServer.Response, keepAlive: Bool) {
    var bytes: [UInt8] = []
    MessageWriter.appendResponse(
      response.status, response.fields, body: response.body, answering: head.method, keepAlive: keepAlive, minorVersion: head.minorVersion,
      to: &bytes)
    output.append(bytes)
    phase = .head
    if keepAlive {
      deadline?.set(server.limits.idleMillis)
    } else {
      closesAfterOutput = true
    }
  }

  /// Sends what waits; true if none is left and the connection goes on.
  private func flush() -> Bool {
    while !output.isEmpty {
      switch output.withBytes({ stream.write($0) }) {
      case .wrote(0):
        deadline?.set(server.limits.writeMillis)
        return false
      case .wrote(let count): output.consume(count)
      case .failed:
        close()
        return false
      }
    }
    guard closesAfterOutput else { return true }
    finish { $0.closeDiscarding() }
    return false
  }

  /// Reads once; true if something came.
  private func fill() -> Bool {
    guard mayRead else { return false }
    let scratch = server.loop.scratch
    switch stream.read(into: scratch) {
    case .bytes(let count, let drained):
      if drained { mayRead = false }
      if phase == .head, input.isEmpty { deadline?.set(server.limits.requestMillis) }
      input.append(UnsafeRawBufferPointer(rebasing: scratch[..<count]))
      return true
    case .wouldBlock:
      mayRead = false
      return false
    case .end, .failed:
      close()
      return false
    }
  }

  private func expire() {
    guard output.isEmpty else { return finish { $0.abort() } }
    guard phase == .body || !input.isEmpty else { return close() }
    write(HTTPServer.Response(.requestTimeout, "text/plain", "The request took too long.\n"), keepAlive: false)
    proceed()
  }
}
