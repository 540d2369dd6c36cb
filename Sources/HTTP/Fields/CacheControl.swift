internal import Bytes

/// How long a response may be kept, RFC 9111 §5.2.2: `max-age` less `Age`.
public enum CacheControl {
  /// Seconds from now on; nil if the response does not say. What must not be kept, or is not readable, is 0: fetched again
  /// as soon as the caller's own bounds allow.
  public static func freshSeconds(of fields: borrowing FieldSection) -> Int64? {
    var fresh: Int64?
    for value in fields.values(named: "cache-control") {
      for directive in value.utf8.split(separator: UInt8(ascii: ",")) {
        let text = trimmed(directive)
        if ["no-store", "no-cache"].contains(where: { ASCII.equalsIgnoringCase(text, $0.utf8) }) { fresh = 0 }
        guard text.count > 8, ASCII.equalsIgnoringCase(text.prefix(8), "max-age=".utf8) else { continue }
        // Of several the shortest counts (§4.2.1).
        fresh = min(fresh ?? .max, seconds(text.dropFirst(8)) ?? 0)
      }
    }
    guard let fresh else { return nil }
    let age = fields.values(named: "age").compactMap { seconds(Array($0.utf8)[...]) }.max() ?? 0
    return max(fresh - age, 0)
  }

  private static func trimmed(_ text: Substring.UTF8View) -> ArraySlice<UInt8> {
    var bytes = Array(text)[...]
    while let first = bytes.first, first == ASCII.space || first == ASCII.tab { bytes = bytes.dropFirst() }
    while let last = bytes.last, last == ASCII.space || last == ASCII.tab { bytes = bytes.dropLast() }
    return bytes
  }

  // §1.2.2: digits; what does not fit is as good as for ever. Quotes are wrong and occur.
  private static func seconds(_ text: ArraySlice<UInt8>) -> Int64? {
    var digits = text
    if digits.count > 2, digits.first == ASCII.quote, digits.last == ASCII.quote { digits = digits.dropFirst().dropLast() }
    guard !digits.isEmpty, digits.allSatisfy(ASCII.isDigit) else { return nil }
    return digits.count > 10 ? 1 << 31 : Int64(String(decoding: digits, as: UTF8.self))
  }
}
