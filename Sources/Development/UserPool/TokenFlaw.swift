internal import Bytes

/// What is wrong with a token that the development issuer makes on request.
public enum TokenFlaw: String, Sendable, CaseIterable {
  /// Nothing.
  case none = "valid"
  /// `exp` passed an hour ago.
  case expired
  /// Signed by a key that is not the issuer's, under the `kid` of one that is.
  case forged
  /// `nbf` lies an hour ahead.
  case notYet = "not-yet"
  /// `iss` is another pool; signed by the right key.
  case otherIssuer = "other-issuer"
  /// `alg` none and no signature.
  case algNone = "alg-none"
  /// HS256 with the public key as the secret.
  case hmac = "hs256"
  /// Signed by a key that no set has, under its own `kid`.
  case unknownKey = "unknown-key"
  /// Claims changed after signing.
  case tampered
  /// Issued to an app client that nobody configured.
  case otherClient = "other-client"
  /// Valid for a year.
  case longLived = "long-lived"
  /// Names a critical extension.
  case critical = "crit"
  /// Brings the key it is signed by, in `jwk`, under the `kid` of one that the issuer has.
  case embeddedKey = "jwk"
  /// Says where the key it is signed by is, in `jku`.
  case remoteKey = "jku"
  /// Says that its payload is not encoded, `b64` false.
  case unencoded = "b64"
  /// Its signature is padded with `=`.
  case padded
  /// Says `sub` twice.
  case duplicateName = "duplicate"
  /// Has no `exp`.
  case noExpiry = "no-exp"
  /// `iat` lies an hour ahead.
  case issuedAhead = "future"
  /// A refresh token, by its `token_use`.
  case refresh
  /// Typed as a proof of possession.
  case otherType = "typ"

  /// The flaw of exactly that name.
  public init?(name: String) {
    guard let match = Self.allCases.first(where: { exactlyEquals($0.rawValue, name) }) else { return nil }
    self = match
  }
}
