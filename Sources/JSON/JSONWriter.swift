internal import Bytes

/// Writes JSON as UTF-8 bytes, compact, ready for one line of a log.
///
/// Commas are kept by the writer; the caller opens, names and closes. Control characters, U+2028 and U+2029 are always
/// escaped, so nothing that came from outside can end a line.
public struct JSONWriter: Sendable {
  /// What was written so far.
  public private(set) var bytes: [UInt8] = []
  private var needsComma = false

  /// An empty writer.
  public init(reserving capacity: Int = 0) { bytes.reserveCapacity(capacity) }

  /// The text written so far.
  public var text: String { String(decoding: bytes, as: UTF8.self) }

  /// Empties the writer and keeps its memory.
  public mutating func reset() {
    bytes.removeAll(keepingCapacity: true)
    needsComma = false
  }

  /// Ends a line: one `\n`, and the next value stands for itself.
  public mutating func endLine() {
    bytes.append(ASCII.lf)
    needsComma = false
  }

  /// Writes `{`.
  public mutating func beginObject() { open(UInt8(ascii: "{")) }
  /// Writes `}`.
  public mutating func endObject() { close(UInt8(ascii: "}")) }
  /// Writes `[`.
  public mutating func beginArray() { open(UInt8(ascii: "[")) }
  /// Writes `]`.
  public mutating func endArray() { close(UInt8(ascii: "]")) }

  /// Writes a member's name, known at compile time to need no escape.
  public mutating func name(_ name: StaticString) {
    comma()
    bytes.append(ASCII.quote)
    bytes.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    bytes.append(ASCII.quote)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  /// Writes a member's name.
  public mutating func name(_ name: String) {
    comma()
    quoted(name)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  /// Writes a string.
  public mutating func string(_ value: String) {
    comma()
    quoted(value)
    needsComma = true
  }

  /// Writes bytes as a string; bytes that are not UTF-8 become U+FFFD.
  public mutating func string(bytes value: UnsafeRawBufferPointer) {
    comma()
    bytes.append(ASCII.quote)
    if value.allSatisfy({ $0 >= 0x20 && $0 < 0x7f && $0 != ASCII.quote && $0 != ASCII.backslash }) {
      bytes.append(contentsOf: value)
    } else {
      escape(String(decoding: value, as: UTF8.self).utf8)
    }
    bytes.append(ASCII.quote)
    needsComma = true
  }

  /// Writes an integer.
  public mutating func integer(_ value: some BinaryInteger) {
    comma()
    var magnitude = value.magnitude
    if value < 0 { bytes.append(UInt8(ascii: "-")) }
    let start = bytes.count
    repeat {
      let (quotient, remainder) = magnitude.quotientAndRemainder(dividingBy: 10)
      bytes.append(0x30 + UInt8(truncatingIfNeeded: remainder))
      magnitude = quotient
    } while magnitude != 0
    bytes[start...].reverse()
    needsComma = true
  }

  /// Writes `true` or `false`.
  public mutating func bool(_ value: Bool) { raw(value ? "true" : "false") }
  /// Writes `null`.
  public mutating func null() { raw("null") }

  /// Writes text that already is one JSON value.
  public mutating func raw(_ value: StaticString) {
    comma()
    bytes.append(contentsOf: UnsafeBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount))
    needsComma = true
  }

  /// Writes text that already is one JSON value, such as a number kept as written.
  public mutating func raw(text value: some StringProtocol) {
    comma()
    bytes.append(contentsOf: value.utf8)
    needsComma = true
  }

  /// Writes bytes that already are one JSON value.
  public mutating func raw(bytes value: some Sequence<UInt8>) {
    comma()
    bytes.append(contentsOf: value)
    needsComma = true
  }

  /// Writes a whole value.
  public mutating func value(_ value: JSONValue) {
    switch value.kind {
    case .null: null()
    case .bool(let flag): bool(flag)
    case .integer(let number): integer(number)
    case .number(let text): raw(text: text)
    case .string(let text): string(text)
    case .array(let elements):
      beginArray()
      for element in elements { self.value(element) }
      endArray()
    case .object(let members):
      beginObject()
      for member in members {
        name(member.name)
        self.value(member.value)
      }
      endObject()
    }
  }

  private mutating func comma() { if needsComma { bytes.append(UInt8(ascii: ",")) } }

  private mutating func open(_ bracket: UInt8) {
    comma()
    bytes.append(bracket)
    needsComma = false
  }

  private mutating func close(_ bracket: UInt8) {
    bytes.append(bracket)
    needsComma = true
  }

  private mutating func quoted(_ value: String) {
    var text = value
    bytes.append(ASCII.quote)
    text.withUTF8 { text in
      // Most strings need no escape: they are looked through once and copied once.
      if text.allSatisfy({ $0 >= 0x20 && $0 < 0x7f && $0 != ASCII.quote && $0 != ASCII.backslash }) {
        bytes.append(contentsOf: text)
      } else {
        escape(text)
      }
    }
    bytes.append(ASCII.quote)
  }

  private mutating func escape(_ text: some Sequence<UInt8>) {
    for byte in text {
      switch byte {
      case ASCII.quote, ASCII.backslash:
        bytes.append(ASCII.backslash)
        bytes.append(byte)
      case ASCII.lf: bytes.append(contentsOf: [ASCII.backslash, UInt8(ascii: "n")])
      case ASCII.cr: bytes.append(contentsOf: [ASCII.backslash, UInt8(ascii: "r")])
      case ASCII.tab: bytes.append(contentsOf: [ASCII.backslash, UInt8(ascii: "t")])
      case 0..<0x20, 0x7f:
        bytes.append(contentsOf: [ASCII.backslash, UInt8(ascii: "u"), 0x30, 0x30, Hex.digit(byte >> 4), Hex.digit(byte & 0xf)])
      default:
        bytes.append(byte)
        // U+2028 and U+2029 (E2 80 A8, E2 80 A9) end lines in some readers.
        if byte == 0xa8 || byte == 0xa9, bytes.count >= 3, bytes[bytes.count - 2] == 0x80, bytes[bytes.count - 3] == 0xe2 {
          bytes.removeLast(3)
          bytes.append(contentsOf: Array("\\u202".utf8))
          bytes.append(byte == 0xa8 ? 0x38 : 0x39)
        }
      }
    }
  }
}

extension JSONValue {
  /// The value as compact JSON text.
  public var text: String {
    var writer = JSONWriter()
    writer.value(self)
    return writer.text
  }
}
