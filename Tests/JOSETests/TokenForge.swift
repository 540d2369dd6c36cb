import Bytes
import Crypto
import JOSE
import JSON

/// Makes tokens and key sets for tests, good and bad, with keys of its own.
struct TokenForge {
  static let issuer = "https://issuer.example.org"
  static let now: Int64 = 1_800_000_000

  static let keys: [JWSAlgorithm: PrivateKey] = {
    let rsa = made { () throws(KeyError) in try PrivateKey.generateRSA() }
    var keys: [JWSAlgorithm: PrivateKey] = [:]
    for algorithm in JWSAlgorithm.allCases {
      switch algorithm.signature {
      case .rsaPKCS1, .rsaPSS: keys[algorithm] = rsa
      case .ecdsa(let curve): keys[algorithm] = made { () throws(KeyError) in try PrivateKey.generateEC(curve) }
      case .ed25519: keys[algorithm] = made { () throws(KeyError) in try PrivateKey.generateEd25519() }
      }
    }
    return keys
  }()

  static let rsa = key(.rs256)
  static let otherRSA = made { () throws(KeyError) in try PrivateKey.generateRSA() }

  static func key(_ algorithm: JWSAlgorithm) -> PrivateKey {
    guard let key = keys[algorithm] else { preconditionFailure("no key for \(algorithm)") }
    return key
  }

  private static func made(_ make: () throws(KeyError) -> PrivateKey) -> PrivateKey {
    do {
      return try make()
    } catch {
      preconditionFailure("no key: \(error)")
    }
  }

  /// A public key as a member of a set; `extra` members are added, a `nil` one of the usual three is left out.
  static func jwk(
    _ key: PrivateKey, kid: String? = "k1", alg: String? = nil, use: String? = "sig", extra: [(String, JSONValue)] = []
  ) -> JSONValue {
    func number(_ number: PrivateKey.Number) -> JSONValue { .string(Base64URL.encode(key.number(number) ?? [])) }
    var members: [(String, JSONValue)] = []
    switch key.publicKey.kind {
    case .rsa: members = [("kty", .string("RSA")), ("n", number(.n)), ("e", number(.e))]
    case .ec(let curve):
      let name = ["P-256", "P-384", "P-521"][Curve.allCases.firstIndex(of: curve) ?? 0]
      members = [("kty", .string("EC")), ("crv", .string(name)), ("x", number(.x)), ("y", number(.y))]
    case .ed25519: members = [("kty", .string("OKP")), ("crv", .string("Ed25519")), ("x", number(.x))]
    }
    if let kid { members.append(("kid", .string(kid))) }
    if let alg { members.append(("alg", .string(alg))) }
    if let use { members.append(("use", .string(use))) }
    return JSONValue(.object((members + extra).map { JSONValue.Member(name: $0.0, value: $0.1) }))
  }

  static func set(_ keys: [JSONValue]) throws -> JWKSet {
    try JWKSet.parse(Array(JSONValue.object(["keys": .array(keys)]).text.utf8))
  }

  /// A token over exactly these texts.
  static func token(header: String, payload: String, algorithm: JWSAlgorithm = .rs256, key: PrivateKey? = nil) throws -> [UInt8] {
    let signed = "\(Base64URL.encode(Array(header.utf8))).\(Base64URL.encode(Array(payload.utf8)))"
    let signature = try (key ?? Self.key(algorithm)).sign(Array(signed.utf8), by: algorithm.signature)
    return Array("\(signed).\(Base64URL.encode(signature))".utf8)
  }

  /// A good token with some claims changed; nil takes a claim away.
  static func token(
    _ algorithm: JWSAlgorithm = .rs256, kid: String? = "k1", typ: String? = nil, key: PrivateKey? = nil,
    claims changes: [String: JSONValue?] = [:]
  ) throws -> [UInt8] {
    var claims: [String: JSONValue] = [
      "iss": .string(issuer), "sub": .string("alice"), "aud": .string("https://api.example.org"), "iat": .integer(now - 60),
      "exp": .integer(now + 3600), "client_id": .string("app"),
    ]
    for (name, value) in changes { claims[name] = value }
    let payload = JSONValue(.object(claims.sorted { $0.key < $1.key }.map { JSONValue.Member(name: $0.key, value: $0.value) })).text
    var header = #"{"alg":"\#(algorithm)""#
    if let kid { header += #","kid":"\#(kid)""# }
    if let typ { header += #","typ":"\#(typ)""# }
    return try token(header: header + "}", payload: payload, algorithm: algorithm, key: key)
  }

  static let rules = ClaimRules(issuers: [issuer], profile: .oidc, audiences: [ExactString("https://api.example.org")])

  /// What a verifier says of a token: nil for accepted.
  static func verdict(
    _ token: [UInt8], keys: JWKSet? = nil, rules: ClaimRules = rules, now: Int64 = now
  ) throws -> Result<VerifiedToken, TokenError> {
    let keys = try keys ?? set([jwk(rsa)])
    do throws(TokenError) {
      let unverified = try UnverifiedToken.parse(token)
      return .success(try TokenVerifier.verify(unverified, keys: keys, rules: rules, now: now, verifier: SignatureVerifier()))
    } catch {
      return .failure(error)
    }
  }

  static func error(_ token: [UInt8], keys: JWKSet? = nil, rules: ClaimRules = rules, now: Int64 = now) throws -> TokenError? {
    if case .failure(let error) = try verdict(token, keys: keys, rules: rules, now: now) { error } else { nil }
  }
}
