internal import Bytes

/// Whether a `Content-Type` says JSON in UTF-8 (RFC 8259 §11, RFC 6839 §3.1): what is read here is then what the receiver reads.
enum JSONMediaType {
  /// `application/json` or a type that ends in `+json`; a `charset` is UTF-8 if there is one.
  static func matches(_ value: [UInt8]) -> Bool {
    let parts = value.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false).map { trimmed($0) }
    guard let type = parts.first, isJSON(type) else { return false }
    for parameter in parts.dropFirst() {
      // RFC 9110 §5.6.6 lets parameters be empty: `application/json;`.
      guard !parameter.isEmpty else { continue }
      guard let equals = parameter.firstIndex(of: UInt8(ascii: "=")) else { return false }
      guard ASCII.equalsIgnoringCase(parameter[..<equals], "charset".utf8) else { continue }
      var charset = parameter[(equals + 1)...]
      if charset.first == ASCII.quote, charset.last == ASCII.quote, charset.count > 1 { charset = charset.dropFirst().dropLast() }
      guard ASCII.equalsIgnoringCase(charset, "utf-8".utf8) else { return false }
    }
    return true
  }

  private static func isJSON(_ type: ArraySlice<UInt8>) -> Bool {
    guard let slash = type.firstIndex(of: UInt8(ascii: "/")) else { return false }
    let subtype = type[(slash + 1)...]
    guard isToken(type[..<slash]), isToken(subtype) else { return false }
    if ASCII.equalsIgnoringCase(type, "application/json".utf8) { return true }
    return subtype.count > 5 && ASCII.equalsIgnoringCase(subtype.suffix(5), "+json".utf8)
  }

  // RFC 6838 §4.2, restricted-name.
  private static func isToken(_ bytes: ArraySlice<UInt8>) -> Bool {
    !bytes.isEmpty && bytes.allSatisfy { ASCII.isAlpha($0) || ASCII.isDigit($0) || "!#$&-^_.+".utf8.contains($0) }
  }

  private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    func isSpace(_ byte: UInt8) -> Bool { byte == ASCII.space || byte == UInt8(ascii: "\t") }
    let rest = bytes.drop(while: isSpace)
    guard let last = rest.lastIndex(where: { !isSpace($0) }) else { return [] }
    return rest[...last]
  }
}
