import Bytes
import HTTP
import Testing

@testable import Net

@Suite struct HTTPProxyTests {
  private func proxies(_ environment: [String: String]) throws -> HTTPProxies { try HTTPProxies { environment[$0] } }

  private func through(_ environment: [String: String], _ url: String) throws -> String? {
    try proxies(environment).proxy(for: HTTPURL.parse(url))?.url.authority
  }

  @Test func theUsualVariablesAreReadInTheirOrder() throws {
    #expect(try through([:], "https://a.example/") == nil)
    #expect(try through(["https_proxy": "http://p:3128"], "https://a.example/") == "p:3128")
    #expect(try through(["HTTPS_PROXY": "p:3128"], "https://a.example/") == "p:3128")
    #expect(try through(["https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:2"], "https://a.example/") == "low:1")
    #expect(try through(["https_proxy": "http://p:3128"], "http://a.example/") == nil)
    #expect(try through(["http_proxy": "http://p"], "http://a.example/") == "p")
    // A request may set this one where requests become environments.
    #expect(try through(["HTTP_PROXY": "http://p"], "http://a.example/") == nil)
    #expect(try through(["ALL_PROXY": "http://all:1", "http_proxy": "http://p:2"], "https://a.example/") == "all:1")
    #expect(try through(["ALL_PROXY": "http://all:1", "http_proxy": "http://p:2"], "http://a.example/") == "p:2")
    #expect(try through(["https_proxy": ""], "https://a.example/") == nil)
    for url in ["https://localhost/", "https://127.0.0.1/", "https://[::1]:1/"] {
      #expect(try through(["https_proxy": "p:1"], url) == nil)
    }
  }

  @Test(arguments: [
    ("example.com", "https://example.com/", true), ("example.com", "https://a.example.com/", true),
    ("example.com", "https://anexample.com/", false),
    (".example.com", "https://a.example.com/", true), ("*.example.com", "https://a.b.example.com/", true),
    ("EXAMPLE.com", "https://Example.COM/", true),
    ("example.com:8443", "https://example.com:8443/", true), ("example.com:8443", "https://example.com/", false),
    ("*", "https://x.y/", true),
    ("a,b.c , d", "https://d/", true), ("10.0.0.0/8", "https://10.9.8.7/", true), ("10.0.0.0/8", "https://11.0.0.1/", false),
    ("10.0.0.0/33", "https://10.0.0.1/", false), ("10.1.2.3", "https://10.1.2.3/", true), ("10.1.2.3", "https://10.1.2.33/", false),
    ("fd00::/8", "https://[fd12::1]/", true), ("[fd00::1]", "https://[fd00::1]/", true), ("0.0.0.0/0", "https://8.8.8.8/", true),
    ("3", "https://10.1.2.3/", false), (",, ,", "https://a/", false), ("example.com:x", "https://example.com/", false),
  ])
  func exceptionsAreFetchedWithout(_ exceptions: String, _ url: String, _ isException: Bool) throws {
    #expect((try through(["https_proxy": "p:1", "no_proxy": exceptions], url) == nil) == isException)
  }

