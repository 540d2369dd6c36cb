/// Base64 with padding, RFC 4648 §4: HTTP Basic credentials, Cognito's secret hashes.
public enum Base64 {
  /// The text of some bytes.
  public static func encode(_ bytes: [UInt8]) -> String {
    let text = String(Base64URL.encode(bytes).map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 })
    return text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
  }

  /// The bytes of a text, or nil.
  public static func decode(_ text: String) -> [UInt8]? {
    var bytes = Array(text.utf8)
    guard bytes.count % 4 == 0, !bytes.contains(where: { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }) else { return nil }
    while bytes.last == UInt8(ascii: "="), text.utf8.count - bytes.count < 2 { bytes.removeLast() }
    return Base64URL.decode(bytes.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: "-") : $0 == UInt8(ascii: "/") ? UInt8(ascii: "_") : $0 })
  }
}
