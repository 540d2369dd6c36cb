import Bytes
import CSystem
import Foundation
import HTTP
import Net
import Testing

@Suite struct HTTPTests {
  /// A client with its resolver.
  private func client(
    _ loop: EventLoop, tls: TLSContext? = nil, rule: AddressRule = .any, limits: HTTPClient.Limits = .init()
  ) throws -> HTTPClient {
    HTTPClient(loop, resolver: try Resolver(loop), tls: tls, rule: rule, limits: limits)
  }

  private func call(_ loop: EventLoop, _ client: HTTPClient, _ request: HTTPClient.Request) throws -> Result<HTTPClient.Response, NetError>
  {
    var outcome: Result<HTTPClient.Response, NetError>?
    client.send(request) {
      #expect(outcome == nil, "called twice")
      outcome = $0
    }
    #expect(outcome == nil, "called from within send")
    #expect(try loop.turn(until: { outcome != nil }, seconds: 20))
    return outcome ?? .failure(.closed)
  }

  private func url(_ address: SocketAddress, _ target: String = "/", scheme: String = "http") throws -> HTTPURL {
    try HTTPURL.parse("\(scheme)://\(address)\(target)")
  }

  private func text(_ result: Result<HTTPClient.Response, NetError>) throws -> String {
    String(decoding: try result.get().body, as: UTF8.self)
  }

  /// Answers with what was asked.
  private func mirror(_ request: HTTPServer.Request) -> HTTPServer.Response {
    var response = HTTPServer.Response(
      .ok, "text/plain", "\(request.head.methodText) \(request.head.rawPath)?\(request.head.query ?? "") \(request.body.count)")
    response.fields.append("X-Test", request.head.fields.values(named: "x-test").joined(separator: "|"))
    return response
  }

  // MARK: - The two together

  @Test func requestsAndResponsesPassWithFieldsAndBodies() throws {
    try withLoop { (loop) throws in
      let server = try HTTPServer(loop, at: loopback, answer: mirror)
      let client = try client(loop)
      #expect(try text(call(loop, client, .init(.get, url(server.address, "/a?b=c")))) == "GET /a?b=c 0")
      var request = HTTPClient.Request(.post, try url(server.address, "/p"), body: [UInt8](repeating: 1, count: 300_000))
      request.fields.append("X-Test", "one")
      let response = try call(loop, client, request).get()
      #expect(String(decoding: response.body, as: UTF8.self) == "POST /p? 300000")
      #expect(response.field("x-test") == "one")
      #expect(response.field("Content-Type") == "text/plain")
      #expect(response.field("absent") == nil)
      let head = try call(loop, client, .init(.head, url(server.address, "/h"))).get()
      #expect(head.status == .ok)
      #expect(head.body.isEmpty)
      // One connection served all three.
      #expect(server.connectionCount == 1)
      client.closeIdle()
      #expect(try loop.turn(until: { server.connectionCount == 0 }))
      #expect(loop.timerCount == 0)
    }
  }

