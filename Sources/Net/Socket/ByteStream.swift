internal import CSystem

/// What reading gave.
public enum ReadOutcome {
  /// Bytes. `drained`: nothing is left until the next readable event; otherwise there may be more: read again, now or
  /// whenever you like, for no event will say so.
  case bytes(Int, drained: Bool)
  /// Nothing now; a readable event will come.
  case wouldBlock
  /// The peer will send no more.
  case end
  /// The stream is broken.
  case failed(NetError)
}

/// What writing gave.
public enum WriteOutcome {
  /// So many bytes were taken, from the front. Fewer than offered: a writable event will come.
  case wrote(Int)
  /// The stream is broken.
  case failed(NetError)
}

/// Who is told when a stream is ready.
public protocol StreamOwner: AnyObject {
  /// The stream may be read or written, or is broken (which reading or writing will then report). Under edge triggering
  /// an event comes once: read until drained, or remember that you did not.
  func streamReady(_ stream: ByteStream, _ readiness: Readiness)
}

/// A connection on a loop, plain or TLS: one interface, bytes in and bytes out, nothing blocks.
///
/// The plain path is recv and send and nothing else. The loop holds the stream until it is closed, and the stream its
/// owner. A TLS handshake runs inside; the owner hears nothing until it is done or has failed.
public final class ByteStream: EventSource {
  private enum State {
    case handshaking
    case open
    case closing
    case closed
  }

  private let loop: EventLoop
  private let fd: Int32
  private var registration: Registration?
  private var tls: TLSSession?
  private var isTLS: Bool
  private var state: State
  private var closingTimer: TimerID?
  private var discardLimit = 0
  // An event has said that the peer sends no more.
  private var sawEnd = false

  /// Who is told. Let go of when the stream is closed.
  public var owner: (any StreamOwner)?
  /// The other side.
  public let peer: SocketAddress

  /// Takes over a connected, non-blocking descriptor; throws only if the loop cannot watch it, and has then closed it.
  /// With `tls`, a server context, the handshake begins with the first bytes.
  public convenience init(_ loop: EventLoop, fd: Int32, peer: SocketAddress, tls: TLSContext? = nil) throws(NetError) {
    try self.init(loop, fd: fd, peer: peer, tls: tls, host: nil)
  }

  init(_ loop: EventLoop, fd: Int32, peer: SocketAddress, tls context: TLSContext?, host: String?) throws(NetError) {
    self.loop = loop
    self.fd = fd
    self.peer = peer
    isTLS = context != nil
    state = context == nil ? .open : .handshaking
    // From here on a throw runs deinit, which closes the descriptor.
    if let context {
      guard let session = TLSSession(context, fd: fd, host: host, now: loop.wallSeconds) else {
        throw .tls(TLSFailure(.configuration, "no session for `\(host ?? "")`"))
      }
      tls = session
    }
    registration = try loop.register(self, fd: fd)
  }

  deinit { release() }

  // MARK: - Reading and writing

  /// Reads into a buffer.
  public func read(into buffer: UnsafeMutableRawBufferPointer) -> ReadOutcome {
    if isTLS { return readTLS(into: buffer) }
    guard state == .open else { return .failed(.closed) }
    let count = csystem_receive(fd, buffer.baseAddress, buffer.count)
    // A stream socket that gave less than asked is empty, and what comes later raises an event. Not so when the peer's end
    // was announced together with the bytes before it: then it is found by reading on.
    if count > 0 { return .bytes(Int(count), drained: count < buffer.count && !sawEnd) }
    if count == 0 { return buffer.isEmpty ? .bytes(0, drained: false) : .end }
    if count == -Int64(csystem_eagain) { return .wouldBlock }
    return .failed(.connectionLost(errno: Int32(truncatingIfNeeded: -count)))
  }

  /// Writes bytes.
  public func write(_ bytes: UnsafeRawBufferPointer) -> WriteOutcome {
    if isTLS { return writeTLS(bytes) }
    guard state == .open else { return .failed(.closed) }
    let count = csystem_send(fd, bytes.baseAddress, bytes.count)
    if count >= 0 { return .wrote(Int(count)) }
    if count == -Int64(csystem_eagain) { return .wrote(0) }
    return .failed(.connectionLost(errno: Int32(truncatingIfNeeded: -count)))
  }

