internal import Bytes

/// The pairs of a query, as forms write them (WHATWG URL §5.1): for mapping only, never for matching a route.
public enum Query {
  /// The decoded values of all pairs with a name, in order; nil if the query can be read in two ways.
  ///
  /// Two ways: a raw `;`, at which some servers part pairs; `%` without two hexadecimal digits; decoded bytes that are
  /// not UTF-8. Whoever wants one value refuses more than one: servers differ on which of them counts.
  ///
  /// - Parameters:
  ///   - name: the decoded name, compared by bytes.
  ///   - query: the raw query, without `?`.
  public static func values(named name: String, in query: UnsafeRawBufferPointer) -> [String]? {
    var out: [String] = []
    guard !query.contains(UInt8(ascii: ";")) else { return nil }
    for pair in query.split(separator: UInt8(ascii: "&")) {
      let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
      guard let found = decode(pair[pair.startIndex..<equals]) else { return nil }
      let value = equals == pair.endIndex ? "" : decode(pair[(equals + 1)..<pair.endIndex])
      guard let value else { return nil }
      if exactlyEquals(found, name) { out.append(value) }
    }
    return out
  }

  /// As `values(named:in:)`, of a head: empty without a query.
  public static func values(named name: String, in head: borrowing RequestHead) -> [String]? {
    guard let range = head.queryRange else { return [] }
    return head.fields.withBytes(range) { values(named: name, in: $0) }
  }

  private static func decode(_ text: Slice<UnsafeRawBufferPointer>) -> String? {
    var out: [UInt8] = []
    out.reserveCapacity(text.count)
    var index = text.startIndex
    while index < text.endIndex {
      var byte = text[index]
      if byte == UInt8(ascii: "%") {
        guard text.endIndex - index > 2, let high = ASCII.hexValue(text[index + 1]), let low = ASCII.hexValue(text[index + 2]) else {
          return nil
        }
        byte = high << 4 | low
        index += 2
      } else if byte == UInt8(ascii: "+") {
        byte = ASCII.space
      }
      out.append(byte)
      index += 1
    }
    return String(validating: out, as: UTF8.self)
  }
}
