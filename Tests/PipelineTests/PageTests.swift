import Bytes
import Development
import HTTP
import JOSE
import Telemetry
import TestSupport
import Testing

@testable import Pipeline

@Suite struct PageTests {
  @Test func groupsDecideByThePathHierarchy() throws {
    let desk = try Desk()
    let alice = try desk.token("alice")
    #expect(try desk.verdict("GET /orders/42", token: alice) == "forward")
    #expect(try desk.verdict("GET /orders", token: alice) == "forward")
    #expect(try desk.verdict("GET /orders/", token: alice) == "forward")
    #expect(try desk.verdict("HEAD /orders/42", token: alice) == "forward", "HEAD asks for what GET asks for")
    #expect(try desk.verdict("GET /orders-archive/1", token: alice) == "403 no_permit", "a lookalike is another tree")
    #expect(try desk.verdict("GET /Orders/42", token: alice) == "403 no_permit", "case matters")
    #expect(try desk.verdict("DELETE /orders/42", token: alice) == "403 no_permit")
    #expect(try desk.verdict("FROB /orders/42", token: alice) == "403 no_permit", "an unknown method is in no group")
    #expect(try desk.verdict("DELETE /orders/42", token: try desk.token("bob")) == "forward")
    #expect(try desk.verdict("GET /orders/42", token: try desk.token("mallory")) == "403 no_permit")
  }