  @Test func tlsIsSpokenAndItsFailuresAreTold() throws {
    try withLoop { (loop) throws in
      let certificates = try Certificates.shared.get()
      let server = try HTTPServer(loop, at: loopback, tls: certificates.server("good"), answer: mirror)
      let client = try client(loop, tls: certificates.client)
      let port = try #require(server.address.port)
      let secure = try HTTPURL.parse("https://localhost:\(port)/s")
      for _ in 0..<3 { #expect(try text(call(loop, client, .init(.get, secure))) == "GET /s? 0") }
      let big = HTTPClient.Request(.put, secure, body: [UInt8](repeating: 9, count: 900_000))
      #expect(try text(call(loop, client, big)) == "PUT /s? 900000")
      loop.wallOffsetMillis = 40 * 86_400_000
      client.closeIdle()
      guard case .failure(.tls(let failure)) = try call(loop, client, .init(.get, secure)) else {
        Issue.record("accepted")
        return
      }
      #expect(failure.kind == .certificateExpired)
      guard case .failure(.tls(let none)) = try call(loop, self.client(loop), .init(.get, secure)) else {
        Issue.record("accepted")
        return
      }
      #expect(none.kind == .configuration)
    }
  }

  @Test func soManyConnectionsAreMadeAtATime() throws {
    try withLoop { (loop) throws in
      // Whoever connects there waits for a handshake that never comes.
      var streams: [ByteStream] = []
      let listener = try Listener(loop, at: loopback) { fd, peer in
        do { streams.append(try ByteStream(loop, fd: fd, peer: peer)) } catch { Issue.record(error) }
      }
      var limits = HTTPClient.Limits()
      limits.connecting = 2
      let client = try client(loop, tls: Certificates.shared.get().client, limits: limits)
      let request = HTTPClient.Request(.post, try url(listener.address, scheme: "https"), body: [1])
      let calls = (0..<6).map { _ in client.send(request) { _ in Issue.record("it ended") } }
      #expect(try loop.turn(until: { streams.count == 2 }))
      // One that waits gives up: nobody takes its turn. Then one that connects does.
      calls[2].cancel()
      calls[0].cancel()
      #expect(try loop.turn(until: { streams.count == 3 }))
      calls[1].cancel()
      #expect(try loop.turn(until: { streams.count == 4 }))
      try loop.turn(millis: 20)
      #expect(streams.count == 4)
      // Who waits first: otherwise it gets the turn of who gives up.
      for call in calls.reversed() { call.cancel() }
      try loop.turn(millis: 20)
      #expect(streams.count == 4)
      #expect(loop.timerCount == 0)
      for stream in streams { stream.close() }
      listener.close()
    }
  }

  @Test func whoWaitsForAConnectionGetsOneThatIsMadeOrOneThatIsFree() throws {
    try withLoop { (loop) throws in
      let certificates = try Certificates.shared.get()
      let server = try HTTPServer(loop, at: loopback, tls: certificates.server("good"), answer: mirror)
      var limits = HTTPClient.Limits()
      limits.connecting = 1
      limits.idlePerPlace = 40
      limits.idle = 40
      let client = try client(loop, tls: certificates.client, limits: limits)
      let port = try #require(server.address.port)
      var answers: [String] = []
      for number in 0..<40 {
        client.send(.init(.get, try HTTPURL.parse("https://localhost:\(port)/\(number)"))) { result in
          do { answers.append(try text(result)) } catch { Issue.record(error) }
        }
      }
      #expect(try loop.turn(until: { answers.count == 40 }))
      #expect(Set(answers) == Set((0..<40).map { "GET /\($0)? 0" }))
      #expect(server.connectionCount < 40)
      client.closeIdle()
      #expect(try loop.turn(until: { server.connectionCount == 0 }))
      #expect(loop.timerCount == 0)
    }
  }

  @Test func aUnixSocketIsAServerToo() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("http-\(UUID().uuidString.prefix(8))").path
    try withLoop { (loop) throws in
      let server = try HTTPServer(loop, at: .unix(path: path), answer: mirror)
      let url = try HTTPURL.parse("unix:\(path)").with(target: "/u")
      #expect(try text(call(loop, client(loop), .init(.get, url))) == "GET /u? 0")
      server.close()
    }
  }

  // MARK: - The client against servers that misbehave

  /// A server that writes these pieces, a turn apart, once a request has begun to arrive, and then maybe closes.
  private final class Script {
    var listener: Listener?
    var probes: [StreamProbe] = []
    var requests: [String] { probes.map { String(decoding: $0.received, as: UTF8.self) } }

    init(_ loop: EventLoop, _ pieces: [String], closes: Bool = true, tls: TLSContext? = nil) throws {
      listener = try Listener(loop, at: loopback) { [self] fd, peer in
        do {
          let probe = StreamProbe(try ByteStream(loop, fd: fd, peer: peer, tls: tls), loop)
          probes.append(probe)
          play(probe, loop, pieces[...], closes)
        } catch {
          Issue.record(error)
        }
      }
    }

    private func play(_ probe: StreamProbe, _ loop: EventLoop, _ pieces: ArraySlice<String>, _ closes: Bool) {
      guard probe.stream.isOpen, !probe.ended, probe.failure == nil else { return probe.stream.close() }
      guard !probe.received.isEmpty else {
        loop.after(1) { self.play(probe, loop, pieces, closes) }
        return
      }
      guard let piece = pieces.first else {
        if closes { probe.stream.closeDiscarding() }
        return
      }
      probe.send(Array(piece.utf8))
      loop.after(1) { self.play(probe, loop, pieces.dropFirst(), closes) }
    }

