internal import Bytes

/// Takes the chunks of a body apart as they arrive, RFC 9112 §7.1, without copying data and without waiting for a whole chunk.
///
/// All bytes that are not data are consumed as they are seen; nothing need be kept for the next call.
public struct ChunkedDecoder: Sendable {
  /// What bounds the parts that are not data.
  public struct Limits: Sendable {
    /// Bytes of one chunk line, size and extensions, without CRLF: 256.
    public var lineBytes = 256
    /// Bytes of all extensions of a body together: 16 KiB. Many small chunks with long extensions cost more than they carry.
    public var extensionBytes = 16 * 1024
    /// Bytes of the trailer section: 8 KiB.
    public var trailerBytes = 8 * 1024

    /// The defaults.
    public init() {}
  }

  /// What a call found first.
  public enum Step: Equatable, Sendable {
    /// All bytes are consumed; the body goes on.
    case needMore
    /// Data of the body; the bytes up to the end of the range are consumed.
    case data(Range<Int>)
    /// The body is over; this many bytes are consumed and what follows is another message.
    case end(consumed: Int)
    /// The bytes are refused; what follows them must not be interpreted.
    case refused(HTTPRefusal)
  }

  private enum State: UInt8 {
    case sizeStart, size, extensionSpace, extensions, quoted, quotedPair, sizeLF, data, dataCR, dataLF, trailerStart, trailerName,
      trailerValue,
      trailerLF, endLF, ended, failed
  }

  private var state = State.sizeStart
  private var limits: Limits
  /// The size being read, or what is left of the current chunk's data.
  private var remaining: UInt64 = 0
  private var lineBytes = 0
  private var extensionBytes = 0
  private var trailerBytes = 0
  private var refusal = HTTPRefusal.chunkSizeInvalid
  private let keepsTrailers: Bool
  /// The trailer lines, CRLF included, if the decoder was asked to keep them.
  public private(set) var trailers: [UInt8] = []

  /// A decoder at the start of a body.
  ///
  /// - Parameter keepsTrailers: whether trailer lines are kept for `trailers` or only checked and dropped.
  public init(limits: Limits = Limits(), keepsTrailers: Bool = false) {
    self.limits = limits
    self.keepsTrailers = keepsTrailers
  }

  /// Whether the last chunk and the trailers were read.
  public var isEnded: Bool { state == .ended }

  /// Reads on; call again with what is left after `data`, until `needMore`, `end` or `refused`.
  public mutating func next(_ bytes: UnsafeRawBufferPointer) -> Step {
    var index = 0
    do throws(HTTPRefusal) {
      while index < bytes.count {
        if state == .data {
          let take = Int(min(remaining, UInt64(bytes.count - index)))
          remaining -= UInt64(take)
          if remaining == 0 { state = .dataCR }
          return .data(index..<index + take)
        }
        let byte = bytes[index]
        index += 1
        switch state {
        case .sizeStart, .size, .extensionSpace, .extensions, .quoted, .quotedPair, .sizeLF: try sizeLine(byte)
        case .dataCR:
          guard byte == ASCII.cr else { throw .chunkUnterminated }
          state = .dataLF
        case .dataLF:
          guard byte == ASCII.lf else { throw .chunkUnterminated }
          state = .sizeStart
        case .trailerStart, .trailerName, .trailerValue, .trailerLF, .endLF:
          try trailer(byte)
          if state == .ended { return .end(consumed: index) }
        case .data: break
        case .ended: return .end(consumed: 0)
        case .failed: return .refused(refusal)
        }
      }
    } catch {
      state = .failed
      refusal = error
      return .refused(error)
    }
    switch state {
    case .ended: return .end(consumed: 0)
    case .failed: return .refused(refusal)
    default: return .needMore
    }
  }

