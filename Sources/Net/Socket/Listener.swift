internal import CSystem
internal import HTTP

/// A listening socket on a loop, which calls back for each connection it accepts.
public final class Listener: EventSource {
  /// How to listen.
  public struct Options: Sendable {
    /// Lets several listeners (one a loop) share an address; the kernel spreads connections over them.
    public var reusePort = false
    /// How many connections may wait to be accepted.
    public var backlog: Int32 = 4096
    /// How many are accepted before other descriptors of the loop get their turn.
    public var acceptsPerTurn = 64
    /// How long accepting rests when descriptors or memory have run out.
    public var restMillis: UInt64 = 100
    /// The permissions of a unix socket.
    public var unixMode: UInt32 = 0o660

    /// The defaults.
    public init() {}
  }

  private let loop: EventLoop
  private let fd: Int32
  private let options: Options
  private var registration: Registration?
  private var isOpen = true
  private var isPaused = false
  private var restTimer: TimerID?
  private var unlinkAtClose: String?

  /// The address it is bound to, the real port included.
  public let address: SocketAddress
  /// Called for each connection; who is called owns the descriptor, which is non-blocking, with TCP_NODELAY set.
  public var accepted: (_ fd: Int32, _ peer: SocketAddress) -> Void
  /// Called when accepting has to rest (descriptors, memory) or a connection was lost before it was accepted.
  public var acceptFailed: ((NetError) -> Void)?

  /// Binds and listens; accepting begins with the loop's next turn. The loop holds the listener until `close`.
  public convenience init(
    _ loop: EventLoop, at address: SocketAddress, options: Options = Options(),
    accepted: @escaping (_ fd: Int32, _ peer: SocketAddress) -> Void
  ) throws(NetError) {
    let fd = try Self.bind(to: address, options: options)
    var bound: String?
    if case .unix(let path) = address, path.utf8.first != 0 { bound = path }
    try self.init(loop, fd: fd, options: options, unlinkAtClose: bound, accepted: accepted)
  }

  /// Listens at a place. A socket that was handed over is shared: the listener has a descriptor of its own for it, so that several
  /// (one a loop) can take connections from the one queue, and each closes only its own.
  public convenience init(
    _ loop: EventLoop, at place: ListenPlace, options: Options = Options(), accepted: @escaping (_ fd: Int32, _ peer: SocketAddress) -> Void
  ) throws(NetError) {
    switch place {
    case .address(let address): try self.init(loop, at: address, options: options, accepted: accepted)
    case .socket(let socket):
      let fd = csystem_duplicate(socket.fd)
      guard fd >= 0 else { throw .system(call: "sharing the socket \(socket.name)", errno: -fd) }
      try self.init(loop, adopting: fd, options: options, accepted: accepted)
    }
  }

  /// Takes over a socket that listens already (socket activation, a predecessor). It owns the descriptor from here on.
  public convenience init(
    _ loop: EventLoop, adopting fd: Int32, options: Options = Options(), accepted: @escaping (_ fd: Int32, _ peer: SocketAddress) -> Void
  ) throws(NetError) {
    let listening = csystem_is_listening(fd)
    guard listening == 1 else { throw .system(call: "adopting descriptor \(fd)", errno: listening < 0 ? -listening : csystem_einval) }
    let result = csystem_set_nonblocking(fd)
    guard result >= 0 else { throw .system(call: "fcntl", errno: -result) }
    try self.init(loop, fd: fd, options: options, unlinkAtClose: nil, accepted: accepted)
  }

  private init(
    _ loop: EventLoop, fd: Int32, options: Options, unlinkAtClose: String?, accepted: @escaping (_ fd: Int32, _ peer: SocketAddress) -> Void
  ) throws(NetError) {
    self.loop = loop
    self.fd = fd
    self.options = options
    self.accepted = accepted
    self.unlinkAtClose = unlinkAtClose
    var bound = csystem_address()
    let result = csystem_local_address(fd, &bound)
    address = SocketAddress(bound)
    // From here on a throw runs deinit, which closes the descriptor.
    guard result >= 0 else { throw .system(call: "getsockname", errno: -result) }
    // Inherited by accepted sockets on Linux, so no connection pays a system call for it. A unix socket refuses it.
    _ = csystem_set_no_delay(fd, 1)
    registration = try loop.register(self, fd: fd, interest: .inputLevel)
  }

  deinit { close() }

  /// Whether it accepts now.
  public var isAccepting: Bool { isOpen && !isPaused && restTimer == nil }

