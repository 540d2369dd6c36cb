internal import Bytes
internal import JSON

/// Bytes of lines in the making, in memory that is kept from line to line.
struct LineBuffer {
  private var storage: [UInt8] = []
  /// How many bytes are written; the storage is longer.
  private(set) var count = 0

  /// What is written, as an array of its own.
  var bytes: [UInt8] { Array(storage[..<count]) }

  mutating func removeAll() { count = 0 }

  /// Hands storage and count over and continues with another buffer's memory.
  mutating func take(replacingWith empty: [UInt8]) -> (storage: [UInt8], count: Int) {
    let taken = (storage, count)
    storage = empty
    count = 0
    return taken
  }

  /// Appends what the body writes. If it needs more room than there is, it is run again from the start with more.
  mutating func write(_ body: (inout LineCursor) -> Void) {
    var room = Self.usualRoom
    while true {
      if storage.count < count + room { storage.append(contentsOf: repeatElement(0, count: count + room - storage.count)) }
      let start = count
      let end: Int? = storage.withUnsafeMutableBytes { raw in
        var cursor = LineCursor(UnsafeMutableRawBufferPointer(rebasing: raw[start...]))
        body(&cursor)
        return cursor.isFull ? nil : start + cursor.position
      }
      if let end {
        count = end
        return
      }
      room = (storage.count - count) * 4
    }
  }

  // Twice the longest usual line, so that growing is rare.
  private static let usualRoom = 2048
}

/// Writes into memory of fixed length. What does not fit is not written, and `isFull` says so.
///
/// One bounds check a piece, none a byte: the line is most of what a request costs us here.
struct LineCursor {
  private let room: UnsafeMutableRawBufferPointer
  private(set) var position = 0
  private(set) var isFull = false

  init(_ room: UnsafeMutableRawBufferPointer) { self.room = room }

  private mutating func makesRoom(_ count: Int) -> Bool {
    if count <= room.count - position { return true }
    isFull = true
    return false
  }

  mutating func append(_ byte: UInt8) {
    guard makesRoom(1) else { return }
    room[position] = byte
    position += 1
  }

  mutating func append(_ text: StaticString) {
    append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  mutating func append(_ bytes: [UInt8]) { bytes.withUnsafeBytes { append($0) } }

  /// Text of our own, which needs no escape.
  mutating func append(own text: String) { append(Array(text.utf8)) }

  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard makesRoom(bytes.count), let target = room.baseAddress, let source = bytes.baseAddress else { return }
    (target + position).copyMemory(from: source, byteCount: bytes.count)
    position += bytes.count
  }

  mutating func append(integer value: some FixedWidthInteger) {
    var magnitude = UInt64(truncatingIfNeeded: value.magnitude)
    if value < 0 { append(UInt8(ascii: "-")) }
    var digits = 1
    var bound: UInt64 = 10
    while digits < Self.longestInteger && magnitude >= bound {
      digits += 1
      bound = bound &* 10
    }
    guard makesRoom(digits) else { return }
    for offset in stride(from: digits - 1, through: 0, by: -1) {
      let (quotient, remainder) = magnitude.quotientAndRemainder(dividingBy: 10)
      room[position + offset] = 0x30 &+ UInt8(truncatingIfNeeded: remainder)
      magnitude = quotient
    }
    position += digits
  }

  mutating func append(id: DecisionID) {
    guard makesRoom(DecisionID.textLength) else { return }
    id.write(to: UnsafeMutableRawBufferPointer(rebasing: room[position..<(position + DecisionID.textLength)]))
    position += DecisionID.textLength
  }

  /// How many characters stand between an earlier position and here; bytes of continuation take no place.
  func characters(since start: Int) -> Int {
    room[start..<position].reduce(0) { $0 + ($1 & 0xc0 == 0x80 ? 0 : 1) }
  }

  /// Appends a string's content, escaped, and cut after `limit` bytes with `…`.
  mutating func append(escaping text: String, limit: Int, as style: Escape = .json) {
    let done: Void? = text.utf8.withContiguousStorageIfAvailable { appendEscaped(UnsafeRawBufferPointer($0), limit: limit, style: style) }
    if done == nil {
      Array(text.utf8).withUnsafeBytes { appendEscaped($0, limit: limit, style: style) }
    }
  }

