import Bytes
import Cedar
import HTTP
import Testing

@testable import Pipeline

@Suite struct RouteTests {
  private static func table(_ routes: [String]) throws -> RouteTable {
    let text = ConfigurationTests.least.dropLast() + ", routes: [\(routes.joined(separator: ", "))] }"
    return try #require(try ConfigurationTests.read(String(text)).routes)
  }

  private static func head(_ line: String, host: String = "api.example.com", _ fields: [String] = []) throws -> RequestHead {
    var head = RequestHead()
    let text = (["\(line) HTTP/1.1", "Host: \(host)"] + fields).joined(separator: "\r\n") + "\r\n\r\n"
    let outcome = Array(text.utf8).withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }
    guard case .complete = outcome else { throw Refused() }
    return head
  }
  private struct Refused: Error {}

  private static func matched(_ table: RouteTable, _ line: String, host: String = "api.example.com") throws -> String? {
    table.match(try head(line, host: host))?.text
  }

  @Test func theMostSpecificRouteWinsWhateverTheOrder() throws {
    let routes = [
      "'GET /orders/{id}'", "'GET /orders/new'", "'* /orders/new'", "'GET /orders/{rest...}'", "'GET /orders'", "'GET /orders/'",
      "'GET /{a}/{b}/c'",
      "'GET /orders/{id}/items/{item}'", "'POST /orders/{order}'", "'HEAD /orders/new'", "'PURGE /orders'", "'GET /'",
      "'OPTIONS /{rest...}'",
    ]
    let expected: [(String, String?)] = [
      ("GET /orders/42", "GET /orders/{id}"), ("GET /orders/new", "GET /orders/new"), ("PUT /orders/new", "* /orders/new"),
      ("HEAD /orders/new", "HEAD /orders/new"), ("HEAD /orders/42", "GET /orders/{id}"), ("POST /orders/42", "POST /orders/{order}"),
      ("GET /orders/42/", "GET /orders/{rest...}"), ("GET /orders/42/x", "GET /orders/{rest...}"),
      ("GET /orders/42/c", "GET /orders/{rest...}"),
      ("GET /shops/42/c", "GET /{a}/{b}/c"), ("GET /orders", "GET /orders"), ("GET /orders/", "GET /orders/"),
      ("GET /orders/1/items/2", "GET /orders/{id}/items/{item}"),
      ("GET /orders/%6eew", "GET /orders/new"), ("GET /Orders/new", nil), ("PURGE /orders", "PURGE /orders"), ("PATCH /orders/42", nil),
      ("GET /", "GET /"),
      ("OPTIONS /", "OPTIONS /{rest...}"), ("OPTIONS /a/b/", "OPTIONS /{rest...}"), ("GET /none", nil), ("DELETE /orders/", nil),
      ("GET /orders/1?x=/y", "GET /orders/{id}"),
    ]
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<8 {
      let table = try Self.table(routes.shuffled(using: &generator))
      for (line, want) in expected { #expect(try Self.matched(table, line) == want, "\(line)") }
    }
  }

  @Test func theRestTakesWhatFollowsASlashAndNothingThatBeginsAlike() throws {
    let table = try Self.table(["'GET /files/{rest...}'"])
    #expect(try Self.matched(table, "GET /files") == nil && Self.matched(table, "GET /files-archive/1") == nil)
    for path in ["/files/", "/files/a", "/files/a/b", "/files/a/"] { #expect(try Self.matched(table, "GET \(path)") != nil, "\(path)") }
    let route = try #require(table.routes.first)
    for (path, rest) in [("/files/", ""), ("/files/a", "a"), ("/files/a/b/", "a/b/")] {
      #expect(route.path.value(ofParameterAt: 1, in: try Self.head("GET \(path)").path) == rest)
    }
  }

  @Test func aHostBeatsAWildcardBeatsNone() throws {
    let table = try Self.table([
      "{ match: 'GET /a', host: '*.example.com' }", "{ match: 'GET /a' }", "{ match: 'GET /a', host: 'API.example.com' }",
      "{ match: 'GET /a', host: '*.eu.example.com' }", "{ match: 'GET /b' }",
    ])
    for (host, want) in [
      ("api.example.com", "GET api.example.com/a"), ("API.EXAMPLE.COM.:80", "GET api.example.com/a"),
      ("x.example.com", "GET *.example.com/a"),
      ("x.eu.example.com", "GET *.eu.example.com/a"), ("example.com", "GET /a"), ("badexample.com", "GET /a"),
    ] { #expect(try Self.matched(table, "GET /a", host: host) == want, "\(host)") }
    #expect(try Self.matched(table, "GET /b", host: "api.example.com") == "GET /b", "a host's routes add to the others")
  }

  /// The reference: every route tried, the best taken by the rules as they are written.
  private static func slow(_ table: RouteTable, _ head: RequestHead) -> String? {
    func rank(_ route: Route) -> [Int]? {
      let path = route.path
      guard route.methods.rank(head) > 0 else { return nil }
      if path.hasRest {
        guard head.path.count > path.segments.count || (head.path.count == path.segments.count && head.path.hasTrailingSlash) else {
          return nil
        }
      } else {
        guard head.path.count == path.segments.count, head.path.hasTrailingSlash == path.hasTrailingSlash else { return nil }
      }
      var ranks: [Int] = []
      for (index, segment) in path.segments.enumerated() {
        switch segment {
        case .literal(let bytes):
          guard head.path.segment(index).utf8.elementsEqual(bytes) else { return nil }
          ranks.append(3)
        case .parameter: ranks.append(2)
        }
      }
      // The rest is less than any segment in its place, and less than the end of the path.
      ranks.append(path.hasRest ? 1 : 2)
      return ranks + [route.methods.rank(head)]
    }
    let ranked = table.routes.compactMap { route in rank(route).map { (route, $0) } }
    return ranked.max { $0.1.lexicographicallyPrecedes($1.1) }?.0.text
  }

  @Test func theTreeFindsWhatTryingEveryRouteFinds() throws {
    var generator = SystemRandomNumberGenerator()
    func pick(_ words: [String]) -> String { words.randomElement(using: &generator) ?? "" }
    for _ in 0..<60 {
      var routes: [String: String] = [:]
      for _ in 0..<12 {
        var path = ""
        for index in 0..<Int.random(in: 0...3, using: &generator) { path += "/" + pick(["a", "b", "{p\(index)}"]) }
        path += pick(["", "/", "/{rest...}"])
        if path.isEmpty { path = "/" }
        let method = pick(["GET", "PUT", "*", "HEAD"])
        // One of a kind: ties are refused elsewhere.
        let shape = path.split(separator: "/", omittingEmptySubsequences: false).map { $0.hasPrefix("{p") ? "{}" : String($0) }.joined(
          separator: "/")
        routes["\(method) \(shape)"] = "'\(method) \(path)'"
      }
      let table = try Self.table(Array(routes.values))
      for _ in 0..<30 {
        var path = ""
        for _ in 0..<Int.random(in: 0...4, using: &generator) { path += "/" + pick(["a", "b", "c"]) }
        path += pick(["", "/"])
        let head = try Self.head("\(pick(["GET", "PUT", "HEAD", "DELETE"])) \(path.isEmpty ? "/" : path)")
        #expect(table.match(head)?.text == Self.slow(table, head), "\(routes.values) \(head.methodText) \(path)")
      }
    }
  }

  @Test func aManyBranchedTableDoesNotMultiply() throws {
    // Literal and parameter at every level: each node of the tree is seen once, however often they part.
    var routes: [String] = []
    for length in 1...12 { routes.append("'GET \(String(repeating: "/a", count: length))/x'") }
    for length in 1...12 { routes.append("'GET \((0..<length).map { "/{p\($0)}" }.joined())/y'") }
    let table = try Self.table(routes)
    #expect(try Self.matched(table, "GET " + String(repeating: "/a", count: 2000)) == nil)
  }

  @Test func valuesOfQueryAndFieldsAreTakenOnceOrRefused() throws {
    func query(_ target: String, _ name: String) -> String {
      do throws(Stop) {
        let head = try! Self.head("GET \(target)")
        return try RequestValues.query(name, in: head) ?? "none"
      } catch { return "refused" }
    }
    for (target, want) in [
      ("/?a=1", "1"), ("/?b=2&a=1", "1"), ("/?a=x+y%21", "x y!"), ("/?a", ""), ("/?a=", ""), ("/", "none"), ("/?", "none"),
      ("/?aa=1", "none"), ("/?%61=1", "1"),
      ("/?a=1&a=1", "refused"), ("/?a=1&%61=2", "refused"), ("/?a=%ff", "refused"), ("/?a=%4", "refused"), ("/?a=b=c", "b=c"),
      ("/?a=1;a=2", "1;a=2"),
    ] { #expect(query(target, "a") == want, "\(target)") }
    let head = try Self.head("GET /", ["X-Tenant: acme", "X-Twice: a", "x-twice: b"])
    #expect(try RequestValues.field("x-tenant", in: head) == "acme")
    #expect(throws: (any Error).self) { try RequestValues.field("X-Twice", in: head) }
  }

  @Test(
    arguments: [
      ("42", TypedText.long, "42"), ("-7", .long, "-7"), ("+7", .long, nil), ("07", .long, nil), ("9223372036854775808", .long, nil),
      ("true", .bool, "true"), ("TRUE", .bool, nil),
      ("1.5", .decimal, #"decimal("1.5")"#), ("x", .decimal, nil), ("10.0.0.1", .ip, #"ip("10.0.0.1")"#), ("10.0.0", .ip, nil),
      ("a,b", .set, #"["a", "b"]"#),
      ("2026-01-01T00:00:00Z", .datetime, #"datetime("2026-01-01T00:00:00.000Z")"#), ("today", .datetime, nil), ("x", .string, #""x""#),
    ] as [(String, TypedText, String?)])
  func textIsReadAsWhatItIsToBeOrNotAtAll(text: String, type: TypedText, value: String?) {
    if type == .datetime || type == .decimal || type == .ip {
      #expect((type.value(text) == nil) == (value == nil))
    } else {
      #expect(type.value(text)?.description == value)
    }
  }
}