  @Test func aForbidWinsAndReadsTheConnectionNotTheHeaders() throws {
    let desk = try Desk()
    let alice = try desk.token("alice")
    #expect(try desk.verdict("GET /orders/local/1", token: alice) == "forward")
    #expect(try desk.verdict("GET /orders/local/1", token: alice, from: [203, 0, 113, 9]) == "403 policy_forbid")
    #expect(
      try desk.verdict(
        "GET /orders/local/1", ["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1"], token: alice, from: [203, 0, 113, 9])
        == "403 policy_forbid")
    let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1]
    #expect(try desk.verdict("GET /orders/local/1", token: alice, from: mapped) == "forward", "::ffff:127.0.0.1 is 127.0.0.1")
  }

  @Test func idTokensBringAttributesAndAccessTokensBringContext() throws {
    let desk = try Desk()
    #expect(try desk.verdict("GET /sales/1", token: try desk.token("alice", .id)) == "forward")
    #expect(try desk.verdict("GET /sales/1", token: try desk.token("carol", .id)) == "403 no_permit")
    // An access token's principal has no attributes: the permit fails to evaluate, which permits nothing.
    #expect(try desk.verdict("GET /sales/1", token: try desk.token("alice", .access)) == "403 no_permit")
    #expect(try desk.verdict("GET /orders/1", token: try desk.token("robot")) == "forward")
    #expect(try desk.verdict("POST /orders", token: try desk.token("robot")) == "403 no_permit")
  }

  @Test(arguments: [
    (TokenFlaw.expired, "401 token_expired"), (.forged, "401 token_signature"), (.notYet, "401 token_not_yet_valid"),
    (.otherIssuer, "401 token_issuer"), (.algNone, "401 token_algorithm"), (.hmac, "401 token_algorithm"), (.unknownKey, "401 key_unknown"),
    (.tampered, "401 token_signature"), (.otherClient, "401 token_audience"), (.longLived, "401 token_lifetime"),
    (.critical, "401 token_malformed"),
  ])
  func flawedTokensAreRefusedByName(flaw: TokenFlaw, expected: String) throws {
    let desk = try Desk()
    for use in TokenUse.allCases {
      #expect(try desk.verdict("GET /orders/42", token: try desk.token("alice", use, flaw)) == expected, "\(use) \(flaw)")
    }
  }

  @Test(arguments: [
    ([], "401 no_token"), (["Authorization: Basic YTpi"], "401 no_token"), (["Authorization: Bearer"], "401 token_malformed"),
    (["Authorization: Bearer a b"], "401 token_malformed"),
    (["Authorization: Bearer a.b.c", "Authorization: Bearer a.b.c"], "400 multiple_credentials"),
    (["Authorization: Bearer a.b.c, Bearer d.e.f"], "400 multiple_credentials"),
    (["Authorization: Bearer not-a-token"], "401 token_malformed"),
    (["Cookie: access_token=a.b.c"], "401 no_token"),
  ])
  func credentialsAreOneBearerToken(fields: [String], expected: String) throws {
    #expect(try Desk().verdict("GET /orders/42", fields) == expected)
  }

  @Test func cognitoClientsMaySendTheTokenBare() throws {
    let desk = try Desk()
    #expect(try desk.verdict("GET /orders/42", ["Authorization: \(try desk.token("alice", .id))"]) == "forward")
    #expect(try desk.verdict("GET /orders/42", ["authorization: bEaReR \(try desk.token("alice"))"]) == "forward")
  }

  @Test func aMissingKeySetIsWaitedForOnceAndThenIs503() throws {
    let desk = try Desk(hasKeys: false)
    var exchange = try desk.exchange("GET /orders/42", token: try desk.token("alice"))
    #expect(desk.verdict(&exchange) == "wait keys(issuer: 0)")
    #expect(desk.verdict(&exchange) == "503 jwks_unavailable", "asked for once, and still not there")
    desk.facts.learn(.unavailable("connection refused"), of: 0)
    #expect(try desk.verdict("GET /orders/42", token: try desk.token("alice")) == "503 jwks_unavailable")
    #expect(try desk.verdict("GET /orders/42") == "401 no_token", "who sends no token needs no keys")
  }

  @Test func aParkedExchangeIsDecidedFromTheTopWhenTheKeysArrive() throws {
    let desk = try Desk(hasKeys: false)
    var exchange = try desk.exchange("GET /orders/42", token: try desk.token("alice"))
    #expect(desk.verdict(&exchange) == "wait keys(issuer: 0)")
    desk.learnKeys()
    #expect(desk.verdict(&exchange) == "forward")
  }

  @Test func anUnknownKeyAsksForAFreshSetAtABoundedRate() throws {
    let desk = try Desk(hasKeys: false)
    desk.learnKeys(mayRefetchAt: Desk.time + 5)
    try desk.issuer.rotate(retiring: true)
    let rotated = try desk.token("alice")
    #expect(try desk.verdict("GET /orders/42", token: rotated) == "401 key_unknown", "too early to ask again")
    desk.learnKeys(mayRefetchAt: Desk.time)
    var fresh = try Desk(hasKeys: false)
    fresh.learnKeys(mayRefetchAt: Desk.time)
    let unknown = try fresh.token("alice", .access, .unknownKey)
    var exchange = try fresh.exchange("GET /orders/42", token: unknown)
    #expect(fresh.verdict(&exchange) == "wait keys(issuer: 0)")
    fresh.learnKeys(generation: 2, mayRefetchAt: Desk.time)
    #expect(fresh.verdict(&exchange) == "401 key_unknown", "asked once an exchange, whatever comes")
    fresh = desk
    #expect(try fresh.verdict("GET /orders/42", token: rotated) == "forward")
  }

  @Test func aTokenIsRememberedUntilItExpiresOrItsKeysOrPoliciesChange() throws {
    let desk = try Desk()
    let alice = try desk.token("alice")
    #expect(try desk.verdict("GET /orders/42", token: alice) == "forward")
    #expect(try desk.verdict("GET /orders/42", token: alice) == "forward")
    #expect(desk.facts.cacheHits == 1)
    #expect(try desk.verdict("GET /orders/42", token: alice, at: Desk.time + 3600 + 61) == "401 token_expired")
    // The key is gone from a fresh set: what it verified is verified no more.
    try desk.issuer.rotate(retiring: true)
    desk.learnKeys(generation: 2)
    #expect(try desk.verdict("GET /orders/42", token: alice) == "401 key_unknown")
  }

  @Test func aFailingForbidRefusesUnlessToldToSkip() throws {
    let policies = """
      @id("all") permit (principal, action, resource);
      @id("broken") forbid (principal, action, resource) when { context.nothing == 1 };
      """
    let strict = try Desk(policies: policies)
    #expect(try strict.verdict("GET /", token: try strict.token("alice")) == "403 policy_error")
    let lax = try Desk(policies: policies, onPolicyError: .skip)
    #expect(try lax.verdict("GET /", token: try lax.token("alice")) == "forward")
  }

  @Test func observeModeForwardsWhatPolicyRefusesAndNothingAmbiguous() throws {
    let desk = try Desk(mode: .observe)
    #expect(try desk.verdict("DELETE /orders/42", token: try desk.token("alice")) == "would-refuse no_permit")
    #expect(try desk.verdict("GET /orders/42") == "would-refuse no_token")
    #expect(try desk.verdict("GET /orders/42", token: try desk.token("carol", .access, .forged)) == "would-refuse token_signature")
    #expect(try desk.verdict("GET /", ["Authorization: Bearer a.b.c", "Authorization: Bearer a.b.c"]) == "400 multiple_credentials")
  }

  @Test func anIdentityThatWasNotVerifiedIsNeverEmitted() throws {
    let desk = try Desk(mode: .observe)
    var forged = try desk.exchange("GET /orders/42", ["X-Stockade-Principal: demo|carol"], token: try desk.token("carol", .access, .forged))
    let head = try #require(desk.forwarded(&forged))
    #expect(head.contains("\r\nX-Stockade-Principal: \r\n"))
    #expect(!head.contains("demo|carol"))
    var denied = try desk.exchange("DELETE /orders/42", token: try desk.token("alice"))
    let told = try #require(desk.forwarded(&denied))
    #expect(told.contains("\r\nX-Stockade-Principal: demo|alice\r\n"), "a verified identity is told even where policy would refuse")
  }
}

