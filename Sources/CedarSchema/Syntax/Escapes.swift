internal import Bytes

/// An escape that Cedar does not have.
struct EscapeError: Error {
  /// The escape as written.
  var input: String
  /// Byte offsets in the text between the quotes.
  var start: Int
  var end: Int
}

/// Escapes of Cedar string literals (Cedar reference, "strings").
enum Escapes {
  /// What the text between the quotes of a literal means.
  static func resolve(_ text: String) throws(EscapeError) -> String {
    let bytes = Array(text.utf8)
    guard bytes.contains(where: { $0 == ASCII.backslash || $0 == ASCII.cr }) else { return text }
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count)
    var at = 0
    while at < bytes.count {
      let byte = bytes[at]
      // A carriage return must be escaped: a file's line ends must not change what its literals mean.
      if byte == ASCII.cr { throw error(bytes, at, at + 1) }
      guard byte == ASCII.backslash else {
        out.append(byte)
        at += 1
        continue
      }
      let start = at
      guard at + 1 < bytes.count else { throw error(bytes, start, at + 1) }
      at += 2
      switch bytes[start + 1] {
      case UInt8(ascii: "n"): out.append(ASCII.lf)
      case UInt8(ascii: "r"): out.append(ASCII.cr)
      case UInt8(ascii: "t"): out.append(ASCII.tab)
      case UInt8(ascii: "0"): out.append(0)
      case ASCII.backslash, ASCII.quote, UInt8(ascii: "'"): out.append(bytes[start + 1])
      case UInt8(ascii: "x"):
        guard at + 2 <= bytes.count, let high = ASCII.hexValue(bytes[at]), let low = ASCII.hexValue(bytes[at + 1]), high < 8 else {
          throw error(bytes, start, min(at + 2, bytes.count))
        }
        out.append(high << 4 | low)
        at += 2
      case UInt8(ascii: "u"): try scalar(bytes, start, &at, into: &out)
      default: throw error(bytes, start, at)
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// `\u{H…}`: one to six hexadecimal digits, underscores allowed behind the first.
  private static func scalar(_ bytes: [UInt8], _ start: Int, _ at: inout Int, into out: inout [UInt8]) throws(EscapeError) {
    guard at < bytes.count, bytes[at] == UInt8(ascii: "{") else { throw error(bytes, start, at) }
    at += 1
    var value: UInt32 = 0
    var digits = 0
    while at < bytes.count, bytes[at] != UInt8(ascii: "}") {
      if bytes[at] == UInt8(ascii: "_"), digits > 0 {
        at += 1
        continue
      }
      guard let digit = ASCII.hexValue(bytes[at]), digits < 6 else { throw error(bytes, start, at + 1) }
      value = value << 4 | UInt32(digit)
      digits += 1
      at += 1
    }
    guard at < bytes.count, digits > 0, let scalar = Unicode.Scalar(value) else { throw error(bytes, start, min(at + 1, bytes.count)) }
    at += 1
    out.append(contentsOf: Array(String(Character(scalar)).utf8))
  }

  private static func error(_ bytes: [UInt8], _ start: Int, _ end: Int) -> EscapeError {
    // The end must not cut a character in two.
    var end = end
    while end < bytes.count, bytes[end] & 0xc0 == 0x80 { end += 1 }
    return EscapeError(input: String(decoding: bytes[start..<end], as: UTF8.self), start: start, end: end)
  }
}
