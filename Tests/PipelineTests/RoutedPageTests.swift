import Bytes
import Development
import HTTP
import JOSE
import Telemetry
import Testing

@testable import Pipeline

@Suite struct RoutedPageTests {
  private static let policies = """
    @id("view") permit (principal, action == Action::"viewOrder", resource is Order);
    @id("own") permit (principal, action == Action::"changeOrder", resource is Order)
      when { resource has customer && resource.customer == principal["custom:customer"] };
    @id("tenant") permit (principal, action == Action::"export", resource in Tenant::"acme")
      when { context.http has headers && context.http.headers has "x-reason" && resource.limit <= 100 };
    """
  private static let routes = """
    { match: 'GET /healthz', access: 'public' },
    { match: 'OPTIONS /{rest...}', access: 'preflight' },
    { match: 'GET /me', access: 'authenticated' },
    { match: 'GET /scoped', access: 'authenticated', scopes: ['orders/read', 'orders/all'] },
    { match: 'GET /orders/{id}', action: 'viewOrder', resource: { type: 'Order', id: '{id}' } },
    { match: 'PUT /orders/{id}', action: 'changeOrder', body_limit: '10B',
      resource: { type: 'Order', id: '{id}', attributes: { customer: { value: '{header.x-customer}', optional: true } } } },
    { match: 'GET /export', action: 'export',
      resource: { type: 'Export', id: 'all', attributes: { limit: { value: '{query.limit}', type: 'long' } }, parents: [ { type: 'Tenant', id: '{header.x-tenant}' } ] } },
    { match: 'GET /trial', mode: 'observe' },
    """

  private func desk(_ more: String = "", mode: String = "enforce") throws -> Desk {
    try Desk(
      policies: Self.policies, configuration: "mode: '\(mode)', routes: [\(Self.routes)], context: { headers: ['X-Reason'] }, \(more)")
  }

  @Test func aRouteSaysWhoMayPassAndWhatIsAsked() throws {
    let desk = try desk()
    let alice = try desk.token("alice")
    #expect(try desk.verdict("GET /healthz") == "forward")
    #expect(try desk.verdict("HEAD /healthz") == "forward", "HEAD is what GET is")
    #expect(try desk.verdict("POST /healthz") == "403 no_route")
    #expect(try desk.verdict("GET /healthz/") == "403 no_route" && desk.verdict("GET /Healthz") == "403 no_route")
    #expect(try desk.verdict("GET /me") == "401 no_token" && desk.verdict("GET /me", token: alice) == "forward")
    #expect(try desk.verdict("GET /orders/42", token: alice) == "forward")
    #expect(try desk.verdict("GET /orders/42") == "401 no_token")
    #expect(try desk.verdict("GET /elsewhere", token: alice) == "403 no_route")
    #expect(try desk.verdict("GET /trial") == "would-refuse no_token", "one route is observed")
    var exchange = try desk.exchange("GET /orders/42", token: alice)
    _ = desk.verdict(&exchange)
    let record = exchange.record(status: 200, wallMillis: 0, observed: false)
    #expect(record.action == #"Action::"viewOrder""# && record.resource == #"Order::"42""# && record.route == "GET /orders/{id}")
    var open = try desk.exchange("GET /healthz", ["X-Stockade-Principal: root"])
    #expect(try #require(try desk.forwarded(&open)).contains("\r\nX-Stockade-Principal: \r\n"), "nobody is told of on a public route")
    #expect(open.record(status: 200, wallMillis: 0, observed: false).reason == .public)
  }

