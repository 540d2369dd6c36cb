/// Percent-encoding, RFC 3986 §2.1.
public enum PercentEncoding {
  /// Bytes as text: those that may stand as they are, and every other as `%` and two upper-case hexadecimal digits.
  ///
  /// What is to be read again keeps no `%`.
  public static func encode(_ bytes: some Collection<UInt8>, keeping isKept: (UInt8) -> Bool = isUnreserved) -> String {
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count)
    append(bytes, keeping: isKept, to: &out)
    return String(decoding: out, as: UTF8.self)
  }

  /// As above, at the end of other bytes. `isKept` is asked about each byte once, in order.
  public static func append(_ bytes: some Sequence<UInt8>, keeping isKept: (UInt8) -> Bool = isUnreserved, to out: inout [UInt8]) {
    for byte in bytes {
      if isKept(byte) {
        out.append(byte)
      } else {
        out.append(UInt8(ascii: "%"))
        out.append(digit(byte >> 4))
        out.append(digit(byte & 0xf))
      }
    }
  }

  /// The unreserved characters, RFC 3986 §2.3: no reader takes them for anything else.
  public static func isUnreserved(_ byte: UInt8) -> Bool {
    ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
      || byte == UInt8(ascii: "~")
  }

  private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 &+ value : 0x37 &+ value }
}
