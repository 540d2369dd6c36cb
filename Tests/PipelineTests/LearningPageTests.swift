import Bytes
import Cedar
import HTTP
import JSON
import Telemetry
import Testing

@testable import Pipeline

/// Routes that ask for more than the head says: fields of the body, and entities from elsewhere.
@Suite struct LearningPageTests {
  private static let policies = """
    @id("small") permit (principal, action == Action::"pay", resource is Order)
      when { context.http.body has amount && context.http.body.amount <= 100 };
    @id("tagged") permit (principal, action == Action::"pay", resource is Order)
      when { context.http.body has tags && context.http.body.tags.contains("free") };
    @id("nested") permit (principal, action == Action::"pay", resource is Order)
      when { context.http.body has who && context.http.body.who has vip && context.http.body.who.vip };
    @id("order-of-body") permit (principal, action == Action::"place", resource == Order::"o-7");
    @id("owner") permit (principal, action == Action::"change", resource is Order)
      when { resource has owner && resource.owner == principal };
    """
  private static let routes = """
    { match: 'POST /orders/{id}/payments', action: 'pay', resource: { type: 'Order', id: '{id}' },
      body: { max: '60B', fields: { amount: '/amount', tags: 'tags', who: '/customer/0' } } },
    { match: 'POST /orders', action: 'place', resource: { type: 'Order', id: 'o-{body.number}' }, body: { fields: { number: '/number' } } },
    { match: 'PUT /orders/{id}', action: 'change', resource: { type: 'Order', id: '{id}' },
      entities: { url: 'http://orders.example:8000/entities/{id}/of/{principal.id}?q={query.q}&h=x', timeout: '250ms' } },
    { match: 'PUT /plain/{id}', action: 'change', resource: { type: 'Order', id: '{id}' }, entities: 'http://orders.example/{id}/{header.x-part}/' },
    { match: 'GET /files/{rest...}', action: 'change', entities: 'http://orders.example/{rest}' },
    { match: 'GET /scoped', scopes: ['a'], entities: 'http://orders.example/e' },
    { match: 'POST /tried', action: 'pay', mode: 'observe', body: { fields: { amount: '/amount' } }, entities: 'http://orders.example/e' },
    """

  private func desk(_ more: String = "") throws -> Desk {
    try Desk(policies: Self.policies, configuration: "routes: [\(Self.routes)], \(more)")
  }

  private func exchange(_ desk: Desk, _ line: String, _ body: String, type: String? = "application/json", more: [String] = []) throws
    -> Exchange
  {
    try desk.exchange(
      line, (type.map { ["Content-Type: \($0)"] } ?? []) + ["Content-Length: \(body.utf8.count)"] + more, token: try desk.token("alice"))
  }

  /// What is decided with a body, from the beginning.
  private func verdict(_ desk: Desk, _ line: String, _ body: String) throws -> String {
    var exchange = try exchange(desk, line, body)
    #expect(desk.verdict(&exchange) == "wait body")
    Array(body.utf8).withUnsafeBytes { exchange.bodyArrived($0) }
    return desk.verdict(&exchange)
  }

  @Test func fieldsOfTheBodyAreSeenByPoliciesWithTheirTypes() throws {
    let desk = try desk()
    let pay = "POST /orders/1/payments"
    #expect(try verdict(desk, pay, #"{"amount":100}"#) == "forward")
    #expect(try verdict(desk, pay, #"{"amount":101}"#) == "403 no_permit")
    #expect(try verdict(desk, pay, #"{"amount":9223372036854775807}"#) == "403 no_permit", "exact to 64 bits")
    #expect(try verdict(desk, pay, #"{"amount":-9223372036854775808}"#) == "forward")
    #expect(try verdict(desk, pay, #"{"tags":["a","free"]}"#) == "forward", "a list is a set")
    #expect(try verdict(desk, pay, #"{"customer":[{"vip":true}]}"#) == "forward", "a pointer leads through lists; an object is a record")
    #expect(try verdict(desk, pay, #"{"customer":[{"vip":false}]}"#) == "403 no_permit")
    #expect(try verdict(desk, pay, #"{"x":1.5,"y":null}"#) == "403 no_permit", "nobody asked for these")
    #expect(try verdict(desk, pay, "[]") == "403 no_permit", "no field is in it")
    #expect(try desk.verdict(pay, token: try desk.token("alice")) == "403 no_permit", "without a body there are no fields")
    #expect(try desk.verdict(pay, ["Content-Length: 0"], token: try desk.token("alice")) == "403 no_permit")
    // An amount as text is none, and its policy fails to evaluate rather than to hold.
    #expect(try verdict(desk, pay, #"{"amount":"100"}"#) == "403 no_permit")
  }

