internal import Bytes
internal import HTTP

/// One call of an `HTTPClient` on its way.
public final class HTTPCall: StreamOwner {
  private let client: HTTPClient
  private let request: HTTPClient.Request
  private let limits: HTTPClient.Limits
  private var completion: ((Result<HTTPClient.Response, NetError>) -> Void)?
  private var timer: TimerID?
  private var turn = Turn.none
  private let proxy: HTTPProxies.Proxy?
  private var connector: Connector?
  private var handshake: TLSHandshake?
  private var stream: ByteStream?
  private var isReused = false
  private var output = ByteQueue()
  private var input = ByteQueue()
  private var hasInput = false
  private var mayRead = true
  private var head = ResponseHead()
  private var hasHead = false
  private var interimCount = 0
  private var body: [UInt8] = []
  private var bodyLeft: UInt64 = 0
  private var chunks: ChunkedDecoder?

  /// Where it stands among the calls that need a connection made.
  private enum Turn { case none, waiting, connecting }

  init(
    _ client: HTTPClient, _ request: HTTPClient.Request, _ limits: HTTPClient.Limits,
    _ completion: @escaping (Result<HTTPClient.Response, NetError>) -> Void
  ) {
    self.client = client
    self.request = request
    self.limits = limits
    self.completion = completion
    proxy = client.proxies.proxy(for: request.url)
  }

  /// Gives up; the completion is not called.
  public func cancel() {
    completion = nil
    settle()?.abort()
  }

  // MARK: - On the way to a connection

  func begin() {
    // The timer holds the call until it is finished.
    timer = client.loop.after(limits.totalMillis) { [self] in
      finish(.failure(.timedOut(what: "the response of \(request.url.host)", millis: limits.totalMillis)))
    }
    guard let bytes = serialized() else {
      return fail(.invalidRequest("the method, target or host cannot be sent"))
    }
    guard !request.url.isSecure || client.tls != nil else {
      return fail(.tls(TLSFailure(.configuration, "no TLS client is set up for https")))
    }
    output.append(bytes)
    if let reused = client.takeIdle(for: request.url) { return reuse(reused) }
    queue()
  }

  /// Goes on over a connection that another call is done with.
  func reuse(_ stream: ByteStream) {
    turn = .none
    isReused = true
    // Writing can fail at once; the completion must not be called from within `send`.
    client.loop.later { [self] in
      guard completion != nil else { return stream.close() }
      exchange(over: stream)
    }
  }

  /// Whether it waits for its turn to connect.
  var isWaiting: Bool { turn == .waiting }
  /// Whether a connection to this place is one for it.
  func isFor(_ url: HTTPURL) -> Bool { request.url.isSamePlace(as: url) }

  private func queue() {
    turn = .waiting
    if client.mayConnect(self) { connect() }
  }

  private func serialized() -> [UInt8]? {
    var bytes: [UInt8] = []
    var fields = request.fields
    let isForProxy = proxy != nil && !request.url.isSecure
    if isForProxy, let authorization = proxy?.authorization { fields.append("Proxy-Authorization", authorization.exposed) }
    let isSent = MessageWriter.appendRequest(
      request.method, target: request.url.target, host: request.url.authority, fields, body: request.body, to: &bytes)
    guard isSent else { return nil }
    // A proxy is told the whole URL, RFC 9112 §3.2.2.
    if isForProxy { bytes.insert(contentsOf: "http://\(request.url.authority)".utf8, at: request.method.name.utf8.count + 1) }
    return bytes
  }

  /// Makes a connection: its turn has come.
  func connect() {
    turn = .connecting
    if let path = request.url.socketPath { return connect(to: [.unix(path: path)]) }
    if proxy != nil, let address = IPAddress(request.url.host), let error = refusal(of: [address]) { return fail(error) }
    client.resolver.resolve(proxy?.url.host ?? request.url.host) { [weak self] in self?.resolved($0) }
  }

  private func resolved(_ result: Result<[IPAddress], NetError>) {
    guard completion != nil else { return }
    switch result {
    case .failure(let error): fail(error)
    case .success(let addresses):
      // The proxy's own address is the operator's choice.
      if proxy == nil, let error = refusal(of: addresses) { return fail(error) }
      connect(to: addresses.map { .ip($0, port: proxy?.url.port ?? request.url.port) })
    }
  }

