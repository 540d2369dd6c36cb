import Bytes
import Development
import HTTP
import JOSE
import JSON
import Telemetry
import Testing

@testable import Pipeline

/// What is demanded of a token beyond its own validity: that nobody revoked it, and that its sign-in is good enough.
@Suite struct TokenFeatureTests {
  private func claims(_ token: String) throws -> JSONValue {
    let parts = token.split(separator: ".")
    return try JSONParser.parse(try #require(Base64URL.decode(parts[1].utf8)))
  }

  // MARK: revocation

  @Test func aRevokedTokenIsRefusedHotOrCold() throws {
    let desk = try Desk()
    let (hot, other) = (try desk.token("alice"), try desk.token("alice"))
    #expect(try desk.verdict("GET /orders/42", token: hot) == "forward")
    let jti = try #require(try claims(hot)["jti"]?.string)
    desk.facts.learn(try RevocationList("[{\"jti\": \"\(jti)\"}]".utf8))
    #expect(try desk.verdict("GET /orders/42", token: hot) == "401 token_revoked")
    #expect(try desk.verdict("GET /orders/42", token: other) == "forward")
    desk.facts.learn(.empty)
    #expect(try desk.verdict("GET /orders/42", token: hot) == "forward", "a list replaces the one before")
  }

  @Test func aSignInAndAllOfAPersonsTokensCanBeRevoked() throws {
    let desk = try Desk()
    let alice = try desk.token("alice")
    let claims = try claims(alice)
    let (origin, sub) = (try #require(claims["origin_jti"]?.string), try #require(claims["sub"]?.string))
    desk.facts.learn(try RevocationList("[{\"origin_jti\": \"\(origin)\", \"issuer\": \"https://elsewhere.example\"}]".utf8))
    #expect(try desk.verdict("GET /orders/42", token: alice) == "forward", "another issuer's")
    desk.facts.learn(try RevocationList("[{\"origin_jti\": \"\(origin)\", \"issuer\": \"\(desk.issuer.issuer)\"}]".utf8))
    #expect(try desk.verdict("GET /orders/42", token: alice) == "401 token_revoked")
    desk.facts.learn(try RevocationList("[{\"sub\": \"\(sub)\", \"issued_before\": \(Desk.time + 1)}]".utf8))
    #expect(try desk.verdict("GET /orders/42", token: alice) == "401 token_revoked")
    #expect(try desk.verdict("GET /orders/42", token: try desk.token("alice", at: Desk.time + 1), at: Desk.time + 1) == "forward")
  }

  @Test func anAdoptedLoadForgetsNoRevocation() throws {
    let desk = try Desk()
    let alice = try desk.token("alice")
    let jti = try #require(try claims(alice)["jti"]?.string)
    desk.facts.learn(try RevocationList("[{\"jti\": \"\(jti)\"}]".utf8))
    desk.facts.adopt(desk.facts.keys)
    #expect(try desk.verdict("GET /orders/42", token: alice) == "401 token_revoked")
  }

  // MARK: introspection, RFC 7662

  private func asking(_ exchange: inout Exchange, _ desk: Desk) throws -> IntrospectionQuestion {
    guard case .wait(.introspection(let question)) = exchange.decide(desk.facts) else {
      Issue.record("it does not ask")
      throw CancellationError()
    }
    return question
  }

  @Test func anIssuerIsAskedWhetherATokenIsActive() throws {
    let desk = try Desk(configuration: "", issuer: "introspection: { url: 'http://127.0.0.1:1/i', client_id: 'a', client_secret: 'b' },")
    let (alice, other) = (try desk.token("alice"), try desk.token("alice"))
    var exchange = try desk.exchange("GET /orders/42", token: alice, arrival: 5)
    let question = try asking(&exchange, desk)
    #expect(question.token.exposed == Array(alice.utf8))
    #expect(!"\(question)".contains(alice))
    desk.facts.learn(.init(isActive: true, problem: nil, askedAt: 6, until: Desk.time + 30), to: question, at: Desk.time)
    #expect(desk.verdict(&exchange) == "forward")
    #expect(try desk.verdict("GET /orders/42", token: alice) == "forward", "the answer is believed for a while")
    var later = try desk.exchange("GET /orders/42", token: alice, at: Desk.time + 30, arrival: 7)
    let again = try asking(&later, desk)
    #expect(again == question)
    desk.facts.learn(.init(isActive: false, problem: nil, askedAt: 8, until: Desk.time + 60), to: again, at: Desk.time + 30)
    #expect(desk.verdict(&later) == "401 token_revoked", "the token is hot, and dead")

    // Nothing that is known of one token says anything about another, not even one that differs in its last byte alone.
    var stranger = try desk.exchange("GET /orders/42", token: other)
    #expect(try asking(&stranger, desk) != question)
    #expect(
      try desk.verdict("GET /orders/42", token: desk.token("alice", .access, .forged)) == "401 token_signature",
      "it is not even asked about")
  }

  @Test func anIssuerThatCannotBeAskedLetsNobodyPass() throws {
    let desk = try Desk(
      configuration: "", issuer: "introspection: { url: 'http://127.0.0.1:1/i', client_id: 'a', client_secret: 'b', cache: '0s' },")
    var exchange = try desk.exchange("GET /orders/42", token: try desk.token("alice"), arrival: 5)
    let question = try asking(&exchange, desk)
    let copy = exchange
    desk.facts.learn(.init(isActive: nil, problem: "refused", askedAt: 6, until: Desk.time), to: question, at: Desk.time)
    #expect(desk.verdict(&exchange) == "503 introspection_unavailable")
    exchange = copy
    desk.facts.learn(.init(isActive: true, problem: nil, askedAt: 6, until: Desk.time), to: question, at: Desk.time)
    #expect(desk.verdict(&exchange) == "forward", "without a cache an answer still counts for the request that waited")
    exchange = copy
    desk.facts.adopt(desk.facts.keys)
    #expect(desk.verdict(&exchange).hasPrefix("wait"), "another load asks anew")
  }

  // MARK: step-up, RFC 9470

  private static let routes = """
    routes: [
      { match: 'GET /fresh', access: 'authenticated', step_up: { max_age: '5m' } },
      { match: 'GET /strong', access: 'authenticated', step_up: { acr: ['urn:cognito:loa:2', 'urn:cognito:loa:3'] } },
      { match: 'GET /usual', access: 'authenticated', step_up: { acr: ['urn:cognito:loa:1'], max_age: '1h' } },
      { match: '* /{rest...}' },
    ],
    """

  private func refusal(_ desk: Desk, _ line: String, token: String, at time: Int64 = Desk.time) throws -> Answer? {
    var exchange = try desk.exchange(line, token: token, at: time)
    guard case .refuse(let rejection) = exchange.decide(desk.facts) else { return nil }
    return Answer(rejection, id: exchange.id, challenge: exchange.challenge(desk.facts))
  }

  @Test func aRouteAsksForAnotherSignIn() throws {
    let desk = try Desk(configuration: Self.routes)
    let alice = try desk.token("alice")
    #expect(try desk.verdict("GET /fresh", token: alice) == "forward")
    #expect(try desk.verdict("GET /usual", token: alice) == "forward")
    #expect(try desk.verdict("GET /fresh", token: alice, at: Desk.time + 300) == "forward")
    #expect(try desk.verdict("GET /fresh", token: alice, at: Desk.time + 301) == "401 insufficient_authentication", "the token is hot")
    #expect(try desk.verdict("GET /fresh") == "401 no_token")
    let answer = try #require(try refusal(desk, "GET /strong", token: alice))
    #expect(answer.status == .unauthorized)
    let challenge = answer.fields.first { $0.name == "WWW-Authenticate" }?.value
    #expect(
      challenge
        == #"Bearer realm="stockade", error="insufficient_user_authentication", error_description="A different or a more recent sign-in is required.", acr_values="urn:cognito:loa:2 urn:cognito:loa:3""#
    )
    let aged = try #require(try refusal(desk, "GET /fresh", token: alice, at: Desk.time + 400))
    #expect(aged.fields.first { $0.name == "WWW-Authenticate" }?.value.hasSuffix(#", max_age="300""#) == true)
  }

