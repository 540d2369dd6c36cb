import Bytes
import JOSE
import JSON
import Testing

struct ClaimRulesTests {
  static let now = TokenForge.now
  static let pool = CognitoUserPool(id: "eu-west-1_AbCdEf123")
  static let api = "https://api.example.org"

  @Test(
    "exp, nbf and iat allow the clock skew and not a second more",
    arguments: [
      ("exp", now - 59, nil), ("exp", now - 60, TokenError.Reason.expired), ("exp", now - 61, .expired), ("nbf", now + 60, nil),
      ("nbf", now + 61, .notYetValid), ("iat", now + 60, nil), ("iat", now + 61, .notYetValid),
    ] as [(String, Int64, TokenError.Reason?)])
  func skew(claim: String, at: Int64, reason: TokenError.Reason?) throws {
    #expect(try TokenForge.error(TokenForge.token(claims: [claim: .integer(at)]))?.reason == reason)
  }

  @Test("without skew a token is valid until the second before exp, and from nbf on")
  func noSkew() throws {
    var rules = TokenForge.rules
    rules.clockSkew = 0
    #expect(try TokenForge.error(TokenForge.token(claims: ["exp": .integer(Self.now)]), rules: rules)?.reason == .expired)
    #expect(try TokenForge.error(TokenForge.token(claims: ["exp": .integer(Self.now + 1)]), rules: rules) == nil)
    #expect(try TokenForge.error(TokenForge.token(claims: ["nbf": .integer(Self.now)]), rules: rules) == nil)
    let half = JSONValue(.number("\(Self.now).5"))
    #expect(try TokenForge.error(TokenForge.token(claims: ["exp": half]), rules: rules) == nil)
    #expect(try TokenForge.error(TokenForge.token(claims: ["exp": half]), rules: rules, now: Self.now + 1)?.reason == .expired)
    #expect(try TokenForge.error(TokenForge.token(claims: ["nbf": half]), rules: rules)?.reason == .notYetValid)
  }

  @Test("exp must be there; dates must be numbers that fit 64 bits")
  func dates() throws {
    #expect(try TokenForge.error(TokenForge.token(claims: ["exp": nil])) == .missing("exp"))
    let values: [JSONValue] = [
      .string("1900000000"), .bool(true), JSONValue(.null), .array([.integer(1)]), JSONValue(.number("1e400")), JSONValue(.number("1e19")),
    ]
    for claim in ["exp", "nbf", "iat"] {
      for value in values {
        #expect(try TokenForge.error(TokenForge.token(claims: [claim: value]))?.reason == .malformed, "\(claim) \(value.text)")
      }
    }
  }

  @Test("dates at the edges of 64 bits are judged without a trap")
  func edges() throws {
    var rules = TokenForge.rules
    rules.maximumLifetime = nil
    #expect(try TokenForge.error(TokenForge.token(claims: ["exp": .integer(.max)]), rules: rules) == nil)
    #expect(try TokenForge.error(TokenForge.token(claims: ["exp": .integer(.min)]), rules: rules)?.reason == .expired)
    #expect(try TokenForge.error(TokenForge.token(claims: ["nbf": .integer(.max)]), rules: rules)?.reason == .notYetValid)
    #expect(try TokenForge.error(TokenForge.token(claims: ["iat": .integer(.min), "exp": .integer(.max)]))?.reason == .lifetime)
    rules.clockSkew = .max
    #expect(try TokenForge.error(TokenForge.token(claims: ["exp": .integer(5), "nbf": .integer(.max)]), rules: rules) == nil)
    #expect(try TokenForge.error(TokenForge.token(), rules: rules, now: .max)?.reason == .expired)
    #expect(try TokenForge.error(TokenForge.token(), now: .min)?.reason == .notYetValid)
  }

