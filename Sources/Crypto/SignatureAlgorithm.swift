internal import COpenSSL

/// The curves of ECDSA keys in JOSE, RFC 7518 §6.2.1.1.
public enum Curve: Sendable, Hashable, CaseIterable {
  case p256
  case p384
  case p521

  /// Bytes of one coordinate, and of r and of s in a signature.
  public var coordinateByteCount: Int {
    switch self {
    case .p256: 32
    case .p384: 48
    case .p521: 66
    }
  }

  /// The hash that JWS ties to the curve, RFC 7518 §3.4.
  public var digest: Digest {
    switch self {
    case .p256: .sha256
    case .p384: .sha384
    case .p521: .sha512
    }
  }

  var number: CInt {
    switch self {
    case .p256: CInt(COPENSSL_P256)
    case .p384: CInt(COPENSSL_P384)
    case .p521: CInt(COPENSSL_P521)
    }
  }
}

/// What a signature is made by. Public-key schemes only: there is no name here for a shared secret, nor for nothing.
public enum SignatureAlgorithm: Sendable, Hashable {
  /// RSASSA-PKCS1-v1_5, RFC 8017 §8.2.
  case rsaPKCS1(Digest)
  /// RSASSA-PSS with MGF1 over the same hash and a salt as long as the hash, RFC 7518 §3.5.
  case rsaPSS(Digest)
  /// ECDSA over a curve and the hash that belongs to it; signatures are r and s at full width, RFC 7518 §3.4.
  case ecdsa(Curve)
  /// Ed25519, RFC 8032 §5.1.
  case ed25519

  /// Whether a key of this kind can sign by it: the kind of key, and for ECDSA the very curve.
  public func fits(_ kind: PublicKey.Kind) -> Bool {
    switch (self, kind) {
    case (.rsaPKCS1, .rsa), (.rsaPSS, .rsa), (.ed25519, .ed25519): true
    case (.ecdsa(let wanted), .ec(let curve)): wanted == curve
    default: false
    }
  }

  var scheme: CInt {
    switch self {
    case .rsaPKCS1: CInt(COPENSSL_RSA_PKCS1)
    case .rsaPSS: CInt(COPENSSL_RSA_PSS)
    case .ecdsa: CInt(COPENSSL_ECDSA)
    case .ed25519: CInt(COPENSSL_ED25519)
    }
  }

  var digestNumber: CInt {
    switch self {
    case .rsaPKCS1(let digest), .rsaPSS(let digest): digest.number
    case .ecdsa(let curve): curve.digest.number
    case .ed25519: 0
    }
  }
}
