internal import Bytes
internal import HTTP
internal import Net
internal import Pipeline

/// The beginning of a connection from a proxy in front that says whose it is: a PROXY protocol header, before anything else.
///
/// From anybody but a trusted proxy the connection is closed at once, and after a header that cannot be read: there is
/// nobody to answer who would understand.
final class ProxyGreeting: StreamOwner {
  private unowned let worker: Worker
  private let stream: ByteStream
  private let peer: Peer
  private var received = ByteQueue()
  private lazy var deadline = Deadline(worker.loop) { [unowned self] in close(because: "no PROXY header came in time from \(name)") }

  init(_ stream: ByteStream, peer: Peer, worker: Worker) {
    self.worker = worker
    self.stream = stream
    self.peer = peer
  }

  func begin() {
    guard worker.service.snapshot.trustedProxies.include(peer) else {
      return close(because: "\(name) is not one of trusted_proxies, and proxy_protocol is on")
    }
    deadline.set(worker.service.limits.headMillis)
    stream.owner = self
  }

  func streamReady(_ stream: ByteStream, _ readiness: Readiness) {
    guard !readiness.isDisjoint(with: [.readable, .peerClosed, .failed, .hungUp]) else { return }
    while true {
      let buffer = worker.readBuffer
      switch stream.read(into: buffer) {
      case .bytes(let count, let drained):
        received.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        if understood() || drained { return }
      case .wouldBlock: return
      // A health check that only connects says nothing, and is nothing to tell.
      case .end, .failed: return close(because: received.isEmpty ? nil : "the connection from \(name) ended within its PROXY header")
      }
    }
  }

  // Whether nothing more is to be read here.
  private func understood() -> Bool {
    switch received.withBytes({ ProxyHeader.parse($0) }) {
    case .incomplete: return false
    case .refused(let refusal):
      close(because: "the PROXY header from \(name) is refused: \(refusal.rawValue)")
    case .complete(let header, let consumed):
      received.consume(consumed)
      deadline.clear()
      stream.owner = nil
      // A proxy that speaks for itself (LOCAL, UNKNOWN) is the client.
      worker.greeted(self, stream, from: header.source.map { Peer($0.address) } ?? peer, with: received)
    }
    return true
  }

  private var name: String { peer.address ?? "a unix socket" }

  func close(because why: String?) {
    deadline.clear()
    stream.close()
    worker.forget(self, because: why)
  }
}