  /// Appends a JSON value, its strings escaped as all strings of a line are.
  mutating func append(json value: JSONValue) {
    switch value.kind {
    case .null: append("null")
    case .bool(let flag): append(flag ? "true" : "false")
    case .integer(let number): append(integer: number)
    case .number(let text): append(Array(text.utf8))
    case .string(let text): append(quoting: text)
    case .array(let elements):
      append("[")
      for (index, element) in elements.enumerated() {
        if index > 0 { append(",") }
        append(json: element)
      }
      append("]")
    case .object(let members):
      append("{")
      for (index, member) in members.enumerated() {
        if index > 0 { append(",") }
        append(quoting: member.name)
        append(":")
        append(json: member.value)
      }
      append("}")
    }
  }

  private mutating func append(quoting text: String) {
    append(ASCII.quote)
    append(escaping: text, limit: .max)
    append(ASCII.quote)
  }

  private mutating func appendEscaped(_ text: UnsafeRawBufferPointer, limit: Int, style: Escape) {
    var end = text.count
    if end > limit {
      end = limit
      // Never cut inside a character: step back over continuation bytes.
      while end > 0, text[end] & 0xc0 == 0x80 { end -= 1 }
    }
    guard makesRoom(end) else { return }
    var next = 0
    while next < end {
      next = copyPlain(text, from: next, to: end)
      if next < end { next = appendSpecial(text, at: next, end: end, style: style) }
      // Escapes are longer than what they stand for: what is left may not fit any more.
      guard makesRoom(end - next) else { return }
    }
    if end < text.count { append("…") }
  }

  /// Copies up to the first byte that may need an escape: controls, `"`, `\`, DEL, and whatever is not ASCII.
  ///
  /// Eight bytes at a time in one word: `(x - 1) & ~x` has a byte's high bit set if that byte is zero, and only bytes above
  /// the first such one can be reported wrongly. INVARIANT: there is room for `end - from` bytes.
  private mutating func copyPlain(_ text: UnsafeRawBufferPointer, from: Int, to end: Int) -> Int {
    var next = from
    while next + 8 <= end {
      let word = text.loadUnaligned(fromByteOffset: next, as: UInt64.self)
      let quote = word ^ (Self.ones &* UInt64(ASCII.quote))
      let backslash = word ^ (Self.ones &* UInt64(ASCII.backslash))
      let delete = word ^ (Self.ones &* 0x7f)
      let low = (word &- Self.ones &* 0x20) & ~word
      let special =
        word | low | ((quote &- Self.ones) & ~quote) | ((backslash &- Self.ones) & ~backslash) | ((delete &- Self.ones) & ~delete)
      if special & (Self.ones &* 0x80) != 0 { break }
      room.storeBytes(of: word, toByteOffset: position, as: UInt64.self)
      position += 8
      next += 8
    }
    while next < end {
      let byte = text[next]
      if byte < 0x20 || byte == ASCII.quote || byte == ASCII.backslash || byte >= 0x7f { break }
      room[position] = byte
      position += 1
      next += 1
    }
    return next
  }

  /// Appends the character that begins at a special byte; returns the offset after it.
  private mutating func appendSpecial(_ text: UnsafeRawBufferPointer, at offset: Int, end: Int, style: Escape) -> Int {
    let byte = text[offset]
    switch byte {
    case ASCII.quote, ASCII.backslash:
      if style == .json { append(ASCII.backslash) }
      append(byte)
      return offset + 1
    case 0..<0x80:
      appendEscape(UInt32(byte), style: style)
      return offset + 1
    default:
      let length = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
      let next = min(offset + length, end)
      var scalar = UInt32(byte) & (0x7f >> UInt32(length))
      for index in (offset + 1)..<max(next, offset + 1) { scalar = scalar << 6 | UInt32(text[index] & 0x3f) }
      if Self.disguises(scalar) {
        appendEscape(scalar, style: style)
      } else {
        append(UnsafeRawBufferPointer(rebasing: text[offset..<next]))
      }
      return next
    }
  }

  private mutating func appendEscape(_ scalar: UInt32, style: Escape) {
    append(style == .json ? "\\u" : "\\u{")
    for shift: UInt32 in [12, 8, 4, 0] where style == .json || shift < 8 || scalar >> shift != 0 {
      append(Hex.digit(UInt8(truncatingIfNeeded: scalar >> shift & 0xf)))
    }
    if style == .text { append("}") }
  }

  /// Characters that end a line for some readers (U+0085, U+2028, U+2029), drive a terminal (C1), or turn text around.
  private static func disguises(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0x80...0x9f, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069: true
    default: false
    }
  }

  /// How a dangerous character is written.
  enum Escape: Equatable {
    /// `\u001b`, and `\"`.
    case json
    /// `\u{1b}`; quotes stay.
    case text
  }

  private static let ones: UInt64 = 0x0101_0101_0101_0101
  // The digits of UInt64.max.
  private static let longestInteger = 20
}
