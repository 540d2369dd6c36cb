internal import Bytes
public import Crypto

/// The signature algorithms of RFC 7518 §3.1 and RFC 8037 §3.1 that a token may be signed by.
///
/// The list is closed: `none` and the HMAC family have no case, so no code path can accept them.
public enum JWSAlgorithm: String, Sendable, Hashable, CaseIterable, CustomStringConvertible {
  case rs256 = "RS256"
  case rs384 = "RS384"
  case rs512 = "RS512"
  case ps256 = "PS256"
  case ps384 = "PS384"
  case ps512 = "PS512"
  case es256 = "ES256"
  case es384 = "ES384"
  case es512 = "ES512"
  /// EdDSA with Ed25519; Ed448 is not offered.
  case edDSA = "EdDSA"

  /// The algorithm of exactly that name, or nil: names are compared byte by byte, so in their case.
  public init?(name: String) {
    guard let match = Self.allCases.first(where: { exactlyEquals($0.rawValue, name) }) else { return nil }
    self = match
  }

  /// What libcrypto computes for it.
  public var signature: SignatureAlgorithm {
    switch self {
    case .rs256: .rsaPKCS1(.sha256)
    case .rs384: .rsaPKCS1(.sha384)
    case .rs512: .rsaPKCS1(.sha512)
    case .ps256: .rsaPSS(.sha256)
    case .ps384: .rsaPSS(.sha384)
    case .ps512: .rsaPSS(.sha512)
    case .es256: .ecdsa(.p256)
    case .es384: .ecdsa(.p384)
    case .es512: .ecdsa(.p521)
    case .edDSA: .ed25519
    }
  }

  /// The registered name.
  public var description: String { rawValue }
}
