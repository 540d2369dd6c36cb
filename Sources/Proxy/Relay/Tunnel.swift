internal import Bytes
internal import HTTP
internal import Net

/// Two connections that speak another protocol with each other (RFC 9110 §7.8): what one says is the other's to hear, byte for
/// byte and no faster than it is heard. An end of one is passed on as such; what breaks, breaks both.
final class Tunnel: StreamOwner {
  /// How a tunnel is over.
  enum End {
    /// Both sides have said that they say no more.
    case ended
    /// The client was told that nothing more comes.
    case told
    /// One side broke, or was silent for too long with the other.
    case broken
  }

  private struct Side {
    let stream: ByteStream
    // What waits to be written to it.
    var outbound: ByteQueue
    var isReadable = true
    var hasEnded = false
    var isTold = false
  }

  private let loop: EventLoop
  private let worker: Worker
  private var client: Side
  // Where the service's frames end, if it speaks WebSocket.
  private var frames: WebSocketFrames?
  // What the client is told last, once a frame has ended.
  private var lastWords: [UInt8]?
  private var upstream: Side
  private var isPumping = false
  private let moved: () -> Void
  private let over: (End) -> Void

  /// Takes over both streams; `begin` sets it going.
  ///
  /// - Parameters:
  ///   - client: the client's stream, with what was not written to it yet.
  ///   - frames: where that ends among the service's frames, if it speaks WebSocket.
  ///   - upstream: the service's, likewise.
  ///   - moved: called when bytes went by.
  ///   - over: called once, at the end; the streams are the caller's to close.
  init(
    client: ByteStream, _ toClient: ByteQueue, _ frames: WebSocketFrames?, upstream: ByteStream, _ toUpstream: ByteQueue, of worker: Worker,
    moved: @escaping () -> Void, over: @escaping (End) -> Void
  ) {
    self.worker = worker
    loop = worker.loop
    self.client = Side(stream: client, outbound: toClient)
    self.frames = frames
    self.upstream = Side(stream: upstream, outbound: toUpstream)
    self.moved = moved
    self.over = over
  }

  /// Begins to pass on.
  func begin() {
    client.stream.owner = self
    upstream.stream.owner = self
    pump()
  }

  func streamReady(_ stream: ByteStream, _ readiness: Readiness) {
    if !readiness.isDisjoint(with: [.readable, .peerClosed, .failed, .hungUp]) {
      if stream === client.stream { client.isReadable = true } else { upstream.isReadable = true }
    }
    pump()
  }

  /// Nothing more is to go by, and that is not either side's wish. A WebSocket client is told by a close frame after the frame that it
  /// is being sent; any other finds its connection broken off.
  func end(because why: String) {
    guard frames != nil else { return over(.broken) }
    if lastWords == nil { lastWords = WebSocketFrames.close(because: why) }
    pump()
  }

  private func pump() {
    // Writing may fail and end the tunnel, and that may come back here.
    guard !isPumping else { return }
    isPumping = true
    let end = lastWords == nil ? move() : moveToEnd()
    isPumping = false
    if let end { over(end) }
  }

  private func move() -> End? {
    for _ in 0..<Worker.roundsPerTurn {
      guard let one = pass(from: &client, to: &upstream), let other = pass(from: &upstream, to: &client, counting: true) else {
        return .broken
      }
      if client.isTold, upstream.isTold { return .ended }
      guard one || other else { return nil }
    }
    loop.later { [weak self] in self?.pump() }
    return nil
  }

  // The rest of a frame, then the last words, then nothing.
  private func moveToEnd() -> End? {
    for _ in 0..<Worker.roundsPerTurn {
      if !client.outbound.isEmpty {
        guard case .wrote(let count) = client.outbound.withBytes({ client.stream.write($0) }) else { return .broken }
        client.outbound.consume(count)
        guard client.outbound.isEmpty else { return nil }
      }
      guard let words = lastWords, !words.isEmpty else { return .told }
      guard let frames, !frames.isBetweenFrames else {
        client.outbound.append(words)
        lastWords = []
        continue
      }
      let buffer = worker.readBuffer
      switch upstream.stream.read(into: buffer) {
      case .bytes(let count, _):
        let used = self.frames?.advance(over: UnsafeRawBufferPointer(rebasing: buffer[..<count]), stopping: true) ?? count
        client.outbound.append(UnsafeRawBufferPointer(rebasing: buffer[..<used]))
      case .wouldBlock: return nil
      case .end, .failed: return .broken
      }
    }
    loop.later { [weak self] in self?.pump() }
    return nil
  }

  // Whether anything went by; nil if something broke.
  private func pass(from: inout Side, to: inout Side, counting frames: Bool = false) -> Bool? {
    var hasMoved = false
    if !to.outbound.isEmpty {
      guard case .wrote(let count) = to.outbound.withBytes({ to.stream.write($0) }) else { return nil }
      to.outbound.consume(count)
      hasMoved = count > 0
    }
    if to.outbound.isEmpty, from.isReadable, !from.hasEnded {
      let buffer = worker.readBuffer
      switch from.stream.read(into: buffer) {
      case .bytes(let count, let drained):
        if drained { from.isReadable = false }
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        if frames { self.frames?.advance(over: bytes) }
        guard case .wrote(let written) = to.stream.write(bytes) else { return nil }
        if written < count { to.outbound.append(UnsafeRawBufferPointer(rebasing: bytes[written...])) }
        hasMoved = true
      case .wouldBlock: from.isReadable = false
      case .end: from.hasEnded = true
      case .failed: return nil
      }
    }
    if from.hasEnded, to.outbound.isEmpty, !to.isTold {
      to.stream.shutdownWrite()
      to.isTold = true
    }
    if hasMoved { moved() }
    return hasMoved
  }
}
