public import Bytes
public import Crypto
public import JSON

/// A token whose signature is a trusted key's and whose claims pass every rule.
///
/// Its initializer is private to this file: `TokenVerifier.verify` alone makes one, and the compiler holds that.
public struct VerifiedToken: Sendable {
  /// `iss`.
  public let issuer: String
  /// `sub`.
  public let subject: String
  /// ID or access token.
  public let tokenUse: TokenUse
  /// The app client: `client_id` (`cid`, `azp`), or the first `aud` of an ID token.
  public let clientID: String?
  /// `aud`, as an array in every case.
  public let audiences: [String]
  /// `scope`, taken apart, in the token's order.
  public let scopes: [String]
  /// `exp` in seconds since 1970, a fraction rounded up.
  public let expiresAt: Int64
  /// `nbf` in seconds since 1970.
  public let notBefore: Int64?
  /// `iat` in seconds since 1970.
  public let issuedAt: Int64?
  /// The key that signed it.
  public let kid: String?
  /// The algorithm it is signed by; nil for an opaque token, which its issuer spoke for.
  public let alg: JWSAlgorithm?
  /// `jti`.
  public let jti: String?
  /// `acr`: the authentication context class, if it is a string.
  public var acr: String? { claims["acr"]?.string }
  /// `amr`: how the user signed in; empty unless it is an array of strings (RFC 8176 §1).
  public var amr: [String] {
    let methods = claims["amr"]?.array ?? []
    let names = methods.compactMap(\.string)
    return names.count == methods.count ? names : []
  }
  /// `auth_time`: when the user signed in, in seconds since 1970.
  public var authenticatedAt: Int64? { claims["auth_time"].flatMap(NumericDate.seconds) }
  /// Whether the token is bound to a key or certificate of its sender (`cnf`, RFC 7800).
  public var isSenderConstrained: Bool { claims["cnf"] != nil }
  /// `cnf.jkt`: the thumbprint of the key that a proof of possession must be signed by (RFC 9449 §6.1).
  public var keyThumbprint: String? { claims["cnf"]?["jkt"]?.string }
  /// `cnf.x5t#S256`: the thumbprint of the certificate of whoever may use it (RFC 8705 §3.1).
  public var certificateThumbprint: String? { claims["cnf"]?["x5t#S256"]?.string }
  /// `origin_jti`: the sign-in that this token and its refreshed successors come from (Cognito).
  public var originJTI: String? { claims["origin_jti"]?.string }

  /// Every claim, as it stands in the token.
  public let claims: JSONValue

  /// The token itself, for a cache to recognize it by.
  let bytes: Secret<[UInt8]>

  fileprivate init(_ token: UnverifiedToken, _ checked: CheckedClaims) {
    issuer = token.issuer
    subject = checked.subject
    tokenUse = checked.tokenUse
    clientID = checked.clientID
    audiences = checked.audiences
    scopes = checked.scopes
    expiresAt = checked.expiresAt
    notBefore = checked.notBefore
    issuedAt = checked.issuedAt
    kid = token.kid
    alg = token.algorithm
    jti = checked.jti
    claims = checked.claims
    bytes = token.jws.bytes
  }

  fileprivate init(_ token: LoadBalancerToken, _ rules: LoadBalancerToken.Rules, claims: JSONValue, subject: String, expiresAt: Int64) {
    issuer = rules.issuer
    self.subject = subject
    tokenUse = .id
    clientID = rules.client
    audiences = []
    scopes = []
    self.expiresAt = expiresAt
    notBefore = nil
    issuedAt = nil
    kid = token.kid
    alg = .es256
    jti = nil
    self.claims = claims
    bytes = token.jws.bytes
  }

  fileprivate init(_ token: Secret<[UInt8]>, of issuer: String, _ checked: CheckedClaims) {
    self.issuer = issuer
    subject = checked.subject
    tokenUse = checked.tokenUse
    clientID = checked.clientID
    audiences = checked.audiences
    scopes = checked.scopes
    expiresAt = checked.expiresAt
    notBefore = checked.notBefore
    issuedAt = checked.issuedAt
    kid = nil
    alg = nil
    jti = checked.jti
    claims = checked.claims
    bytes = token
  }
}