  @Test func aForbidSaysWhichSignInWouldLiftIt() throws {
    let desk = try Desk(
      policies: """
        @id("all") permit (principal, action, resource);
        @id("strong") @step_up_acr("urn:a urn:b") forbid (principal, action, resource in Path::"/transfer")
          unless { context has token.acr && context.token.acr == "urn:a" };
        @id("recent") @step_up_max_age("5m") forbid (principal, action, resource in Path::"/transfer/large");
        @id("never") forbid (principal, action, resource in Path::"/transfer/large/closed");
        """, configuration: "")
    let alice = try desk.token("alice")
    #expect(try desk.verdict("GET /other", token: alice) == "forward")
    var answer = try #require(try refusal(desk, "POST /transfer", token: alice))
    #expect(answer.fields.first { $0.name == "WWW-Authenticate" }?.value.hasSuffix(#", acr_values="urn:a urn:b""#) == true)
    answer = try #require(try refusal(desk, "POST /transfer/large", token: alice))
    #expect(answer.fields.first { $0.name == "WWW-Authenticate" }?.value.hasSuffix(#", acr_values="urn:a urn:b", max_age="300""#) == true)
    #expect(
      try desk.verdict("POST /transfer/large/closed", token: alice) == "403 policy_forbid",
      "no sign-in lifts them all: nobody is asked for one")
  }

  @Test(arguments: [
    (#"@step_up_acr("urn:a") permit (principal, action, resource);"#, "only a forbid can be lifted"),
    (#"@step_up_acr forbid (principal, action, resource);"#, "names no acr"),
    (#"@step_up_acr("é") forbid (principal, action, resource);"#, "visible ASCII"),
    (#"@step_up_max_age("300") forbid (principal, action, resource);"#, "is not a time"),
    (#"@step_up_max_age("0s") forbid (principal, action, resource);"#, "is not a time"),
  ])
  func mistakesInAnnotationsAreShownWhereTheyAre(policy: String, expected: String) throws {
    let error = #expect(throws: ConfigurationError.self) { try Desk(policies: policy) }
    let report = try #require(error).report
    #expect(report.contains(expected) && report.contains("test.cedar:1:1"), "\(report)")
  }

  // MARK: protected-resource metadata, RFC 9728

  @Test func clientsLearnWhoIssuesTokens() throws {
    let desk = try Desk(
      configuration: "protected_resource: { resource: 'https://api.example.com/v1', name: 'Orders', scopes: ['orders/read'] },")
    let path = "/.well-known/oauth-protected-resource/v1"
    #expect(try desk.verdict("GET \(path)") == "answer 200", "no token is asked for")
    #expect(try desk.verdict("HEAD \(path)") == "answer 200")
    #expect(
      try desk.verdict("OPTIONS \(path)", ["Origin: https://a.example", "Access-Control-Request-Method: GET"]) == "answer 204")
    #expect(try desk.verdict("POST \(path)") == "401 no_token")
    #expect(try desk.verdict("GET \(path)/") == "401 no_token", "another path")
    #expect(try desk.verdict("GET /.well-known/oauth%2Dprotected-resource/v1") == "401 no_token", "another spelling opens nothing")
    var exchange = try desk.exchange("GET \(path)?x=1")
    guard case .answer(let answer) = exchange.decide(desk.facts) else {
      Issue.record("no answer")
      return
    }
    #expect(answer.contentType == "application/json" && answer.cacheControl == "public, max-age=300")
    let document = try JSONParser.parse(answer.body)
    #expect(document["resource"]?.string == "https://api.example.com/v1")
    #expect(document["authorization_servers"]?.array?.first?.string == desk.issuer.issuer)
    let record = exchange.record(status: 200, wallMillis: 1, observed: false)
    #expect(record.reason == .metadata && record.decision == .allow && record.token == nil)

    let refused = try desk.exchange("GET /orders/42")
    let challenge = Answer(.noToken, id: refused.id, challenge: refused.challenge(desk.facts)).fields.first {
      $0.name == "WWW-Authenticate"
    }?.value
    #expect(challenge == #"Bearer realm="stockade", resource_metadata="https://api.example.com\#(path)""#)
  }
}