  @Test(arguments: [
    #"{"amount":1.0}"#, #"{"amount":1e2}"#, #"{"amount":9223372036854775808}"#, #"{"amount":-0}"#, #"{"amount":null}"#,
    #"{"tags":["free",null]}"#, #"{"customer":[{"vip":true,"age":1.5}]}"#, #"{"amount":1,"amount":1000}"#, #"{"amount":1"#,
    #"{"amount":1,"Amount":1000}"#, #"{"AMOUNT":1}"#, "{\"tag\u{17f}\":[]}", #"{"Customer":[]}"#, #"{"amount":1}{"#, "amount=1",
    "\u{feff}{}", #"{"a":"\ud800"}"#,
  ])
  func whatCedarCannotHoldOrTwoReadersCouldReadInTwoWaysIsRefused(body: String) throws {
    #expect(try verdict(desk(), "POST /orders/1/payments", body) == "400 body_invalid")
  }

  @Test func aBodyThatIsNestedTooDeepIsRefused() throws {
    let deep = String(repeating: "[", count: 65) + String(repeating: "]", count: 65)
    #expect(try verdict(desk(), "POST /orders", deep) == "400 body_invalid")
  }

  @Test func aBodyIsRefusedUnreadIfItIsTooLongOrNoJSONByItsOwnWord() throws {
    let desk = try desk()
    func verdict(_ type: String?, more: [String] = [], body: String = "{}") throws -> String {
      var exchange = try exchange(desk, "POST /orders/1/payments", body, type: type, more: more)
      return desk.verdict(&exchange)
    }
    for type in [
      "application/json", "Application/JSON ; charset=UTF-8", "application/json;charset=\"utf-8\"", "application/vnd.api+json",
      "application/json;",
    ] {
      #expect(try verdict(type) == "wait body", "\(type)")
    }
    for type in [
      "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/json; charset=utf-16", "application/+json",
      "json",
      "application/json, text/plain", "application/json; charset", "",
    ] {
      #expect(try verdict(type) == "415 body_unsupported", "\(type)")
    }
    #expect(try verdict(nil) == "415 body_unsupported")
    #expect(try verdict("application/json", more: ["Content-Type: text/plain"]) == "415 body_unsupported", "said twice")
    #expect(try verdict("application/json", more: ["Content-Encoding: gzip"]) == "415 body_unsupported")
    #expect(try verdict("application/json", body: String(repeating: " ", count: 61)) == "413 request_too_large")
    #expect(try verdict("application/json", body: String(repeating: " ", count: 60)) == "wait body")
  }

  @Test func nobodyWhoIsNotKnownIsWaitedFor() throws {
    let desk = try desk()
    #expect(try desk.verdict("POST /orders", ["Content-Type: application/json", "Content-Length: 10"]) == "401 no_token")
    #expect(try desk.verdict("PUT /orders/1?q=1") == "401 no_token", "nor is anything looked up for him")
    #expect(try desk.verdict("GET /scoped", token: try desk.token("alice")) == "403 insufficient_scope")
    #expect(try desk.verdict("POST /tried", ["Content-Length: 10"]) == "would-refuse no_token", "his body goes by unread")
    var exchange = try exchange(desk, "POST /orders", "{}")
    _ = desk.verdict(&exchange)
    #expect(exchange.record(status: 0, wallMillis: 0, observed: false).resource == nil, "what is not known yet is not told")
  }

  @Test func theBodyCanNameTheResource() throws {
    let desk = try desk()
    #expect(try verdict(desk, "POST /orders", #"{"number":7}"#) == "forward")
    #expect(try verdict(desk, "POST /orders", #"{"number":"7"}"#) == "forward")
    #expect(try verdict(desk, "POST /orders", #"{"number":8}"#) == "403 no_permit")
    #expect(try verdict(desk, "POST /orders", #"{"other":7}"#) == "400 request_invalid", "what the id is made of is not there")
    #expect(try verdict(desk, "POST /orders", #"{"number":[7]}"#) == "400 request_invalid")
  }

