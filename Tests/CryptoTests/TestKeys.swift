import Crypto

/// One key of each kind, made once for all tests: RSA keys take a moment.
enum TestKeys {
  static let rsa = made { () throws(KeyError) in try PrivateKey.generateRSA() }
  static let otherRSA = made { () throws(KeyError) in try PrivateKey.generateRSA() }
  static let p256 = made { () throws(KeyError) in try PrivateKey.generateEC(.p256) }
  static let p384 = made { () throws(KeyError) in try PrivateKey.generateEC(.p384) }
  static let p521 = made { () throws(KeyError) in try PrivateKey.generateEC(.p521) }
  static let ed25519 = made { () throws(KeyError) in try PrivateKey.generateEd25519() }

  static let algorithms: [SignatureAlgorithm] =
    Digest.allCases.map(SignatureAlgorithm.rsaPKCS1) + Digest.allCases.map(SignatureAlgorithm.rsaPSS)
    + Curve.allCases.map(SignatureAlgorithm.ecdsa) + [.ed25519]

  static func key(for algorithm: SignatureAlgorithm) -> PrivateKey {
    switch algorithm {
    case .rsaPKCS1, .rsaPSS: rsa
    case .ecdsa(.p256): p256
    case .ecdsa(.p384): p384
    case .ecdsa(.p521): p521
    case .ed25519: ed25519
    }
  }

  private static func made(_ make: () throws(KeyError) -> PrivateKey) -> PrivateKey {
    do {
      return try make()
    } catch {
      preconditionFailure("no key: \(error)")
    }
  }
}
