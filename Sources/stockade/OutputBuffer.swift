internal import Glibc

/// Standard output in large writes.
struct OutputBuffer {
  private var bytes: [UInt8] = []
  private let flushesEagerly: Bool
  private var isClosed = false

  /// - Parameter flushesEagerly: Whether somebody watches, so that nothing waits for more.
  init(flushesEagerly: Bool = false) { self.flushesEagerly = flushesEagerly }

  /// Writes; false once nobody reads any more.
  mutating func write(_ text: String) -> Bool {
    bytes.append(contentsOf: text.utf8)
    return isRoomMade()
  }

  /// Writes; false once nobody reads any more.
  mutating func write(_ text: UnsafeRawBufferPointer) -> Bool {
    bytes.append(contentsOf: text)
    return isRoomMade()
  }

  /// Call it when there may be nothing more for a while; false once nobody reads any more.
  mutating func endPiece() -> Bool {
    if flushesEagerly { flush() }
    return !isClosed
  }

  /// Writes what waits.
  mutating func flush() {
    var written = 0
    while written < bytes.count, !isClosed {
      let count = bytes.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress?.advanced(by: written), $0.count - written) }
      if count > 0 { written += count } else if count == 0 || errno != EINTR { isClosed = true }
    }
    bytes.removeAll(keepingCapacity: true)
  }

  private mutating func isRoomMade() -> Bool {
    if bytes.count >= Self.enough { flush() }
    return !isClosed
  }

  private static let enough = 1 << 16
}
