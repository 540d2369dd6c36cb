/// Why some numbers are not a key that we use.
public enum KeyError: Error, Sendable, Equatable, CustomStringConvertible {
  /// An RSA modulus below 2048 bits (RFC 7518 §3.3).
  case modulusTooSmall(bits: Int)
  /// An RSA modulus so large that checking a signature would be an attack.
  case modulusTooLarge(bits: Int)
  /// An even RSA modulus, which no two primes make.
  case modulusEven
  /// An RSA modulus with the structure of the ROCA weakness (CVE-2017-15361): its private key can be computed.
  case modulusWeak
  /// An RSA exponent that is even, below 3, or above 64 bits.
  case exponentUnfit
  /// An EC coordinate or an Ed25519 key that is not of its exact length (RFC 7518 §6.2.1.2, RFC 8037 §2).
  case lengthWrong(found: Int, expected: Int)
  /// A point that is not on its curve.
  case notOnCurve
  /// libcrypto refused the key.
  case refused

  /// One line for a person.
  public var description: String {
    switch self {
    case .modulusTooSmall(let bits): "RSA modulus of \(bits) bits; at least \(PublicKey.modulusBits.lowerBound) are required"
    case .modulusTooLarge(let bits): "RSA modulus of \(bits) bits; at most \(PublicKey.modulusBits.upperBound) are accepted"
    case .modulusEven: "RSA modulus is even"
    case .modulusWeak: "RSA modulus is weak (ROCA, CVE-2017-15361)"
    case .exponentUnfit: "RSA exponent is not an odd number from 3 to 64 bits"
    case .lengthWrong(let found, let expected): "\(found) bytes where the curve has \(expected)"
    case .notOnCurve: "the point is not on the curve"
    case .refused: "not a key"
    }
  }
}
