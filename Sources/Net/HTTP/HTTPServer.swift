public import HTTP

/// A small HTTP/1.1 server on a loop, for answers that fit in memory: operations endpoints, the development issuer, the
/// demo service. Whole requests in, whole responses out; everything bounded.
public final class HTTPServer {
  /// What a client sent.
  public struct Request {
    /// The head.
    public let head: RequestHead
    /// The whole body, decoded.
    public let body: [UInt8]
    /// The client's address.
    public let peer: SocketAddress
  }

  /// What the client gets.
  public struct Response: Sendable {
    /// The status.
    public var status: Status
    /// Our field lines, without framing and Connection.
    public var fields: FieldBlock
    /// The content.
    public var body: [UInt8]
    /// Whether the connection is closed after it.
    public var closes = false

    /// A response.
    public init(_ status: Status, fields: FieldBlock = FieldBlock(), body: [UInt8] = []) {
      self.status = status
      self.fields = fields
      self.body = body
    }

    /// A response with a text and its media type.
    public init(_ status: Status, _ contentType: String, _ text: String, fields: FieldBlock = FieldBlock()) {
      self.init(status, fields: fields, body: Array(text.utf8))
      self.fields.append("Content-Type", contentType)
    }
  }

  /// The right to answer one request, once. Dropped unused, it answers 500.
  public final class Answer {
    private var connection: HTTPServerConnection?

    init(_ connection: HTTPServerConnection) { self.connection = connection }

    deinit { connection?.answer(Response(.internalServerError, "text/plain", "no answer\n")) }

    /// Sends the response; the second time nothing happens, and nothing if the client has gone.
    public func send(_ response: Response) {
      let connection = connection
      self.connection = nil
      connection?.answer(response)
    }
  }

  /// What bounds it.
  public struct Limits: Sendable {
    /// Bounds of a head.
    public var head = HeadLimits()
    /// Bytes of a request's body.
    public var bodyBytes = 1 << 20
    /// Connections at one time; more wait in the kernel's queue.
    public var connections = 256
    /// From a request's first byte to its last.
    public var requestMillis: UInt64 = 10_000
    /// Between requests.
    public var idleMillis: UInt64 = 60_000
    /// For the client to take a response.
    public var writeMillis: UInt64 = 30_000
    /// Requests on one connection.
    public var requestsPerConnection = 10_000

    /// The defaults.
    public init() {}
  }

  let loop: EventLoop
  let limits: Limits
  let respond: (Request, Answer) -> Void
  private let tls: TLSContext?
  private var listener: Listener?
  private var connections: [ObjectIdentifier: HTTPServerConnection] = [:]
  private(set) var isDraining = false
  private var drained: (() -> Void)?

  /// The address it listens on, the real port included.
  public let address: SocketAddress
  /// Called when accepting fails.
  public var acceptFailed: ((NetError) -> Void)? {
    get { listener?.acceptFailed }
    set { listener?.acceptFailed = newValue }
  }

  /// Listens and answers from a function of the request.
  public convenience init(
    _ loop: EventLoop, at address: SocketAddress, tls: TLSContext? = nil, limits: Limits = Limits(),
    answer: @escaping (Request) -> Response
  ) throws(NetError) {
    try self.init(loop, at: address, tls: tls, limits: limits, respond: { $1.send(answer($0)) })
  }

  /// Listens and lets `respond` answer each request, at once or later.
  public convenience init(
    _ loop: EventLoop, at address: SocketAddress, tls: TLSContext? = nil, limits: Limits = Limits(),
    respond: @escaping (Request, Answer) -> Void
  ) throws(NetError) {
    try self.init(loop, at: ListenPlace.address(address), tls: tls, limits: limits, respond: respond)
  }

  /// Listens, at an address or on a socket that was handed over, and lets `respond` answer each request, at once or later.
  public init(
    _ loop: EventLoop, at place: ListenPlace, tls: TLSContext? = nil, limits: Limits = Limits(),
    respond: @escaping (Request, Answer) -> Void
  ) throws(NetError) {
    self.loop = loop
    self.limits = limits
    self.tls = tls
    self.respond = respond
    let listener = try Listener(loop, at: place, accepted: { _, _ in })
    self.listener = listener
    self.address = listener.address
    // The listener lives in the loop until `close`, and holds the server.
    listener.accepted = { [self] in accept($0, $1) }
  }

  /// How many connections are open.
  public var connectionCount: Int { connections.count }

  /// Accepts no more, closes idle connections, lets the others finish their request; then calls `completion`.
  public func drain(completion: @escaping () -> Void) {
    isDraining = true
    drained = completion
    listener?.closeGracefully()
    listener = nil
    for connection in Array(connections.values) { connection.closeIfIdle() }
    if connections.isEmpty { finishDraining() }
  }

  /// Closes everything at once.
  public func close() {
    listener?.close()
    listener = nil
    for connection in Array(connections.values) { connection.close() }
    connections = [:]
  }

  private func accept(_ fd: Int32, _ peer: SocketAddress) {
    do throws(NetError) {
      let stream = try ByteStream(loop, fd: fd, peer: peer, tls: tls)
      let connection = HTTPServerConnection(self, stream)
      connections[ObjectIdentifier(connection)] = connection
      connection.begin()
      if connections.count >= limits.connections { listener?.pause() }
    } catch {
      acceptFailed?(error)
    }
  }

  func closed(_ connection: HTTPServerConnection) {
    guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
    if connections.count < limits.connections { listener?.resume() }
    if isDraining, connections.isEmpty { finishDraining() }
  }

  private func finishDraining() {
    let completion = drained
    drained = nil
    completion?()
  }
}
