import JSON
import Testing

@testable import JOSE

struct RevocationListTests {
  private func list(_ text: String) throws -> RevocationList { try RevocationList(Array(text.utf8)) }

  private func token(_ claims: [String: JSONValue?] = [:]) throws -> VerifiedToken {
    var all: [String: JSONValue?] = ["jti": .string("t1"), "origin_jti": .string("o1")]
    for (name, value) in claims { all[name] = value }
    return try TokenForge.verdict(TokenForge.token(claims: all)).get()
  }

  @Test("a token is revoked by its jti, by its sign-in, or by its subject and the time it was issued")
  func matches() throws {
    let now = TokenForge.now
    #expect(try list("[]").match(token()) == nil)
    #expect(RevocationList.empty.match(try token()) == nil)
    #expect(try list(#"[{"jti":"t1"}]"#).match(token()) == .jti)
    #expect(try list(#"[{"jti":"t2"},{"origin_jti":"o2"}]"#).match(token()) == nil)
    #expect(try list(#"[{"origin_jti":"o1","note":"lost"}]"#).match(token(["jti": .string("t9")])) == .originJTI)
    #expect(try list(#"[{"sub":"alice","issued_before":\#(now - 59)}]"#).match(token()) == .subject(issuedBefore: now - 59))
    #expect(try list(#"[{"sub":"alice","issued_before":\#(now - 60)}]"#).match(token()) == nil)
    #expect(try list(#"[{"sub":"bob","issued_before":\#(now)}]"#).match(token()) == nil)
    // The later of two times counts, whatever their order.
    #expect(try list(#"[{"sub":"alice","issued_before":\#(now)},{"sub":"alice","issued_before":5}]"#).match(token()) != nil)
  }

  @Test("a token that does not say when it was issued is revoked with its subject; one without jti has none to match")
  func absentClaims() throws {
    #expect(try list(#"[{"sub":"alice","issued_before":5}]"#).match(token(["iat": nil])) != nil)
    #expect(try list(#"[{"jti":"t1"},{"origin_jti":"o1"}]"#).match(token(["jti": nil, "origin_jti": nil])) == nil)
  }

  @Test("an entry with an issuer leaves other issuers' tokens alone")
  func issuers() throws {
    #expect(try list(#"[{"jti":"t1","issuer":"\#(TokenForge.issuer)"}]"#).match(token()) == .jti)
    #expect(try list(#"[{"jti":"t1","issuer":"\#(TokenForge.issuer)/"}]"#).match(token()) == nil)
    #expect(try list(#"[{"sub":"alice","issued_before":9e9,"issuer":"https://other.example"}]"#).match(token()) == nil)
  }

  @Test("names are compared by their bytes: K is not the Kelvin sign")
  func bytes() throws {
    #expect(try list("[{\"jti\":\"\u{212a}\"}]").match(token(["jti": .string("K")])) == nil)
  }

  @Test(
    "a list with one wrong entry is refused, with the place",
    arguments: [
      ("{}", 0), ("[1]", 1), ("[{}]", 1), (#"[{"jti":"a","sub":"b","issued_before":1}]"#, 1), (#"[{"jti":""}]"#, 8), (#"[{"jti":5}]"#, 8),
      (#"[{"sub":"a"}]"#, 1), (#"[{"sub":"a","issued_before":"x"}]"#, 28), (#"[{"jti":"a","issued_before":5}]"#, 28),
      (#"[{"jit":"a"}]"#, 2),
      (#"[{"jti":"a","issuer":1}]"#, 21), (#"[{"jti":"a"},]"#, 13), (#"[{"jti":"a","jti":"b"}]"#, 12), ("", 0),
    ] as [(String, Int)])
  func errors(text: String, offset: Int) throws {
    let error = #expect(throws: RevocationList.ParseError.self) { try list(text) }
    #expect(error?.offset == offset, "\(String(describing: error))")
  }
}
