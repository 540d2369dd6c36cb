internal import Bytes
internal import Crypto
internal import JOSE
internal import JSON

/// One sign-in: what the tokens that come of it share.
struct Session: Sendable {
  let user: UserDirectory.User
  let clientID: String
  let authenticatedAt: Int64
  let originJTI: String
  let eventID: String
  let scope: String

  init(user: UserDirectory.User, clientID: String, at time: Int64, scope: String = "aws.cognito.signin.user.admin") {
    self.user = user
    self.clientID = clientID
    authenticatedAt = time
    originJTI = RandomBytes.makeUUID()
    eventID = RandomBytes.makeUUID()
    self.scope = scope
  }
}

/// Makes the claims of Cognito's tokens, in the order a user pool writes them, and signs them: rightly, or with a flaw.
struct TokenMint {
  /// How long ID and access tokens are valid, in seconds: Cognito's default.
  static let lifetime: Int64 = 3600

  let issuer: String
  var keys: KeyRing

  /// An ID token of a sign-in.
  mutating func idToken(_ session: Session, at now: Int64, algorithm: JWSAlgorithm = .rs256, flaw: TokenFlaw = .none) throws(KeyError)
    -> String
  {
    let user = session.user
    var claims: Claims = [("sub", .string(user.subject))]
    if !user.groups.isEmpty { claims.append(("cognito:groups", .array(user.groups.map(JSONValue.string)))) }
    claims += [
      ("email_verified", .bool(true)), ("iss", .string(issuer)), ("cognito:username", .string(user.name)),
      ("origin_jti", .string(session.originJTI)), ("aud", .string(session.clientID)), ("event_id", .string(session.eventID)),
      ("token_use", .string("id")), ("auth_time", .integer(session.authenticatedAt)), ("exp", .integer(now + Self.lifetime)),
      ("iat", .integer(now)), ("jti", .string(RandomBytes.makeUUID())), ("email", .string(user.email)),
      ("acr", .string("urn:cognito:loa:1")), ("amr", .array([.string("pwd")])),
    ]
    claims += user.attributes.map { ($0.name, .string($0.value)) }
    return try signed(claims, .id, at: now, algorithm, flaw)
  }

  /// An access token of a sign-in.
  mutating func accessToken(
    _ session: Session, at now: Int64, algorithm: JWSAlgorithm = .rs256, flaw: TokenFlaw = .none, boundTo thumbprint: String? = nil
  ) throws(KeyError) -> String {
    let user = session.user
    var claims: Claims = [("sub", .string(user.subject))]
    if !user.groups.isEmpty { claims.append(("cognito:groups", .array(user.groups.map(JSONValue.string)))) }
    claims += [
      ("iss", .string(issuer)), ("client_id", .string(session.clientID)), ("origin_jti", .string(session.originJTI)),
      ("event_id", .string(session.eventID)), ("token_use", .string("access")), ("scope", .string(session.scope)),
      ("auth_time", .integer(session.authenticatedAt)), ("exp", .integer(now + Self.lifetime)), ("iat", .integer(now)),
      ("jti", .string(RandomBytes.makeUUID())), ("username", .string(user.name)),
      ("acr", .string("urn:cognito:loa:1")), ("amr", .array([.string("pwd")])),
    ]
    // RFC 9449 §6.1: bound to the key of the client's proofs.
    if let thumbprint { claims.append(("cnf", .object(["jkt": .string(thumbprint)]))) }
    return try signed(claims, .access, at: now, algorithm, flaw)
  }

  /// The access token of a machine: the client itself is the subject, and there is no user and no group.
  mutating func machineToken(
    client: String, scopes: [String], at now: Int64, algorithm: JWSAlgorithm = .rs256, flaw: TokenFlaw = .none
  ) throws(KeyError) -> String {
    let claims: Claims = [
      ("sub", .string(client)), ("token_use", .string("access")), ("scope", .string(scopes.joined(separator: " "))),
      ("auth_time", .integer(now)), ("iss", .string(issuer)), ("exp", .integer(now + Self.lifetime)), ("iat", .integer(now)),
      ("version", .integer(2)), ("jti", .string(RandomBytes.makeUUID())), ("client_id", .string(client)),
    ]
    return try signed(claims, .access, at: now, algorithm, flaw)
  }

