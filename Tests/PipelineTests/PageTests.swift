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
    (.critical, "401 token_malformed"), (.embeddedKey, "401 token_signature"), (.remoteKey, "401 key_unknown"),
    (.unencoded, "401 token_malformed"), (.padded, "401 token_malformed"), (.duplicateName, "401 token_malformed"),
    (.noExpiry, "401 token_malformed"), (.issuedAhead, "401 token_not_yet_valid"), (.refresh, "401 token_use"),
    (.otherType, "401 token_use"),
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

  @Test func aMissingKeySetIsWaitedForAndOneThatCannotBeHadIs503() throws {
    let desk = try Desk(hasKeys: false)
    var exchange = try desk.exchange("GET /orders/42", token: try desk.token("alice"))
    #expect(desk.verdict(&exchange) == "wait keys(issuer: 0)")
    desk.facts.learn(.unavailable("connection refused"), of: 0)
    #expect(desk.verdict(&exchange) == "503 jwks_unavailable")
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

  @Test func anUnknownKeyIsJudgedByASetThatWasAskedForAfterItsRequestCame() throws {
    let desk = try Desk(hasKeys: false)
    desk.learnKeys(askedAt: 100)
    try desk.issuer.rotate(retiring: true)
    var honest = try desk.exchange("GET /orders/42", token: try desk.token("alice"), arrival: 150)
    var madeUp = try desk.exchange("GET /orders/42", token: try desk.token("alice", .access, .unknownKey), arrival: 150)
    #expect(desk.verdict(&honest) == "wait keys(issuer: 0)", "the set is older than the request")
    #expect(desk.verdict(&madeUp) == "wait keys(issuer: 0)")
    // A fetch that began before the request came may show the set from before the rotation.
    let old = desk.facts.keys
    desk.learnKeys(generation: 2, askedAt: 140)
    #expect(desk.verdict(&madeUp) == "wait keys(issuer: 0)")
    desk.facts.adopt(old)
    #expect(desk.verdict(&honest) == "wait keys(issuer: 0)")
    desk.learnKeys(generation: 2, askedAt: 160)
    #expect(desk.verdict(&honest) == "forward")
    #expect(desk.verdict(&madeUp) == "401 key_unknown", "a set of now does not have it")
  }

  @Test func aBadSignatureIsRefusedAtOnceAndCastsDoubtOnTheKeys() throws {
    let desk = try Desk(hasKeys: false)
    desk.learnKeys(askedAt: 100)
    for (flaw, doubts) in [
      (.forged, true), (.tampered, true), (.embeddedKey, true), (.none, false), (.expired, false), (.algNone, false), (.hmac, false),
      (.otherIssuer, false), (.critical, false),
    ] as [(TokenFlaw, Bool)] {
      var exchange = try desk.exchange("GET /orders/42", token: try desk.token("alice", .access, flaw), arrival: 150)
      #expect(!desk.verdict(&exchange).hasPrefix("wait"), "\(flaw)")
      #expect(exchange.trail.issuerDoubted == (doubts ? 0 : nil), "\(flaw)")
    }
  }

  @Test func anUnknownKeyIs503WhenNoFreshSetIsToBeHad() throws {
    let desk = try Desk(hasKeys: false)
    desk.learnKeys(askedAt: 100, failedAt: 120, isStale: true)
    let unknown = try desk.token("alice", .access, .unknownKey)
    var exchange = try desk.exchange("GET /orders/42", token: unknown, arrival: 150)
    #expect(desk.verdict(&exchange) == "wait keys(issuer: 0)", "that fetch failed before it came")
    desk.learnKeys(askedAt: 100, failedAt: 160, isStale: true)
    #expect(desk.verdict(&exchange) == "503 jwks_unavailable", "nobody can say that the token is bad")
    #expect(exchange.record(status: 503, wallMillis: 1, observed: false).token?.keysAreStale == false, "it was judged by no key")
  }

  @Test func whatNoKeyCouldMendIsRefusedWithoutAskingForOne() throws {
    let desk = try Desk(hasKeys: false)
    desk.learnKeys(askedAt: 100)
    var exchange = try desk.exchange(
      "GET /orders/42",
      token: try desk.issuer.token(of: "alice", flaw: .unknownKey, algorithm: .es256, at: Desk.time), arrival: 150)
    #expect(desk.verdict(&exchange) == "401 token_algorithm", "a Cognito pool signs by RS256 alone")
  }

  @Test func staleKeysServeUntilTheirTimeIsOverAndAreMarked() throws {
    let desk = try Desk(hasKeys: false)
    let alice = try desk.token("alice")
    desk.learnKeys(askedAt: 1, failedAt: 2, usableUntil: Desk.time, isStale: true)
    for _ in 1...2 {  // verified, and found in the cache
      var exchange = try desk.exchange("GET /orders/42", token: alice, arrival: 3)
      #expect(desk.verdict(&exchange) == "forward")
      let record = exchange.record(status: 200, wallMillis: 1, observed: false)
      #expect(record.token?.keysAreStale == true)
    }
    #expect(try desk.verdict("GET /orders/42", token: alice, at: Desk.time + 1) == "503 jwks_unavailable", "a hot token is no exception")
    desk.learnKeys()
    var exchange = try desk.exchange("GET /orders/42", token: alice)
    #expect(desk.verdict(&exchange) == "forward")
    #expect(exchange.record(status: 200, wallMillis: 1, observed: false).token?.keysAreStale == false)
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
    let head = try #require(try desk.forwarded(&forged))
    #expect(head.contains("\r\nX-Stockade-Principal: \r\n"))
    #expect(!head.contains("demo|carol"))
    var denied = try desk.exchange("DELETE /orders/42", token: try desk.token("alice"))
    let told = try #require(try desk.forwarded(&denied))
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
    let head = try #require(try desk.forwarded(&exchange))
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
    facts.learn(.known(.init(set: issuer.keySet, generation: 1)), of: 0)
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
    try ForwardedHead(upstreamAuthority: "u:80").append(exchange, with: permit, to: &out)
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
    let head = try #require(try desk.forwarded(&exchange))
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
