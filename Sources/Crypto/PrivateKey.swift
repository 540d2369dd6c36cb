internal import COpenSSL

/// A key that signs: the development issuer's, and those of tests. It lives in memory and is never written anywhere.
public final class PrivateKey: Sendable {
  /// The public half.
  public let publicKey: PublicKey

  /// Public numbers of the key as a JWK names them (RFC 7518 §6), big-endian.
  public enum Number: Sendable {
    case n
    case e
    case x
    case y
  }

  private var handle: OpaquePointer { publicKey.handle }

  private init(_ handle: OpaquePointer, kind: PublicKey.Kind) {
    // Both halves share one handle; libcrypto takes the part that an operation needs.
    publicKey = PublicKey(handle, kind: kind)
  }

  /// A fresh RSA key.
  public static func generateRSA(bits: Int = 2048) throws(KeyError) -> PrivateKey {
    guard PublicKey.modulusBits.contains(bits), let handle = copenssl_key_generate_rsa(UInt32(bits)) else { throw .refused }
    return PrivateKey(handle, kind: .rsa(bits: bits))
  }

  /// A fresh EC key.
  public static func generateEC(_ curve: Curve) throws(KeyError) -> PrivateKey {
    guard let handle = copenssl_key_generate_ec(curve.number) else { throw .refused }
    return PrivateKey(handle, kind: .ec(curve))
  }

  /// A fresh Ed25519 key.
  public static func generateEd25519() throws(KeyError) -> PrivateKey {
    guard let handle = copenssl_key_generate_ed25519() else { throw .refused }
    return PrivateKey(handle, kind: .ed25519)
  }

  /// Signs a message; ECDSA signatures are r and s at full width (RFC 7518 §3.4).
  public func sign(_ message: some Collection<UInt8>, by algorithm: SignatureAlgorithm) throws(KeyError) -> [UInt8] {
    guard algorithm.fits(publicKey.kind) else { throw .refused }
    let message = Array(message)
    let capacity = PublicKey.modulusBits.upperBound / 8
    let signature = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, written in
      guard let start = buffer.baseAddress else { return }
      written = message.withUnsafeBytes {
        copenssl_sign(handle, algorithm.scheme, algorithm.digestNumber, $0.baseAddress, $0.count, start, capacity)
      }
    }
    guard !signature.isEmpty else { throw .refused }
    return signature
  }

  /// One of the key's public numbers; nil if this kind of key has no such number.
  public func number(_ number: Number) -> [UInt8]? {
    let which: UnicodeScalar =
      switch number {
      case .n: "n"
      case .e: "e"
      case .x: "x"
      case .y: "y"
      }
    let capacity = PublicKey.modulusBits.upperBound / 8
    let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, written in
      guard let start = buffer.baseAddress else { return }
      written = copenssl_key_number(handle, CInt(which.value), start, capacity)
    }
    return bytes.isEmpty ? nil : bytes
  }
}
