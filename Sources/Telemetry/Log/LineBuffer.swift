internal import Bytes

/// Bytes of lines in the making: appends runs, escapes what could end or disguise a line.
struct LineBuffer {
  private(set) var bytes: [UInt8] = []

  var count: Int { bytes.count }

  mutating func reserve(_ capacity: Int) { bytes.reserveCapacity(capacity) }

  mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

  /// Hands the bytes over and continues with another buffer's memory.
  mutating func take(replacingWith empty: [UInt8]) -> [UInt8] {
    var next = empty
    next.removeAll(keepingCapacity: true)
    swap(&bytes, &next)
    return next
  }

  mutating func append(_ byte: UInt8) { bytes.append(byte) }

  mutating func append(_ text: StaticString) {
    bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  mutating func append(_ more: [UInt8]) { bytes.append(contentsOf: more) }

  mutating func append(integer value: some FixedWidthInteger) {
    var magnitude = UInt64(truncatingIfNeeded: value.magnitude)
    if value < 0 { bytes.append(UInt8(ascii: "-")) }
    if magnitude < 10 { return bytes.append(0x30 &+ UInt8(truncatingIfNeeded: magnitude)) }
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.longestInteger) { digits in
      var start = Self.longestInteger
      repeat {
        start -= 1
        let (quotient, remainder) = magnitude.quotientAndRemainder(dividingBy: 10)
        digits[start] = 0x30 &+ UInt8(truncatingIfNeeded: remainder)
        magnitude = quotient
      } while magnitude != 0
      bytes.append(contentsOf: UnsafeBufferPointer(rebasing: digits[start...]))
    }
  }

  mutating func append(id: DecisionID) {
    withUnsafeTemporaryAllocation(byteCount: DecisionID.textLength, alignment: 1) { buffer in
      id.write(to: buffer)
      bytes.append(contentsOf: buffer)
    }
  }

  /// Appends a string's content, escaped for JSON and cut after `limit` bytes with `…`.
  mutating func append(escaping text: String, limit: Int, as style: Escape = .json) {
    let done: Void? = text.utf8.withContiguousStorageIfAvailable { appendEscaped($0, limit: limit, style: style) }
    if done == nil {
      Array(text.utf8).withUnsafeBufferPointer { appendEscaped($0, limit: limit, style: style) }
    }
  }

  private mutating func appendEscaped(_ text: UnsafeBufferPointer<UInt8>, limit: Int, style: Escape) {
    var end = text.count
    if end > limit {
      end = limit
      // Never cut inside a character: step back over continuation bytes.
      while end > 0, text[end] & 0xc0 == 0x80 { end -= 1 }
    }
    var position = 0
    while position < end {
      let stop = Self.nextSpecial(in: text, from: position, to: end)
      if stop > position { bytes.append(contentsOf: UnsafeBufferPointer(rebasing: text[position..<stop])) }
      guard stop < end else { break }
      position = appendSpecial(text, at: stop, end: end, style: style)
    }
    if end < text.count { append("…") }
  }

  /// Appends the character that begins at a special byte; returns the position after it.
  private mutating func appendSpecial(_ text: UnsafeBufferPointer<UInt8>, at position: Int, end: Int, style: Escape) -> Int {
    let byte = text[position]
    switch byte {
    case ASCII.quote, ASCII.backslash:
      if style == .json { bytes.append(ASCII.backslash) }
      bytes.append(byte)
      return position + 1
    case 0..<0x20, 0x7f:
      appendEscape(UInt32(byte), style: style)
      return position + 1
    default:
      let length = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
      let next = min(position + length, end)
      var scalar = UInt32(byte) & (0x7f >> UInt32(length))
      for index in position + 1..<max(next, position + 1) { scalar = scalar << 6 | UInt32(text[index] & 0x3f) }
      if Self.disguises(scalar) {
        appendEscape(scalar, style: style)
      } else {
        bytes.append(contentsOf: UnsafeBufferPointer(rebasing: text[position..<next]))
      }
      return next
    }
  }

  private mutating func appendEscape(_ scalar: UInt32, style: Escape) {
    switch style {
    case .json:
      append("\\u")
      for shift: UInt32 in [12, 8, 4, 0] { bytes.append(Hex.digit(UInt8(truncatingIfNeeded: scalar >> shift & 0xf))) }
    case .text:
      append("\\u{")
      for shift: UInt32 in [12, 8, 4, 0] where shift < 8 || scalar >> shift != 0 {
        bytes.append(Hex.digit(UInt8(truncatingIfNeeded: scalar >> shift & 0xf)))
      }
      append("}")
    }
  }

  /// Characters that end a line for some readers (U+0085, U+2028, U+2029), drive a terminal (C1), or turn text around.
  private static func disguises(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0x80...0x9f, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069: true
    default: false
    }
  }

  /// The first byte at or after `from` that may need an escape: controls, `"`, `\`, DEL, and the lead bytes C2 and E2,
  /// under which every disguising character lies.
  private static func nextSpecial(in text: UnsafeBufferPointer<UInt8>, from: Int, to end: Int) -> Int {
    var position = from
    let raw = UnsafeRawBufferPointer(text)
    while position + 16 <= end {
      let lane = raw.loadUnaligned(fromByteOffset: position, as: SIMD16<UInt8>.self)
      let special =
        (lane .< SIMD16(repeating: 0x20)) .| (lane .== SIMD16(repeating: ASCII.quote)) .| (lane .== SIMD16(repeating: ASCII.backslash))
        .| (lane .== SIMD16(repeating: 0x7f)) .| (lane .== SIMD16(repeating: 0xc2)) .| (lane .== SIMD16(repeating: 0xe2))
      if any(special) { break }
      position += 16
    }
    while position < end {
      let byte = text[position]
      if byte < 0x20 || byte == ASCII.quote || byte == ASCII.backslash || byte == 0x7f || byte == 0xc2 || byte == 0xe2 { break }
      position += 1
    }
    return position
  }

  /// How a dangerous character is written.
  enum Escape {
    /// `\u001b`, and `\"`.
    case json
    /// `\u{1b}`; quotes stay.
    case text
  }

  // The digits of UInt64.max.
  private static let longestInteger = 20
}

extension LineBuffer.Escape: Equatable {}
