internal import CSystem
internal import HTTP

/// One attempt to connect to a host: its addresses are tried one beside the other, the next one begun when the one before
/// has failed or taken a quarter of a second (RFC 8305); the first that connects is kept, and TLS spoken over it.
public final class Connector {
  private let loop: EventLoop
  private let host: String
  private let tls: TLSContext?
  private let timeoutMillis: UInt64
  private var completion: ((Result<ByteStream, NetError>) -> Void)?
  private var pending: [SocketAddress]
  private var attempts: [Attempt] = []
  private var handshake: TLSHandshake?
  private var staggerTimer: TimerID?
  private var timeout: TimerID?
  private var last: NetError?

  /// Connects to the first address that answers. `host` is the name that TLS asks for and verifies, and that errors name.
  /// The completion is called once, never from within this call; the stream it gets has no owner yet, is writable, and may
  /// have bytes to read that no event will announce: read it once.
  @discardableResult
  public static func connect(
    _ loop: EventLoop, to addresses: [SocketAddress], host: String, tls: TLSContext? = nil, timeoutMillis: UInt64 = 5000,
    completion: @escaping (Result<ByteStream, NetError>) -> Void
  ) -> Connector {
    let connector = Connector(loop, addresses, host, tls, timeoutMillis, completion)
    // The timer and the attempts hold the connector, until it is done.
    connector.timeout = loop.after(timeoutMillis) { connector.expire() }
    connector.tryNext()
    return connector
  }

  private init(
    _ loop: EventLoop, _ addresses: [SocketAddress], _ host: String, _ tls: TLSContext?, _ timeoutMillis: UInt64,
    _ completion: @escaping (Result<ByteStream, NetError>) -> Void
  ) {
    self.loop = loop
    self.host = host
    self.tls = tls
    self.timeoutMillis = timeoutMillis
    self.completion = completion
    pending = Self.interleaved(addresses)
  }

  /// Gives up; the completion is not called.
  public func cancel() {
    completion = nil
    handshake?.stream.abort()
    settle()
  }

  // Families take turns, beginning with the resolver's favourite, so that one broken family costs a quarter of a second.
  private static func interleaved(_ addresses: [SocketAddress]) -> [SocketAddress] {
    guard let first = addresses.first else { return [] }
    func isOfFirstFamily(_ address: SocketAddress) -> Bool { address.ip?.isV4 == first.ip?.isV4 }
    let own = addresses.filter(isOfFirstFamily)
    let other = addresses.filter { !isOfFirstFamily($0) }
    var result: [SocketAddress] = []
    for index in 0..<max(own.count, other.count) {
      if index < own.count { result.append(own[index]) }
      if index < other.count { result.append(other[index]) }
    }
    return Array(result.prefix(mostAddresses))
  }

  private func tryNext() {
    guard completion != nil, handshake == nil else { return }
    if let staggerTimer { loop.cancel(staggerTimer) }
    staggerTimer = nil
    while !pending.isEmpty {
      let address = pending.removeFirst()
      do throws(NetError) {
        attempts.append(try Attempt(loop, address) { [self] in attempt($0, ended: $1) })
        if !pending.isEmpty { staggerTimer = loop.after(Self.staggerMillis) { [weak self] in self?.tryNext() } }
        return
      } catch {
        last = error
      }
    }
    if attempts.isEmpty {
      let error = last ?? .unresolved(host: host, reason: "it has no address")
      // Never from within `connect`.
      loop.later { [self] in finish(.failure(error)) }
    }
  }

  private func attempt(_ attempt: Attempt, ended error: NetError?) {
    attempts.removeAll { $0 === attempt }
    if let error {
      last = error
      return tryNext()
    }
    for other in attempts { other.abandon() }
    attempts = []
    if let staggerTimer { loop.cancel(staggerTimer) }
    staggerTimer = nil
    pending = []
    do throws(NetError) {
      let stream = try ByteStream(loop, fd: attempt.takeDescriptor(), peer: attempt.address, tls: tls, host: tls == nil ? nil : host)
      guard tls != nil else { return finish(.success(stream)) }
      let handshake = TLSHandshake(stream) { [self] in finish($0) }
      self.handshake = handshake
      handshake.begin()
    } catch {
      finish(.failure(error))
    }
  }

  private func expire() {
    timeout = nil
    handshake?.stream.abort()
    finish(.failure(.timedOut(what: handshake == nil ? "connecting to \(host)" : "the TLS handshake with \(host)", millis: timeoutMillis)))
  }

  private func finish(_ result: Result<ByteStream, NetError>) {
    guard let completion else { return settle() }
    self.completion = nil
    settle()
    completion(result)
  }

  private func settle() {
    if let timeout { loop.cancel(timeout) }
    if let staggerTimer { loop.cancel(staggerTimer) }
    timeout = nil
    staggerTimer = nil
    for attempt in attempts { attempt.abandon() }
    attempts = []
    pending = []
    handshake = nil
  }

  private static let staggerMillis: UInt64 = 250
  private static let mostAddresses = 16
}

/// One socket on its way to being connected.
private final class Attempt: EventSource {
  let address: SocketAddress
  private let loop: EventLoop
  private var fd: Int32
  private var registration: Registration?
  private let ended: (Attempt, NetError?) -> Void

  init(_ loop: EventLoop, _ address: SocketAddress, ended: @escaping (Attempt, NetError?) -> Void) throws(NetError) {
    self.loop = loop
    self.address = address
    self.ended = ended
    var system = address.system
    fd = csystem_socket(system.family)
    guard fd >= 0 else { throw .system(call: "socket", errno: -fd) }
    // From here on a throw runs deinit, which closes the descriptor.
    if system.family != 1 { _ = csystem_set_no_delay(fd, 1) }
    let result = csystem_connect(fd, &system)
    // A unix socket whose backlog is full says EAGAIN, and no event would ever come.
    guard result == 0 || result == -csystem_einprogress else { throw .connectFailed(address, errno: -result) }
    // A socket that is connected already reports itself writable, so both ways go on in `ready`.
    registration = try loop.register(self, fd: fd)
  }

  deinit { abandon() }

  func ready(_ readiness: Readiness) {
    let errno = csystem_pending_error(fd)
    if errno != 0 {
      abandon()
      ended(self, .connectFailed(address, errno: errno))
    } else if readiness.contains(.writable) {
      ended(self, nil)
    }
  }

  func takeDescriptor() -> Int32 {
    if let registration { loop.deregister(registration, fd: fd) }
    registration = nil
    let taken = fd
    fd = -1
    return taken
  }

  func abandon() {
    guard fd >= 0 else { return }
    if let registration { loop.deregister(registration, fd: fd, closing: true) }
    registration = nil
    _ = csystem_close(fd)
    fd = -1
  }
}
