internal import Bytes

/// What the text between the quotes of a literal stands for (Cedar reference, "string escapes").
///
/// Schemas use the same escapes as policies.
public enum StringLiteral {
  /// A piece of a literal that is no valid escape.
  public struct BadEscape: Error, Sendable, Equatable {
    /// The piece as written.
    public let text: String
  }

  /// The string that a literal's content stands for, and its mistakes.
  public static func unescape(_ content: some Collection<UInt8>) -> (string: String, errors: [BadEscape]) {
    if !content.contains(where: { $0 == ASCII.backslash || $0 == ASCII.cr }) { return (String(decoding: content, as: UTF8.self), []) }
    var out: [UInt8] = []
    var errors: [BadEscape] = []
    scan(Array(content), star: false) { piece in
      switch piece {
      case .scalar(let scalar, _): out.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
      case .bad(let text): errors.append(BadEscape(text: text))
      }
    }
    return (String(decoding: out, as: UTF8.self), errors)
  }

  /// The pattern that a literal's content stands for, and its mistakes: a `*` that no `\*` made is a wildcard.
  public static func pattern(_ content: some Collection<UInt8>) -> (pattern: Pattern, errors: [BadEscape]) {
    var elements: [Pattern.Element] = []
    var errors: [BadEscape] = []
    scan(Array(content), star: true) { piece in
      switch piece {
      case .scalar("*", let isEscapedStar): elements.append(isEscapedStar ? .scalar("*") : .wildcard)
      case .scalar(let scalar, _): elements.append(.scalar(scalar))
      case .bad(let text): errors.append(BadEscape(text: text))
      }
    }
    return (Pattern(elements), errors)
  }

  private enum Piece {
    /// A scalar, and whether it was written `\*`.
    case scalar(Unicode.Scalar, Bool)
    case bad(String)
  }

  private static func scan(_ content: [UInt8], star: Bool, _ emit: (Piece) -> Void) {
    var at = 0
    while at < content.count {
      let byte = content[at]
      if byte == ASCII.backslash {
        let start = at
        at += 1
        if let scalar = escape(content, &at) {
          emit(.scalar(scalar, false))
        } else if star, at < content.count, content[at] == UInt8(ascii: "*") {
          at += 1
          emit(.scalar("*", true))
        } else {
          // The rest of a failed \x or \u is shown with it; the scan goes on behind the letter.
          var end = min(at + 1, content.count)
          while end < content.count, content[end] & 0xc0 == 0x80 { end += 1 }
          emit(.bad(String(decoding: content[start..<end], as: UTF8.self)))
          at = end
        }
      } else if byte == ASCII.cr {
        emit(.bad("\\r"))
        at += 1
      } else if byte < 0x80 {
        emit(.scalar(Unicode.Scalar(byte), false))
        at += 1
      } else {
        var end = at + 1
        while end < content.count, content[end] & 0xc0 == 0x80 { end += 1 }
        for scalar in String(decoding: content[at..<end], as: UTF8.self).unicodeScalars { emit(.scalar(scalar, false)) }
        at = end
      }
    }
  }

  /// Reads what follows a backslash; nil leaves `at` where it was.
  private static func escape(_ content: [UInt8], _ at: inout Int) -> Unicode.Scalar? {
    guard at < content.count else { return nil }
    switch content[at] {
    case UInt8(ascii: "n"): return simple("\n", &at)
    case UInt8(ascii: "r"): return simple("\r", &at)
    case UInt8(ascii: "t"): return simple("\t", &at)
    case UInt8(ascii: "0"): return simple("\0", &at)
    case ASCII.backslash: return simple("\\", &at)
    case ASCII.quote: return simple("\"", &at)
    case UInt8(ascii: "'"): return simple("'", &at)
    case UInt8(ascii: "x"):
      guard at + 2 < content.count, let high = ASCII.hexValue(content[at + 1]), high < 8, let low = ASCII.hexValue(content[at + 2]) else {
        return nil
      }
      at += 3
      return Unicode.Scalar(high << 4 | low)
    case UInt8(ascii: "u"):
      guard at + 2 < content.count, content[at + 1] == UInt8(ascii: "{") else { return nil }
      var index = at + 2
      var value: UInt32 = 0
      var digits = 0
      while index < content.count, content[index] != UInt8(ascii: "}") {
        if content[index] == UInt8(ascii: "_") {
          guard digits > 0 else { return nil }
        } else {
          guard let digit = ASCII.hexValue(content[index]), digits < 6 else { return nil }
          value = value << 4 | UInt32(digit)
          digits += 1
        }
        index += 1
      }
      guard index < content.count, digits > 0, let scalar = Unicode.Scalar(value) else { return nil }
      at = index + 1
      return scalar
    default: return nil
    }
  }

  private static func simple(_ scalar: Unicode.Scalar, _ at: inout Int) -> Unicode.Scalar {
    at += 1
    return scalar
  }
}