    var address: SocketAddress { listener?.address ?? loopback }
  }

  @Test(arguments: [
    (["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"], "hello"),
    (["HTTP/1.1 200 OK\r\nContent-", "Length: 5\r\n\r", "\nhel", "lo"], "hello"),
    (["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: v\r\n\r\n"], "hello"),
    (["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "2", "\r", "\nh", "e\r\n", "3\r\nllo\r\n0", "\r\n\r\n"], "hello"),
    (["HTTP/1.0 200 OK\r\n\r\n", "hel", "lo"], "hello"), (["HTTP/1.1 204 No Content\r\n\r\n"], ""),
    (["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"], "hi"),
    (["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], ""),
  ])
  func responsesAreReadInEveryFramingAndEveryCut(_ pieces: [String], _ body: String) throws {
    try withLoop { (loop) throws in
      let server = try Script(loop, pieces)
      #expect(try text(call(loop, client(loop), .init(.get, url(server.address)))) == body)
    }
  }

  @Test(arguments: [
    [], ["HTT"], ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"], ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"],
    ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"],
    ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"], ["HTTP/1.1 100 Continue\r\n\r\n"],
  ])
  func aResponseThatBreaksOffIsNeverTakenForAWholeOne(_ pieces: [String]) throws {
    try withLoop { (loop) throws in
      let server = try Script(loop, pieces)
      guard case .failure(.closedEarly) = try call(loop, client(loop), .init(.post, url(server.address), body: [1])) else {
        Issue.record("\(pieces)")
        return
      }
    }
  }

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "<html>",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "HTTP/2 200\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 100), "HTTP/1.1 200 OK\r\nX: " + String(repeating: "a", count: 100_000),
  ])
  func aResponseThatIsNotAcceptableIsRefused(_ response: String) throws {
    try withLoop { (loop) throws in
      let server = try Script(loop, [response], closes: false)
      guard case .failure(.malformedResponse(let reason)) = try call(loop, client(loop), .init(.get, url(server.address))) else {
        Issue.record("\(response.prefix(100))")
        return
      }
      #expect(!reason.isEmpty)
    }
  }

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "x", count: 1001),
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      + String(repeating: "64\r\n" + String(repeating: "x", count: 100) + "\r\n", count: 11),
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + String(repeating: "x", count: 1001),
  ])
  func aResponseLargerThanAllowedIsGivenUp(_ response: String) throws {
    try withLoop { (loop) throws in
      let server = try Script(loop, [response], closes: false)
      var limits = HTTPClient.Limits()
      limits.bodyBytes = 1000
      let result = try call(loop, client(loop, limits: limits), .init(.get, url(server.address)))
      #expect(throws: NetError.responseTooLarge(limitBytes: 1000)) { try result.get() }
    }
  }

  @Test func aServerThatDripsOrSaysNothingEndsAtTheTimeOut() throws {
    try withLoop { (loop) throws in
      var limits = HTTPClient.Limits()
      limits.totalMillis = 150
      for pieces in [[], ["HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n"] + [String](repeating: "x", count: 10_000)] {
        let server = try Script(loop, pieces, closes: false)
        let start = LoopClock.monotonicNanos()
        let result = try call(loop, client(loop, limits: limits), .init(.get, url(server.address)))
        #expect(throws: NetError.timedOut(what: "the response of 127.0.0.1", millis: 150)) { try result.get() }
        #expect(LoopClock.monotonicNanos() - start < 5_000_000_000)
        server.listener?.close()
      }
    }
  }

  @Test func anEarlyAnswerToALargeRequestIsReadThoughTheRestCannotBeSent() throws {
    try withLoop { (loop) throws in
      // The server answers and closes without reading more than the first bytes.
      let listener = try Listener(loop, at: loopback) { fd, peer in
        do {
          let stream = try ByteStream(loop, fd: fd, peer: peer)
          let probe = StreamProbe(stream, loop)
          probe.isReading = false
          probe.send(Array("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig".utf8))
          stream.closeDiscarding(limitBytes: 64 << 20, millis: 5000)
        } catch {
          Issue.record(error)
        }
      }
      let request = HTTPClient.Request(.post, try url(listener.address), body: [UInt8](repeating: 0, count: 20_000_000))
      #expect(try call(loop, client(loop), request).get().status == .contentTooLarge)
    }
  }

  @Test func aTruncatedTLSBodyWithoutLengthIsNotTakenForWhole() throws {
    try withLoop { (loop) throws in
      let certificates = try Certificates.shared.get()
      let listener = try Listener(loop, at: loopback) { fd, peer in
        do {
          let probe = StreamProbe(try ByteStream(loop, fd: fd, peer: peer, tls: try certificates.server("good")), loop)
          probe.send(Array("HTTP/1.1 200 OK\r\n\r\npart".utf8))
          loop.after(100) { probe.stream.abort() }
        } catch {
          Issue.record(error)
        }
      }
      let port = try #require(listener.address.port)
      let result = try call(
        loop, client(loop, tls: certificates.client), .init(.get, HTTPURL.parse("https://localhost:\(port)/")))
      #expect(throws: NetError.self) { try result.get() }
    }
  }

  @Test func aKeptConnectionThatDiedIsReplacedForGETAndNotForPOST() throws {
    try withLoop { (loop) throws in
      // Each connection answers one request and closes at the second, without an answer.
      var connections = 0
      final class OneAnswer: StreamOwner {
        var requests = 0
        let loop: EventLoop
        init(_ loop: EventLoop) { self.loop = loop }
        func streamReady(_ stream: ByteStream, _ readiness: Readiness) {
          guard case .bytes = stream.read(into: loop.scratch) else { return }
          requests += 1
          if requests > 1 { return stream.close() }
          _ = Array("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".utf8).withUnsafeBytes { stream.write($0) }
        }
      }
      let listener = try Listener(loop, at: loopback) { fd, peer in
        connections += 1
        do {
          try ByteStream(loop, fd: fd, peer: peer).owner = OneAnswer(loop)
        } catch {
          Issue.record(error)
        }
      }
      let client = try client(loop)
      let url = try url(listener.address)
      #expect(try text(call(loop, client, .init(.get, url))) == "ok")
      #expect(try text(call(loop, client, .init(.get, url))) == "ok")
      #expect(connections == 2)
      let result = try call(loop, client, .init(.post, url, body: [1]))
      #expect(throws: NetError.self) { try result.get() }
      #expect(connections == 2)
    }
  }

  @Test func bytesBeyondTheResponseBarTheConnectionFromReuse() throws {
    try withLoop { (loop) throws in
      let server = try Script(
        loop, ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"], closes: false)
      let client = try client(loop)
      for _ in 0..<3 { #expect(try text(call(loop, client, .init(.get, url(server.address)))) == "ok") }
      #expect(server.probes.count == 3)
    }
  }

  @Test func forbiddenAddressesAreRefusedAfterResolution() throws {
    try withLoop { (loop) throws in
      let resolver = try Resolver(loop) { _ in .success(.init([.loopbackV4, IPAddress(v4: 0xa9fe_a9fe)])) }
      let client = HTTPClient(loop, resolver: resolver, tls: nil, rule: .noLinkLocal)
      for text in ["http://metadata.example/latest", "http://169.254.169.254/", "http://[::ffff:169.254.169.254]/", "http://[fe80::1]/"] {
        guard case .failure(.addressRefused(_, _, let kind)) = try call(loop, client, .init(.get, HTTPURL.parse(text))) else {
          Issue.record("\(text)")
          continue
        }
        #expect(kind == "link-local")
      }
    }
  }

  @Test func aCancelledCallIsNeverCompletedAndLeavesNothingBehind() throws {
    try withLoop { (loop) throws in
      let server = try Script(loop, [], closes: false)
      let client = try client(loop)
      let sources = loop.sourceCount
      for turns in 0..<6 {
        let call = client.send(.init(.get, try url(server.address))) { _ in Issue.record("completed") }
        for _ in 0..<turns { try loop.turn(maxWaitMillis: 5) }
        call.cancel()
        call.cancel()
      }
      for probe in server.probes { probe.stream.close() }
      server.probes = []
      #expect(try loop.turn(until: { loop.timerCount == 0 }))
      try loop.turn(millis: 30)
      for probe in server.probes { probe.stream.close() }
      #expect(loop.sourceCount == sources)
    }
  }

  // MARK: - The server against clients that misbehave

  /// Sends pieces over one connection and gives everything that comes back until the end.
  private func exchange(_ loop: EventLoop, _ server: HTTPServer, _ pieces: [String], millis: UInt64 = 0) throws -> String {
    let probe = try SocketTests.connect(loop, [server.address]).get()
    for piece in pieces {
      probe.send(Array(piece.utf8))
      try loop.turn(maxWaitMillis: 2)
    }
    _ = try loop.turn(until: { probe.ended || probe.failure != nil }, seconds: 10)
    let text = String(decoding: probe.received, as: UTF8.self)
    probe.stream.close()
    #expect(try loop.turn(until: { server.connectionCount == 0 }))
    return text
  }

  @Test func pipelinedRequestsAreAnsweredInOrder() throws {
    try withLoop { (loop) throws in
      let server = try HTTPServer(loop, at: loopback, answer: mirror)
      let count = 2_000
      var sent = ""
      for index in 0..<count { sent += "GET /\(index) HTTP/1.1\r\nHost: x\r\n\r\n" }
      sent += "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
      let received = try exchange(loop, server, [sent])
      #expect(received.components(separatedBy: "HTTP/1.1 200 OK").count == count + 2)
      var position = received.startIndex
      for index in stride(from: 0, to: count, by: 97) {
        let range = try #require(received.range(of: "GET /\(index)? 0", range: position..<received.endIndex))
        position = range.upperBound
      }
    }
  }

  @Test func aRequestByteByByteIsTheSameRequest() throws {
    try withLoop { (loop) throws in
      let server = try HTTPServer(loop, at: loopback, answer: mirror)
      let request = "POST /x?y HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
      let received = try exchange(loop, server, request.map { String($0) })
      #expect(received.hasSuffix("POST /x?y 3"))
    }
  }

  @Test(arguments: [
    ("GET / HTTP/1.1\r\n\r\n", "400"), ("GET /a/../b HTTP/1.1\r\nHost: x\r\n\r\n", "400"), ("\u{16}\u{3}\u{1}", "400"),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"), ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "400"),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n", "413"),
    ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + String(repeating: "x", count: 2000), "413"),
    ("GET / HTTP/1.1\r\nHost: x\r\nA: " + String(repeating: "x", count: 70_000), "431"),
  ])
  func aRequestThatIsNotAcceptableIsRefusedAndNothingAfterItIsRead(_ request: String, _ status: String) throws {
    try withLoop { (loop) throws in
      var limits = HTTPServer.Limits()
      limits.bodyBytes = 1000
      var answered = 0
      let server = try HTTPServer(loop, at: loopback, limits: limits) { request in
        answered += 1
        return self.mirror(request)
      }
      let received = try exchange(loop, server, [request + "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"])
      #expect(received.hasPrefix("HTTP/1.1 \(status) "), "\(received)")
      #expect(received.contains("Connection: close"))
      #expect(answered == 0)
    }
  }

  @Test func aClientThatExpectsIsToldToContinue() throws {
    try withLoop { (loop) throws in
      let server = try HTTPServer(loop, at: loopback, answer: mirror)
      let probe = try SocketTests.connect(loop, [server.address]).get()
      probe.send(Array("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n".utf8))
      #expect(try loop.turn(until: { !probe.received.isEmpty }))
      #expect(probe.received == Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
      probe.send(Array("abc".utf8))
      #expect(try loop.turn(until: { probe.ended }))
      #expect(String(decoding: probe.received, as: UTF8.self).hasSuffix("PUT /? 3"))
    }
  }

  @Test func slowRequestsAreAnsweredWith408AndIdleConnectionsJustClosed() throws {
    try withLoop { (loop) throws in
      var limits = HTTPServer.Limits()
      limits.requestMillis = 100
      limits.idleMillis = 100
      let server = try HTTPServer(loop, at: loopback, limits: limits, answer: mirror)
      #expect(try exchange(loop, server, ["GET / HT"]).hasPrefix("HTTP/1.1 408 "))
      #expect(try exchange(loop, server, ["POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"]).hasPrefix("HTTP/1.1 408 "))
      #expect(try exchange(loop, server, []) == "")
      let received = try exchange(loop, server, ["GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
      #expect(received.hasSuffix("GET /? 0"))
    }
  }

  @Test func aClientThatDoesNotReadIsCutOffAndDoesNotGrowUs() throws {
    try withLoop { (loop) throws in
      var limits = HTTPServer.Limits()
      limits.writeMillis = 100
      let big = [UInt8](repeating: 1, count: 8_000_000)
      var answered = 0
      let server = try HTTPServer(loop, at: loopback, limits: limits) { _ in
        answered += 1
        return HTTPServer.Response(.ok, body: big)
      }
      let probe = try SocketTests.connect(loop, [server.address]).get()
      probe.isReading = false
      for _ in 0..<50 { probe.send(Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8)) }
      #expect(try loop.turn(until: { server.connectionCount == 0 && answered > 0 }))
      #expect(answered == 1)
    }
  }

  @Test func moreConnectionsThanAllowedWaitAndAreServedInTheEnd() throws {
    try withLoop { (loop) throws in
      var limits = HTTPServer.Limits()
      limits.connections = 4
      let server = try HTTPServer(loop, at: loopback, limits: limits, answer: mirror)
      var most = 0
      var probes: [StreamProbe] = []
      for _ in 0..<12 {
        Connector.connect(loop, to: [server.address], host: "x") { result in
          guard case .success(let stream) = result else { return }
          let probe = StreamProbe(stream, loop)
          probes.append(probe)
          probe.send(Array("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".utf8))
        }
      }
      #expect(
        try loop.turn(until: {
          most = max(most, server.connectionCount)
          for probe in probes where probe.ended { probe.stream.close() }
          return probes.count == 12 && probes.allSatisfy(\.ended)
        }))
      #expect(most <= 4)
    }
  }

  @Test func anAnswerMayComeLaterAndOneThatIsDroppedIsA500() throws {
    try withLoop { (loop) throws in
      let server = try HTTPServer(
        loop, at: loopback,
        respond: { request, answer in
          guard request.head.rawPath == "/later" else { return }
          loop.after(20) {
            answer.send(HTTPServer.Response(.ok, "text/plain", "late"))
            answer.send(HTTPServer.Response(.ok, "text/plain", "twice"))
          }
        })
      let client = try client(loop)
      #expect(try text(call(loop, client, .init(.get, url(server.address, "/later")))) == "late")
      #expect(try call(loop, client, .init(.get, url(server.address, "/dropped"))).get().status == .internalServerError)
      #expect(try text(call(loop, client, .init(.get, url(server.address, "/later")))) == "late")
      // A client that leaves before its answer.
      let probe = try SocketTests.connect(loop, [server.address]).get()
      probe.send(Array("GET /later HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
      try loop.turn(maxWaitMillis: 5)
      probe.stream.abort()
      client.closeIdle()
      #expect(try loop.turn(until: { server.connectionCount == 0 }))
    }
  }

  @Test func drainingFinishesWhatWasBegunAndAcceptsNoMore() throws {
    try withLoop { (loop) throws in
      var pending: [HTTPServer.Answer] = []
      let server = try HTTPServer(loop, at: loopback, respond: { _, answer in pending.append(answer) })
      let idle = try SocketTests.connect(loop, [server.address]).get()
      let busy = try SocketTests.connect(loop, [server.address]).get()
      busy.send(Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
      #expect(try loop.turn(until: { pending.count == 1 }))
      var isDrained = false
      server.drain { isDrained = true }
      #expect(try loop.turn(until: { idle.ended }))
      #expect(!isDrained)
      pending.removeFirst().send(HTTPServer.Response(.ok, "text/plain", "done"))
      #expect(try loop.turn(until: { busy.ended && isDrained }))
      let text = String(decoding: busy.received, as: UTF8.self)
      #expect(text.contains("Connection: close") && text.hasSuffix("done"))
      guard case .failure = try SocketTests.connect(loop, [server.address]) else {
        Issue.record("accepted")
        return
      }
    }
  }

  @Test func connectionsCutAtEveryByteHarmNobody() throws {
    try withLoop { (loop) throws in
      let server = try HTTPServer(loop, at: loopback, answer: mirror)
      let request = Array("POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".utf8)
      for cut in 0...request.count {
        for abrupt in [true, false] {
          let probe = try SocketTests.connect(loop, [server.address]).get()
          probe.send(Array(request[..<cut]))
          try loop.turn(maxWaitMillis: 1)
          if abrupt { probe.stream.abort() } else { probe.stream.close() }
        }
      }
      #expect(try loop.turn(until: { server.connectionCount == 0 }))
      #expect(try text(call(loop, client(loop), .init(.get, url(server.address)))) == "GET /? 0")
    }
  }
}
