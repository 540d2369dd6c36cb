internal import Bytes

/// Puts a body into chunks, RFC 9112 §7.1.
public enum ChunkedEncoder {
  /// Appends the line before a chunk's data; the data and `lineEnd` follow. A count that is not positive adds nothing: size
  /// zero would end the body.
  public static func appendSize(_ count: Int, to out: inout [UInt8]) {
    guard count > 0 else { return }
    var shift = (Int.bitWidth - 1 - count.leadingZeroBitCount) & ~3
    while shift >= 0 {
      out.append(Hex.digit(UInt8(truncatingIfNeeded: count >> shift) & 0xf))
      shift -= 4
    }
    out.append(ASCII.cr)
    out.append(ASCII.lf)
  }

  /// Appends a whole chunk; nothing for no data.
  public static func appendChunk(_ data: UnsafeRawBufferPointer, to out: inout [UInt8]) {
    guard data.count > 0 else { return }
    appendSize(data.count, to: &out)
    out.append(contentsOf: data)
    out.append(contentsOf: lineEnd)
  }

  /// What follows a chunk's data.
  public static let lineEnd: [UInt8] = [ASCII.cr, ASCII.lf]
  /// The last chunk; trailer lines and an empty line follow.
  public static let lastChunk: [UInt8] = Array("0\r\n".utf8)
  /// The last chunk and an empty trailer section.
  public static let end: [UInt8] = Array("0\r\n\r\n".utf8)
}
