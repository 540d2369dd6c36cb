import JOSE
import Testing

struct CognitoUserPoolTests {
  @Test("a pool id tells its region and both issuers")
  func issuers() throws {
    let pool = try #require(CognitoUserPool(id: "us-east-1_AbCdEf123"))
    #expect(pool.region == "us-east-1")
    #expect(pool.originalIssuer == "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEf123")
    #expect(pool.updatedIssuer == "https://issuer-cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEf123")
    #expect(pool.jwksURL == "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_AbCdEf123/.well-known/jwks.json")
  }

  @Test("the domain follows the partition")
  func partitions() {
    #expect(CognitoUserPool(id: "us-gov-west-1_a1")?.originalIssuer == "https://cognito-idp.us-gov-west-1.amazonaws.com/us-gov-west-1_a1")
    #expect(CognitoUserPool(id: "eusc-de-east-1_a1")?.originalIssuer == "https://cognito-idp.eusc-de-east-1.amazonaws.eu/eusc-de-east-1_a1")
  }

  @Test("what is no pool id is none: it would become part of a host name")
  func invalid() {
    for id in [
      "", "_", "us-east-1", "us-east-1_", "_abc", "us-east-1_a/b", "us.evil.example/x_abc", "us-east-1_ab c", "us-east-1_é",
      "us-east-1@evil_abc",
      "us-east-1:80_a", "us_east_1_abc", "us-east-1_" + String(repeating: "a", count: 46),
    ] { #expect(CognitoUserPool(id: id) == nil, "\(id)") }
  }
}
