import Bytes
import Cedar
import HTTP
import JOSE
import JSON
import Telemetry
import Testing

@testable import Pipeline

/// Tokens that mean something to their issuer alone (RFC 7662): who they are is what it says of them.
@Suite struct OpaqueTokenTests {
  private static let policies = """
    @id("alice") permit (principal == User::"opaque|alice", action in Action::"read", resource in Path::"/orders");
    @id("scoped") permit (principal, action, resource in Path::"/write") when { context.token.scope.contains("write") };
    """

  /// A desk whose second issuer, `other`, has opaque tokens.
  private func desk(_ more: String = "", configuration: String = "", issuer: String = "") throws -> Desk {
    let desk = try Desk(
      policies: Self.policies, configuration: configuration, issuer: issuer,
      issuers: """
        other: { issuer: 'https://login.example', client_ids: ['app'], id_prefix: 'opaque', \(more)
          introspection: { url: 'http://127.0.0.1:1/i', client_id: 'a', client_secret: 'b', opaque: true } },
        """)
    return desk
  }

  private func asking(_ exchange: inout Exchange, _ desk: Desk) throws -> IntrospectionQuestion {
    let outcome = exchange.decide(desk.facts)
    guard case .wait(.introspection(let question)) = outcome else {
      Issue.record("it does not ask: \(desk.verdict(&exchange))")
      throw CancellationError()
    }
    return question
  }

  private func answer(_ text: String, askedAt: UInt64 = 6, until: Int64 = Desk.time + 30) throws -> IntrospectionAnswer {
    let said = try IntrospectionResponse.parse("{\(text)}".utf8)
    return IntrospectionAnswer(isActive: said.isActive, claims: said.claims, problem: nil, askedAt: askedAt, until: until)
  }

  private static func active(_ more: String = "", exp: Int64 = Desk.time + 600) -> String {
    #""active":true,"sub":"alice","client_id":"app","exp":\#(exp)"# + more
  }

