import Bytes
import CSystem
import Foundation
import HTTP
import Net
import Testing

/// Time that only the test moves.
final class FakeClock {
  var millis: UInt64 = 1_000
  var wall: Int64 = 1_700_000_000_000

  var clock: LoopClock { LoopClock(monotonicMillis: { self.millis }, wallMillis: { self.wall }) }
}

extension EventLoop {
  /// Turns until the condition holds; false if it does not within the seconds given.
  func turn(until condition: () -> Bool, seconds: Double = 10) throws -> Bool {
    let end = LoopClock.monotonicNanos() + UInt64(seconds * 1e9)
    while !condition() {
      guard LoopClock.monotonicNanos() < end else { return false }
      try turn(maxWaitMillis: 20)
    }
    return true
  }

  /// Turns for a while.
  func turn(millis: UInt64) throws {
    _ = try turn(until: { false }, seconds: Double(millis) / 1000)
  }
}

/// A loop for one test; lets go of everything at the end.
func withLoop(_ body: (EventLoop) throws -> Void) throws {
  Signals.ignoreBrokenPipes()
  let loop = try EventLoop()
  defer { loop.releaseAll() }
  try body(loop)
}

/// Collects what a stream gives, and sends what it is told to.
final class StreamProbe: StreamOwner {
  let stream: ByteStream
  let loop: EventLoop
  var received: [UInt8] = []
  var ended = false
  var failure: NetError?
  var events = 0
  /// Bytes read at a time.
  var pieceBytes = 64 * 1024
  var echoes = false
  var isReading = true
  private var unsent = ByteQueue()

  init(_ stream: ByteStream, _ loop: EventLoop) {
    self.stream = stream
    self.loop = loop
    stream.owner = self
  }

  func send(_ bytes: [UInt8]) {
    unsent.append(bytes)
    flush()
  }

  var unsentCount: Int { unsent.count }

  func streamReady(_ stream: ByteStream, _ readiness: Readiness) {
    events += 1
    if isReading { read() }
    flush()
  }

  func read() {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 1)
    defer { buffer.deallocate() }
    while true {
      switch stream.read(into: buffer) {
      case .bytes(let count, let drained):
        received += buffer[..<count]
        if echoes { unsent.append(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
        if drained { return }
      case .wouldBlock: return
      case .end:
        ended = true
        return
      case .failed(let error):
        failure = error
        return
      }
    }
  }

  private func flush() {
    while !unsent.isEmpty {
      switch unsent.withBytes({ stream.write($0) }) {
      case .wrote(0): return
      case .wrote(let count): unsent.consume(count)
      case .failed(let error):
        failure = error
        return
      }
    }
  }
}

/// Two connected plain descriptors.
func socketPair() throws -> (Int32, Int32) {
  var first: Int32 = -1
  var second: Int32 = -1
  try #require(csystem_socket_pair(&first, &second) == 0)
  return (first, second)
}

/// How many descriptors the process has open.
func openDescriptorCount() throws -> Int {
  try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
}

let loopback = SocketAddress.ip(.loopbackV4, port: 0)

/// Holds up the calling thread, as a name server that does not answer would.
func usleepMillis(_ millis: UInt32) { usleep(millis * 1000) }
