internal import Bytes

/// `application/x-www-form-urlencoded`, as OAuth's token endpoint takes it (RFC 6749 appendix B).
enum FormURLEncoded {
  /// Most pairs of a form.
  static let pairLimit = 64

  /// The pairs in order, escapes resolved; nil if an escape is broken, a text is not UTF-8, or there are too many.
  static func pairs(_ text: some Collection<UInt8>) -> [(name: String, value: String)]? {
    var out: [(name: String, value: String)] = []
    for part in text.split(separator: UInt8(ascii: "&"), maxSplits: pairLimit) {
      guard out.count < pairLimit else { return nil }
      let halves = part.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = decoded(halves[0]), let value = halves.count == 2 ? decoded(halves[1]) : "" else { return nil }
      out.append((name, value))
    }
    return out
  }

  static func decoded(_ text: some Collection<UInt8>) -> String? {
    var out: [UInt8] = []
    var rest = text[...]
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "+"): out.append(ASCII.space)
      case UInt8(ascii: "%"):
        guard let high = rest.popFirst().flatMap(ASCII.hexValue), let low = rest.popFirst().flatMap(ASCII.hexValue) else { return nil }
        out.append(high << 4 | low)
      default: out.append(byte)
      }
    }
    return String(validating: out, as: UTF8.self)
  }
}
