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

  /// The flaw of exactly that name.
  public init?(name: String) {
    guard let match = Self.allCases.first(where: { exactlyEquals($0.rawValue, name) }) else { return nil }
    self = match
  }
}