  /// One byte of `chunk-size [ chunk-ext ] CRLF`.
  private mutating func sizeLine(_ byte: UInt8) throws(HTTPRefusal) {
    if state == .sizeLF {
      guard byte == ASCII.lf else { throw .bareCR }
      lineBytes = 0
      state = remaining == 0 ? .trailerStart : .data
      return
    }
    if byte == ASCII.cr, state != .sizeStart, state != .extensionSpace, state != .quoted, state != .quotedPair {
      state = .sizeLF
      return
    }
    lineBytes += 1
    guard lineBytes <= limits.lineBytes else { throw .chunkLineTooLong }
    switch state {
    case .sizeStart:
      guard let digit = ASCII.hexValue(byte) else { throw byte == ASCII.lf ? .bareLF : .chunkSizeInvalid }
      remaining = UInt64(digit)
      state = .size
    case .size:
      if let digit = ASCII.hexValue(byte) {
        // Sixteen digits at most: leading zeros are no way to fill the line, and 2^63 is out of reach of any length.
        guard lineBytes <= 16, remaining >> 59 == 0 else { throw .chunkSizeTooLarge }
        remaining = remaining << 4 | UInt64(digit)
      } else if byte == UInt8(ascii: ";") {
        state = .extensions
      } else if byte == ASCII.space || byte == ASCII.tab {
        state = .extensionSpace
      } else {
        throw byte == ASCII.lf ? .bareLF : .chunkSizeInvalid
      }
    case .extensionSpace:
      // RFC 9112 §7.1.1 allows bad white space before `;`, and nowhere else.
      if byte == UInt8(ascii: ";") {
        state = .extensions
      } else if byte != ASCII.space, byte != ASCII.tab {
        throw .chunkSizeInvalid
      }
    default: try chunkExtension(byte)
    }
  }

  /// One byte of an extension: text up to CRLF; a quoted string must close before that, or readers that know quotes and
  /// readers that do not would end the line at different places.
  private mutating func chunkExtension(_ byte: UInt8) throws(HTTPRefusal) {
    extensionBytes += 1
    guard extensionBytes <= limits.extensionBytes else { throw .chunkLineTooLong }
    guard byte >= 0x20 || byte == ASCII.tab, byte < 0x7f else { throw byte == ASCII.lf ? .bareLF : .chunkExtensionInvalid }
    switch state {
    case .quotedPair: state = .quoted
    case .quoted:
      if byte == ASCII.quote { state = .extensions } else if byte == ASCII.backslash { state = .quotedPair }
    default:
      if byte == ASCII.quote {
        state = .quoted
      } else if !TokenTable.isToken(byte), byte != UInt8(ascii: ";"), byte != UInt8(ascii: "="), byte != ASCII.space, byte != ASCII.tab {
        throw .chunkExtensionInvalid
      }
    }
  }

  /// One byte of the trailer section, RFC 9112 §7.1.2: field lines, then an empty line.
  private mutating func trailer(_ byte: UInt8) throws(HTTPRefusal) {
    trailerBytes += 1
    guard trailerBytes <= limits.trailerBytes else { throw .trailersTooLarge }
    switch state {
    case .trailerStart:
      if byte == ASCII.cr {
        state = .endLF
        return
      }
      guard TokenTable.isToken(byte) else { throw .trailerInvalid }
      state = .trailerName
    case .trailerName:
      if byte == UInt8(ascii: ":") { state = .trailerValue } else if !TokenTable.isToken(byte) { throw .trailerInvalid }
    case .trailerValue:
      if byte == ASCII.cr {
        state = .trailerLF
      } else if (byte < 0x20 && byte != ASCII.tab) || byte == 0x7f {
        throw byte == ASCII.lf ? .bareLF : .trailerInvalid
      }
    case .trailerLF:
      guard byte == ASCII.lf else { throw .bareCR }
      state = .trailerStart
    default:
      guard byte == ASCII.lf else { throw .bareCR }
      state = .ended
      return
    }
    if keepsTrailers { trailers.append(byte) }
  }
}

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
  /// The last chunk and an empty trailer section.
  public static let end: [UInt8] = Array("0\r\n\r\n".utf8)
}