@Suite struct ForwardedHeadTests {
  @Test func everySpellingOfAnIdentityHeaderIsReplaced() throws {
    let desk = try Desk()
    var exchange = try desk.exchange(
      "GET /orders/42?x=1",
      [
        "X-Stockade-Principal: demo|carol", "x-stockade-groups: admin", "X_Stockade_Subject: carol", "x.stockade.principal: carol",
        "X-STOCKADE-DECISION-ID: 1", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "Forwarded: for=1.2.3.4", "X-Real-IP: 1.2.3.4",
        "Connection: x-stockade-principal, authorization, close", "X-Kept: yes",
      ], token: try desk.token("alice"))
    let head = try #require(desk.forwarded(&exchange))
    let lines = head.components("\r\n")
    #expect(lines.first == "GET /orders/42?x=1 HTTP/1.1")
    #expect(
      lines.filter { $0.lowercased().contains("stockade") }.sorted() == [
        "X-Stockade-Decision-Id: \(exchange.id)", "X-Stockade-Groups: viewer", "X-Stockade-Principal: demo|alice",
        "X-Stockade-Subject: alice",
      ])
    #expect(
      lines.filter { $0.lowercased().hasPrefix("x-forwarded") || $0.lowercased().hasPrefix("forwarded") } == [
        "X-Forwarded-Host: api.example.com", "X-Forwarded-Proto: http", "X-Forwarded-For: 127.0.0.1",
      ])
    #expect(!head.contains("1.2.3.4") && !head.contains("carol"))
    #expect(
      lines.contains("X-Kept: yes") && lines.contains { $0.hasPrefix("Authorization: Bearer ") }, "a client cannot nominate ours away")
  }

  @Test func aSpellingThatNobodyDecidedOnDoesNotReachTheUpstream() throws {
    let issuer = try Desk().issuer
    var configuration = Configuration(upstream: "http://127.0.0.1:2")
    configuration.isDevelopment = true
    configuration.issuers = [Desk.pool(issuer)]
    configuration.contextHeaders = ["x-tenant"]
    let policies = "@id(\"t\") permit (principal, action, resource) when { context.http.headers has \"x-tenant\" };"
    let snapshot = try SnapshotBuilder.build(configuration, policies: Desk.files(policies), generation: 1)
    let facts = Facts(issuers: 1, cacheKey: (1, 2))
    facts.learn(.known(.init(set: issuer.keySet, generation: 1, mayRefetchAt: .max, isStale: false)), of: 0)
    var exchange = Exchange(peer: Peer(address: "10.0.0.1", octets: [10, 0, 0, 1]), under: snapshot)
    let token = try #require(try issuer.token(of: "alice", at: Desk.time))
    let text = "GET / HTTP/1.1\r\nHost: a\r\nX-Tenant: mine\r\nX_Tenant: other\r\nx.tenant: third\r\nAuthorization: Bearer \(token)\r\n\r\n"
    let outcome = Array(text.utf8).withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &exchange.head) }
    #expect(outcome == .complete(consumed: text.utf8.count))
    exchange.begin(id: DecisionID(milliseconds: 1, random: (2, 3)), at: Desk.time, under: snapshot)
    guard case .forward(let permit) = exchange.decide(facts) else {
      Issue.record("refused: \(String(describing: exchange.trail.rejection))")
      return
    }
    var out: [UInt8] = []
    ForwardedHead(upstreamAuthority: "u:80").append(exchange, with: permit, to: &out)
    let head = String(decoding: out, as: UTF8.self)
    #expect(head.contains("\r\nX-Tenant: mine\r\n"))
    #expect(!head.contains("other") && !head.contains("third"))
  }

  @Test func valuesAreEscapedSoThatTheyCanBeTakenApart() {
    #expect(IdentityHeaders.escaped("a,b %\u{e9}\r\n") == "a%2Cb%20%25%C3%A9%0D%0A")
  }

  @Test func aClientOfHTTP10WithoutHostGetsTheUpstreamsName() throws {
    let desk = try Desk()
    var exchange = Exchange(peer: Peer(address: nil, octets: []), under: desk.snapshot)
    let bytes = Array("GET /orders/1 HTTP/1.0\r\nAuthorization: Bearer \(try desk.token("alice"))\r\n\r\n".utf8)
    let outcome = bytes.withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &exchange.head) }
    #expect(outcome == .complete(consumed: bytes.count))
    exchange.begin(id: DecisionID(milliseconds: 1, random: (2, 3)), at: Desk.time, under: desk.snapshot)
    let head = try #require(desk.forwarded(&exchange))
    #expect(head.contains("\r\nHost: upstream:80\r\n"))
    #expect(!head.contains("X-Forwarded-For"), "a unix socket's client has no address")
  }
}

extension String {
  func components(_ separator: String) -> [String] {
    var parts: [String] = []
    var rest = self[...]
    while let range = rest.firstRange(of: separator) {
      parts.append(String(rest[..<range.lowerBound]))
      rest = rest[range.upperBound...]
    }
    return parts + [String(rest)]
  }
}