  @Test func onlyAPreflightIsAPreflight() throws {
    let desk = try desk()
    let fields = ["Origin: https://app.example.com", "Access-Control-Request-Method: PUT"]
    #expect(try desk.verdict("OPTIONS /orders/42", fields) == "forward")
    #expect(try desk.verdict("OPTIONS /orders/42") == "403 no_route")
    #expect(
      try desk.verdict("OPTIONS /orders/42", [fields[0]]) == "403 no_route"
        && desk.verdict("OPTIONS /orders/42", [fields[1]]) == "403 no_route")
    #expect(try desk.verdict("OPTIONS /orders/42", fields + ["Cookie: a=b"]) == "403 no_route", "a preflight has no credentials")
    #expect(try desk.verdict("OPTIONS /orders/42", fields + ["Content-Length: 1"]) == "403 no_route", "nor a body")
    #expect(try desk.verdict("OPTIONS /orders/42", fields + [fields[1]]) == "403 no_route")
    #expect(try desk.verdict("PUT /orders/42", fields) == "401 no_token")
  }

  @Test func whatARequestSaysOfItsResourceIsSeenByPolicies() throws {
    let desk = try desk()
    let alice = try desk.token("alice", .id)
    #expect(try desk.verdict("PUT /orders/42", ["X-Customer: c-1"], token: alice) == "403 no_permit")
    #expect(try desk.verdict("PUT /orders/42", token: alice) == "403 no_permit", "an optional attribute is left out")
    #expect(
      try desk.verdict("PUT /orders/42", ["X-Customer: a", "X-Customer: b"], token: alice) == "400 request_invalid",
      "nobody knows which the service reads")
    #expect(try desk.verdict("PUT /orders/42", ["Content-Length: 11"], token: alice) == "413 request_too_large")
    let export = "GET /export?limit=100"
    #expect(try desk.verdict(export, ["X-Tenant: acme", "X-Reason: audit"], token: alice) == "forward")
    #expect(try desk.verdict(export, ["X-Tenant: acme"], token: alice) == "403 no_permit")
    #expect(try desk.verdict(export, ["X-Tenant: other", "X-Reason: audit"], token: alice) == "403 no_permit")
    #expect(try desk.verdict("GET /export?limit=101", ["X-Tenant: acme", "X-Reason: audit"], token: alice) == "403 no_permit")
    for target in ["/export", "/export?limit=many", "/export?limit=1&limit=2"] {
      #expect(try desk.verdict("GET \(target)", ["X-Tenant: acme", "X-Reason: audit"], token: alice) == "400 request_invalid", "\(target)")
    }
    #expect(try desk.verdict(export, ["X-Reason: audit"], token: alice) == "400 request_invalid", "a parent cannot be left out")
  }

  @Test func aMissingScopeIsToldByNameAsRFC6750Says() throws {
    let desk = try desk()
    var exchange = try desk.exchange("GET /scoped", token: try desk.token("alice"))
    guard case .refuse(let rejection) = exchange.decide(desk.facts) else {
      Issue.record("a token without the scopes passed")
      return
    }
    let answer = Answer(rejection, id: exchange.id, challenge: exchange.challenge(desk.facts))
    #expect(answer.status == .forbidden && rejection.reason == .insufficientScope)
    #expect(
      answer.fields.contains {
        $0.name == "WWW-Authenticate" && $0.value.contains(#"error="insufficient_scope""#)
          && $0.value.contains(#"scope="orders/read orders/all""#)
      })
  }

  @Test func whatNoRouteMatchesMayBeMappedByItsPath() throws {
    let desk = try Desk(configuration: "routes: [ { match: 'GET /healthz', access: 'public' } ], unrouted: 'path',")
    #expect(try desk.verdict("GET /orders/42", token: try desk.token("alice")) == "forward")
    #expect(try desk.verdict("GET /orders/42") == "401 no_token" && desk.verdict("GET /healthz") == "forward")
  }

  @Test func observeModeForwardsWhatNoRouteMatches() throws {
    let desk = try desk(mode: "observe")
    #expect(try desk.verdict("GET /elsewhere") == "would-refuse no_route")
    #expect(try desk.verdict("GET /scoped", token: try desk.token("alice")) == "would-refuse insufficient_scope")
  }

  @Test func ourRefusalsCanBeReadByScriptsOfTheOriginsThatMay() throws {
    let desk = try desk("cors: { errors_allow_origins: ['https://app.example.com'] },")
    func fields(_ origin: String?) throws -> [String: String] {
      let exchange = try desk.exchange("GET /me", origin.map { ["Origin: \($0)"] } ?? [])
      return Dictionary(exchange.corsFields(status: .unauthorized).map { ($0.name, $0.value) }, uniquingKeysWith: { a, _ in a })
    }
    #expect(try fields("https://app.example.com")["Access-Control-Allow-Origin"] == "https://app.example.com")
    for other in ["https://app.example.com.evil.example", "https://APP.example.com", "null", "http://app.example.com"] {
      #expect(try fields(other) == ["Vary": "Origin"], "\(other)")
    }
    #expect(try fields(nil) == ["Vary": "Origin"])
    #expect(
      try desk.exchange("GET /me", ["Origin: https://app.example.com"]).corsFields(status: .badGateway).isEmpty, "only for 401 and 403")
  }

  @Test func aNamespaceIsThatOfEveryTypeWithoutOne() throws {
    let policies = """
      permit (principal in Shop::UserGroup::"demo|viewer", action == Shop::Action::"view", resource in Shop::Tenant::"acme");
      """
    let desk = try Desk(
      policies: policies,
      configuration:
        "namespace: 'Shop', routes: [ { match: 'GET /o/{id}', action: 'view', resource: { type: 'Order', id: '{id}', parents: [ { type: 'Tenant', id: 'acme' } ] } } ],"
    )
    #expect(try desk.verdict("GET /o/1", token: try desk.token("alice")) == "forward")
    #expect(try desk.verdict("GET /o/1", token: try desk.token("mallory")) == "403 no_permit")
  }

  @Test func identityHeadersHaveTheNamesThatAreConfiguredAndNoOthers() throws {
    let desk = try Desk(
      configuration:
        "identity_headers: { principal: 'X-User', groups: '', claims: { 'X-Who': 'username', 'X-None': 'nothing' }, authorization: 'remove' },"
    )
    var exchange = try desk.exchange(
      "GET /orders/42", ["X_User: root", "X-Stockade-Groups: admin", "x-who: root"], token: try desk.token("alice"))
    let head = try #require(try desk.forwarded(&exchange))
    #expect(head.contains("\r\nX-User: demo|alice\r\n") && head.contains("\r\nX-Who: alice\r\n") && head.contains("\r\nX-None: \r\n"))
    #expect(!head.contains("root") && !head.contains("admin") && !head.lowercased().contains("authorization"))
  }
}