  @Test func aTokenIsWhoItsIssuerSays() throws {
    let desk = try desk()
    var exchange = try desk.exchange("GET /orders/42", token: "2YotnFZFEjr1zCsicMWpAA", arrival: 5)
    let question = try asking(&exchange, desk)
    #expect(question.token.exposed == Array("2YotnFZFEjr1zCsicMWpAA".utf8) && exchange.issuerWaitedFor == "other")
    desk.facts.learn(try answer(Self.active(#","username":"al","scope":"read""#)), to: question, at: Desk.time)
    #expect(desk.verdict(&exchange) == "forward")
    let record = exchange.record(status: 200, wallMillis: 1, observed: false)
    #expect(record.principal == #"User::"opaque|alice""# && record.token?.issuer == "other" && record.token?.use == "access")
    #expect(record.token?.algorithm == nil && record.token?.keyID == nil && record.token?.clientID == "app")
    #expect(try desk.verdict("GET /orders/42", token: "2YotnFZFEjr1zCsicMWpAA") == "forward", "believed for a while")
    #expect(try desk.verdict("GET /write", token: "2YotnFZFEjr1zCsicMWpAA") == "403 no_permit")
    #expect(try desk.verdict("GET /orders/42", token: "2YotnFZFEjr1zCsicMWpAB").hasPrefix("wait"), "every byte counts")
  }

  @Test func theLatestWordCounts() throws {
    let desk = try desk()
    var exchange = try desk.exchange("GET /write", token: "opaque", arrival: 5)
    let question = try asking(&exchange, desk)
    desk.facts.learn(try answer(Self.active(#","scope":"read write""#)), to: question, at: Desk.time)
    #expect(desk.verdict(&exchange) == "forward")
    // Asked again, the issuer says less; and then that it is over.
    desk.facts.learn(try answer(Self.active(#","scope":"read""#), askedAt: 8), to: question, at: Desk.time)
    #expect(try desk.verdict("GET /write", token: "opaque") == "403 no_permit")
    desk.facts.learn(try answer(#""active":false"#, askedAt: 9), to: question, at: Desk.time)
    #expect(try desk.verdict("GET /write", token: "opaque") == "401 token_revoked")
    desk.facts.learn(.init(isActive: nil, problem: "down", askedAt: 10, until: Desk.time + 1), to: question, at: Desk.time)
    #expect(try desk.verdict("GET /write", token: "opaque") == "503 introspection_unavailable")
  }

  @Test func noWordIsBelievedPastTheTokensEnd() throws {
    let desk = try desk()
    var exchange = try desk.exchange("GET /orders/42", token: "opaque", arrival: 5)
    let question = try asking(&exchange, desk)
    let said = try answer(Self.active(exp: Desk.time + 10), until: Desk.time + 3600)
    #expect(said.until == Desk.time + 10)
    desk.facts.learn(said, to: question, at: Desk.time)
    #expect(desk.verdict(&exchange) == "forward")
    #expect(try desk.verdict("GET /orders/42", token: "opaque", at: Desk.time + 9) == "forward")
    var late = try desk.exchange("GET /orders/42", token: "opaque", at: Desk.time + 10, arrival: 7)
    #expect(try asking(&late, desk) == question)
    // Its own answer counts for it; past the allowance for clocks none does.
    desk.facts.learn(try answer(Self.active(exp: Desk.time + 10), askedAt: 8), to: question, at: Desk.time + 10)
    #expect(desk.verdict(&late) == "forward")
    var later = try desk.exchange("GET /orders/42", token: "opaque", at: Desk.time + 70, arrival: 9)
    #expect(try asking(&later, desk) == question)
    desk.facts.learn(try answer(Self.active(exp: Desk.time + 10), askedAt: 10), to: question, at: Desk.time + 70)
    #expect(desk.verdict(&later) == "401 token_expired")
  }

  @Test func whatTheIssuerSaysIsJudgedByTheUsualRules() throws {
    for (said, expected) in [
      (Self.active(#","iss":"https://elsewhere.example""#), "401 token_issuer"),
      (Self.active(#","aud":"elsewhere""#), "401 token_audience"),
      (Self.active(#","nbf":\#(Desk.time + 100)"#), "401 token_not_yet_valid"), (Self.active(#","token_type":"mac""#), "401 token_use"),
      (Self.active(#","cnf":{"jkt":"x"}"#), "401 token_binding"),
      (#""active":true,"sub":"alice","client_id":"app""#, "401 token_malformed"),
    ] {
      let desk = try desk()
      var exchange = try desk.exchange("GET /orders/42", token: "opaque", arrival: 5)
      let question = try asking(&exchange, desk)
      desk.facts.learn(try answer(said), to: question, at: Desk.time)
      #expect(desk.verdict(&exchange) == expected, "\(said)")
    }
  }

  @Test func aRevocationAndAnotherLoadCountAtOnce() throws {
    let desk = try desk()
    var exchange = try desk.exchange("GET /orders/42", token: "opaque", arrival: 5)
    let question = try asking(&exchange, desk)
    desk.facts.learn(try answer(Self.active(#","jti":"stolen""#)), to: question, at: Desk.time)
    #expect(desk.verdict(&exchange) == "forward")
    desk.facts.learn(try RevocationList(#"[{"jti": "stolen"}]"#.utf8))
    #expect(try desk.verdict("GET /orders/42", token: "opaque") == "401 token_revoked")
    desk.facts.learn(.empty)
    #expect(try desk.verdict("GET /orders/42", token: "opaque") == "forward")
    desk.facts.adopt(desk.facts.keys)
    #expect(try desk.verdict("GET /orders/42", token: "opaque").hasPrefix("wait"))
  }

  @Test func signedTokensAreNobodysSecret() throws {
    let desk = try desk()
    #expect(try desk.verdict("GET /orders/42", token: "a.b.c") == "401 token_malformed", "nobody is asked about it")
    #expect(try desk.verdict("GET /orders/42", token: desk.token("alice")) == "403 no_permit", "another issuer's, verified as ever")
    #expect(try desk.verdict("GET /orders/42", token: String(repeating: "a", count: 4097)) == "401 token_malformed")
    #expect(try Desk(configuration: "").verdict("GET /orders/42", token: "opaque") == "401 token_malformed", "where none is expected")
    // It has no set of keys, so none of its tokens is signed.
    #expect(desk.snapshot.issuers.issuers.first { $0.name == "other" }?.keys == .noSet)
    let both = try self.desk("jwks_url: 'https://login.example/keys',")
    #expect(both.snapshot.issuers.issuers.first { $0.name == "other" }?.keys == .jwks(url: "https://login.example/keys"))
  }

  @Test func tokensThatNobodyKnowsPushOutNone() throws {
    let desk = try desk()
    var exchange = try desk.exchange("GET /orders/42", token: "opaque", arrival: 5)
    let question = try asking(&exchange, desk)
    desk.facts.learn(try answer(Self.active()), to: question, at: Desk.time)
    #expect(desk.verdict(&exchange) == "forward")
    for index in 0..<IntrospectionMemo.limit * 2 {
      let made = IntrospectionQuestion(
        issuer: question.issuer, generation: question.generation, digest: Array("\(index)".utf8), token: Secret([]))
      desk.facts.learn(try answer(#""active":false"#), to: made, at: Desk.time)
    }
    #expect(try desk.verdict("GET /orders/42", token: "opaque") == "forward")
  }

  @Test func aBoundTokenNeedsItsProof() throws {
    let desk = try desk(configuration: "routes: [{ match: 'GET /vault', access: 'authenticated', dpop: true }, { match: '* /{rest...}' }],")
    var exchange = try desk.exchange("GET /orders/42", token: "opaque", arrival: 5)
    let question = try asking(&exchange, desk)
    desk.facts.learn(try answer(Self.active(#","token_type":"DPoP","cnf":{"jkt":"x"}"#)), to: question, at: Desk.time)
    #expect(desk.verdict(&exchange) == "401 token_binding")
    #expect(try desk.verdict("GET /vault", ["Authorization: DPoP opaque"]) == "401 dpop_proof")
    #expect(try desk.verdict("GET /vault", token: "opaque") == "401 no_token")
  }
}
