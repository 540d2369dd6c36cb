/// Base64url without padding, RFC 4648 §5 as RFC 7515 §2 narrows it: strict in both directions.
public enum Base64URL {
  /// The bytes a base64url text stands for, or nil if it has a byte outside the alphabet, padding, white space,
  /// an impossible length, or bits set beyond the last byte.
  public static func decode(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
    let count = text.count
    let tail = count & 3
    guard tail != 1 else { return nil }
    let size = count / 4 * 3 + (tail == 0 ? 0 : tail - 1)
    var valid = true
    let out = [UInt8](unsafeUninitializedCapacity: size) { buffer, written in
      var position = 0
      var bits: UInt32 = 0
      var wrong: UInt8 = 0
      for index in 0..<count {
        let value = decodeTable[Int(text[index])]
        wrong |= value
        bits = bits << 6 | UInt32(value & 0x3f)
        if index & 3 == 3 {
          buffer[position] = UInt8(truncatingIfNeeded: bits >> 16)
          buffer[position + 1] = UInt8(truncatingIfNeeded: bits >> 8)
          buffer[position + 2] = UInt8(truncatingIfNeeded: bits)
          position += 3
          bits = 0
        }
      }
      switch tail {
      case 2:
        buffer[position] = UInt8(truncatingIfNeeded: bits >> 4)
        if bits & 0xf != 0 { wrong = 0xff }
      case 3:
        buffer[position] = UInt8(truncatingIfNeeded: bits >> 10)
        buffer[position + 1] = UInt8(truncatingIfNeeded: bits >> 2)
        if bits & 0x3 != 0 { wrong = 0xff }
      default: break
      }
      valid = wrong & 0x80 == 0
      written = size
    }
    return valid ? out : nil
  }

  /// As `decode(_:)`, for bytes or the UTF-8 of a string.
  public static func decode(_ text: some Sequence<UInt8>) -> [UInt8]? {
    Array(text).withUnsafeBytes { decode($0) }
  }

  /// The base64url text of some bytes, without padding.
  public static func encode(_ bytes: some Collection<UInt8>) -> String {
    var out: [UInt8] = []
    out.reserveCapacity((bytes.count * 4 + 2) / 3)
    var bits: UInt32 = 0
    var held = 0
    for byte in bytes {
      bits = bits << 8 | UInt32(byte)
      held += 8
      while held >= 6 {
        held -= 6
        out.append(alphabet[Int(bits >> UInt32(held) & 0x3f)])
      }
    }
    if held > 0 { out.append(alphabet[Int(bits << UInt32(6 - held) & 0x3f)]) }
    return String(decoding: out, as: UTF8.self)
  }

  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

  // 0xff marks a byte outside the alphabet; its high bit survives the OR of a whole text.
  private static let decodeTable: [UInt8] = {
    var table = [UInt8](repeating: 0xff, count: 256)
    for (value, byte) in alphabet.enumerated() { table[Int(byte)] = UInt8(value) }
    return table
  }()
}
