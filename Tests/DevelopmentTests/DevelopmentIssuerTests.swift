import Bytes
import Crypto
import JOSE
import JSON
import Testing

@testable import Development

/// One issuer for every test that does not change its keys.
struct DevelopmentIssuerTests {
  static let now: Int64 = 1_800_000_000
  static let url = "http://127.0.0.1:8081"

  // RSA keys take a moment to make, so all issuers start with the same; each rotates its own copy.
  private static let keys = Result { () throws(KeyError) in
    var ring = try KeyRing()
    _ = try ring.stray(.rs256)
    return ring
  }

  static func issuer() throws -> DevelopmentIssuer {
    DevelopmentIssuer(
      url: url, poolID: DevelopmentIssuer.defaultPoolID, issuer: nil, directory: UserDirectory(), keys: try keys.get())
  }

  static func rules(_ issuer: DevelopmentIssuer) -> ClaimRules {
    ClaimRules(
      issuers: [issuer.issuer], profile: .cognito, clientIDs: Set(["demoapp", "demoserver", "robot"].map { ExactString($0) }),
      algorithms: [.rs256])
  }

  static func verify(_ token: String, _ issuer: DevelopmentIssuer, now: Int64 = now) -> Result<VerifiedToken, TokenError> {
    do throws(TokenError) {
      return .success(
        try TokenVerifier.verify(
          UnverifiedToken.parse(token.utf8), keys: issuer.keySet, rules: rules(issuer), now: now, verifier: SignatureVerifier()))
    } catch {
      return .failure(error)
    }
  }

  static func get(_ issuer: DevelopmentIssuer, _ target: String, method: String = "GET", host: String? = "127.0.0.1:8081") -> LocalResponse
  {
    issuer.answer(LocalRequest(method: method, target: target, headers: host.map { [("Host", $0)] } ?? []), at: now)
  }

  static func post(_ issuer: DevelopmentIssuer, _ target: String, _ form: String, authorization: String? = nil) -> LocalResponse {
    var headers = [("Host", "127.0.0.1:8081"), ("Content-Type", "application/x-www-form-urlencoded")]
    if let authorization { headers.append(("Authorization", authorization)) }
    return issuer.answer(LocalRequest(method: "POST", target: target, headers: headers, body: Array(form.utf8)), at: now)
  }

  static func call(_ issuer: DevelopmentIssuer, _ operation: String, _ input: JSONValue) throws -> (
    status: Int, body: JSONValue, response: LocalResponse
  ) {
    let headers = [
      ("Host", "127.0.0.1:8081"), ("X-Amz-Target", "AWSCognitoIdentityProviderService.\(operation)"),
      ("Content-Type", "application/x-amz-json-1.1"),
    ]
    let response = issuer.answer(LocalRequest(method: "POST", target: "/", headers: headers, body: Array(input.text.utf8)), at: now)
    return (response.status, try JSONParser.parse(response.body), response)
  }

  static func signIn(_ issuer: DevelopmentIssuer, _ user: String, client: String = "demoapp", hash: String? = nil) throws -> JSONValue {
    var parameters = [("USERNAME", user), ("PASSWORD", issuer.directory.password.exposed)]
    if let hash { parameters.append(("SECRET_HASH", hash)) }
    let answer = try call(
      issuer, "InitiateAuth",
      .object([
        "AuthFlow": .string("USER_PASSWORD_AUTH"), "ClientId": .string(client),
        "AuthParameters": JSONValue(.object(parameters.map { JSONValue.Member(name: $0.0, value: .string($0.1)) })),
      ]))
    return answer.body["AuthenticationResult"] ?? answer.body
  }

  // MARK: keys

  @Test("the key set and discovery are where Cognito has them, with and without the pool id, and can be cached")
  func documents() throws {
    let issuer = try Self.issuer()
    for prefix in ["", "/\(issuer.poolID)"] {
      let keys = Self.get(issuer, prefix + "/.well-known/jwks.json")
      #expect(keys.status == 200)
      #expect(keys.header("Content-Type") == "application/json")
      #expect(keys.header("Cache-Control")?.contains("max-age=") == true)
      let set = try JWKSet.parse(keys.body)
      #expect(set.keys.count == 2)
      #expect(set.problems.isEmpty)
      #expect(set.isDevelopment)
      #expect(set.keys.allSatisfy { $0.alg == .rs256 && $0.kid?.hasSuffix("=") == true })
      let discovery = try JSONParser.parse(Self.get(issuer, prefix + "/.well-known/openid-configuration").body)
      #expect(discovery["issuer"]?.string == issuer.issuer)
      #expect(discovery["jwks_uri"]?.string == issuer.jwksURL)
      #expect(discovery["stockade_development"]?.bool == true)
    }
    #expect(issuer.issuer == "\(Self.url)/us-east-1_Demo00000")
  }