  /// Leaves connections in the kernel's queue until `resume`.
  public func pause() {
    isPaused = true
    update()
  }

  /// Accepts again.
  public func resume() {
    isPaused = false
    update()
  }

  /// Stops listening. Connections in the kernel's queue are accepted first, so that none is lost that a client believes
  /// it has. Twice is harmless.
  public func closeGracefully() {
    guard isOpen else { return }
    var limit = Int(options.backlog)
    while limit > 0, isOpen, acceptOne() { limit -= 1 }
    close()
  }

  /// Stops listening at once. Twice is harmless.
  public func close() {
    guard isOpen else { return }
    isOpen = false
    if let restTimer { loop.cancel(restTimer) }
    restTimer = nil
    // Not left to close(2): a socket that others have descriptors for stays in the epoll set after it, and stays ready.
    if let registration { loop.deregister(registration, fd: fd) }
    registration = nil
    _ = csystem_close(fd)
    if let unlinkAtClose { _ = csystem_unlink(unlinkAtClose) }
  }

  /// Called by the loop.
  public func ready(_ readiness: Readiness) {
    for _ in 0..<options.acceptsPerTurn {
      guard isAccepting, acceptOne() else { return }
    }
  }

  private func acceptOne() -> Bool {
    var peer = csystem_address()
    let result = csystem_accept(fd, &peer)
    if result >= 0 {
      accepted(result, SocketAddress(peer))
      return true
    }
    let errno = -result
    if errno == csystem_eagain { return false }
    acceptFailed?(.system(call: "accept", errno: errno))
    if errno == csystem_emfile || errno == csystem_enfile || errno == csystem_enobufs || errno == csystem_enomem {
      // The queue stays ready, so a level-triggered loop would spin; come back when somebody may have closed something.
      rest()
      return false
    }
    // A connection that died in the queue (ECONNABORTED and the network's errors, accept(2)): the next one may be well.
    return errno != csystem_ebadf && errno != csystem_einval
  }

  private func rest() {
    guard restTimer == nil, isOpen else { return }
    restTimer = loop.after(options.restMillis) { [weak self] in
      self?.restTimer = nil
      self?.update()
    }
    update()
  }

  private func update() {
    guard let registration else { return }
    do throws(NetError) {
      try loop.modify(registration, fd: fd, interest: isAccepting ? .inputLevel : .nothing)
    } catch {
      acceptFailed?(error)
    }
  }

  // MARK: - Binding

  private static func bind(to address: SocketAddress, options: Options) throws(NetError) -> Int32 {
    var system = address.system
    var fd = csystem_socket(system.family)
    if fd == -csystem_eafnosupport, case .ip(let ip, let port, _) = address, ip.isUnspecified, !ip.isV4 {
      // "Every address" on a machine without IPv6.
      system = SocketAddress.ip(IPAddress(v4: 0), port: port).system
      fd = csystem_socket(system.family)
    }
    guard fd >= 0 else { throw .listenFailed(address, errno: -fd) }
    if case .unix(let path) = address { removeStaleSocket(path) }
    var result: Int32 = 0
    if system.family != 1 { result = csystem_set_reuse_address(fd, 1) }
    if result >= 0, options.reusePort, system.family != 1 { result = csystem_set_reuse_port(fd, 1) }
    if result >= 0, system.family == 6 {
      let isEverywhere = address.ip?.isUnspecified ?? false
      result = csystem_set_only_v6(fd, isEverywhere ? 0 : 1)
    }
    if result >= 0 { result = csystem_bind(fd, &system) }
    if result >= 0, case .unix(let path) = address, path.utf8.first != 0 { result = csystem_chmod(path, options.unixMode) }
    if result >= 0 { result = csystem_listen(fd, options.backlog) }
    guard result >= 0 else {
      _ = csystem_close(fd)
      throw .listenFailed(address, errno: -result)
    }
    return fd
  }

  // A socket file outlives its listener. One that nobody answers on is removed; a live one makes bind fail as it should.
  private static func removeStaleSocket(_ path: String) {
    guard path.utf8.first != 0, csystem_is_socket(path) == 1 else { return }
    let probe = csystem_socket(1)
    guard probe >= 0 else { return }
    defer { _ = csystem_close(probe) }
    var address = SocketAddress.unix(path: path).system
    if csystem_connect(probe, &address) == -csystem_econnrefused { _ = csystem_unlink(path) }
  }
}
