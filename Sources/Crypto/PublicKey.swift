internal import COpenSSL

/// A public key that signatures are checked with. Made once for each refresh of a key set, shared by all threads.
public final class PublicKey: Sendable {
  /// What kind of key.
  public enum Kind: Sendable, Hashable {
    /// RSA, with the size of its modulus in bits.
    case rsa(bits: Int)
    case ec(Curve)
    case ed25519
  }

  /// Sizes of RSA moduli that we use, in bits. RFC 7518 §3.3 sets the lower bound; the upper bounds what a hostile or
  /// careless issuer can make each check cost.
  public static let modulusBits = 2048...8192

  /// What kind of key.
  public let kind: Kind

  // libcrypto counts references atomically and never changes a public key after it was made.
  nonisolated(unsafe) let handle: OpaquePointer

  init(_ handle: OpaquePointer, kind: Kind) {
    self.handle = handle
    self.kind = kind
  }

  deinit { copenssl_key_free(handle) }

  /// An RSA key from modulus and exponent, big-endian; leading zero bytes do not count.
  public static func rsa(modulus: [UInt8], exponent: [UInt8]) throws(KeyError) -> PublicKey {
    let n = modulus.drop { $0 == 0 }
    let e = exponent.drop { $0 == 0 }
    let bits = n.first.map { n.count * 8 - $0.leadingZeroBitCount } ?? 0
    guard bits >= modulusBits.lowerBound else { throw .modulusTooSmall(bits: bits) }
    guard bits <= modulusBits.upperBound else { throw .modulusTooLarge(bits: bits) }
    guard let lowest = n.last, lowest & 1 == 1 else { throw .modulusEven }
    guard let last = e.last, last & 1 == 1, e.count <= 8, e.count > 1 || last > 1 else { throw .exponentUnfit }
    guard !RSAWeakness.hasStructureOfROCA(n) else { throw .modulusWeak }
    let handle = Array(n).withUnsafeBufferPointer { n in
      Array(e).withUnsafeBufferPointer { e -> OpaquePointer? in
        guard let modulus = n.baseAddress, let exponent = e.baseAddress else { return nil }
        return copenssl_key_rsa(modulus, n.count, exponent, e.count)
      }
    }
    guard let handle else { throw .refused }
    return PublicKey(handle, kind: .rsa(bits: bits))
  }

  /// An EC key from the coordinates of its point, each at the curve's full width.
  public static func ec(_ curve: Curve, x: [UInt8], y: [UInt8]) throws(KeyError) -> PublicKey {
    let width = curve.coordinateByteCount
    for coordinate in [x, y] where coordinate.count != width { throw .lengthWrong(found: coordinate.count, expected: width) }
    let handle = x.withUnsafeBufferPointer { x in
      y.withUnsafeBufferPointer { y -> OpaquePointer? in
        guard let first = x.baseAddress, let second = y.baseAddress else { return nil }
        return copenssl_key_ec(curve.number, first, second, width)
      }
    }
    guard let handle else { throw .notOnCurve }
    return PublicKey(handle, kind: .ec(curve))
  }

  /// An Ed25519 key from its 32 bytes.
  public static func ed25519(_ x: [UInt8]) throws(KeyError) -> PublicKey {
    guard x.count == 32 else { throw .lengthWrong(found: x.count, expected: 32) }
    let handle = x.withUnsafeBufferPointer { x in x.baseAddress.flatMap { copenssl_key_ed25519($0) } }
    guard let handle else { throw .refused }
    return PublicKey(handle, kind: .ed25519)
  }
}