  private func readTLS(into buffer: UnsafeMutableRawBufferPointer) -> ReadOutcome {
    switch state {
    case .handshaking: return .wouldBlock
    case .open: return tls?.read(into: buffer) ?? .failed(.closed)
    case .closing, .closed: return .failed(.closed)
    }
  }

  private func writeTLS(_ bytes: UnsafeRawBufferPointer) -> WriteOutcome {
    switch state {
    case .handshaking: return .wrote(0)
    case .open: return tls?.write(bytes) ?? .failed(.closed)
    case .closing, .closed: return .failed(.closed)
    }
  }

  // MARK: - Facts

  /// Whether it is open: neither closed nor closing.
  public var isOpen: Bool { state == .open || state == .handshaking }

  /// The TLS version ("TLSv1.3"); nil without TLS or before the handshake is done.
  public var tlsVersion: String? { state == .handshaking ? nil : tls?.version }
  /// The protocol agreed on by ALPN.
  public var applicationProtocol: String? { state == .handshaking ? nil : tls?.applicationProtocol }
  /// Whether an earlier TLS session was resumed.
  public var wasResumed: Bool { state == .handshaking ? false : tls?.wasResumed ?? false }
  /// The peer's certificate; verified if there is one. Read it once a connection, not once a request.
  public var peerCertificate: PeerCertificate? { state == .handshaking ? nil : tls?.peerCertificate }

  /// How many bytes the kernel has taken and the peer has not acknowledged; 0 if that is not known.
  public var unsentBytes: Int { isOpen ? Int(max(csystem_unsent_bytes(fd), 0)) : 0 }

  // MARK: - Closing

  /// Tells the peer that no more will be sent; reading goes on. With TLS: close_notify.
  public func shutdownWrite() {
    guard state == .open else { return }
    if isTLS {
      tls?.closeNotify()
      // With output waiting, the end of stream would overtake it: close_notify alone must do.
      if tls?.hasWaitingOutput ?? false { return }
    }
    _ = csystem_shutdown_write(fd)
  }

  /// Closes. Bytes that were taken are still sent (by the kernel; with TLS also those that wait in the session, for at
  /// most ten seconds). The owner hears nothing more. Twice is harmless.
  public func close() {
    guard isOpen else { return }
    owner = nil
    if state == .open, tls != nil {
      tls?.closeNotify()
      if tls?.hasWaitingOutput ?? false { return beginClosing(discarding: 0, millis: Self.flushMillis) }
    }
    finish()
  }

  /// Closes so that the peer can see it is no orderly end: TCP reset, no TLS close_notify. For a body that breaks off.
  public func abort() {
    guard state != .closed else { return }
    owner = nil
    _ = csystem_set_reset_on_close(fd)
    finish()
  }

  /// Closes after a refusal, so that the peer can read the answer: says that no more will come, then reads and drops up to
  /// `limitBytes` for at most `millis`. (Closing with unread input would reset the connection and destroy the answer.)
  public func closeDiscarding(limitBytes: Int = 1 << 20, millis: UInt64 = 2000) {
    guard isOpen else { return }
    owner = nil
    guard state == .open else { return finish() }
    shutdownWrite()
    beginClosing(discarding: limitBytes, millis: millis)
    // Input may be there already, and its event gone by.
    proceedClosing()
  }

  private func beginClosing(discarding limit: Int, millis: UInt64) {
    state = .closing
    discardLimit = limit
    // The loop holds the stream by its registration until `finish`.
    closingTimer = loop.after(millis) { [weak self] in
      self?.closingTimer = nil
      self?.finish()
    }
  }

  private func proceedClosing() {
    if tls?.hasWaitingOutput ?? false {
      do throws(NetError) {
        guard try tls?.flush() ?? true else { return }
      } catch {
        return finish()
      }
      if discardLimit > 0 { _ = csystem_shutdown_write(fd) }
    }
    guard discardLimit > 0 else { return finish() }
    var rounds = 0
    while discardLimit > 0 {
      // A peer that sends as fast as we drop must not keep the loop to itself.
      rounds += 1
      if rounds > Self.discardsPerTurn {
        return loop.later { [weak self] in if self?.state == .closing { self?.proceedClosing() } }
      }
      // Ciphertext is as good as anything for throwing away, so TLS is not asked.
      let count = csystem_receive(fd, loop.scratch.baseAddress, min(EventLoop.scratchBytes, discardLimit))
      if count == -Int64(csystem_eagain) { return }
      if count <= 0 { return finish() }
      discardLimit -= Int(count)
    }
    finish()
  }