extension VerifiedToken: CustomStringConvertible, CustomReflectable {
  /// What kind of token and whose issuer; no claim of its subject.
  public var description: String { "\(tokenUse.rawValue) token of \(ShownText.quoted(issuer))" }
  /// Nothing: a dump into a log shows the description alone.
  public var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// Makes verified tokens of unverified ones, RFC 7515 §5.2 and RFC 7519 §7.2.
public enum TokenVerifier {
  /// Verifies a token with the keys of its issuer.
  ///
  /// Cheap checks come first (issuer, algorithm, type, key), then the signature; claims are read and judged only when the signature is good.
  /// `now` is in seconds since 1970. A `key_unknown` error is worth another try once the key set is fresh.
  public static func verify(
    _ token: UnverifiedToken, keys: JWKSet, rules: ClaimRules, now: Int64, verifier: SignatureVerifier
  ) throws(TokenError) -> VerifiedToken {
    guard rules.issuers.contains(where: { exactlyEquals($0, token.issuer) }) else {
      throw .issuer(found: token.issuer, expected: rules.issuers)
    }
    guard rules.algorithms.contains(token.algorithm) else {
      throw .algorithm(found: token.algorithm.rawValue, expected: JWSAlgorithm.allCases.filter(rules.algorithms.contains))
    }
    // RFC 8725 §3.11: a token typed as something else (a DPoP proof, a logout or security event token) is none of ours.
    if let type = token.jws.header.type, !["jwt", "at+jwt"].contains(where: { exactlyEquals($0, type) }) { throw .type(found: type) }
    try token.jws.verifySignature(keys: keys, verifier: verifier)
    let claims = try token.readClaims()
    let checked = try ClaimCheck(claims: claims, type: token.jws.header.type, rules: rules, now: now).checked()
    return VerifiedToken(token, checked)
  }

  /// Verifies what a load balancer says with the key that it names. What it says are the claims of a user, so it is taken for an ID
  /// token of the client.
  public static func verify(
    _ token: LoadBalancerToken, key: PublicKey, rules: LoadBalancerToken.Rules, now: Int64, verifier: SignatureVerifier
  ) throws(TokenError) -> VerifiedToken {
    guard token.jws.isSigned(by: key, verifier: verifier) else { throw .signature(kid: token.kid, algorithm: .es256) }
    let claims = try CompactJWS.json(token.jws.payload, .payload, depthLimit: UnverifiedToken.depthLimit)
    guard claims.object != nil else { throw .notAnObject(.payload, found: claims.kindName) }
    var expiresAt = token.expiresAt
    if let date = claims["exp"] {
      guard let seconds = NumericDate.seconds(date) else { throw .wrongType("exp", expected: "a date", found: date.kindName) }
      expiresAt = min(expiresAt, seconds)
    }
    let (last, overflow) = expiresAt.addingReportingOverflow(rules.clockSkew)
    guard overflow || now < last else { throw .expired(at: expiresAt, now: now) }
    if let issuer = claims["iss"] {
      guard let text = issuer.string, exactlyEquals(text, rules.issuer) else {
        throw .issuer(found: issuer.string ?? issuer.kindName, expected: [rules.issuer])
      }
    }
    guard let subject = claims["sub"]?.string, !subject.isEmpty else { throw .missing("sub") }
    return VerifiedToken(token, rules, claims: claims, subject: subject, expiresAt: expiresAt)
  }
  /// Verifies an opaque token by what its issuer has said of it, which stands in the place of a signature. `iss` may be left out of
  /// that, for the issuer is who was asked; every other rule is that of signed access tokens.
  public static func verify(
    _ token: Secret<[UInt8]>, introspected: IntrospectedClaims, rules: ClaimRules, now: Int64
  ) throws(TokenError) -> VerifiedToken {
    let claims = introspected.value
    func text(_ name: String) throws(TokenError) -> String? {
      guard let value = claims[name] else { return nil }
      guard let text = value.string else { throw .wrongType(name, expected: "a string", found: value.kindName) }
      return text
    }
    let named = try text("iss")
    guard let issuer = named ?? rules.issuers.first, rules.issuers.contains(where: { exactlyEquals($0, issuer) }) else {
      throw .issuer(found: named ?? "", expected: rules.issuers)
    }
    // RFC 6749 §7.1: how it may be used. A token of a type that is not known must not be used.
    if let type = try text("token_type") {
      let isBound = ASCII.equalsIgnoringCase(type.utf8, "dpop".utf8)
      guard isBound || ASCII.equalsIgnoringCase(type.utf8, "bearer".utf8) else { throw .type(found: type) }
      guard !isBound || claims["cnf"] != nil else { throw .missing("cnf") }
    }
    // Some servers answer about refresh tokens as well, and say so here.
    if let use = try text("token_use"), !["access", "access_token"].contains(where: { exactlyEquals($0, use) }) {
      throw .tokenUse(found: use, expected: [.access])
    }
    // The one type of RFC 9068: of opaque tokens only access tokens are shown to services.
    let checked = try ClaimCheck(claims: claims, type: "at+jwt", rules: rules, now: now).checked()
    return VerifiedToken(token, of: issuer, checked)
  }
}
