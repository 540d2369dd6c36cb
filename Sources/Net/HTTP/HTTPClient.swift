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
    public func field(_ name: String) -> String? {
      let values = head.fields.values(named: name)
      return values.count == 1 ? values[0] : nil
    }
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

    /// The defaults.
    public init() {}
  }

  let loop: EventLoop
  let resolver: Resolver
  let rule: AddressRule
  let tls: TLSContext?
  let proxies: HTTPProxies
  private var idle: [IdleConnection] = []

  /// What bounds calls that begin from now on.
  public var limits: Limits

  /// A client. Without `tls`, https URLs fail; `rule` is asked about every address before it is connected to. Where a proxy
  /// connects in our place, only it knows the address of a name; `rule` is then asked about address literals.
  public init(
    _ loop: EventLoop, resolver: Resolver, tls: TLSContext?, rule: AddressRule = .any, limits: Limits = Limits(),
    proxies: HTTPProxies = HTTPProxies()
  ) {
    self.loop = loop
    self.resolver = resolver
    self.tls = tls
    self.rule = rule
    self.proxies = proxies
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
    for connection in closing { connection.close() }
  }

  // MARK: - Connections kept for reuse

  func takeIdle(for url: HTTPURL) -> ByteStream? {
    let place = Self.place(of: url)
    guard let index = idle.lastIndex(where: { $0.place == place }) else { return nil }
    return idle.remove(at: index).take()
  }

  func keep(_ stream: ByteStream, for url: HTTPURL) {
    let place = Self.place(of: url)
    guard idle.count < limits.idle, idle.count(where: { $0.place == place }) < limits.idlePerPlace else { return stream.close() }
    idle.append(
      IdleConnection(stream, place, loop, millis: limits.idleMillis) { [weak self] ended in
        self?.idle.removeAll { $0 === ended }
      })
  }

  private static func place(of url: HTTPURL) -> ExactString {
    ExactString(url.socketPath.map { "unix:\($0)" } ?? "\(url.scheme)://\(url.authority)")
  }
}

/// A connection that waits to be used again. Whatever happens to it while it waits means that it cannot be.
private final class IdleConnection: StreamOwner {
  let place: ExactString
  private var stream: ByteStream?
  private let loop: EventLoop
  private var timer: TimerID?
  private let ended: (IdleConnection) -> Void

  init(_ stream: ByteStream, _ place: ExactString, _ loop: EventLoop, millis: UInt64, ended: @escaping (IdleConnection) -> Void) {
    self.stream = stream
    self.place = place
    self.loop = loop
    self.ended = ended
    timer = loop.after(millis) { [weak self] in self?.expire() }
    stream.owner = self
  }

  func streamReady(_ stream: ByteStream, _ readiness: Readiness) {
    // Room to write is no news; everything else is the peer's end, or bytes that nobody asked for.
    if !readiness.subtracting(.writable).isEmpty { expire() }
  }

  func take() -> ByteStream? {
    settle()
    let taken = stream
    taken?.owner = nil
    stream = nil
    return taken
  }

  func close() {
    settle()
    stream?.close()
    stream = nil
  }

  private func expire() {
    close()
    ended(self)
  }

  private func settle() {
    if let timer { loop.cancel(timer) }
    timer = nil
  }
}
