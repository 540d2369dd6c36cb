internal import Bytes

/// What JSON5 (spec.json5.org) writes otherwise than JSON. Only a reader that was asked for JSON5 comes here.
extension JSONParser {
  // MARK: - White space and comments, §8 and §7

  /// Skips one comment, or one piece of the white space that JSON does not know; false if there is none.
  mutating func skipComment() throws(JSONError) -> Bool {
    switch bytes[at] {
    case 0x0b, 0x0c:
      at += 1
      return true
    case UInt8(ascii: "/"):
      guard at + 1 < bytes.count else { return false }
      if bytes[at + 1] == UInt8(ascii: "/") {
        while at < bytes.count, !isLineEnd() { at += 1 }
        return true
      }
      guard bytes[at + 1] == UInt8(ascii: "*") else { return false }
      let start = at
      at += 2
      while at + 1 < bytes.count {
        if bytes[at] == UInt8(ascii: "*"), bytes[at + 1] == UInt8(ascii: "/") {
          at += 2
          return true
        }
        at += 1
      }
      throw JSONError(.unterminatedComment, at: start, length: 2)
    case 0x80...:
      guard let scalar = scalar(at), scalar.value == 0xfeff || scalar.properties.isWhitespace else { return false }
      at += UTF8.width(scalar)
      return true
    default: return false
    }
  }

  // LF, CR, U+2028, U+2029.
  private func isLineEnd() -> Bool {
    switch bytes[at] {
    case ASCII.lf, ASCII.cr: true
    case 0xe2: isLineSeparator(at)
    default: false
    }
  }

  private func isLineSeparator(_ index: Int) -> Bool {
    index + 2 < bytes.count && bytes[index] == 0xe2 && bytes[index + 1] == 0x80 && bytes[index + 2] | 1 == 0xa9
  }

  /// The scalar at an index; nil where the bytes are not UTF-8 or there are none.
  private func scalar(_ index: Int) -> Unicode.Scalar? {
    var iterator = UnsafeRawBufferPointer(rebasing: bytes[index..<min(index + 4, bytes.count)]).makeIterator()
    var decoder = UTF8()
    guard case .scalarValue(let scalar) = decoder.decode(&iterator) else { return nil }
    return scalar
  }

  // MARK: - Names, §3.1: strings, or identifiers of ECMAScript 5.1

  mutating func name5() throws(JSONError) -> String {
    let first = try peek()
    if first == ASCII.quote || first == UInt8(ascii: "'") { return try string5() }
    var name = ""
    let start = at
    while at < bytes.count {
      let place = at
      let scalar: Unicode.Scalar
      if bytes[at] == ASCII.backslash {
        guard at + 1 < bytes.count, bytes[at + 1] == UInt8(ascii: "u") else { throw JSONError(.invalidEscape, at: place, length: 2) }
        at += 2
        scalar = try unicodeEscape(from: place)
        guard Self.isNamePart(scalar, isFirst: place == start) else { throw JSONError(.invalidEscape, at: place, length: at - place) }
      } else {
        guard let plain = self.scalar(at) else { throw JSONError(.invalidUTF8, at: at) }
        guard Self.isNamePart(plain, isFirst: place == start) else { break }
        scalar = plain
        at += UTF8.width(plain)
      }
      name.unicodeScalars.append(scalar)
    }
    guard at > start else { throw JSONError(.unexpectedByte(first), at: at) }
    return name
  }

  private static func isNamePart(_ scalar: Unicode.Scalar, isFirst: Bool) -> Bool {
    switch scalar {
    case "a"..."z", "A"..."Z", "_", "$": true
    case "0"..."9": !isFirst
    case _ where scalar.isASCII: false
    case "\u{200c}", "\u{200d}": !isFirst
    default: isFirst ? scalar.properties.isIDStart : scalar.properties.isIDContinue
    }
  }

  // MARK: - Strings, §5

  mutating func string5() throws(JSONError) -> String {
    let opening = at
    let quote = bytes[at]
    at += 1
    var out: [UInt8] = []
    while true {
      guard at < bytes.count else { throw JSONError(.unterminatedString, at: opening) }
      let byte = bytes[at]
      switch byte {
      case quote:
        guard let text = String(validating: out, as: UTF8.self) else {
          throw JSONError(.invalidUTF8, at: opening, length: at - opening + 1)
        }
        at += 1
        return text
      case ASCII.lf, ASCII.cr: throw JSONError(.unterminatedString, at: opening, length: at - opening)
      case ASCII.backslash: try escape5(into: &out, opening: opening)
      default:
        out.append(byte)
        at += 1
      }
    }
  }

