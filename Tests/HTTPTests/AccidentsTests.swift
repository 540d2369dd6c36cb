import HTTP
import Testing

/// What happened to others, as requests: each is refused, or what is forwarded is what was decided. The names are those of
/// the advisories; the numbers in ARCHITECTURE.md's museum point here.
@Suite struct AccidentsTests {
  static func refusal(_ request: String) -> HTTPRefusal? {
    let bytes = Array(request.utf8)
    var head = RequestHead()
    guard case .refused(let refusal) = bytes.withUnsafeBytes({ RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }) else {
      return nil
    }
    return refusal
  }

  static func get(_ target: String, _ fields: String = "") -> String { "GET \(target) HTTP/1.1\r\nHost: a\r\n\(fields)\r\n" }

  @Test(
    "a path that a proxy decides on before its upstream resolves it (Envoy CVE-2019-9901, Oathkeeper CVE-2026-33494)",
    arguments: [
      "/info/../private", "/public/../admin/secrets", "/public/%2e%2e/admin", "/public/./../admin", "/a/%2e%2e;/b", "/admin/.", "/..",
      "/%2e",
    ])
  func dots(target: String) { #expect(Self.refusal(Self.get(target)) == .pathDotSegment) }

  @Test(
    "slashes in escapes (Envoy CVE-2021-29492)",
    arguments: [
      ("/something%2F..%2Fadmin", HTTPRefusal.pathDotSegment), ("/something%2fadmin", .pathEncodedSlash), ("/a%5Cb", .pathBackslash),
      ("/a%5cb", .pathBackslash),
      ("//admin", .pathEmptySegment), ("/a//admin", .pathEmptySegment),
    ])
  func slashes(target: String, refusal: HTTPRefusal) { #expect(Self.refusal(Self.get(target)) == refusal) }

  @Test("a fragment that hides the end of a path (Envoy CVE-2021-32779, OAuth2 Proxy GHSA-pxq7)")
  func fragments() {
    #expect(Self.refusal(Self.get("/app1/admin#foo")) == .targetFragment)
    #expect(HeadWriterTests.forward(Self.get("/admin%23/public"))?.hasPrefix("GET /admin%23/public HTTP/1.1\r\n") == true)
  }

  @Test(
    "path parameters that one side cuts off (Envoy CVE-2026-73553, CVE-2026-73511, Istio 27409)",
    arguments: [
      ("/admin;x=y/action", HTTPRefusal.pathSemicolon), ("/.;/admin", .pathDotSegment), ("/..;/admin", .pathDotSegment),
      ("/;/admin", .pathEmptySegment),
      ("/admin%3bx", .pathSemicolon),
    ])
  func parameters(target: String, refusal: HTTPRefusal) { #expect(Self.refusal(Self.get(target)) == refusal) }

  @Test("a legal byte that a template forgot (Envoy CVE-2025-46821)")
  func everyPathByte() {
    var head = RequestHead()
    let bytes = Array(Self.get("/files/a*b!$&'()+,=:@-._~").utf8)
    _ = bytes.withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }
    #expect(head.path.segments == ["files", "a*b!$&'()+,=:@-._~"])
  }

  @Test("field values beyond ASCII (Envoy CVE-2026-73552) and fields that come twice (CVE-2020-25017, CVE-2026-26308) are all seen")
  func values() {
    let head = FieldTests.head("X-Role: user\r\nx-role: \u{e9}\r\nX-ROLE: admin\r\n")
    #expect(head.fields.values(named: "x-role") == ["user", "\u{e9}", "admin"])
  }

  @Test(
    "more than one credential (class of OAuth2 Proxy and Envoy reports)",
    arguments: [
      "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", "Authorization: Bearer a, Bearer b\r\n",
      "authorization: x\r\nAUTHORIZATION: Bearer b\r\n",
    ])
  func credentials(fields: String) { #expect(BearerCredential.find(in: FieldTests.head(fields).fields) == .multiple) }

  @Test("bytes behind an upgrade that was not granted yet (Envoy CVE-2026-73548)")
  func upgrades() {
    // An upgrade with a body is no upgrade, and without an answer of 101 nothing says that what follows is another protocol.
    let bytes = Array("POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\nContent-Length: 2\r\n\r\nhi".utf8)
    var head = RequestHead()
    _ = bytes.withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }
    #expect(head.upgradeRange == nil && head.framing == .length(2))
    #expect(HeadWriterTests.forward(String(decoding: bytes, as: UTF8.self))?.contains("pgrade") == false)
    // h2c offers are stripped (the h2c smuggling class).
    let h2c = Self.get("/", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n")
    #expect(HeadWriterTests.forward(h2c) == "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: a\r\n\r\n")
  }

  @Test(
    "targets that are no path (Envoy CVE-2026-73547)",
    arguments: [
      ("CONNECT host:443 HTTP/1.1\r\nHost: host:443\r\n\r\n", HTTPRefusal.methodConnect),
      ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", .targetAsterisk),
      ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", .targetAsterisk), ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", .hostDisagrees),
      ("GET  HTTP/1.1\r\nHost: a\r\n\r\n", .requestLineMalformed),
      ("GET ?x HTTP/1.1\r\nHost: a\r\n\r\n", .targetFormUnsupported), ("GET @b/ HTTP/1.1\r\nHost: a\r\n\r\n", .targetFormUnsupported),
    ])
  func targets(request: String, refusal: HTTPRefusal) { #expect(Self.refusal(request) == refusal) }

  @Test("a PROXY header with bogus TLVs (Envoy CVE-2026-47692)")
  func proxyHeaders() {
    let address: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 0, 10]
    for tlv in [[0xff, 0xff, 0xff], [1], [1, 0], [3, 0, 4, 0, 0, 0], [UInt8](repeating: 0xff, count: 60_000)] as [[UInt8]] {
      guard case .refused = ProxyHeaderTests.parse(ProxyHeaderTests.version2(0x21, 0x11, address + tlv)) else {
        Issue.record("\(tlv.count) bytes of TLV are accepted")
        continue
      }
    }
  }

  @Test(
    "a query that looks like a path (OAuth2 Proxy CVE-2025-54576, Express CVE-2026-49473)",
    arguments: [
      ("/users?x=/users/1", ["users"]), ("/foo/x?y=/bar", ["foo", "x"]), ("/users?/..", ["users"]), ("/users?", ["users"]),
      ("/?/admin", []),
    ])
  func queries(target: String, segments: [String]) {
    var head = RequestHead()
    let bytes = Array(Self.get(target).utf8)
    #expect(bytes.withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) } == .complete(consumed: bytes.count))
    #expect(head.path.segments == segments)
  }

  @Test(
    "fields that claim another target, method or origin (OAuth2 Proxy CVE-2026-40575, Traefik CVE-2026-35051, Oathkeeper 26.2)",
    arguments: [
      "X-Forwarded-Uri: /public", "X-Original-URL: /public", "X-Rewrite-URL: /public", "X-Forwarded-Method: GET",
      "X-HTTP-Method-Override: DELETE",
      "X-HTTP-Method: DELETE", "X-Method-Override: DELETE", "X-Forwarded-Prefix: /public", "X-Forwarded-Proto: https",
      "X-Forwarded-Host: evil", "X-Forwarded-For: 127.0.0.1",
      "Forwarded: for=127.0.0.1", "X-Real-IP: 127.0.0.1", "X-Original-Method: GET", "X-Forwarded-Port: 443", "X-Forwarded-Server: x",
    ])
  func claims(field: String) {
    #expect(HeadWriterTests.forward(Self.get("/", field + "\r\n")) == "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: a\r\n\r\n")
  }

  @Test(
    "aliases of identity fields (OAuth2 Proxy CVE-2025-64484, Traefik CVE-2026-88011)",
    arguments: [
      "X_Forwarded_User", "x-forwarded_email", "X.Authenticated.User", "X_Auth_User", "x-auth.user", "X_AUTH-USER",
    ])
  func aliases(name: String) {
    let rewrite = RequestRewrite(owned: OwnedFields(["X-Auth-User", "X-Authenticated-User"]))
    #expect(
      HeadWriterTests.forward(Self.get("/", name + ": admin\r\n"), rewrite) == "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: a\r\n\r\n")
  }

  @Test("a client that has our fields deleted by Connection (Traefik CVE-2024-45410, Oathkeeper GHSA-w9mr)")
  func deletions() {
    var identity = FieldBlock()
    identity.append("X-User", "alice")
    let out = HeadWriterTests.forward(
      Self.get("/", "Connection: close, X-Forwarded-Host, X-User, Authorization\r\nAuthorization: Bearer t\r\n"),
      RequestRewrite(owned: OwnedFields(["X-User"])), adding: identity)
    #expect(out == "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t\r\nX-Forwarded-Host: a\r\nX-User: alice\r\n\r\n")
  }

  @Test(
    "escapes that end or part a path for somebody (Traefik CVE-2025-66490)",
    arguments: [
      ("/a%00", HTTPRefusal?.some(.pathControl)), ("/a%3bb", .pathSemicolon), ("/a%25b", nil), ("/a%3fb", nil), ("/a%0d%0ab", .pathControl),
    ])
  func escapes(target: String, refusal: HTTPRefusal?) { #expect(Self.refusal(Self.get(target)) == refusal) }

  @Test("a line break from a claim in a field of ours (SwiftNIO GHSA-7fj7)")
  func lineBreaks() {
    var block = FieldBlock()
    block.append("X-User", encoding: "alice\r\nX-Admin: true")
    #expect(String(decoding: block.bytes, as: UTF8.self) == "X-User: alice%0D%0AX-Admin: true\r\n")
  }

  @Test(
    "framing that two parsers read in two ways (SwiftNIO GHSA-mgc4 and the smuggling class)",
    arguments: [
      "Transfer-Encoding: \u{0b}chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
      "Content-Length: 3\r\nContent-Length: 4\r\n", "Content-Length: +5\r\n",
      "Content-Length: 5 5\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "Transfer-Encoding : chunked\r\n",
      "Transfer-Encoding:\r\n chunked\r\n",
      "Content-Length: 0x10\r\n", "Content-Length: 1e1\r\n", "Content-Length: \u{661}\r\n", "Transfer-Encoding: chun\u{212a}ed\r\n",
      "X: y\nTransfer-Encoding: chunked\r\n",
      "X: y\rTransfer-Encoding: chunked\r\n", "Content-Length: 3\r\n\tX: y\r\n", "Transfer-Encoding: chunked, identity\r\n",
      "Transfer-Encoding: 'chunked'\r\n",
    ])
  func framing(fields: String) { #expect(Self.refusal("POST / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n") != nil) }

  @Test(
    "methods in disguise (advisory class of method confusion)",
    arguments: [
      ("get / HTTP/1.1\r\nHost: a\r\n\r\n", HTTPRefusal.methodMiscased), ("GET\0 / HTTP/1.1\r\nHost: a\r\n\r\n", .nulByte),
      ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", .methodTrace),
      ("pOsT / HTTP/1.1\r\nHost: a\r\n\r\n", .methodMiscased),
    ])
  func methods(request: String, refusal: HTTPRefusal) { #expect(Self.refusal(request) == refusal) }

  @Test("hosts in disguise (Istio GHSA-7774)")
  func hosts() {
    func host(_ value: String) -> String? {
      let bytes = Array("GET / HTTP/1.1\r\nHost: \(value)\r\n\r\n".utf8)
      var head = RequestHead()
      guard case .complete = bytes.withUnsafeBytes({ RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }) else { return nil }
      return head.host
    }
    #expect(host("EXAMPLE.com") == "example.com" && host("example.com:443") == "example.com" && host("example.com.") == "example.com")
    #expect(host("[2001:DB8::1]:80") == "[2001:db8::1]")
    for bad in [
      "user@example.com", "example.com, evil.com", "example.com/evil", "example.com\\evil", "exam ple.com", "example.com:80:80",
      "%65xample.com", "\u{212a}.com", "example..com",
    ] {
      #expect(host(bad) == nil, "\(bad)")
    }
  }

  @Test(
    "other spellings of dots (overlong, full width, %u)",
    arguments: [
      "/%c0%ae%c0%ae/", "/%ef%bc%8e%ef%bc%8e/a", "/a%ef%bc%8fb", "/\u{ff0f}a", "/\u{80}", "/%u002e%u002e/", "/%e0%80%ae/",
    ])
  func spellings(target: String) { #expect(Self.refusal(Self.get(target)) != nil) }

  @Test("a path that decodes twice is decoded once and forwarded as it came")
  func twice() {
    let request = Self.get("/%252e%252e/admin")
    #expect(HeadWriterTests.forward(request)?.hasPrefix("GET /%252e%252e/admin HTTP/1.1\r\n") == true)
    var head = RequestHead()
    _ = Array(request.utf8).withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }
    #expect(head.path.segments == ["%2e%2e", "admin"])
  }

  @Test("a query whose pairs servers part differently")
  func pairs() {
    #expect(
      QueryTests.values("id", "id=1&id=2") == ["1", "2"] && QueryTests.values("id", "id=1;id=2") == nil
        && QueryTests.values("id", "id[]=1") == [])
  }
}
