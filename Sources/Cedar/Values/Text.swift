/// Byte order and hashing of strings: Cedar compares strings by their scalar values and normalises nothing, while
/// Swift's `String` compares by canonical equivalence. UTF-8 byte order is scalar order.
enum Text {
  /// Whether `a` comes before `b` in byte order.
  @inline(__always) static func precedes(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }

  /// Negative, zero or positive as `a` comes before, is, or comes after `b` in byte order.
  static func compare(_ a: String, _ b: String) -> Int {
    var left = a.utf8.makeIterator()
    var right = b.utf8.makeIterator()
    while true {
      switch (left.next(), right.next()) {
      case (nil, nil): return 0
      case (nil, _): return -1
      case (_, nil): return 1
      case (let x?, let y?): if x != y { return x < y ? -1 : 1 }
      }
    }
  }

  /// Feeds the bytes of a string, and an end that no UTF-8 text contains.
  @inline(__always) static func hash(_ text: String, into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    hasher.combine(UInt8(0xff))
  }

  /// The text as it stands between the quotes of a Cedar string literal: quotes, backslashes, control and invisible
  /// characters escaped, everything else as it is.
  static func escaped(_ text: String) -> String {
    if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f && $0 != 0x22 && $0 != 0x27 && $0 != 0x5c }) { return text }
    var out = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out.append(contentsOf: "\\\"".unicodeScalars)
      case "'": out.append(contentsOf: "\\'".unicodeScalars)
      case "\\": out.append(contentsOf: "\\\\".unicodeScalars)
      case "\n": out.append(contentsOf: "\\n".unicodeScalars)
      case "\r": out.append(contentsOf: "\\r".unicodeScalars)
      case "\t": out.append(contentsOf: "\\t".unicodeScalars)
      case "\0": out.append(contentsOf: "\\0".unicodeScalars)
      default:
        if isPrintable(scalar) {
          out.append(scalar)
        } else {
          out.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
        }
      }
    }
    return String(out)
  }

  /// The text as a Cedar string literal, quotes included.
  static func quoted(_ text: String) -> String { "\"\(escaped(text))\"" }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.value < 0x7f { return scalar.value >= 0x20 }
    if scalar.properties.isGraphemeExtend { return false }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator, .spaceSeparator: return false
    default: return true
    }
  }
}