  private typealias Claims = [(name: String, value: JSONValue)]

  private mutating func signed(
    _ claims: Claims, _ use: TokenUse, at now: Int64, _ algorithm: JWSAlgorithm, _ flaw: TokenFlaw
  ) throws(KeyError) -> String {
    let signer = try keys.key(for: use, algorithm)
    let hour: Int64 = 3600
    switch flaw {
    case .none: return try signer.token(claims: Self.object(claims))
    case .expired:
      return try signer.token(
        claims: Self.object(claims, ["iat": .integer(now - 2 * hour), "auth_time": .integer(now - 2 * hour), "exp": .integer(now - hour)]))
    case .notYet:
      return try signer.token(claims: Self.object(claims, ["nbf": .integer(now + hour), "exp": .integer(now + 2 * hour)]))
    case .longLived: return try signer.token(claims: Self.object(claims, ["exp": .integer(now + 365 * 24 * hour)]))
    case .otherIssuer: return try signer.token(claims: Self.object(claims, ["iss": .string("https://other.example/us-east-1_Other0000")]))
    case .otherClient:
      return try signer.token(claims: Self.object(claims, [use == .id ? "aud" : "client_id": .string("1otherclient")]))
    case .critical:
      return try signer.token(claims: Self.object(claims), header: ["crit": .array([.string("exp")])])
    case .forged:
      let stray = try keys.stray(algorithm)
      return try JWSSigner(kid: signer.kid, algorithm: algorithm, key: stray.key).token(claims: Self.object(claims))
    case .embeddedKey:
      let stray = try keys.stray(algorithm)
      return try JWSSigner(kid: signer.kid, algorithm: algorithm, key: stray.key)
        .token(claims: Self.object(claims), header: ["jwk": stray.publicJWK])
    case .remoteKey:
      return try keys.stray(algorithm).token(claims: Self.object(claims), header: ["jku": .string("https://other.example/jwks.json")])
    case .unencoded: return try signer.token(claims: Self.object(claims), header: ["b64": .bool(false)])
    case .padded: return try signer.token(claims: Self.object(claims)) + "=="
    case .duplicateName: return try signer.token(claims: Self.object(claims + [("sub", .string("admin"))]))
    case .noExpiry: return try signer.token(claims: Self.object(claims.filter { !exactlyEquals($0.name, "exp") }))
    case .issuedAhead: return try signer.token(claims: Self.object(claims, ["iat": .integer(now + hour), "exp": .integer(now + 2 * hour)]))
    case .refresh: return try signer.token(claims: Self.object(claims, ["token_use": .string("refresh")]))
    case .otherType: return try signer.token(claims: Self.object(claims), header: ["typ": .string("dpop+jwt")])
    case .unknownKey: return try keys.stray(algorithm).token(claims: Self.object(claims))
    case .tampered:
      // What an attacker would want, and a fresh jti, so that every user's token really is another.
      let wanted: [String: JSONValue] = ["cognito:groups": .array([.string("admin")]), "jti": .string(RandomBytes.makeUUID())]
      let parts = try signer.token(claims: Self.object(claims)).split(separator: ".")
      return "\(parts[0]).\(JWSSigner.part(Self.object(claims, wanted))).\(parts[2])"
    case .algNone:
      return JWSSigner.part(.object(["alg": .string("none")])) + "." + JWSSigner.part(Self.object(claims)) + "."
    case .hmac:
      let signed =
        JWSSigner.part(.object(["kid": .string(signer.kid), "alg": .string("HS256")])) + "." + JWSSigner.part(Self.object(claims))
      let secret = signer.key.number(.n) ?? signer.key.number(.x) ?? []
      return signed + "." + Base64URL.encode(HMAC.code(.sha256, key: secret, message: signed.utf8))
    }
  }

  /// The claims in order, some replaced; those that are new come last.
  private static func object(_ claims: Claims, _ changes: [String: JSONValue] = [:]) -> JSONValue {
    var members = claims.map { JSONValue.Member(name: $0.name, value: changes[$0.name] ?? $0.value) }
    for (name, value) in changes.sorted(by: { $0.key < $1.key }) where !claims.contains(where: { $0.name == name }) {
      members.append(JSONValue.Member(name: name, value: value))
    }
    return JSONValue(.object(members))
  }
}
