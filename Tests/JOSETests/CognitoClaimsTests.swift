import Bytes
import JSON
import TestSupport
import Testing

@testable import JOSE

/// Claims that real user pools issue and the emulator at hand does not: fixtures, signed by a key of our own.
struct CognitoClaimsTests {
  private func verify(_ claims: JSONValue, poolID: String) throws -> VerifiedToken {
    let pool = try #require(CognitoUserPool(id: poolID))
    let signer = JWSSigner(kid: "k1", algorithm: .rs256, key: TokenForge.rsa)
    let token = Array(try signer.token(claims: claims).utf8)
    let issuedAt = try #require(claims["iat"]?.integer)
    return try TokenForge.verdict(token, keys: TokenForge.set([signer.publicJWK]), rules: .cognito(pool, clientIDs: nil), now: issuedAt + 1)
      .get()
  }

  private func fixture(_ use: String, _ further: String) throws -> JSONValue {
    let client = use == "id" ? #""aud":"1client""# : #""client_id":"1client""#
    return try JSONParser.parse(
      #"""
      {"sub":"11111111-2222-3333-4444-555555555555","iss":"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf123",
       "token_use":"\#(use)",\#(client),"auth_time":1800000000,"exp":1800003600,"iat":1800000000,"jti":"j","origin_jti":"o",\#(further)}
      """#)
  }

  @Test("a federated user's identities keep their strings and their null issuer")
  func identities() throws {
    let identities =
      #""identities":[{"userId":"jane@corp.example","providerName":"Corp","issuer":null,"primary":"true","dateCreated":"1642699117273"}]"#
    let verified = try verify(fixture("id", identities), poolID: "eu-west-1_AbCdEf123")
    let first = try #require(verified.claims["identities"]?.array?.first)
    #expect(first["primary"]?.string == "true" && first["dateCreated"]?.string == "1642699117273" && first["issuer"]?.isNull == true)
    #expect(verified.originJTI == "o" && verified.authenticatedAt == 1_800_000_000)
  }

  @Test("what a pre-token trigger adds arrives exactly: 64-bit integers, fractions as written, nested and mixed arrays, null")
  func customized() throws {
    let more =
      #""tenant":"t-1","limits":{"daily":9223372036854775807,"ratio":0.50,"huge":1.79e308,"flags":[true,null,1,"two",{"three":3}]}"#
    let limits = try #require(try verify(fixture("access", more), poolID: "eu-west-1_AbCdEf123").claims["limits"])
    #expect(limits["daily"]?.integer == .max)
    #expect(limits["ratio"] == JSONValue(.number("0.50")))
    #expect(limits["flags"]?.array?.count == 5 && limits["flags"]?.array?[1].isNull == true)
  }

  @Test("group names keep every character; acr and amr are typed; custom attributes are strings")
  func names() throws {
    let groups =
      ##""cognito:groups":["a|b","a\"b","a/b","ü😀","::"],"acr":"urn:cognito:loa:3","amr":["pwd","otp","mfa"],"custom:level":"7""##
    let verified = try verify(fixture("id", groups), poolID: "eu-west-1_AbCdEf123")
    #expect(verified.claims["cognito:groups"]?.array?.compactMap(\.string) == ["a|b", "a\"b", "a/b", "ü😀", "::"])
    #expect(verified.acr == "urn:cognito:loa:3" && verified.amr == ["pwd", "otp", "mfa"])
    #expect(verified.claims["custom:level"]?.string == "7")
  }

  @Test("a delegated token says who acts")
  func delegation() throws {
    let verified = try verify(fixture("access", #""act":{"sub":"agent-7"},"scope":"a b""#), poolID: "eu-west-1_AbCdEf123")
    #expect(verified.claims["act"]?["sub"]?.string == "agent-7" && verified.scopes == ["a", "b"])
  }

  @Test("a hundred groups of 128 characters fit a token")
  func manyGroups() throws {
    let groups = (0..<100).map { #""\#(String(repeating: "g", count: 126))\#($0 / 10)\#($0 % 10)""# }.joined(separator: ",")
    let verified = try verify(fixture("access", #""cognito:groups":[\#(groups)]"#), poolID: "eu-west-1_AbCdEf123")
    #expect(verified.claims["cognito:groups"]?.array?.count == 100)
  }

  @Test("every decoded token of the collection, signed anew, is accepted with its claims untouched")
  func decodedTokens() throws {
    guard let file = TestData.sharedFile("vectors/cognito/tokens.json") else { return }
    let tokens = try #require(try JSONParser.parse(TestData.contents(of: file))["tokens"]?.array)
    for token in tokens {
      let claims = try #require(token["claims"])
      let issuer = try #require(claims["iss"]?.string)
      let verified = try verify(claims, poolID: String(issuer.split(separator: "/").last ?? ""))
      #expect(verified.claims == claims, "\(token["name"]?.string ?? "")")
      #expect(verified.clientID == claims["client_id"]?.string ?? claims["aud"]?.string)
    }
    TestData.report("decoded Cognito tokens", ran: tokens.count)
  }
}
