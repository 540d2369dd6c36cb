internal import Bytes
public import HTTP

/// A small HTTP/1.1 client on a loop, for answers that fit in memory: key sets, discovery, remote decisions, exports. No
/// redirect is followed; what is sent and read is bounded in size and time.
public final class HTTPClient {
  /// What to send.
  public struct Request: Sendable {
    /// The method; not `other`.
    public var method: Method
    /// Where to.
    public var url: HTTPURL
    /// Our field lines, without Host and framing.
    public var fields: FieldBlock
    /// The content; nil for none.
    public var body: [UInt8]?

    /// A request.
    public init(_ method: Method = .get, _ url: HTTPURL, fields: FieldBlock = FieldBlock(), body: [UInt8]? = nil) {
      self.method = method
      self.url = url
      self.fields = fields
      self.body = body
    }
  }

  /// What came back.
  public struct Response: Sendable {
    /// The status.
    public var status: Status { head.status }
    /// The head.
    public let head: ResponseHead
    /// The whole body, decoded from chunks.
    public let body: [UInt8]

    /// The value of a field that appears once; nil without it, or with several.
    public func field(_ name: String) -> String? { head.fields.onlyValue(named: name) }
  }

  /// What bounds a call.
  public struct Limits: Sendable {
    /// To connect, TLS included.
    public var connectMillis: UInt64 = 5_000
    /// The whole call, resolving included.
    public var totalMillis: UInt64 = 10_000
    /// Bytes of a response's body.
    public var bodyBytes = 1 << 20
    /// Bounds of a response's head.
    public var head = HeadLimits()
    /// Idle connections kept for reuse, to one place and in all; 0 keeps none.
    public var idlePerPlace = 2
    /// In all.
    public var idle = 16
    /// How long one is kept.
    public var idleMillis: UInt64 = 30_000
    /// Connections that are being made at the same time. Other calls wait for their turn, or for one that is done with its
    /// connection. For a client of one place: where there are several, one that does not answer would keep the others waiting.
    public var connecting = Int.max

    /// The defaults.
    public init() {}
  }

  let loop: EventLoop
  let resolver: Resolver
  let rule: AddressRule
  let tls: TLSContext?
  let proxies: HTTPProxies
  /// The name that TLS asks for and verifies in place of a URL's host; nil for the host.
  let tlsName: String?
  private var idle: [IdleConnection] = []
  private var sweep: TimerID?
  private var connecting = 0
  private var waiting: ArraySlice<HTTPCall> = []

  /// What bounds calls that begin from now on.
  public var limits: Limits

  /// A client. Without `tls`, https URLs fail; `rule` is asked about every address before it is connected to. Where a proxy
  /// connects in our place, only it knows the address of a name; `rule` is then asked about address literals.
  public init(
    _ loop: EventLoop, resolver: Resolver, tls: TLSContext?, rule: AddressRule = .any, limits: Limits = Limits(),
    proxies: HTTPProxies = HTTPProxies(), tlsName: String? = nil
  ) {
    self.loop = loop
    self.resolver = resolver
    self.tls = tls
    self.rule = rule
    self.proxies = proxies
    self.tlsName = tlsName
    self.limits = limits
  }

  deinit { closeIdle() }

  /// Sends a request. The completion is called once, never from within this call, and not at all after `cancel`.
  @discardableResult
  public func send(_ request: Request, completion: @escaping (Result<Response, NetError>) -> Void) -> HTTPCall {
    let call = HTTPCall(self, request, limits, completion)
    call.begin()
    return call
  }

  /// Closes the connections kept for reuse.
  public func closeIdle() {
    let closing = idle
    idle = []
    if let sweep { loop.cancel(sweep) }
    sweep = nil
    for connection in closing { connection.close() }
  }

  // MARK: - Connections being made

  /// Whether a call may connect now; if not, it is told later.
  func mayConnect(_ call: HTTPCall) -> Bool {
    guard connecting < limits.connecting else {
      waiting.append(call)
      return false
    }
    connecting += 1
    return true
  }

  /// A call that was let connect has done so, or has given it up.
  func connectingEnded() {
    connecting -= 1
    while connecting < limits.connecting, let call = nextWaiting() {
      connecting += 1
      call.connect()
    }
  }

  private func nextWaiting(for url: HTTPURL? = nil) -> HTTPCall? {
    // Those who gave up while they waited are passed over.
    while let call = waiting.first, !call.isWaiting { waiting.removeFirst() }
    guard let first = waiting.first, url.map({ first.isFor($0) }) ?? true else { return nil }
    return waiting.removeFirst()
  }

  // MARK: - Connections kept for reuse

  func takeIdle(for url: HTTPURL) -> ByteStream? {
    guard let index = idle.lastIndex(where: { $0.url.isSamePlace(as: url) }) else { return nil }
    return idle.remove(at: index).take()
  }

  func keep(_ stream: ByteStream, for url: HTTPURL) {
    if let call = nextWaiting(for: url) { return call.reuse(stream) }
    guard idle.count < limits.idle, hasRoom(for: url) else { return stream.close() }
    idle.append(IdleConnection(stream, url, of: self, until: loop.now + limits.idleMillis))
    if sweep == nil { scheduleSweep() }
  }

  private func hasRoom(for url: HTTPURL) -> Bool {
    // Where one place may have all of them, nobody needs counting.
    limits.idlePerPlace >= limits.idle || idle.count { $0.url.isSamePlace(as: url) } < limits.idlePerPlace
  }

  fileprivate func forget(_ connection: IdleConnection) { idle.removeAll { $0 === connection } }

  private func scheduleSweep() {
    sweep = loop.after(min(limits.idleMillis, 1000)) { [weak self] in
      guard let self else { return }
      sweep = nil
      for connection in idle where connection.until <= loop.now { connection.close() }
      idle.removeAll { $0.until <= loop.now }
      if !idle.isEmpty { scheduleSweep() }
    }
  }
}

/// A connection that waits to be used again. Whatever happens to it while it waits means that it cannot be.
private final class IdleConnection: StreamOwner {
  let url: HTTPURL
  /// Until when it is kept, in the loop's milliseconds.
  let until: UInt64
  private var stream: ByteStream?
  private weak var client: HTTPClient?

  init(_ stream: ByteStream, _ url: HTTPURL, of client: HTTPClient, until: UInt64) {
    self.stream = stream
    self.url = url
    self.client = client
    self.until = until
    stream.owner = self
  }

  func streamReady(_ stream: ByteStream, _ readiness: Readiness) {
    // Room to write is no news; everything else is the peer's end, or bytes that nobody asked for.
    guard !readiness.subtracting(.writable).isEmpty else { return }
    close()
    client?.forget(self)
  }

  func take() -> ByteStream? {
    let taken = stream
    taken?.owner = nil
    stream = nil
    return taken
  }

  func close() {
    stream?.close()
    stream = nil
  }
}
