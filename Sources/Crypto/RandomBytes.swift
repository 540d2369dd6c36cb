internal import Bytes
internal import COpenSSL

/// Bytes that nobody can guess, from libcrypto's generator.
public enum RandomBytes {
  /// So many fresh bytes. Without a working generator no secret of ours would be one, so that ends the process.
  public static func make(_ count: Int) -> [UInt8] {
    var succeeded: CInt = 0
    let out = [UInt8](unsafeUninitializedCapacity: max(count, 1)) { buffer, written in
      guard let start = buffer.baseAddress else { return }
      succeeded = copenssl_random(start, max(count, 1))
      written = succeeded == 1 ? max(count, 0) : 0
    }
    precondition(succeeded == 1, "libcrypto has no random bytes")
    return out
  }

  /// A fresh 64-bit number, for keyed hashes.
  public static func makeUInt64() -> UInt64 {
    make(8).reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// A random UUID, RFC 9562 §5.4 (version 4), in lower case.
  public static func makeUUID() -> String {
    var bytes = make(16)
    bytes[6] = bytes[6] & 0x0f | 0x40
    bytes[8] = bytes[8] & 0x3f | 0x80
    let parts = [bytes[0..<4], bytes[4..<6], bytes[6..<8], bytes[8..<10], bytes[10..<16]]
    return parts.map { Hex.encode($0) }.joined(separator: "-")
  }
}