  private mutating func escape5(into out: inout [UInt8], opening: Int) throws(JSONError) {
    let start = at
    guard at + 1 < bytes.count else { throw JSONError(.unterminatedString, at: opening) }
    let byte = bytes[at + 1]
    at += 2
    switch byte {
    case UInt8(ascii: "b"): out.append(0x08)
    case UInt8(ascii: "f"): out.append(0x0c)
    case UInt8(ascii: "n"): out.append(ASCII.lf)
    case UInt8(ascii: "r"): out.append(ASCII.cr)
    case UInt8(ascii: "t"): out.append(ASCII.tab)
    case UInt8(ascii: "v"): out.append(0x0b)
    case UInt8(ascii: "0"):
      if at < bytes.count, ASCII.isDigit(bytes[at]) { throw JSONError(.invalidEscape, at: start, length: 3) }
      out.append(0)
    case UInt8(ascii: "1")...UInt8(ascii: "9"): throw JSONError(.invalidEscape, at: start, length: 2)
    case UInt8(ascii: "x"):
      guard at + 1 < bytes.count, let high = ASCII.hexValue(bytes[at]), let low = ASCII.hexValue(bytes[at + 1]) else {
        throw JSONError(.invalidEscape, at: start, length: 2)
      }
      at += 2
      append(Unicode.Scalar(high << 4 | low), to: &out)
    case UInt8(ascii: "u"): append(try unicodeEscape(from: start), to: &out)
    // A line that goes on: the backslash and the line's end stand for nothing.
    case ASCII.lf: break
    case ASCII.cr: if at < bytes.count, bytes[at] == ASCII.lf { at += 1 }
    case 0xe2 where isLineSeparator(at - 1): at += 2
    // Any other character stands for itself; the rest of its bytes follow as they are.
    default: out.append(byte)
    }
  }

  private func append(_ scalar: Unicode.Scalar, to out: inout [UInt8]) {
    out.append(contentsOf: UTF8.encode(scalar).map(Array.init) ?? [])
  }

  // MARK: - Numbers, §6

  /// A number. Its text is kept as JSON would write it, so that `.5` and `0.5` are one value.
  mutating func number5() throws(JSONError) -> JSONValue.Kind {
    let start = at
    var sign = ""
    if bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") {
      if bytes[at] == UInt8(ascii: "-") { sign = "-" }
      at += 1
    }
    guard at < bytes.count else { throw JSONError(.invalidNumber, at: start) }
    if bytes[at] == UInt8(ascii: "I") || bytes[at] == UInt8(ascii: "N") { throw JSONError(.notFinite, at: start, length: at - start + 1) }
    if bytes[at] == UInt8(ascii: "0"), at + 1 < bytes.count, bytes[at + 1] | 0x20 == UInt8(ascii: "x") {
      at += 2
      let digits = at
      while at < bytes.count, ASCII.hexValue(bytes[at]) != nil { at += 1 }
      guard at > digits, let value = Int64(sign + String(decoding: bytes[digits..<at], as: UTF8.self), radix: 16), !isNamePartHere() else {
        throw JSONError(.invalidNumber, at: start, length: max(at - start, 1))
      }
      return .integer(value)
    }
    let whole = at
    skipDigits()
    var text = sign + (at > whole ? String(decoding: bytes[whole..<at], as: UTF8.self) : "0")
    let hasLeadingZero = at > whole + 1 && bytes[whole] == UInt8(ascii: "0")
    var digitCount = at - whole
    var isInteger = true
    if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
      isInteger = false
      at += 1
      let fraction = at
      skipDigits()
      digitCount += at - fraction
      text += "." + (at > fraction ? String(decoding: bytes[fraction..<at], as: UTF8.self) : "0")
    }
    guard digitCount > 0, !hasLeadingZero else { throw JSONError(.invalidNumber, at: start, length: max(at - start, 1)) }
    if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") {
      isInteger = false
      let exponent = at
      at += 1
      if at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") { at += 1 }
      let digits = at
      skipDigits()
      guard at > digits else { throw JSONError(.invalidNumber, at: start, length: at - start) }
      text += String(decoding: bytes[exponent..<at], as: UTF8.self)
    }
    // `30s`: a number that runs into a name is neither.
    guard !isNamePartHere() else { throw JSONError(.invalidNumber, at: start, length: at - start + 1) }
    if isInteger, text != "-0", let value = Int64(text) { return .integer(value) }
    return .number(text)
  }

  private func isNamePartHere() -> Bool {
    guard at < bytes.count, let scalar = scalar(at) else { return false }
    return Self.isNamePart(scalar, isFirst: false)
  }
}
