import Bytes
import JSON
import Testing

@testable import JOSE

struct IntrospectionTests {
  static let now = TokenForge.now
  static let rules = ClaimRules(
    issuers: ["https://login.example"], profile: .oidc, clientIDs: [ExactString("app")], audiences: [ExactString("api")])

  private func verify(_ members: String, rules: ClaimRules = rules) throws -> VerifiedToken {
    let said = try IntrospectionResponse.parse("{\(members)}".utf8)
    let claims = try #require(said.claims)
    return try TokenVerifier.verify(Secret(Array("opaque".utf8)), introspected: claims, rules: rules, now: Self.now)
  }

  private static let good = #""active":true,"sub":"alice","client_id":"app","scope":"read write","exp":\#(now + 60)"#

  @Test("an active token is what its issuer says of it")
  func active() throws {
    let token = try verify(
      Self.good + #","jti":"x","username":"al","aud":["other","api"],"iss":"https://login.example","token_type":"bEARER""#)
    #expect(token.subject == "alice" && token.clientID == "app" && token.scopes == ["read", "write"] && token.jti == "x")
    #expect(token.tokenUse == .access && token.alg == nil && token.kid == nil && token.expiresAt == Self.now + 60)
    #expect(token.issuer == "https://login.example" && token.claims["username"]?.string == "al")
    #expect(try verify(Self.good).issuer == "https://login.example", "the issuer is who was asked")
    #expect(try verify(Self.good + #","token_use":"access_token""#).tokenUse == .access)
  }

  @Test(
    "the rules for claims are those of signed tokens",
    arguments: [
      (#""sub":"alice","client_id":"app""#, TokenError.missing("exp")),
      (#""sub":"alice","client_id":"app","exp":\#(now - 61)"#, .expired(at: now - 61, now: now)),
      (#""sub":"alice","client_id":"app","exp":"soon""#, .wrongType("exp", expected: "a date", found: "a string")),
      (#"\#(good),"nbf":\#(now + 61)"#, .notYetValid(claim: "nbf", at: now + 61, now: now)),
      (#"\#(good),"iat":\#(now + 61)"#, .notYetValid(claim: "iat", at: now + 61, now: now)),
      (#""sub":"alice","client_id":"app","exp":\#(now + 90_000)"#, .lifetime(seconds: 89_940, maximum: 86_400)),
      (#"\#(good),"iss":"https://login.example/""#, .issuer(found: "https://login.example/", expected: ["https://login.example"])),
      (#"\#(good),"iss":7"#, .wrongType("iss", expected: "a string", found: "a number")),
      (#"\#(good),"aud":"elsewhere""#, .audience(claim: "aud", found: ["elsewhere"], expected: ["api", "app"])),
      (#""sub":"alice","client_id":"other","exp":\#(now + 60)"#, .audience(claim: "client_id", found: ["other"], expected: ["app"])),
      (#""sub":"alice","exp":\#(now + 60)"#, .missing("aud")),
      (#""client_id":"app","exp":\#(now + 60)"#, .missing("sub")),
      (#""sub":"","client_id":"app","exp":\#(now + 60)"#, .missing("sub")),
      (#"\#(good),"token_type":"mac""#, .type(found: "mac")),
      (#"\#(good),"token_type":"DPoP""#, .missing("cnf")),
      (#"\#(good),"token_type":null"#, .wrongType("token_type", expected: "a string", found: "null")),
      (#"\#(good),"token_use":"refresh_token""#, .tokenUse(found: "refresh_token", expected: [.access])),
      (#"\#(good),"cnf":{"jkt":"x"}"#, .senderConstrained),
    ])
  func rules(members: String, expected: TokenError) throws {
    let members = members.contains(#""active""#) ? members : #""active":true,"# + members
    #expect(throws: expected) { try verify(members) }
  }

  @Test("an issuer whose ID tokens alone are accepted has no opaque tokens that are")
  func narrowed() throws {
    var rules = Self.rules
    rules.tokenUses = [.id]
    #expect(throws: TokenError.tokenUse(found: "access", expected: [.id])) { try verify(Self.good, rules: rules) }
  }

  @Test("a bound token names its key")
  func bound() throws {
    var rules = Self.rules
    rules.acceptsSenderConstrained = true
    let token = try verify(Self.good + #","token_type":"DPoP","cnf":{"jkt":"thumb"}"#, rules: rules)
    #expect(token.isSenderConstrained && token.keyThumbprint == "thumb")
  }

  @Test(
    "an answer that does not say plainly that a token is active does not make it so",
    arguments: [
      "", "null", "[]", "true", "{}", #"{"active":"true"}"#, #"{"active":1}"#, #"{"active":null}"#, #"{"active":false,"active":true}"#,
      #"{"active":true,"sub":"a","sub":"b"}"#, #"{"active":true"#, "<html>",
      #"{"active":true,"a":\#(String(repeating: "[", count: 40) + String(repeating: "]", count: 40))}"#,
    ])
  func silent(body: String) {
    #expect(throws: IntrospectionResponse.ParseError.self) { try IntrospectionResponse.parse(body.utf8) }
  }

  @Test("of an inactive token nothing is kept, and nothing of an active one is shown")
  func quiet() throws {
    let inactive = try IntrospectionResponse.parse(#"{"active":false,"sub":"alice"}"#.utf8)
    #expect(!inactive.isActive && inactive.claims == nil)
    let active = try IntrospectionResponse.parse("{\(Self.good)}".utf8)
    #expect(active.claims?.expiresAt == Self.now + 60)
    var dumped = "\(active)"
    dump(active, to: &dumped)
    #expect(!dumped.contains("alice"))
  }

  @Test(
    "a token with other than three parts is opaque",
    arguments: [("abc", true), ("a.b", true), ("a.b.c", false), ("..", false), ("a.b.c.d.e", true), ("", true)])
  func form(token: String, expected: Bool) {
    #expect(Array(token.utf8).withUnsafeBytes { OpaqueToken.isOpaque($0) } == expected)
  }
}
