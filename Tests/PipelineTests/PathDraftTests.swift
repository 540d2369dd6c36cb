import Bytes
import Cedar
import Development
import HTTP
import JOSE
import Telemetry
import Testing

@testable import Pipeline

/// The draft is another way to say what the values say: whatever policies look at, the answer is the same.
@Suite struct PathDraftTests {
  static let policies = """
    @id("tree") permit (principal in UserGroup::"demo|viewer", action in Action::"read", resource in Path::"/orders");
    @id("root") permit (principal, action == Action::"POST", resource in Path::"/");
    @id("exact") permit (principal, action, resource == Path::"/exact/");
    @id("attributes") permit (principal, action, resource) when { resource.path like "/a*" && resource.segments > 1 };
    @id("http") permit (principal, action, resource) when { context.http.method == "PUT" && context.http.path == "/put" };
    @id("host") permit (principal, action, resource in Path::"/host") when { context.http has host && context.http.host == "api.example.com" };
    @id("ip") forbid (principal, action, resource in Path::"/orders/ip") unless { context has client && context.client.ip.isLoopback() };
    @id("time") permit (principal, action, resource in Path::"/time") when { context.time > datetime("2020-01-01") };
    @id("scope") permit (principal, action, resource) when { context has token && context.token has scope && context.token.scope.contains("orders/read") };
    @id("claims") permit (principal, action, resource in Path::"/sales") when { principal["custom:department"] == "sales" };
    @id("fails") permit (principal, action, resource in Path::"/fails") when { context.nothing };
    @id("whole") permit (principal, action, resource in Path::"/whole")
      when { context.http == { method: "GET", path: "/whole/1", host: "api.example.com" } };
    """

  @Test func draftsAnswerAsValuesDo() throws {
    let desk = try Desk(policies: Self.policies)
    let paths = [
      "/", "/orders", "/orders/", "/orders/42", "/orders/ip/1", "/orders-archive/1", "/exact", "/exact/", "/a", "/a/b", "/a/b/c/", "/put",
      "/host/x", "/time", "/sales/1", "/fails/1", "/whole/1", "/caf%C3%A9/1", "/a%20b/c", "/orders/%C3%A9",
    ]
    var compared = 0
    for token in [
      try desk.token("alice"), try desk.token("alice", .id), try desk.token("bob", .id), try desk.token("robot"), try desk.token("mallory"),
    ] {
      for path in paths {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "FROB"] {
          for octets: [UInt8] in [[127, 0, 0, 1], [203, 0, 113, 9], []] {
            var exchange = try desk.exchange("\(method) \(path)", token: token, from: octets)
            _ = desk.verdict(&exchange)
            let identity = try #require(exchange.trail.identity)
            let question = try #require(exchange.trail.question)
            let mapping = desk.snapshot.mapping
            let authorization = desk.snapshot.authorization
            let drafted = mapping.askByPath(
              question, by: identity, from: exchange.peer, exchange.head, at: Desk.time, of: authorization, Evaluation())
            let said = try authorization.isAuthorized(
              mapping.request(question, by: identity, from: exchange.peer, exchange.head, at: Desk.time), identity, Evaluation())
            #expect(drafted == said, "\(method) \(path)")
            compared += 1
          }
        }
      }
    }
    #expect(compared == 5 * paths.count * 6 * 3)
  }

  @Test func whatIsKnownOfAPathIsNotForADraft() throws {
    let issuer = try Desk().issuer
    var configuration = Configuration(upstream: "http://127.0.0.1:2")
    configuration.isDevelopment = true
    configuration.issuers = [Desk.pool(issuer)]
    let entities = """
      [{"uid": {"type": "Path", "id": "/orders"}, "attrs": {}, "parents": [{"type": "Area", "id": "sales"}]}]
      """
    let policies = "@id(\"area\") permit (principal, action, resource in Area::\"sales\");"
    let files = PolicyFiles(
      policies: [SourceText(name: "a.cedar", policies)], schema: nil, entities: SourceText(name: "entities.json", entities), hash: "x")
    let snapshot = try SnapshotBuilder.build(configuration, policies: files, generation: 1)
    let facts = Facts(issuers: 1, cacheKey: (1, 2))
    facts.learn(.known(.init(set: issuer.keySet, generation: 1)), of: 0)
    var exchange = Exchange(peer: Peer(address: nil, octets: []), under: snapshot)
    let token = try #require(try issuer.token(of: "alice", at: Desk.time))
    let bytes = Array("GET /orders/42 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(token)\r\n\r\n".utf8)
    let outcome = bytes.withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &exchange.head) }
    #expect(outcome == .complete(consumed: bytes.count))
    exchange.begin(id: DecisionID(milliseconds: 1, random: (2, 3)), at: Desk.time, under: snapshot)
    // A path that the entities know has attributes in both places, which is an error and never a guess.
    guard case .refuse(let rejection) = exchange.decide(facts) else {
      #expect(exchange.trail.response?.determining == ["area"])
      return
    }
    #expect(rejection.reason == .engineError)
  }
}
