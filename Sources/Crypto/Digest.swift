internal import COpenSSL

/// The SHA-2 functions that JWS uses, FIPS 180-4.
public enum Digest: Sendable, Hashable, CaseIterable {
  case sha256
  case sha384
  case sha512

  /// Length of a digest in bytes.
  public var byteCount: Int {
    switch self {
    case .sha256: 32
    case .sha384: 48
    case .sha512: 64
    }
  }

  /// The digest of a message.
  public func callAsFunction(_ message: UnsafeRawBufferPointer) -> [UInt8] {
    var succeeded: CInt = 0
    let out = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, written in
      guard let start = buffer.baseAddress else { return }
      succeeded = copenssl_digest(number, message.baseAddress, message.count, start)
      written = succeeded == 1 ? byteCount : 0
    }
    // libcrypto without SHA-2 is no libcrypto: nothing that we could answer would be right.
    precondition(succeeded == 1, "libcrypto computes no SHA-2 digest")
    return out
  }

  /// The digest of a message.
  public func callAsFunction(_ message: some Sequence<UInt8>) -> [UInt8] {
    if let direct = message.withContiguousStorageIfAvailable({ self(UnsafeRawBufferPointer($0)) }) { return direct }
    return Array(message).withUnsafeBytes { self($0) }
  }

  var number: CInt {
    switch self {
    case .sha256: CInt(COPENSSL_SHA256)
    case .sha384: CInt(COPENSSL_SHA384)
    case .sha512: CInt(COPENSSL_SHA512)
    }
  }
}
