internal import Bytes
internal import JSON

/// Finds `iss` among claims that nobody has vouched for yet, and reads nothing else of them.
///
/// It only helps to find keys, so it may be lax where the JSON reader is strict: behind a good signature the claims are read in full, and
/// what is found there must be the same. Until then a stranger's 32 KiB of numbers cost no more than a walk over their bytes.
enum IssuerScan {
  /// Most bytes of the text of `iss`, escapes included.
  static let textLimit = 4096

  /// The first `iss` of the top level, if it is a string.
  static func issuer(in payload: [UInt8]) -> String? {
    guard let range = payload.withUnsafeBytes({ place(in: $0) }), range.count <= textLimit else { return nil }
    do throws(JSONError) {
      return try JSONParser.parse(payload[range]).string
    } catch {
      return nil
    }
  }

  /// Where the string stands, quotes included.
  private static func place(in text: UnsafeRawBufferPointer) -> Range<Int>? {
    var at = skipWhitespace(text, 0)
    guard at < text.count, text[at] == UInt8(ascii: "{") else { return nil }
    at += 1
    var depth = 1
    var expectsName = true
    while at < text.count {
      switch text[at] {
      case ASCII.quote:
        guard let end = endOfString(text, from: at) else { return nil }
        if expectsName, depth == 1 {
          expectsName = false
          if spellsName(text, at + 1, end - 1) { return value(in: text, after: end) }
        }
        at = end
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
        at += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        depth -= 1
        at += 1
        if depth == 0 { return nil }
      case UInt8(ascii: ","):
        if depth == 1 { expectsName = true }
        at += 1
      default: at += 1
      }
    }
    return nil
  }

  private static func value(in text: UnsafeRawBufferPointer, after name: Int) -> Range<Int>? {
    var at = skipWhitespace(text, name)
    guard at < text.count, text[at] == UInt8(ascii: ":") else { return nil }
    at = skipWhitespace(text, at + 1)
    guard at < text.count, text[at] == ASCII.quote, let end = endOfString(text, from: at) else { return nil }
    return at..<end
  }

  /// Where the string that begins at a quote is over, the closing quote included.
  private static func endOfString(_ text: UnsafeRawBufferPointer, from start: Int) -> Int? {
    var at = start + 1
    while at < text.count {
      switch text[at] {
      case ASCII.quote: return at + 1
      case ASCII.backslash: at += 2
      default: at += 1
      }
    }
    return nil
  }

  /// Whether the bytes between two quotes spell `iss`, each letter plain or as `\u00xx`.
  private static func spellsName(_ text: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> Bool {
    var at = start
    for letter in [UInt8(ascii: "i"), UInt8(ascii: "s"), UInt8(ascii: "s")] {
      guard at < end else { return false }
      if text[at] == letter {
        at += 1
      } else {
        guard at + 6 <= end, text[at] == ASCII.backslash, text[at + 1] == UInt8(ascii: "u"), text[at + 2] == 0x30, text[at + 3] == 0x30,
          let high = ASCII.hexValue(text[at + 4]), let low = ASCII.hexValue(text[at + 5]), high << 4 | low == letter
        else { return false }
        at += 6
      }
    }
    return at == end
  }

  private static func skipWhitespace(_ text: UnsafeRawBufferPointer, _ start: Int) -> Int {
    var at = start
    while at < text.count, isWhitespace(text[at]) { at += 1 }
    return at
  }

  private static func isWhitespace(_ byte: UInt8) -> Bool {
    byte == ASCII.space || byte == ASCII.tab || byte == ASCII.lf || byte == ASCII.cr
  }
}
