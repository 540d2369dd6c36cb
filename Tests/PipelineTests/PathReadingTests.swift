import Testing

@testable import Pipeline

/// Routes whose services read paths otherwise than byte for byte.
@Suite struct PathReadingTests {
  static let routes = """
    routes: [
      { match: 'GET /plain/{id}', resource: { type: 'File', id: '{id}' } },
      { match: 'GET /params/{id}', resource: { type: 'File', id: '{id}' }, paths: { semicolon: 'data' } },
      { match: 'GET /slash/{id}', resource: { type: 'File', id: '{id}' }, paths: { encoded_slash: 'data' } },
      { match: 'GET /both/{id}', resource: { type: 'File', id: '{id}' }, paths: { trailing_slash: 'same' } },
      { match: 'GET /folded/{id}', resource: { type: 'File', id: '{id}' }, paths: { case: 'same' } },
      { match: 'GET /tree/{rest...}', paths: { case: 'same', trailing_slash: 'same' } },
      { match: 'GET /Folded/exact', access: 'authenticated' },
    ],
    """
  static let policies = """
    permit (principal, action, resource) when { resource == File::"a" || resource == File::"a;b" || resource == File::"a/b" };
    permit (principal, action, resource in Path::"/tree/open");
    """

  @Test(arguments: [
    ("/plain/a", "forward"), ("/plain/A", "403 no_permit"), ("/plain/a/", "403 no_route"), ("/plain/a;b", "400 path_ambiguous"),
    ("/plain/a%2Fb", "400 path_ambiguous"), ("/elsewhere;x", "400 path_ambiguous"),
    ("/params/a;b", "forward"), ("/params/a%3Bb", "forward"), ("/params/a;c", "403 no_permit"), ("/params/a%2Fb", "400 path_ambiguous"),
    ("/params/..;/a", "400 path_ambiguous"),
    ("/slash/a%2Fb", "forward"), ("/slash/a%2fb", "forward"), ("/slash/a/b", "403 no_route"), ("/slash/a%2F..%2Fb", "400 path_ambiguous"),
    ("/slash/a;b", "400 path_ambiguous"),
    ("/both/a", "forward"), ("/both/a/", "forward"), ("/both/b/", "403 no_permit"),
    ("/folded/a", "forward"), ("/FOLDED/A", "forward"), ("/Folded/B", "403 no_permit"), ("/folded/%C3%A4", "400 path_ambiguous"),
    ("/Folded/exact", "forward"), ("/folded/exact", "403 no_permit"),
    ("/TREE/Open/x", "forward"), ("/tree/open/", "forward"), ("/tree/closed", "403 no_permit"),
  ])
  func aPathIsWhatTheRoutesServiceReads(path: String, verdict: String) throws {
    let desk = try Desk(policies: Self.policies, configuration: Self.routes)
    #expect(try desk.verdict("GET \(path)", token: try desk.token("alice")) == verdict)
  }

  @Test func whatIsForwardedStaysAsItCame() throws {
    let desk = try Desk(policies: Self.policies, configuration: Self.routes)
    for path in ["/FOLDED/A", "/both/a/", "/slash/a%2Fb", "/params/a%3Bb"] {
      var exchange = try desk.exchange("GET \(path)?q=1", token: try desk.token("alice"))
      let head = try #require(try desk.forwarded(&exchange))
      #expect(head.hasPrefix("GET \(path)?q=1 HTTP/1.1\r\n"))
    }
  }

  @Test func aSlashOfASegmentDoesNotLookLikeOneBetweenTwo() throws {
    let desk = try Desk(
      policies: "permit (principal, action, resource) when { context.http.path == \"/slash/a%2Fb%252F\" };", configuration: Self.routes)
    #expect(try desk.verdict("GET /slash/a%2Fb%252F", token: try desk.token("alice")) == "forward")
  }
}
