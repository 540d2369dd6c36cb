internal import COpenSSL

/// Keyed hashing, RFC 2104.
public enum HMAC {
  /// The code of a message under a key, as long as the digest. Compare codes with `constantTimeEquals`.
  public static func code(_ digest: Digest, key: some Collection<UInt8>, message: some Collection<UInt8>) -> [UInt8] {
    let key = Array(key)
    let message = Array(message)
    var succeeded: CInt = 0
    let out = [UInt8](unsafeUninitializedCapacity: digest.byteCount) { buffer, written in
      guard let start = buffer.baseAddress else { return }
      key.withUnsafeBytes { key in
        message.withUnsafeBytes { message in
          succeeded = copenssl_hmac(digest.number, key.baseAddress, key.count, message.baseAddress, message.count, start)
        }
      }
      written = succeeded == 1 ? digest.byteCount : 0
    }
    precondition(succeeded == 1, "libcrypto computes no HMAC")
    return out
  }
}
