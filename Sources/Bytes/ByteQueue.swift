/// Bytes that arrive at one end and leave at the other: what a connection has read and not used, or not yet sent.
///
/// Consuming from the front moves an offset; the storage is compacted only when more than half of it is used up,
/// so a long stream in small pieces costs a copy of each byte at most once more.
public struct ByteQueue: Sendable {
  private var storage: [UInt8] = []
  private var start = 0

  /// An empty queue that owns no memory.
  public init() {}

  /// How many bytes wait.
  public var count: Int { storage.count - start }
  /// Whether none wait.
  public var isEmpty: Bool { storage.count == start }
  /// Whether it owns memory, empty or not.
  public var ownsMemory: Bool { storage.capacity > 0 }

  /// Adds bytes at the end.
  public mutating func append(_ bytes: UnsafeRawBufferPointer) {
    compactIfWorthwhile()
    storage.append(contentsOf: bytes)
  }

  /// Adds bytes at the end.
  public mutating func append(_ bytes: some Sequence<UInt8>) {
    compactIfWorthwhile()
    storage.append(contentsOf: bytes)
  }

  /// Lends the waiting bytes, in order.
  public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try storage.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[start...])) }
  }

  /// Takes `count` bytes from the front; more than wait is all of them.
  public mutating func consume(_ count: Int) {
    start += min(max(count, 0), self.count)
    if start == storage.count {
      storage.removeAll(keepingCapacity: storage.capacity <= Self.keptCapacity)
      start = 0
    }
  }

  /// Forgets everything and gives the memory back: what an idle connection does.
  public mutating func release() {
    storage = []
    start = 0
  }

  private mutating func compactIfWorthwhile() {
    guard start > 4096, start > storage.count / 2 else { return }
    storage.removeFirst(start)
    start = 0
  }

  // A queue that once held a burst gives it back when it runs empty.
  private static let keptCapacity = 64 * 1024
}
