import HTTP
import Testing

@Suite struct HeadWriterTests {
  static func forward(
    _ request: String, _ rewrite: RequestRewrite = RequestRewrite(owned: OwnedFields()), adding: FieldBlock = FieldBlock()
  ) -> String? {
    let bytes = Array(request.utf8)
    var head = RequestHead()
    guard case .complete = bytes.withUnsafeBytes({ RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }) else { return nil }
    var out: [UInt8] = []
    HeadWriter.appendRequest(head, rewrite, adding: adding, to: &out)
    return String(decoding: out, as: UTF8.self)
  }

  static func answer(
    _ response: String, to method: Method = .get, upgradeOffered: Bool = false, _ change: (inout ResponseRewrite) -> Void = { _ in }
  ) -> String? {
    let bytes = Array(response.utf8)
    var head = ResponseHead()
    guard
      case .complete = bytes.withUnsafeBytes({
        ResponseHeadParser.parse($0, limits: HeadLimits(), answering: method, upgradeOffered: upgradeOffered, into: &head)
      })
    else { return nil }
    var rewrite = ResponseRewrite(framing: head.framing, keepAlive: true, clientMinorVersion: 1)
    change(&rewrite)
    var out: [UInt8] = []
    HeadWriter.appendResponse(head, rewrite, to: &out)
    return String(decoding: out, as: UTF8.self)
  }

