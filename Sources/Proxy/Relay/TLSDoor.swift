internal import Bytes
internal import HTTP
internal import Net
internal import Pipeline

/// Where clients of a worker begin TLS: so many at a time, so many a second, each in its time.
///
/// A handshake costs a thousand times what its first bytes cost who sends them. Those beyond the rate wait in the kernel's queue; of
/// too many at once the oldest go, which are those that do not go on.
final class TLSDoor {
  private unowned let worker: Worker
  private var greetings: [ObjectIdentifier: TLSGreeting] = [:]
  private var begun = 0
  private var window: TimerID?
  /// Whether nobody may begin for the moment.
  private(set) var isShut = false

  private static let windowMillis: UInt64 = 100

  init(_ worker: Worker) { self.worker = worker }

  /// How many handshakes are under way.
  var count: Int { greetings.count }

  /// Begins one with a client that counts as connected.
  func begin(_ stream: ByteStream, from peer: Peer) {
    let limits = worker.service.limits
    if greetings.count >= limits.handshakes, let oldest = greetings.values.min(by: { $0.beganAt < $1.beganAt }) {
      worker.reached(.handshakes)
      leave(oldest)
      oldest.close()
    }
    let greeting = TLSGreeting(stream, from: peer, at: self, worker.loop)
    greetings[ObjectIdentifier(greeting)] = greeting
    countBegun(of: max(limits.handshakesPerSecond / Int(1000 / Self.windowMillis), 1))
    greeting.begin(within: limits.handshakeMillis)
  }

  private func countBegun(of most: Int) {
    begun += 1
    if window == nil { window = worker.loop.after(Self.windowMillis) { [unowned self] in windowEnded() } }
    guard begun >= most, !isShut else { return }
    isShut = true
    worker.reached(.handshakeRate)
    worker.updateAccepting()
  }

  private func windowEnded() {
    window = nil
    begun = 0
    guard isShut else { return }
    isShut = false
    worker.updateAccepting()
  }

  /// A handshake is done, or has failed.
  func ended(_ greeting: TLSGreeting, _ stream: ByteStream, from peer: Peer) {
    guard greetings.removeValue(forKey: ObjectIdentifier(greeting)) != nil else { return }
    if let failure = stream.handshakeFailure { return failed(stream, from: peer, failure) }
    worker.metrics.handshake(stream.wasResumed ? .resumed : .full)
    var known = peer
    known.adoptTLS(of: stream)
    worker.greeted(stream, from: known)
  }

  private func failed(_ stream: ByteStream, from peer: Peer, _ failure: NetError) {
    worker.metrics.handshake(.failed)
    var kind: TLSFailure.Kind?
    if case .tls(let why) = failure { kind = why.kind }
    switch kind {
    // A health check that only connects is nothing to tell.
    case .nothing: stream.close()
    case .plainHTTP:
      worker.heardPlainHTTP(from: peer)
      stream.speakPlainly()
      _ = Self.speakTLS.withUnsafeBytes { stream.write($0) }
      stream.closeDiscarding(limitBytes: 16 * 1024, millis: 500)
    default:
      worker.note("with a client at \(peer.address ?? "a Unix socket"): \(failure)", event: .handshakeFailed)
      // So that the alert arrives which says why.
      stream.closeDiscarding(limitBytes: 16 * 1024, millis: 500)
    }
    worker.left(peer)
  }

  /// A handshake took too long.
  func expired(_ greeting: TLSGreeting) {
    worker.reached(.handshakeTimeout)
    worker.metrics.handshake(.failed)
    leave(greeting)
  }

  private func leave(_ greeting: TLSGreeting) {
    guard greetings.removeValue(forKey: ObjectIdentifier(greeting)) != nil else { return }
    worker.left(greeting.peer)
  }

  /// Breaks off what is under way.
  func closeAll() {
    for greeting in Array(greetings.values) {
      leave(greeting)
      greeting.close()
    }
  }

  private static let speakTLS: [UInt8] = {
    let body = "This port speaks TLS: ask for https:// and not http://.\n"
    let head =
      "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n"
    return Array((head + body).utf8)
  }()
}

/// A client's connection until its TLS handshake is done.
final class TLSGreeting: StreamOwner {
  private unowned let door: TLSDoor
  private let stream: ByteStream
  private let loop: EventLoop
  private lazy var deadline = Deadline(loop) { [unowned self] in
    close()
    door.expired(self)
  }
  /// Whom it is with.
  let peer: Peer
  /// When it began, in the loop's milliseconds.
  let beganAt: UInt64

  init(_ stream: ByteStream, from peer: Peer, at door: TLSDoor, _ loop: EventLoop) {
    self.stream = stream
    self.peer = peer
    self.door = door
    self.loop = loop
    beganAt = loop.now
  }

  func begin(within millis: UInt64) {
    deadline.set(millis)
    stream.owner = self
    stream.beginHandshake()
  }

  func streamReady(_ stream: ByteStream, _ readiness: Readiness) {
    deadline.clear()
    stream.owner = nil
    door.ended(self, stream, from: peer)
  }

  func close() {
    deadline.clear()
    stream.close()
  }
}