  private func refusal(of addresses: [IPAddress]) -> NetError? {
    // One bad address spoils the name: nobody mixes public and metadata addresses for a good reason.
    for address in addresses {
      if let kind = client.rule.refusal(of: address) {
        return .addressRefused(host: request.url.host, address: address.description, kind: kind)
      }
    }
    return nil
  }

  private func connect(to addresses: [SocketAddress]) {
    let place = proxy?.url ?? request.url
    connector = Connector.connect(
      client.loop, to: addresses, host: proxy == nil ? client.tlsName ?? place.host : place.host, tls: place.isSecure ? client.tls : nil,
      timeoutMillis: limits.connectMillis
    ) { [weak self] result in
      guard let self else {
        if case .success(let stream) = result { stream.close() }
        return
      }
      connector = nil
      switch result {
      case .success(let stream):
        if let proxy, request.url.isSecure { tunnel(through: proxy, over: stream) } else { exchange(over: stream) }
      case .failure(let error):
        client.resolver.doubt(place.host)
        finish(.failure(error))
      }
    }
  }

  private func tunnel(through proxy: HTTPProxies.Proxy, over stream: ByteStream) {
    self.stream = stream
    ProxyTunnel(over: stream, of: proxy, to: request.url, client.loop, limits: limits.head) { [weak self] error in
      guard let self, completion != nil else { return }
      if let error { return finish(.failure(error)) }
      secure(stream)
    }.begin()
  }

  private func secure(_ stream: ByteStream) {
    guard let tls = client.tls else { return finish(.failure(.closed)) }
    do throws(NetError) {
      try stream.startTLS(tls, host: request.url.host)
    } catch {
      return finish(.failure(error))
    }
    let handshake = TLSHandshake(stream) { [weak self] result in
      guard let self, completion != nil else { return }
      self.handshake = nil
      switch result {
      case .success: exchange(over: stream)
      case .failure(let error): finish(.failure(error))
      }
    }
    self.handshake = handshake
    handshake.begin()
  }

  // MARK: - Request and response

  private func exchange(over stream: ByteStream) {
    leaveTurn()
    self.stream = stream
    stream.owner = self
    mayRead = true
    proceed()
  }

  /// Called by the stream.
  public func streamReady(_ stream: ByteStream, _ readiness: Readiness) {
    if !readiness.isDisjoint(with: [.readable, .peerClosed, .hungUp, .failed]) { mayRead = true }
    proceed()
  }

  private func proceed() {
    guard let stream, completion != nil else { return }
    var writeError: NetError?
    while !output.isEmpty, writeError == nil {
      switch output.withBytes({ stream.write($0) }) {
      case .wrote(0): break
      case .wrote(let count):
        output.consume(count)
        continue
      case .failed(let error): writeError = error
      }
      break
    }
    // A server may answer and close without reading everything: its answer is read before the fault is believed.
    while completion != nil, mayRead {
      let scratch = client.loop.scratch
      switch stream.read(into: scratch) {
      case .bytes(let count, let drained):
        hasInput = true
        if drained { mayRead = false }
        receive(UnsafeRawBufferPointer(rebasing: scratch[..<count]))
      case .wouldBlock: mayRead = false
      case .end: return ended(nil)
      case .failed(let error): return ended(error)
      }
    }
    if let writeError, completion != nil { ended(writeError) }
  }

  private func receive(_ bytes: UnsafeRawBufferPointer) {
    if hasHead, input.isEmpty {
      receiveBody(bytes)
    } else {
      input.append(bytes)
      receiveHead()
    }
  }