  @Test func untouchedLinesGoOnAsTheyCame() {
    #expect(
      Self.forward("GET /a%41?b=%zz HTTP/1.1\r\nhost: Example.com\r\nX-A:1\r\nx-b:   2  \r\nAccept: */*\r\n\r\n")
        == "GET /a%41?b=%zz HTTP/1.1\r\nHost: Example.com\r\nX-A:1\r\nx-b:   2  \r\nAccept: */*\r\nX-Forwarded-Host: Example.com\r\n\r\n")
  }

  @Test func framingIsWrittenAnew() {
    #expect(Self.forward("POST / HTTP/1.1\r\nHost: a\r\ncontent-length:  7\r\n\r\n")?.hasSuffix("\r\nContent-Length: 7\r\n\r\n") == true)
    #expect(Self.forward("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")?.contains("Content-Length: 0\r\n") == true)
    #expect(
      Self.forward("POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n")?.hasSuffix("\r\nTransfer-Encoding: chunked\r\n\r\n")
        == true)
    #expect(Self.forward("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") == "GET / HTTP/1.1\r\n\r\n")
  }

  @Test func anAbsoluteTargetGoesOnInOriginForm() {
    #expect(Self.forward("GET http://a:80/b?c HTTP/1.1\r\nHost: a\r\n\r\n")?.hasPrefix("GET /b?c HTTP/1.1\r\nHost: a\r\n") == true)
    #expect(Self.forward("GET http://a?c HTTP/1.1\r\nHost: a\r\n\r\n")?.hasPrefix("GET /?c HTTP/1.1\r\n") == true)
    #expect(Self.forward("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n")?.hasPrefix("GET / HTTP/1.1\r\n") == true)
  }

  @Test func hopByHopFieldsStayHere() {
    let out = Self.forward(
      """
      GET / HTTP/1.1\r
      Host: a\r
      Connection: close, X-Private, keep-alive\r
      Keep-Alive: timeout=5\r
      Proxy-Connection: keep-alive\r
      Proxy-Authorization: Basic x\r
      TE: trailers\r
      Trailer: X\r
      Upgrade: h2c\r
      HTTP2-Settings: x\r
      x-private: secret\r
      X-Public: open\r
      \r

      """)
    // `TE: trailers` is said anew for the next hop: we pass them on.
    let said = "Connection: TE\r\nTE: trailers\r\n"
    #expect(out == "GET / HTTP/1.1\r\nHost: a\r\nX-Public: open\r\nX-Forwarded-Host: a\r\n\(said)\r\n")
  }

  @Test func connectionCannotTakeAwayWhatTheDecisionRestsOn() {
    var identity = FieldBlock()
    identity.append("X-Stockade-Principal", "alice")
    let out = Self.forward(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Stockade-Principal, Authorization, Host, Cookie, Content-Length, X-Forwarded-Host\r\nAuthorization: Bearer t\r\nCookie: a=b\r\nContent-Length: 0\r\n\r\n",
      adding: identity)
    #expect(
      out
        == "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t\r\nCookie: a=b\r\nX-Forwarded-Host: a\r\nContent-Length: 0\r\nX-Stockade-Principal: alice\r\n\r\n"
    )
  }

  @Test(arguments: [
    "X-Stockade-Principal", "x-stockade-principal", "X_Stockade_Principal", "X.Stockade.Principal", "x_STOCKADE-anything", "X-User",
    "x_user", "X.USER",
    "X-Forwarded-For", "X_Forwarded_For", "x-forwarded.proto", "X-Forwarded-Anything", "Forwarded", "X-Real-IP", "X_Real.IP",
    "X-Original-URL", "X-Rewrite-URL",
    "X-Original-Method", "X-HTTP-Method-Override", "X_HTTP_Method_Override", "X-Method-Override", "Content_Length", "Transfer.Encoding",
    "Content.Length", "X_Forwarded-Host",
    "True-Client-IP",
  ])
  func noAliasOfWhatWeSayIsForwarded(name: String) {
    let out = Self.forward(
      "GET / HTTP/1.1\r\nHost: a\r\nBefore: 1\r\n\(name): forged\r\nAfter: 2\r\n\r\n", RequestRewrite(owned: OwnedFields(["X-User"])))
    #expect(out == "GET / HTTP/1.1\r\nHost: a\r\nBefore: 1\r\nAfter: 2\r\nX-Forwarded-Host: a\r\n\r\n")
  }

  @Test(arguments: ["X-Users", "X-Use", "XUser", "X--User", "User-Agent", "Content-Type", "X-Real", "Cookie", "Authorization"])
  func whatIsNoAliasIsForwarded(name: String) {
    let out = Self.forward("GET / HTTP/1.1\r\nHost: a\r\n\(name): honest\r\n\r\n", RequestRewrite(owned: OwnedFields(["X-User"])))
    #expect(out?.contains("\r\n\(name): honest\r\n") == true)
  }

  @Test func aKnownFieldCanBeOwnedToo() {
    let out = Self.forward(
      "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\nuser_agent: y\r\n\r\n", RequestRewrite(owned: OwnedFields(["User-Agent"])))
    #expect(out == "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: a\r\n\r\n")
  }

  @Test func anAliasOfWhatIsDecidedOnDoesNotGoOnBesideIt() {
    let owned = OwnedFields(["X-User"], evaluated: ["X-Tenant-Id", "Content-Type"])
    let out = Self.forward(
      "GET / HTTP/1.1\r\nHost: a\r\nX_Tenant_Id: forged\r\nx-tenant-ID: 1\r\nX.Tenant-Id: forged\r\nContent-Type: a\r\ncontent_type: b\r\n\r\n",
      RequestRewrite(owned: owned))
    #expect(out == "GET / HTTP/1.1\r\nHost: a\r\nx-tenant-ID: 1\r\nContent-Type: a\r\nX-Forwarded-Host: a\r\n\r\n")
    #expect(OwnedFields(["X-Tenant-Id"], evaluated: ["X-Tenant-Id"]).owns("x-tenant-id"), "what is owned is not kept for being evaluated")
  }

  @Test func authorizationExpectHostAndUpgradeGoOnOnlyIfAsked() {
    let request =
      "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n"
    var rewrite = RequestRewrite(owned: OwnedFields())
    #expect(Self.forward(request, rewrite)?.contains("pgrade") == false)
    rewrite.keepsAuthorization = false
    rewrite.offersUpgrade = true
    rewrite.host = "inner:8080"
    #expect(
      Self.forward(request, rewrite)
        == "GET / HTTP/1.1\r\nHost: inner:8080\r\nSec-WebSocket-Key: k\r\nX-Forwarded-Host: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    let expecting = "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
    #expect(Self.forward(expecting)?.contains("Expect") == false)
    rewrite.keepsExpect = true
    #expect(Self.forward(expecting, rewrite)?.contains("\r\nExpect: 100-continue\r\n") == true)
  }

  /// Whatever is accepted is forwarded as a request that our own parser reads with the same meaning.
  @Test func whatIsForwardedIsReadAsItWasDecided() {
    for (name, text) in RequestVerdictTests.cases {
      let bytes = Array(text.utf8)
      var head = RequestHead()
      guard case .complete = bytes.withUnsafeBytes({ RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }) else { continue }
      var rewrite = RequestRewrite(owned: OwnedFields(["X-User"]))
      rewrite.host = head.host == nil ? "fallback" : nil
      var out: [UInt8] = []
      HeadWriter.appendRequest(head, rewrite, to: &out)
      var again = RequestHead()
      var limits = HeadLimits()
      limits.fieldLines += 2
      let outcome = out.withUnsafeBytes { RequestHeadParser.parse($0, limits: limits, into: &again) }
      #expect(outcome == .complete(consumed: out.count), "\(name)")
      #expect(
        again.methodText == head.methodText && again.rawPath == head.rawPath && again.query == head.query && again.framing == head.framing,
        "\(name)")
      #expect(again.path.segments == head.path.segments && again.host == head.host ?? "fallback" && again.minorVersion == 1, "\(name)")
    }
  }

  @Test func responsesAreFramedForTheClient() {
    #expect(
      Self.answer("HTTP/1.0 200 Fine\r\nServer: x\r\nContent-Length: 3\r\nKeep-Alive: x\r\nConnection: X-Hop\r\nX-Hop: 1\r\nA: b\r\n\r\n")
        == "HTTP/1.1 200 Fine\r\nServer: x\r\nA: b\r\nContent-Length: 3\r\n\r\n")
    #expect(
      Self.answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") { rewrite in
        rewrite.framing = .untilClose
        rewrite.keepAlive = false
        rewrite.clientMinorVersion = 0
      } == "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    #expect(Self.answer("HTTP/1.1 200 OK\r\n\r\n") { $0.framing = .chunked } == "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    #expect(
      Self.answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n") { $0.clientMinorVersion = 0 }
        == "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n")
  }

  @Test func aLengthThatDescribesNoBodyStaysWhereItMeansSomething() {
    #expect(Self.answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", to: .head) == "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
    #expect(
      Self.answer("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n") == "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n")
    #expect(Self.answer("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n") == "HTTP/1.1 204 No Content\r\n\r\n")
  }

  @Test func interimResponsesCarryNeitherFramingNorConnection() {
    #expect(
      Self.answer("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n") { $0.keepAlive = false } == "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
    #expect(
      Self.answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nA: b\r\n\r\n", upgradeOffered: true)
        == "HTTP/1.1 101 Switching Protocols\r\nA: b\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
  }

  @Test func anUpstreamCannotSayWhatIsOursToSay() {
    #expect(
      Self.answer("HTTP/1.1 200 OK\r\nX-Stockade-Decision-Id: forged\r\nA: b\r\nContent-Length: 0\r\n\r\n") { $0.owned = OwnedFields() }
        == "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 0\r\n\r\n")
  }

  @Test func whatIsEvaluatedIsWhatIsForwarded() {
    let bytes = Array(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Tenant\r\nX-Tenant: forged\r\nX-Forwarded-For: 1.2.3.4\r\nX-Kept: 1\r\nx-kept: 2\r\nContent_Type: x\r\n\r\n"
        .utf8)
    var head = RequestHead()
    _ = bytes.withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }
    #expect(head.fields.values(named: "x-tenant").isEmpty, "nominated by Connection: not forwarded, so not evaluated")
    #expect(head.fields.values(named: "x-forwarded-for").isEmpty && head.fields.values(of: .xForwardedFor) == ["1.2.3.4"])
    #expect(head.fields.values(named: "X-KEPT") == ["1", "2"])
    #expect(head.fields.values(named: "content_type").isEmpty)
  }

  @Test func ourOwnAnswersAreWhole() {
    var fields = FieldBlock()
    fields.append("Content-Type", "text/plain")
    var out: [UInt8] = []
    MessageWriter.appendResponse(.forbidden, fields, body: Array("no".utf8), answering: .get, keepAlive: false, to: &out)
    #expect(
      String(decoding: out, as: UTF8.self)
        == "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
    for (method, body) in [(Method.head, ""), (.get, "no")] {
      out = []
      MessageWriter.appendResponse(.ok, FieldBlock(), body: Array("no".utf8), answering: method, keepAlive: true, to: &out)
      #expect(String(decoding: out, as: UTF8.self) == "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body)
    }
    out = []
    #expect(MessageWriter.appendRequest(.post, target: "/t", host: "a:1", FieldBlock(), body: Array("x".utf8), to: &out))
    #expect(String(decoding: out, as: UTF8.self) == "POST /t HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\nx")
    for (target, host) in [("t", "a"), ("/a b", "a"), ("/a\r\nX: y", "a"), ("/", "a\r\nb"), ("/", ""), ("", "a"), ("/\u{e9}", "a")] {
      out = []
      #expect(!MessageWriter.appendRequest(.get, target: target, host: host, FieldBlock(), to: &out) && out.isEmpty)
    }
  }
}