  @Test func credentialsAreSentAndNeverShown() throws {
    let proxies = try proxies(["https_proxy": "http://us%65r:p%40ss@p:3128/"])
    let proxy = try #require(proxies.proxy(for: HTTPURL.parse("https://a.example/")))
    #expect(proxy.url.authority == "p:3128")
    // "user:p@ss".
    #expect(proxy.authorization?.exposed == "Basic dXNlcjpwQHNz")
    #expect(!"\(proxies)".contains("dXNl"))
    for text in ["http://secret%zz@p:1", "https://secret:x@p:1", "http://secret@bad host/", "socks5://secret@p:1"] {
      #expect {
        _ = try HTTPProxies { $0 == "https_proxy" ? text : nil }
      } throws: { error in
        !"\(error)".contains("secret")
      }
    }
  }

  // MARK: - Fetching

  /// A proxy that does as it is told, and remembers what that was.
  private final class Proxy {
    var heads: [String] = []
    var probes: [StreamProbe] = []
    private var pumps: [Pump] = []
    var listener: Listener?

    /// Moves bytes both ways.
    private final class Pump: StreamOwner {
      let a: ByteStream
      let b: ByteStream
      let loop: EventLoop

      init(_ a: ByteStream, _ b: ByteStream, _ loop: EventLoop) {
        self.a = a
        self.b = b
        self.loop = loop
        a.owner = self
        b.owner = self
      }

      func streamReady(_ stream: ByteStream, _ readiness: Readiness) {
        let other = stream === a ? b : a
        while true {
          switch stream.read(into: loop.scratch) {
          case .bytes(let count, let drained):
            _ = other.write(UnsafeRawBufferPointer(rebasing: loop.scratch[..<count]))
            if drained { return }
          case .wouldBlock: return
          case .end, .failed:
            a.close()
            b.close()
            return
          }
        }
      }
    }

    init(_ loop: EventLoop, to target: SocketAddress, answer: String = "HTTP/1.1 200 Connection established\r\n\r\n") throws {
      listener = try Listener(loop, at: loopback) { [self] fd, peer in
        do {
          let probe = StreamProbe(try ByteStream(loop, fd: fd, peer: peer), loop)
          probes.append(probe)
          serve(probe, loop, target, answer)
        } catch {
          Issue.record(error)
        }
      }
    }

    var text: String { "http://\(listener?.address ?? loopback)" }

    private func serve(_ probe: StreamProbe, _ loop: EventLoop, _ target: SocketAddress, _ answer: String) {
      guard probe.stream.isOpen, !probe.ended else { return probe.stream.close() }
      let head = String(decoding: probe.received, as: UTF8.self)
      guard head.hasSuffix("\r\n\r\n") else {
        loop.after(1) { self.serve(probe, loop, target, answer) }
        return
      }
      heads.append(head)
      if head.hasPrefix("CONNECT "), answer.contains(" 200 ") {
        Connector.connect(loop, to: [target], host: "target") { result in
          guard case .success(let stream) = result else { return }
          probe.send(Array(answer.utf8))
          self.pumps.append(Pump(probe.stream, stream, loop))
        }
      } else {
        probe.send(Array(answer.utf8))
        probe.stream.closeDiscarding()
      }
    }
  }

  private func call(_ loop: EventLoop, _ client: HTTPClient, _ url: String) throws -> Result<HTTPClient.Response, NetError> {
    var outcome: Result<HTTPClient.Response, NetError>?
    client.send(.init(.get, try HTTPURL.parse(url))) { outcome = $0 }
    #expect(outcome == nil)
    #expect(try loop.turn(until: { outcome != nil }))
    return outcome ?? .failure(.closed)
  }

  @Test func httpsGoesThroughATunnelAndIsVerifiedBehindIt() throws {
    try withLoop { (loop) throws in
      let certificates = try Certificates.shared.get()
      let server = try HTTPServer(loop, at: loopback, tls: certificates.server("good")) { _ in
        HTTPServer.Response(.ok, "text/plain", "behind")
      }
      let proxy = try Proxy(loop, to: server.address)
      let client = HTTPClient(
        loop, resolver: try Resolver(loop), tls: try certificates.client, rule: .noLinkLocal,
        proxies: try proxies(["https_proxy": proxy.text.replacing("http://", with: "http://u:p@")]))
      // A name that only the proxy knows.
      for _ in 0..<3 {
        #expect(try String(decoding: call(loop, client, "https://api.internal/x").get().body, as: UTF8.self) == "behind")
      }
      #expect(
        proxy.heads == ["CONNECT api.internal:443 HTTP/1.1\r\nHost: api.internal:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n"],
        "one tunnel served all three")
      guard case .failure(.tls(let failure)) = try call(loop, client, "https://other.example/") else {
        Issue.record("accepted")
        return
      }
      #expect(failure.kind == .wrongName)
      guard case .failure(.addressRefused) = try call(loop, client, "https://169.254.169.254/") else {
        Issue.record("not refused")
        return
      }
      #expect(proxy.heads.count == 2)
      client.closeIdle()
    }
  }

  @Test func plainHTTPIsAskedOfTheProxyWithTheWholeURL() throws {
    try withLoop { (loop) throws in
      let proxy = try Proxy(loop, to: loopback, answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
      let client = HTTPClient(loop, resolver: try Resolver(loop), tls: nil, proxies: try proxies(["http_proxy": proxy.text]))
      #expect(try call(loop, client, "http://a.example:81/x?y").get().body == Array("ok".utf8))
      #expect(proxy.heads == ["GET http://a.example:81/x?y HTTP/1.1\r\nHost: a.example:81\r\n\r\n"])
    }
  }

  @Test(arguments: [
    "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\n\r\nwhatever",
    "nonsense\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\nextra", "",
  ])
  func aProxyThatDoesNotLeadThereIsAnError(_ answer: String) throws {
    try withLoop { (loop) throws in
      let certificates = try Certificates.shared.get()
      let server = try HTTPServer(loop, at: loopback, tls: certificates.server("good")) { _ in HTTPServer.Response(.ok) }
      let proxy = try Proxy(loop, to: server.address, answer: answer)
      let client = HTTPClient(
        loop, resolver: try Resolver(loop), tls: try certificates.client, proxies: try proxies(["https_proxy": proxy.text]))
      let result = try call(loop, client, "https://api.internal/")
      #expect(throws: NetError.self) { try result.get() }
      if answer.contains("407") {
        #expect(throws: NetError.proxyRefused(proxy: "\(proxy.listener?.address ?? loopback)", status: 407)) { try result.get() }
      }
    }
  }
}