  @Test("a lifetime above the maximum is refused, from iat to exp, or from now on where there is no iat")
  func lifetime() throws {
    #expect(try TokenForge.error(TokenForge.token(claims: ["iat": .integer(Self.now), "exp": .integer(Self.now + 86_400)])) == nil)
    let long = try TokenForge.token(claims: ["iat": .integer(Self.now), "exp": .integer(Self.now + 86_401)])
    #expect(try TokenForge.error(long) == .lifetime(seconds: 86_401, maximum: 86_400))
    let old = try TokenForge.token(claims: ["iat": .integer(Self.now - 86_400), "exp": .integer(Self.now + 1)])
    #expect(try TokenForge.error(old)?.reason == .lifetime)
    #expect(try TokenForge.error(TokenForge.token(claims: ["iat": nil, "exp": .integer(Self.now + 90_000)]))?.reason == .lifetime)
    #expect(try TokenForge.error(TokenForge.token(claims: ["iat": nil])) == nil)
  }

  @Test("aud is a string or an array of strings, any of which may be ours, compared byte by byte")
  func audience() throws {
    let good: [JSONValue] = [.string(Self.api), .array([.string("x"), .string(Self.api)])]
    for value in good { #expect(try TokenForge.error(TokenForge.token(claims: ["aud": value])) == nil) }
    let wrong: [JSONValue] = [
      .string(Self.api + "/"), .string("HTTPS://api.example.org"), .string("x " + Self.api), .array([.string("x")]),
    ]
    for value in wrong { #expect(try TokenForge.error(TokenForge.token(claims: ["aud": value]))?.reason == .audience, "\(value.text)") }
    let broken: [JSONValue] = [.integer(1), JSONValue(.null), .array([.string(Self.api), .integer(1)]), .object(["a": .string(Self.api)])]
    for value in broken { #expect(try TokenForge.error(TokenForge.token(claims: ["aud": value]))?.reason == .malformed, "\(value.text)") }
    // No aud, or an empty one: judged by the client, and the rules name none.
    #expect(try TokenForge.error(TokenForge.token(claims: ["aud": nil])) == .audience(claim: "client_id", found: ["app"]))
    #expect(try TokenForge.error(TokenForge.token(claims: ["aud": .array([])]))?.reason == .audience)
    #expect(try TokenForge.error(TokenForge.token(claims: ["aud": nil, "client_id": nil])) == .missing("aud"))
  }

  @Test("the log is told which clients would have done, if they are few")
  func audienceMessage() throws {
    let pool = try #require(Self.pool)
    let token = try TokenForge.token(claims: [
      "iss": .string(pool.originalIssuer), "token_use": .string("access"), "client_id": .string("x"),
    ])
    let few = try TokenForge.error(token, rules: .cognito(pool, clientIDs: [ExactString("b"), ExactString("a")]))
    #expect(few?.description == #"client_id is "x"; accepted: a, b"#)
    let many = try TokenForge.error(token, rules: .cognito(pool, clientIDs: Set((0..<21).map { ExactString("c\($0)") })))
    #expect(many?.description == #"client_id is "x", none of those accepted"#)
    // What the client is told names neither.
    #expect(few?.errorDescription == "The token is for another audience")
  }

  @Test("sub must be a string with something in it; an empty or absent one is nobody")
  func subject() throws {
    for value in [nil, JSONValue(.null), .integer(7), .array([.string("alice")]), .string("")] as [JSONValue?] {
      #expect(try TokenForge.error(TokenForge.token(claims: ["sub": value]))?.reason == .malformed)
    }
    let odd = "a\"::\"b\\\n\u{202e}"
    #expect(try TokenForge.verdict(TokenForge.token(claims: ["sub": .string(odd)])).get().subject == odd)
  }

  @Test("a token bound to its sender is not a bearer token")
  func confirmation() throws {
    let token = try TokenForge.token(claims: ["cnf": .object(["jkt": .string("x")])])
    #expect(try TokenForge.error(token) == .senderConstrained)
    var rules = TokenForge.rules
    rules.acceptsSenderConstrained = true
    #expect(try TokenForge.error(token, rules: rules) == nil)
  }

  @Test("scopes are taken from scope or scp, a string or an array, in order; other forms are malformed")
  func scopes() throws {
    func scopes(_ claims: [String: JSONValue?]) throws -> [String] { try TokenForge.verdict(TokenForge.token(claims: claims)).get().scopes }
    #expect(try scopes(["scope": .string("a  b api/read ")]) == ["a", "b", "api/read"])
    #expect(try scopes(["scp": .array([.string("a b"), .string("c")])]) == ["a b", "c"])
    #expect(try scopes([:]).isEmpty)
    for value in [JSONValue.integer(1), .array([.integer(1)]), JSONValue(.null)] {
      #expect(try TokenForge.error(TokenForge.token(claims: ["scope": value]))?.reason == .malformed)
    }
  }

  // MARK: Cognito

  private func cognito(
    _ claims: [String: JSONValue?], clients: Set<ExactString>? = [ExactString("app")], uses: Set<TokenUse> = [.id, .access],
    audiences: Set<ExactString> = []
  ) throws -> TokenError? {
    let pool = try #require(Self.pool)
    var all: [String: JSONValue?] = ["iss": .string(pool.originalIssuer), "aud": nil]
    for (name, value) in claims { all[name] = value }
    let rules = ClaimRules.cognito(pool, clientIDs: clients, tokenUses: uses, audiences: audiences)
    return try TokenForge.error(TokenForge.token(claims: all), rules: rules)
  }

  @Test("Cognito: each use is checked against its own client claim")
  func cognitoClients() throws {
    let access: [String: JSONValue?] = ["token_use": .string("access")]
    let id: [String: JSONValue?] = ["token_use": .string("id"), "client_id": nil, "aud": .string("app")]
    #expect(try cognito(access) == nil)
    #expect(try cognito(id) == nil)
    #expect(try cognito(access, uses: [.id]) == .tokenUse(found: "access", expected: [.id]))
    #expect(try cognito(id, uses: [.access]) == .tokenUse(found: "id", expected: [.access]))
    #expect(try cognito(["token_use": .string("access"), "client_id": .string("other"), "aud": .string("app")])?.reason == .audience)
    #expect(try cognito(["token_use": .string("id"), "aud": .string("other")])?.reason == .audience)
    #expect(try cognito(["token_use": .string("id"), "aud": nil]) == .missing("aud"))
    #expect(try cognito(["token_use": .string("access"), "client_id": nil]) == .missing("client_id"))
    #expect(try cognito(["token_use": .string("access"), "client_id": .string("other")], clients: nil) == nil)
    #expect(try cognito(["token_use": .string("access"), "client_id": .array([.string("app")])])?.reason == .malformed)
  }

  @Test("Cognito: token_use must be there and be id or access in that case")
  func cognitoUse() throws {
    #expect(try cognito([:]) == .missing("token_use"))
    for use in ["refresh", "ACCESS", "", "Id"] { #expect(try cognito(["token_use": .string(use)])?.reason == .use) }
    #expect(try cognito(["token_use": .array([.string("access")])])?.reason == .malformed)
  }

  @Test("Cognito: both issuer forms of the pool, no other host, region, pool or slash")
  func cognitoIssuers() throws {
    let pool = try #require(Self.pool)
    #expect(try cognito(["token_use": .string("access"), "iss": .string(pool.updatedIssuer)]) == nil)
    for issuer in [
      pool.originalIssuer + "/", "https://cognito-idp.eu-west-2.amazonaws.com/eu-west-1_AbCdEf123",
      "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf124",
      "https://cognito-idp.eu-west-1.amazonaws.com.evil.example/eu-west-1_AbCdEf123",
    ] {
      #expect(try cognito(["token_use": .string("access"), "iss": .string(issuer)])?.reason == .issuer)
    }
  }

  @Test("Cognito: cognito:groups that is no array of strings is malformed, never a group by accident")
  func cognitoGroups() throws {
    for value in [JSONValue.string("admins"), .array([.string("a"), .integer(1)]), .object(["admins": .bool(true)]), JSONValue(.null)] {
      #expect(try cognito(["token_use": .string("access"), "cognito:groups": value])?.reason == .malformed)
    }
    #expect(try cognito(["token_use": .string("access"), "cognito:groups": .array([])]) == nil)
  }

  @Test("Cognito: an aud from resource binding is checked only against configured audiences")
  func cognitoResource() throws {
    let bound: [String: JSONValue?] = ["token_use": .string("access"), "aud": .string("https://other.example")]
    #expect(try cognito(bound) == nil)
    #expect(try cognito(bound, audiences: [ExactString(Self.api)])?.reason == .audience)
    #expect(try cognito(["token_use": .string("access")], audiences: [ExactString(Self.api)]) == nil)
  }

  @Test("Cognito signs by RS256 alone")
  func cognitoAlgorithm() throws {
    let pool = try #require(Self.pool)
    let token = try TokenForge.token(.ps256, claims: ["iss": .string(pool.originalIssuer), "token_use": .string("access")])
    #expect(try TokenForge.error(token, rules: .cognito(pool, clientIDs: nil))?.reason == .algorithm)
  }

  @Test("a machine's token has its client as subject")
  func machine() throws {
    let pool = try #require(Self.pool)
    let token = try TokenForge.token(claims: [
      "iss": .string(pool.originalIssuer), "token_use": .string("access"), "sub": .string("app"), "aud": nil,
      "scope": .string("api/read api/write"),
    ])
    let verified = try TokenForge.verdict(token, rules: .cognito(pool, clientIDs: [ExactString("app")])).get()
    #expect(verified.subject == "app")
    #expect(verified.clientID == "app")
    #expect(verified.scopes == ["api/read", "api/write"])
  }

  // MARK: OpenID Connect

  @Test("OIDC: what a token is for is told by typ, token_use, our audience, ID-only claims, then scopes and clients")
  func oidcUse() throws {
    var rules = TokenForge.rules
    rules.clientIDs = [ExactString("app")]
    func use(typ: String? = nil, _ claims: [String: JSONValue?]) throws -> TokenUse {
      try TokenForge.verdict(TokenForge.token(typ: typ, claims: claims), rules: rules).get().tokenUse
    }
    let forClient: [String: JSONValue?] = ["aud": .string("app"), "client_id": nil]
    #expect(try use([:]) == .access)
    #expect(try use(forClient) == .id)
    #expect(try use(typ: "at+jwt", forClient) == .access)
    #expect(try use(["aud": .string("app"), "scope": .string("read")]) == .access)
    #expect(try use(["aud": .string("app"), "scope": .string("openid"), "nonce": .string("n")]) == .id)
    #expect(try use(["aud": nil, "client_id": nil, "azp": .string("app")]) == .access)
    #expect(try use(["aud": .string("app"), "token_use": .string("access")]) == .access)
  }

  @Test("OIDC: an ID token is refused where only access tokens are accepted")
  func oidcNarrowed() throws {
    var rules = TokenForge.rules
    rules.clientIDs = [ExactString("app")]
    rules.tokenUses = [.access]
    let id = try TokenForge.token(claims: ["aud": .string("app"), "client_id": nil, "nonce": .string("n")])
    #expect(try TokenForge.error(id, rules: rules) == .tokenUse(found: "id", expected: [.access]))
  }

  @Test("OIDC: of several audiences the client is the one that is ours")
  func oidcClient() throws {
    var rules = TokenForge.rules
    rules.clientIDs = [ExactString("app")]
    let token = try TokenForge.token(claims: ["aud": .array([.string("other"), .string("app")]), "client_id": nil])
    #expect(try TokenForge.verdict(token, rules: rules).get().clientID == "app")
  }
}
