internal import Bytes
internal import HTTP

/// A body, or its beginning, that was read because the decision needed it, and that goes on as it came.
struct CollectedBody {
  /// The data, without the framing it came in.
  var bytes = ByteQueue()
  /// Whether chunks must still be told that they are over.
  var owesEnd = false
  /// The lines that go on behind them.
  var trailers: [UInt8] = []

  /// Whether nothing is left to send on.
  var isEmpty: Bool { bytes.isEmpty && !owesEnd }

  // As much as a buffer that is given back may hold.
  private static let pieceBytes = 64 * 1024

  /// Appends the next piece as it is sent on, and has it no longer.
  mutating func appendNext(asChunk: Bool, to out: inout [UInt8]) {
    let count = min(bytes.count, Self.pieceBytes)
    bytes.withBytes { bytes in
      let piece = UnsafeRawBufferPointer(rebasing: bytes[..<count])
      if asChunk { ChunkedEncoder.appendChunk(piece, to: &out) } else { out.append(contentsOf: piece) }
    }
    bytes.consume(count)
    guard bytes.isEmpty else { return }
    bytes.release()
    if owesEnd {
      out.append(contentsOf: ChunkedEncoder.lastChunk)
      out.append(contentsOf: trailers)
      out.append(contentsOf: ChunkedEncoder.lineEnd)
      trailers = []
    }
    owesEnd = false
  }
}
