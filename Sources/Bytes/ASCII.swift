/// Names for the ASCII bytes that grammars are written in.
public enum ASCII {
  /// Horizontal tab.
  public static let tab = UInt8(ascii: "\t")
  /// Line feed.
  public static let lf = UInt8(ascii: "\n")
  /// Carriage return.
  public static let cr = UInt8(ascii: "\r")
  /// Space.
  public static let space = UInt8(ascii: " ")
  /// `"`.
  public static let quote = UInt8(ascii: "\"")
  /// `\`.
  public static let backslash = UInt8(ascii: "\\")

  /// Whether the byte is `0`–`9`.
  @inlinable public static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

  /// Whether the byte is `A`–`Z` or `a`–`z`.
  @inlinable public static func isAlpha(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 }

  /// The value of a hexadecimal digit, or nil.
  @inlinable public static func hexValue(_ byte: UInt8) -> UInt8? {
    if byte &- 0x30 < 10 { return byte &- 0x30 }
    let lower = byte | 0x20
    if lower &- 0x61 < 6 { return lower &- 0x61 &+ 10 }
    return nil
  }

  /// The byte in lower case, if it is an ASCII letter; itself otherwise.
  @inlinable public static func lowercased(_ byte: UInt8) -> UInt8 {
    byte &- 0x41 < 26 ? byte | 0x20 : byte
  }

  /// Whether two byte sequences are equal, ASCII letters compared without case.
  @inlinable public static func equalsIgnoringCase(_ a: some Collection<UInt8>, _ b: some Collection<UInt8>) -> Bool {
    guard a.count == b.count else { return false }
    var other = b.makeIterator()
    for byte in a {
      guard let next = other.next(), lowercased(byte) == lowercased(next) else { return false }
    }
    return true
  }
}
