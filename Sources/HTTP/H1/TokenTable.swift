/// Which bytes a token may have, RFC 9110 §5.6.2, and which of them some servers read as `-`.
enum TokenTable {
  static let token: UInt8 = 1
  static let aliasing: UInt8 = 2

  /// 0: no token byte; `token`; or `token | aliasing` for `_` and `.`.
  static let classes: [UInt8] = {
    var table = [UInt8](repeating: 0, count: 256)
    for byte in 0x30...0x39 { table[byte] = token }
    for byte in 0x41...0x5a { table[byte] = token }
    for byte in 0x61...0x7a { table[byte] = token }
    for byte in "!#$%&'*+-^`|~".utf8 { table[Int(byte)] = token }
    for byte in "_.".utf8 { table[Int(byte)] = token | aliasing }
    return table
  }()

  // The same set as two words of bits, for places that look at few bytes (a test holds them equal).
  static var low: UInt64 { 0x03ff_6cfa_0000_0000 }
  static var high: UInt64 { 0x57ff_ffff_c7ff_fffe }

  @inline(__always)
  static func isToken(_ byte: UInt8) -> Bool {
    guard byte < 128 else { return false }
    return (byte < 64 ? Self.low : Self.high) &>> UInt64(byte & 63) & 1 != 0
  }
}
