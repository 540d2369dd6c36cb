internal import Bytes

/// How many bytes of clients and services a worker holds in memory.
final class Meter {
  /// How many it holds.
  var bytes = 0
}

/// A queue of bytes that count towards what a worker holds.
struct MeteredQueue {
  private var queue: ByteQueue
  private let meter: Meter

  init(_ meter: Meter, holding bytes: ByteQueue = ByteQueue()) {
    queue = bytes
    self.meter = meter
    meter.bytes += bytes.count
  }

  var count: Int { queue.count }
  var isEmpty: Bool { queue.isEmpty }

  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    queue.append(bytes)
    meter.bytes += bytes.count
  }

  func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { queue.withBytes(body) }

  mutating func consume(_ count: Int) {
    let before = queue.count
    queue.consume(count)
    meter.bytes -= before - queue.count
  }

  /// Forgets everything and gives the memory back.
  mutating func release() { if queue.ownsMemory { _ = take() } }

  /// Gives away everything: it counts here no longer.
  mutating func take() -> ByteQueue {
    meter.bytes -= queue.count
    var taken = ByteQueue()
    swap(&taken, &queue)
    return taken
  }
}