  private func receiveHead() {
    while !hasHead, completion != nil {
      switch input.withBytes({ ResponseHeadParser.parse($0, limits: limits.head, answering: request.method, into: &head) }) {
      case .incomplete: return
      case .refused(let refusal): return finish(.failure(.malformedResponse(refusal.sentence)))
      case .complete(let consumed):
        input.consume(consumed)
        if head.status.isInformational {
          interimCount += 1
          guard interimCount <= Self.mostInterim else { return finish(.failure(.malformedResponse("too many interim responses"))) }
          continue
        }
        hasHead = true
      }
    }
    switch head.framing {
    case .none: return complete()
    case .length(let count):
      guard count <= UInt64(limits.bodyBytes) else { return finish(.failure(.responseTooLarge(limitBytes: limits.bodyBytes))) }
      bodyLeft = count
      if count == 0 { return complete() }
    case .chunked: chunks = ChunkedDecoder()
    case .untilClose: break
    }
    guard !input.isEmpty else { return }
    var rest = ByteQueue()
    swap(&rest, &input)
    rest.withBytes { receiveBody($0) }
  }

  private func receiveBody(_ bytes: UnsafeRawBufferPointer) {
    switch head.framing {
    case .none: return
    case .length:
      let count = min(bodyLeft, UInt64(bytes.count))
      body.append(contentsOf: bytes.prefix(Int(count)))
      bodyLeft -= count
      // Bytes beyond the response are nobody's; they bar the connection from being used again.
      if bytes.count > Int(count) { input.append(UnsafeRawBufferPointer(rebasing: bytes[Int(count)...])) }
      if bodyLeft == 0 { complete() }
    case .untilClose:
      guard bytes.count <= limits.bodyBytes - body.count else { return finish(.failure(.responseTooLarge(limitBytes: limits.bodyBytes))) }
      body.append(contentsOf: bytes)
    case .chunked: receiveChunks(bytes)
    }
  }

  private func receiveChunks(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes
    while true {
      switch chunks?.next(rest) ?? .needMore {
      case .needMore: return
      case .data(let range):
        guard range.count <= limits.bodyBytes - body.count else {
          return finish(.failure(.responseTooLarge(limitBytes: limits.bodyBytes)))
        }
        body.append(contentsOf: rest[range])
        rest = UnsafeRawBufferPointer(rebasing: rest[range.upperBound...])
      case .end(let consumed):
        if consumed < rest.count { input.append(UnsafeRawBufferPointer(rebasing: rest[consumed...])) }
        return complete()
      case .refused(let refusal): return finish(.failure(.malformedResponse(refusal.sentence)))
      }
    }
  }

  private func ended(_ error: NetError?) {
    if hasHead, head.framing == .untilClose, error == nil { return complete() }
    // A connection that was kept may be closed by the peer just as it is used: nothing came back, so nothing was done,
    // unless the method says that doing it twice matters.
    if isReused, !hasInput, request.method.isIdempotent {
      isReused = false
      stream?.close()
      stream = nil
      output = ByteQueue()
      if let bytes = serialized() { output.append(bytes) }
      return queue()
    }
    let what = hasHead ? "in the middle of the response's body" : hasInput ? "in the middle of the response's head" : "without a response"
    finish(.failure(error ?? .closedEarly(what)))
  }

  private func complete() {
    let mayReuse = head.keepAlive && output.isEmpty && input.isEmpty && head.framing != .untilClose && limits.idlePerPlace > 0
    let response = HTTPClient.Response(head: head, body: body)
    if mayReuse, let stream {
      self.stream = nil
      stream.owner = nil
      // Bytes that came with the last ones would go unnoticed while it is idle.
      if mayRead { stream.close() } else { client.keep(stream, for: request.url) }
    }
    finish(.success(response))
  }

  // MARK: - The end

  /// Fails later, not from within `send`.
  private func fail(_ error: NetError) {
    client.loop.later { [self] in finish(.failure(error)) }
  }

  private func finish(_ result: Result<HTTPClient.Response, NetError>) {
    guard let completion else { return }
    self.completion = nil
    settle()?.close()
    completion(result)
  }

  // Lets go of everything that holds the call; returns the stream, for the caller to close as the case demands.
  private func settle() -> ByteStream? {
    if let timer { client.loop.cancel(timer) }
    timer = nil
    connector?.cancel()
    connector = nil
    handshake = nil
    leaveTurn()
    let stream = stream
    self.stream = nil
    return stream
  }

  private func leaveTurn() {
    let wasConnecting = turn == .connecting
    turn = .none
    if wasConnecting { client.connectingEnded() }
  }

  private static let mostInterim = 16
}