  @Test func theBodyCanSayWhatTheResourceIsLikeAndWhatItIsIn() throws {
    let desk = try Desk(
      policies:
        #"permit (principal, action == Action::"place", resource in Tenant::"acme") when { resource.amount <= 100 && resource.gift };"#,
      configuration: """
        routes: [ { match: 'POST /orders', action: 'place', body: { fields: { amount: 'amount', gift: 'gift', tenant: '/customer/tenant' } },
          resource: { type: 'Order', id: 'new', parents: [ { type: 'Tenant', id: '{body.tenant}' } ],
            attributes: { amount: { value: '{body.amount}', type: 'long' }, gift: { value: '{body.gift}', type: 'bool', optional: true } } } } ],
        """)
    let line = "POST /orders"
    #expect(try verdict(desk, line, #"{"amount":100,"gift":true,"customer":{"tenant":"acme"}}"#) == "forward")
    #expect(try verdict(desk, line, #"{"amount":101,"gift":true,"customer":{"tenant":"acme"}}"#) == "403 no_permit")
    #expect(try verdict(desk, line, #"{"amount":100,"gift":true,"customer":{"tenant":"other"}}"#) == "403 no_permit")
    #expect(
      try verdict(desk, line, #"{"amount":100,"customer":{"tenant":"acme"}}"#) == "403 no_permit", "an optional attribute is left out")
    #expect(try verdict(desk, line, #"{"gift":true,"customer":{"tenant":"acme"}}"#) == "400 request_invalid")
    #expect(try verdict(desk, line, #"{"amount":"many","gift":true,"customer":{"tenant":"acme"}}"#) == "400 request_invalid")
    #expect(try verdict(desk, line, #"{"amount":100,"gift":true,"customer":{}}"#) == "400 request_invalid", "a parent cannot be left out")
  }

  @Test func whatTheServiceWouldReadOtherwiseIsTakenFromTheForwardedHead() throws {
    let desk = try desk()
    var exchange = try exchange(desk, "POST /orders", #"{"number":7}"#, more: ["Content_Type: text/plain", "Expect: 100-continue"])
    _ = desk.verdict(&exchange)
    exchange.continued()
    Array(#"{"number":7}"#.utf8).withUnsafeBytes { exchange.bodyArrived($0) }
    let head = try #require(try desk.forwarded(&exchange))
    #expect(head.contains("\r\nContent-Type: application/json\r\n") && !head.contains("text/plain") && !head.contains("Expect"))
  }

  // MARK: - Look-ups

  private func lookup(_ desk: Desk, _ target: String, _ fields: [String] = [], as name: String = "alice") throws -> (Exchange, EntityLookup)
  {
    var exchange = try desk.exchange("PUT \(target)", fields, token: try desk.token(name))
    guard case .wait(.entities(let lookup)) = exchange.decide(desk.facts) else {
      Issue.record("nothing is looked up for \(target)")
      throw CancellationError()
    }
    return (exchange, lookup)
  }

  private func verdict(_ desk: Desk, _ answer: String, status: Status = .ok, type: String? = "application/json", as name: String = "alice")
    throws
    -> String
  {
    var (exchange, lookup) = try lookup(desk, "/orders/7?q=1", as: name)
    exchange.entitiesArrived(lookup.answer(status: status, contentType: type, isEncoded: false, body: Array(answer.utf8)))
    return desk.verdict(&exchange)
  }

  private static func order(_ id: String, owner: String, parents: String = "") -> String {
    #"[{"uid":{"type":"Order","id":"\#(id)"},"attrs":{"owner":{"__entity":{"type":"User","id":"\#(owner)"}}},"parents":[\#(parents)]}]"#
  }

  @Test func whoOwnsAnOrderMayChangeItAndNobodyElse() throws {
    let desk = try desk()
    let answer = Self.order("7", owner: "demo|alice")
    #expect(try verdict(desk, answer) == "forward")
    #expect(try verdict(desk, answer, as: "bob") == "403 no_permit")
    #expect(try verdict(desk, Self.order("8", owner: "demo|alice")) == "403 no_permit", "another order")
    #expect(try verdict(desk, "[]") == "403 no_permit")
    #expect(try verdict(desk, "", status: .notFound, type: nil) == "403 no_permit", "there is none, and that is an answer")
  }

  @Test(arguments: [
    ("<html>", Status.ok, "text/html"), (#"{"owner":"demo|alice"}"#, .ok, "application/json"), ("[", .ok, "application/json"),
    (order("7", owner: "demo|alice"), .ok, "text/html"), (order("7", owner: "demo|alice"), .internalServerError, "application/json"),
    (order("7", owner: "demo|alice"), .found, "application/json"), (order("7", owner: "demo|alice"), .noContent, "application/json"),
    (#"[{"uid":{"type":"User","id":"demo|alice"},"attrs":{"admin":true},"parents":[]}]"#, .ok, "application/json"),
    (#"[{"uid":{"type":"User","id":"demo|bob"},"attrs":{},"parents":[{"type":"UserGroup","id":"demo|admin"}]}]"#, .ok, "application/json"),
    (
      #"[{"uid":{"type":"UserGroup","id":"demo|viewer"},"attrs":{},"parents":[{"type":"UserGroup","id":"demo|admin"}]}]"#, .ok,
      "application/json"
    ),
    (#"[{"uid":{"type":"Action","id":"change"},"attrs":{},"parents":[{"type":"Action","id":"read"}]}]"#, .ok, "application/json"),
    (order("7", owner: "demo|alice", parents: #"{"type":"Order","id":"7"}"#), .ok, "application/json"),
    (
      #"[{"uid":{"type":"Order","id":"7"},"attrs":{"a":1},"parents":[]},{"uid":{"type":"Order","id":"7"},"attrs":{"a":2},"parents":[]}]"#,
      .ok, "application/json"
    ),
  ])
  func anAnswerThatCannotBeUsedIs503(answer: String, status: Status, type: String) throws {
    #expect(try verdict(desk(), answer, status: status, type: type) == "503 entity_lookup_failed")
  }

  @Test func valuesStayWhereTheyArePutInTheURL() throws {
    let desk = try desk()
    func url(_ target: String, _ fields: [String] = []) throws -> String { try lookup(desk, target, fields).1.url }
    let base = "http://orders.example:8000/entities"
    #expect(try url("/orders/42?q=a") == "\(base)/42/of/demo%7Calice?q=a&h=x")
    #expect(try url("/orders/a%3Fb%23c?q=%26h%3Dy%23") == "\(base)/a%3Fb%23c/of/demo%7Calice?q=%26h%3Dy%23&h=x")
    #expect(try url("/orders/%25%C3%A9%20b?q=a/../b") == "\(base)/%25%C3%A9%20b/of/demo%7Calice?q=a%2F..%2Fb&h=x")
    #expect(try url("/orders/@evil.example:80?q=") == "\(base)/%40evil.example%3A80/of/demo%7Calice?q=&h=x")
    var files = try desk.exchange("GET /files/a/b%20c/", token: try desk.token("alice"))
    #expect(desk.verdict(&files) == "wait entities(entities of http://orders.example/a%2Fb%20c%2F)")
    #expect(try url("/plain/1", ["X-Part: a/b"]) == "http://orders.example/1/a%2Fb/")
    let alice = try desk.token("alice")
    #expect(try desk.verdict("PUT /orders/42", token: alice) == "400 request_invalid", "a value is missing")
    for part in ["..", ".", ""] {
      #expect(try desk.verdict("PUT /plain/1", ["X-Part: \(part)"], token: alice) == "400 request_invalid", "\(part)")
    }
    let long = String(repeating: "a", count: 4096)
    #expect(try desk.verdict("PUT /plain/1", ["X-Part: \(long)"], token: alice) == "400 request_invalid")
  }

  @Test func lookupsAreTheSameForTheSameURLOfTheSameRoute() throws {
    let desk = try desk()
    let first = try lookup(desk, "/orders/42?q=a").1
    #expect(try first == lookup(desk, "/orders/42?q=a").1 && first != lookup(desk, "/orders/42?q=b").1)
    #expect(try first != lookup(desk, "/orders/42?q=a", as: "bob").1, "what is asked for one is not told of another")
    #expect(first.source.timeoutMillis == 250 && first.source.cacheMillis == 10_000)
  }

  @Test func entitiesThatContradictWhatIsKnownAre503() throws {
    let desk = try Desk(
      policies: Self.policies,
      configuration: """
        routes: [ { match: 'PUT /orders/{id}', action: 'change', resource: { type: 'Order', id: '{id}', attributes: { owner: '{id}' } },
          entities: 'http://orders.example/{id}' } ],
        """)
    var (exchange, lookup) = try lookup(desk, "/orders/7")
    exchange.entitiesArrived(lookup.answer(Array(Self.order("7", owner: "demo|alice").utf8)))
    #expect(desk.verdict(&exchange) == "503 entity_lookup_failed")
  }

  @Test func aStaticEntityIsNotLookedUpToSaySomethingElse() throws {
    let desk = try Desk(
      policies: Self.policies, entities: #"[{"uid":{"type":"Order","id":"7"},"attrs":{"owner":"nobody"},"parents":[]}]"#,
      configuration: "routes: [\(Self.routes)],")
    #expect(try verdict(desk, Self.order("7", owner: "demo|alice")) == "503 entity_lookup_failed")
    #expect(try verdict(desk, Self.order("8", owner: "demo|alice")) == "403 no_permit")
  }

  @Test func withASchemaTheAnswerIsReadByItAndHeldToIt() throws {
    let schema = """
      entity User in [UserGroup]; entity UserGroup; entity Order = { owner: User, limit?: decimal };
      action change appliesTo { principal: [User], resource: [Order] };
      """
    let policies = #"permit (principal, action == Action::"change", resource) when { resource.owner == principal };"#
    let desk = try Desk(
      policies: policies, schema: schema,
      configuration:
        "routes: [ { match: 'PUT /orders/{id}', action: 'change', resource: { type: 'Order', id: '{id}' }, entities: 'http://orders.example/{id}' } ],"
    )
    func verdict(_ attributes: String) throws -> String {
      var (exchange, lookup) = try lookup(desk, "/orders/7")
      exchange.entitiesArrived(lookup.answer(Array(#"[{"uid":{"type":"Order","id":"7"},"attrs":\#(attributes),"parents":[]}]"#.utf8)))
      return desk.verdict(&exchange)
    }
    #expect(
      try verdict(#"{"owner":{"type":"User","id":"demo|alice"},"limit":"10.5"}"#) == "forward",
      "a reference and a decimal as they are expected")
    for wrong in [
      #"{"owner":"demo|alice"}"#, #"{}"#, #"{"owner":{"type":"User","id":"demo|alice"},"limit":10}"#,
      #"{"owner":{"type":"User","id":"demo|alice"},"other":1}"#, #"{"owner":{"type":"Order","id":"1"}}"#,
    ] {
      #expect(try verdict(wrong) == "503 entity_lookup_failed", "\(wrong)")
    }
  }

  @Test func observeModeForwardsWhatCouldNotBeLookedUpAndRefusesABodyThatCannotBeRead() throws {
    let desk = try desk()
    var exchange = try exchange(desk, "POST /tried", "{}")
    #expect(desk.verdict(&exchange) == "wait body")
    Array("{}".utf8).withUnsafeBytes { exchange.bodyArrived($0) }
    #expect(desk.verdict(&exchange).hasPrefix("wait entities"))
    exchange.entitiesArrived(.failed("no answer"))
    #expect(desk.verdict(&exchange) == "would-refuse entity_lookup_failed")
    var broken = try self.exchange(desk, "POST /tried", "{")
    _ = desk.verdict(&broken)
    Array("{".utf8).withUnsafeBytes { broken.bodyArrived($0) }
    #expect(desk.verdict(&broken) == "400 body_invalid")
    var plain = try self.exchange(desk, "POST /tried", "{}", type: "text/plain")
    #expect(desk.verdict(&plain) == "415 body_unsupported")
  }

  @Test func underAnotherLoadEverythingIsLearnedAnew() throws {
    let desk = try desk()
    var exchange = try exchange(desk, "POST /tried", "{}")
    _ = desk.verdict(&exchange)
    Array("{}".utf8).withUnsafeBytes { exchange.bodyArrived($0) }
    exchange.entitiesArrived(.entities([], size: 0))
    exchange.beginAnew(under: desk.snapshot)
    #expect(desk.verdict(&exchange) == "wait body")
  }
}