  private func finish() {
    guard state != .closed else { return }
    state = .closed
    owner = nil
    if let closingTimer { loop.cancel(closingTimer) }
    closingTimer = nil
    release()
  }

  private func release() {
    if let registration {
      self.registration = nil
      loop.deregister(registration, fd: fd, closing: true)
      tls = nil
      _ = csystem_close(fd)
    } else if state != .closed {
      // Never watched: the initializer failed.
      state = .closed
      tls = nil
      _ = csystem_close(fd)
    }
  }

  // MARK: - Events

  /// Called by the loop.
  public func ready(_ readiness: Readiness) {
    if !readiness.isDisjoint(with: [.peerClosed, .hungUp, .failed]) { sawEnd = true }
    if isTLS || state == .closing {
      readyBeyondPlain(readiness)
    } else {
      owner?.streamReady(self, readiness)
    }
  }

  private func readyBeyondPlain(_ readiness: Readiness) {
    if state == .closing { return proceedClosing() }
    if sawEnd || readiness.contains(.readable) { tls?.markReadable(isEnding: sawEnd) }
    if state == .handshaking { return proceedHandshake() }
    var told = readiness
    if tls?.hasWaitingOutput ?? false {
      do throws(NetError) {
        if try !(tls?.flush() ?? true) { told.remove(.writable) }
      } catch {
        // The session is dead from here on: reading and writing report why.
        told.insert(.failed)
      }
    }
    if !told.isEmpty { owner?.streamReady(self, told) }
  }

  /// Speaks TLS from here on, as a client that verifies `host`. Nothing may be unread.
  func startTLS(_ context: TLSContext, host: String) throws(NetError) {
    guard state == .open, !isTLS else { throw .closed }
    guard let session = TLSSession(context, fd: fd, host: host, now: loop.wallSeconds) else {
      throw .tls(TLSFailure(.configuration, "no session for `\(host)`"))
    }
    session.markReadable(isEnding: sawEnd)
    tls = session
    isTLS = true
    state = .handshaking
  }

  /// Speaks TLS from here on, as a server; `received` is what was read already of what the client says. The owner hears of it when
  /// the handshake is done or has failed, which may be from within `beginHandshake`.
  public func startTLS(accepting context: TLSContext, received: UnsafeRawBufferPointer) throws(NetError) {
    guard state == .open, !isTLS else { throw .closed }
    guard let session = TLSSession(context, fd: fd, host: nil, now: loop.wallSeconds), session.feed(received) else {
      throw .tls(TLSFailure(.configuration, "no session for a client"))
    }
    session.markReadable(isEnding: sawEnd)
    tls = session
    isTLS = true
    state = .handshaking
  }

  /// Goes on with the handshake, where no event will say that it can: at its beginning, if there is something to send or something
  /// was read already.
  public func beginHandshake() {
    if state == .handshaking { proceedHandshake() }
  }

  /// Why the handshake failed, if it did.
  public private(set) var handshakeFailure: NetError?

  /// After a failed handshake: what is written from here on goes out as it is. For a client that does not speak TLS and can be told.
  public func speakPlainly() {
    guard handshakeFailure != nil, state == .open else { return }
    tls = nil
    isTLS = false
  }

  private func proceedHandshake() {
    do throws(NetError) {
      if tls?.hasWaitingOutput ?? false { guard try tls?.flush() ?? true else { return } }
      guard try tls?.handshake() ?? true else { return }
      state = .open
      // Data that came with the last handshake bytes is in the session already: no event will announce it.
      owner?.streamReady(self, [.readable, .writable])
    } catch {
      // The session is dead: reading and writing report why.
      handshakeFailure = error
      state = .open
      owner?.streamReady(self, [.failed, .readable, .writable])
    }
  }

  private static let flushMillis: UInt64 = 10_000
  private static let discardsPerTurn = 16
}