  @Test("ID and access tokens are signed by different keys, as Cognito does")
  func twoKeys() throws {
    let issuer = try Self.issuer()
    let access = try Self.verify(#require(try issuer.token(of: "alice", at: Self.now)), issuer).get()
    let id = try Self.verify(#require(try issuer.token(of: "alice", use: .id, at: Self.now)), issuer).get()
    #expect(access.kid != id.kid)
  }

  @Test("after a rotation new tokens have new keys, and old ones verify until the next; retired keys are gone at once")
  func rotation() throws {
    let issuer = try Self.issuer()
    let first = try #require(try issuer.token(of: "alice", at: Self.now))
    #expect(Self.get(issuer, "/rotate", method: "POST").status == 200)
    let second = try #require(try issuer.token(of: "alice", at: Self.now))
    #expect(throws: Never.self) { try Self.verify(first, issuer).get() }
    #expect(throws: Never.self) { try Self.verify(second, issuer).get() }
    #expect(issuer.keySet.keys.count == 4)
    try issuer.rotate()
    #expect(Self.reason(first, issuer) == .unknownKey)
    #expect(throws: Never.self) { try Self.verify(second, issuer).get() }
    #expect(Self.get(issuer, "/rotate?retire=now", method: "POST").status == 200)
    #expect(Self.reason(second, issuer) == .unknownKey)
    #expect(issuer.keySet.keys.count == 2)
  }

  @Test("keys of other algorithms appear when they are asked for", arguments: [JWSAlgorithm.es256, .edDSA, .ps256])
  func otherAlgorithms(algorithm: JWSAlgorithm) throws {
    let issuer = try Self.issuer()
    let token = Self.get(issuer, "/token?user=alice&alg=\(algorithm)").text.trimmed
    #expect(issuer.keySet.keys.count == 3)
    var rules = Self.rules(issuer)
    rules.algorithms = [algorithm]
    let verified = try TokenVerifier.verify(
      UnverifiedToken.parse(token.utf8), keys: issuer.keySet, rules: rules, now: Self.now, verifier: SignatureVerifier())
    #expect(verified.alg == algorithm)
  }

  // MARK: tokens

  static func reason(_ token: String, _ issuer: DevelopmentIssuer) -> TokenError.Reason? {
    if case .failure(let error) = verify(token, issuer) { error.reason } else { nil }
  }

  @Test(
    "each flaw is refused for its own reason, in ID and in access tokens",
    arguments: [
      (.none, nil), (.expired, .expired), (.forged, .signature), (.notYet, .notYetValid), (.otherIssuer, .issuer), (.algNone, .algorithm),
      (.hmac, .algorithm), (.unknownKey, .unknownKey), (.tampered, .signature), (.otherClient, .audience), (.longLived, .lifetime),
      (.critical, .malformed), (.embeddedKey, .signature), (.remoteKey, .unknownKey), (.unencoded, .malformed), (.padded, .malformed),
      (.duplicateName, .malformed), (.noExpiry, .malformed), (.issuedAhead, .notYetValid), (.refresh, .use), (.otherType, .use),
    ] as [(TokenFlaw, TokenError.Reason?)])
  func flaws(flaw: TokenFlaw, reason: TokenError.Reason?) throws {
    let issuer = try Self.issuer()
    for use in TokenUse.allCases {
      for user in issuer.directory.users {
        let token = try #require(try issuer.token(of: user.name, use: use, flaw: flaw, at: Self.now))
        #expect(Self.reason(token, issuer) == reason, "\(user.name)")
      }
      let asked = Self.get(issuer, "/token?user=alice&kind=\(flaw.rawValue)&use=\(use.rawValue)")
      #expect(asked.status == 200)
      #expect(asked.header("Cache-Control") == "no-store")
      #expect(Self.reason(asked.text.trimmed, issuer) == reason)
    }
  }

  @Test("every flaw has a case above")
  func allFlaws() { #expect(TokenFlaw.allCases.count == 21) }

  @Test("an ID token has the claims that Cognito's have")
  func idClaims() throws {
    let issuer = try Self.issuer()
    let verified = try Self.verify(#require(try issuer.token(of: "alice", use: .id, at: Self.now)), issuer).get()
    let claims = verified.claims
    #expect(verified.tokenUse == .id && verified.subject == "alice" && verified.clientID == "demoapp")
    #expect(claims["cognito:username"]?.string == "alice")
    #expect(claims["cognito:groups"] == .array([.string("viewer")]))
    #expect(claims["email"]?.string == "alice@example.com")
    #expect(claims["email_verified"]?.bool == true)
    #expect(claims["auth_time"]?.integer == Self.now)
    #expect(claims["custom:department"]?.string == "sales")
    #expect(claims["amr"] == .array([.string("pwd")]))
    for name in ["origin_jti", "event_id", "jti"] { #expect(claims[name]?.string?.utf8.count == 36) }
    #expect(claims["client_id"] == nil && claims["scope"] == nil && claims["username"] == nil)
  }

  @Test("an access token has the claims that Cognito's have; a user in no group has no group claim")
  func accessClaims() throws {
    let issuer = try Self.issuer()
    let verified = try Self.verify(#require(try issuer.token(of: "mallory", at: Self.now)), issuer).get()
    #expect(verified.scopes == ["aws.cognito.signin.user.admin"])
    #expect(verified.claims["username"]?.string == "mallory")
    #expect(verified.claims["cognito:groups"] == nil)
    #expect(verified.claims["aud"] == nil && verified.claims["email"] == nil && verified.claims["cognito:username"] == nil)
    #expect(verified.expiresAt == Self.now + 3600)
  }

  @Test("a machine's token has its client as subject, and neither user nor group")
  func machineClaims() throws {
    let issuer = try Self.issuer()
    let verified = try Self.verify(#require(try issuer.token(of: "robot", at: Self.now)), issuer).get()
    #expect(verified.subject == "robot" && verified.clientID == "robot" && verified.scopes == ["orders/read"])
    for name in ["username", "cognito:groups", "origin_jti", "aud"] { #expect(verified.claims[name] == nil) }
    #expect(try issuer.token(of: "robot", use: .id, at: Self.now) == nil)
    #expect(try issuer.token(of: "nobody", at: Self.now) == nil)
  }

  @Test("a token's header has kid and alg and no typ")
  func header() throws {
    let token = try #require(try Self.issuer().token(of: "alice", at: Self.now))
    let header = try JSONParser.parse(#require(Base64URL.decode(token.prefix { $0 != "." }.utf8)))
    #expect(header.object?.map(\.name) == ["kid", "alg"])
  }

  // MARK: HTTP

  @Test("a name that is not loopback gets nothing: not keys, not tokens")
  func rebinding() throws {
    let issuer = try Self.issuer()
    for host in [
      "evil.example", "evil.example:8081", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1:80801111", "", "127.0.0.1:x",
    ] {
      #expect(Self.get(issuer, "/token?user=alice", host: host).status == 421, "\(host)")
    }
    #expect(Self.get(issuer, "/token?user=alice", host: nil).status == 421)
    for host in ["127.0.0.1", "localhost:8081", "LOCALHOST", "[::1]:8081"] {
      #expect(Self.get(issuer, "/token?user=alice", host: host).status == 200)
    }
  }

  @Test("a web page cannot make a browser rotate the keys")
  func crossOrigin() throws {
    let issuer = try Self.issuer()
    let before = issuer.keySet.fingerprint
    let headers = [("Host", "127.0.0.1:8081"), ("Origin", "https://evil.example")]
    #expect(issuer.answer(LocalRequest(method: "POST", target: "/rotate", headers: headers), at: Self.now).status == 403)
    #expect(issuer.keySet.fingerprint == before)
  }

  @Test("a fresh issuer makes its own two keys")
  func freshKeys() throws {
    let first = try DevelopmentIssuer(url: Self.url).keySet
    let second = try DevelopmentIssuer(url: Self.url).keySet
    #expect(first.keys.count == 2 && first.fingerprint != second.fingerprint)
  }

  @Test("wrong paths, methods and parameters get an answer that says what is right")
  func routing() throws {
    let issuer = try Self.issuer()
    #expect(Self.get(issuer, "/nothing").status == 404)
    #expect(Self.get(issuer, "/rotate").status == 405)
    #expect(Self.get(issuer, "/rotate").header("Allow") == "POST")
    #expect(Self.get(issuer, "/.well-known/jwks.json", method: "DELETE").status == 405)
    #expect(Self.get(issuer, "/token").status == 400)
    #expect(Self.get(issuer, "/token?user=alice&user=bob").status == 400)
    #expect(Self.get(issuer, "/token?user=nobody").text.contains("alice, bob, carol, mallory, robot"))
    #expect(Self.get(issuer, "/token?user=alice&kind=worse").text.contains("not-yet"))
    #expect(Self.get(issuer, "/token?user=alice&use=refresh").status == 400)
    #expect(Self.get(issuer, "/token?user=alice&alg=HS256").status == 400)
    #expect(Self.get(issuer, "/", method: "POST").status == 404)
  }
}

extension String {
  var trimmed: String { String(self.prefix { $0 != "\n" }) }
}
