import JOSE
import JSON
import Testing

struct StepUpTests {
  private func token(_ claims: [String: JSONValue?]) throws -> VerifiedToken {
    try TokenForge.verdict(TokenForge.token(claims: claims)).get()
  }

  @Test("one of the demanded acr values must be the token's, byte for byte")
  func acr() throws {
    let demand = try #require(StepUp(acrValues: ["urn:cognito:loa:3", "urn:cognito:loa:4"]))
    #expect(demand.isMet(by: try token(["acr": .string("urn:cognito:loa:4")])))
    for acr in [.string("urn:cognito:loa:1"), .string("URN:COGNITO:LOA:3"), .array([.string("urn:cognito:loa:3")]), nil] as [JSONValue?] {
      #expect(!demand.isMet(by: try token(["acr": acr])))
    }
  }

  @Test("the sign-in must not be older than max_age, nor lie in the future, and must be told")
  func age() throws {
    let demand = try #require(StepUp(maximumAge: 300))
    for (time, met) in [(0, true), (-300, true), (-301, false), (60, true), (61, false)] as [(Int64, Bool)] {
      #expect(demand.isMet(by: try token(["auth_time": .integer(TokenForge.now + time)])) == met, "\(time)")
    }
    #expect(!demand.isMet(by: try token([:])))
    #expect(!demand.isMet(by: try token(["auth_time": .integer(.min)])))
    #expect(try #require(StepUp()).isMet(by: token([:])))
  }

  @Test("the challenge is that of RFC 9470, and nothing can break out of it")
  func challenge() throws {
    let demand = try #require(StepUp(acrValues: ["a", "b"], maximumAge: 5))
    #expect(demand.parameters.map(\.name) == ["acr_values", "max_age"] && demand.parameters.map(\.value) == ["a b", "5"])
    for value in ["a b", "a\"", "a\\", "", "a\n", "é"] { #expect(StepUp(acrValues: [value]) == nil) }
    #expect(StepUp(maximumAge: -1) == nil)
  }
}

extension StepUp {
  fileprivate func isMet(by token: VerifiedToken) -> Bool {
    isMet(acr: token.acr, authenticatedAt: token.authenticatedAt, now: TokenForge.now)
  }
}
