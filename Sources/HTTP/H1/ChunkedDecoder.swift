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
    /// Lines of the trailer section: 128.
    public var trailerLines = 128

    /// The defaults.
    public init() {}

    /// The limits of a message whose head has these: the trailer section is as large as the head may be, in bytes and lines.
    public init(_ head: HeadLimits) {
      trailerBytes = head.headBytes
      trailerLines = head.fieldLines
    }
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
    // chunk-size
    case sizeStart, size
    // chunk-ext: white space before `;`, behind `;`, the name, white space behind it, behind `=`, the value
    case beforeSemicolon, nameStart, name, nameEnd, valueStart, value, quoted, quotedPair, quoteEnd
    case sizeLF
    case data, dataCR, dataLF
    case trailerStart, trailerName, trailerValue, trailerLF, endLF
    case ended, failed
  }

  private var state = State.sizeStart
  private var limits: Limits
  /// The size being read, or what is left of the current chunk's data.
  private var remaining: UInt64 = 0
  private var lineBytes = 0
  private var extensionBytes = 0
  private var trailerBytes = 0
  private var trailerLines = 0
  private var trailerName: [UInt8] = []
  private var refusal = HTTPRefusal.chunkSizeInvalid
  private let keepsTrailers: Bool
  /// The trailer lines as they came, CRLF included, if the decoder was asked to keep them; `TrailerSection` says which go on.
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
        default: try sizeLine(byte)
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
    if byte == ASCII.cr, state == .size || state == .name || state == .value || state == .quoteEnd {
      state = .sizeLF
      return
    }
    if byte == ASCII.lf { throw .bareLF }
    lineBytes += 1
    guard lineBytes <= limits.lineBytes else { throw .chunkLineTooLong }
    switch state {
    case .sizeStart:
      guard let digit = ASCII.hexValue(byte) else { throw .chunkSizeInvalid }
      remaining = UInt64(digit)
      state = .size
    case .size:
      if let digit = ASCII.hexValue(byte) {
        // Sixteen digits at most: leading zeros are no way to fill the line, and 2^63 is out of reach of any length.
        guard lineBytes <= 16, remaining >> 59 == 0 else { throw .chunkSizeTooLarge }
        remaining = remaining << 4 | UInt64(digit)
      } else if byte == UInt8(ascii: ";") {
        state = .nameStart
      } else if Self.isSpace(byte) {
        state = .beforeSemicolon
      } else {
        throw .chunkSizeInvalid
      }
    case .beforeSemicolon:
      // RFC 9112 §7.1.1 allows bad white space before `;`, not before the end of the line.
      if byte == UInt8(ascii: ";") { state = .nameStart } else if !Self.isSpace(byte) { throw .chunkSizeInvalid }
    default: try chunkExtension(byte)
    }
  }

  /// One byte of `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`, read to the letter: what reads quotes
  /// and what does not must end the line at the same place.
  private mutating func chunkExtension(_ byte: UInt8) throws(HTTPRefusal) {
    extensionBytes += 1
    guard extensionBytes <= limits.extensionBytes else { throw .chunkLineTooLong }
    let next: State?
    switch state {
    case .nameStart: next = TokenTable.isToken(byte) ? .name : Self.isSpace(byte) ? .nameStart : nil
    case .name, .nameEnd:
      if byte == UInt8(ascii: "=") {
        next = .valueStart
      } else if byte == UInt8(ascii: ";") {
        next = .nameStart
      } else if Self.isSpace(byte) {
        next = .nameEnd
      } else {
        next = state == .name && TokenTable.isToken(byte) ? .name : nil
      }
    case .valueStart:
      next = TokenTable.isToken(byte) ? .value : byte == ASCII.quote ? .quoted : Self.isSpace(byte) ? .valueStart : nil
    case .value, .quoteEnd:
      if byte == UInt8(ascii: ";") {
        next = .nameStart
      } else if Self.isSpace(byte) {
        next = .beforeSemicolon
      } else {
        next = state == .value && TokenTable.isToken(byte) ? .value : nil
      }
    case .quoted: next = byte == ASCII.quote ? .quoteEnd : byte == ASCII.backslash ? .quotedPair : Self.isQuotable(byte) ? .quoted : nil
    case .quotedPair: next = Self.isQuotable(byte) ? .quoted : nil
    default: next = nil
    }
    guard let next else { throw .chunkExtensionInvalid }
    state = next
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == ASCII.space || byte == ASCII.tab }
  private static func isQuotable(_ byte: UInt8) -> Bool { (byte >= 0x20 && byte != 0x7f) || byte == ASCII.tab }

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
      guard TokenTable.isToken(byte) else { throw byte == ASCII.lf ? .bareLF : .trailerInvalid }
      trailerLines += 1
      guard trailerLines <= limits.trailerLines else { throw .tooManyTrailers }
      trailerName.removeAll(keepingCapacity: true)
      trailerName.append(byte)
      state = .trailerName
    case .trailerName:
      if byte == UInt8(ascii: ":") {
        try checkTrailerName()
        state = .trailerValue
      } else {
        guard TokenTable.isToken(byte) else { throw .trailerInvalid }
        guard trailerName.count < FieldLineScanner.longestName else { throw .fieldNameTooLong }
        trailerName.append(byte)
      }
    case .trailerValue:
      if byte == ASCII.cr {
        state = .trailerLF
      } else if (byte < 0x20 && byte != ASCII.tab) || byte == 0x7f {
        throw byte == ASCII.lf ? .bareLF : .trailerInvalid
      }
    case .trailerLF:
      guard byte == ASCII.lf else { throw .bareCR }
      if keepsTrailers { trailers.append(byte) }
      state = .trailerStart
      return
    default:
      guard byte == ASCII.lf else { throw .bareCR }
      state = .ended
      return
    }
    // The name was kept as a whole when its colon came.
    if keepsTrailers, state != .trailerName { trailers.append(byte) }
  }
}

extension ChunkedDecoder {
  /// A length or a host behind the body: whoever reads it as the head's would find another message than was decided on.
  private mutating func checkTrailerName() throws(HTTPRefusal) {
    let known = trailerName.withUnsafeBytes { KnownField(name: $0) }
    guard known.bit & Self.refusedTrailers == 0 else { throw .trailerForbidden }
    if keepsTrailers { trailers.append(contentsOf: trailerName) }
  }

  private static var refusedTrailers: UInt64 {
    KnownField.contentLength.bit | KnownField.transferEncoding.bit | KnownField.host.bit
  }
}
