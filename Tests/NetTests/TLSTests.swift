import Bytes
import CSystem
import Foundation
import HTTP
import Net
import Testing

@Suite struct TLSTests {
  let certificates: Certificates

  init() throws { certificates = try Certificates.shared.get() }

  /// Connects to a server with a certificate; the failure, or the two probes.
  private func meet(
    _ loop: EventLoop, server context: TLSContext, client: TLSContext, host: String = "localhost"
  ) throws -> Result<(client: StreamProbe, server: StreamProbe), NetError> {
    let server = try SocketTests.Server(loop, tls: context)
    defer { server.listener?.close() }
    switch try SocketTests.connect(loop, [server.address], tls: client, host: host) {
    case .failure(let error): return .failure(error)
    case .success(let probe):
      #expect(try loop.turn(until: { server.probes.count == 1 && server.probes[0].events > 0 }))
      return .success((probe, server.probes[0]))
    }
  }

  private func failure(_ loop: EventLoop, server: String, host: String = "localhost", after millis: Int64 = 0) throws -> TLSFailure? {
    loop.wallOffsetMillis = millis
    switch try meet(loop, server: certificates.server(server), client: certificates.client, host: host) {
    case .success:
      Issue.record("\(server) was accepted as \(host)")
      return nil
    case .failure(.tls(let failure)): return failure
    case .failure(let error):
      Issue.record("not a TLS failure: \(error)")
      return nil
    }
  }

  @Test(arguments: ["localhost", "api.example", "127.0.0.1"])
  func bytesAreEchoedOverTLSWhateverThePieces(_ host: String) throws {
    try withLoop { (loop) throws in
      let (client, server) = try meet(loop, server: certificates.server("good"), client: certificates.client, host: host).get()
      #expect(client.stream.tlsVersion == "TLSv1.3")
      #expect(client.stream.applicationProtocol == "http/1.1")
      #expect(server.stream.applicationProtocol == "http/1.1")
      #expect(client.stream.peerCertificate?.names.contains(.dns("api.example")) == true)
      server.echoes = true
      server.pieceBytes = 1000
      client.pieceBytes = 333
      let sent = (0..<1_500_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
      client.send(sent)
      #expect(try loop.turn(until: { client.received.count == sent.count }, seconds: 60))
      #expect(client.received == sent)
      client.stream.shutdownWrite()
      #expect(try loop.turn(until: { server.ended }))
      server.stream.close()
      #expect(try loop.turn(until: { client.ended }))
      #expect(client.failure == nil)
    }
  }

  @Test func whatWasWrittenBeforeCloseArrivesThoughTheKernelDidNotTakeItAll() throws {
    try withLoop { (loop) throws in
      let (client, server) = try meet(loop, server: certificates.server("good"), client: certificates.client).get()
      client.isReading = false
      // More than the sockets hold: the tail waits in the session when close is called.
      let bytes = [UInt8](repeating: 7, count: 64 * 1024)
      var sent = 0
      for _ in 0..<1000 {
        let count = bytes.withUnsafeBytes { buffer -> Int in
          if case .wrote(let count) = server.stream.write(buffer) { return count }
          return 0
        }
        sent += count
        if count < bytes.count { break }
      }
      server.stream.close()
      client.isReading = true
      client.read()
      #expect(try loop.turn(until: { client.ended || client.failure != nil }))
      #expect(client.received.count == sent)
      #expect(client.failure == nil)
    }
  }

  @Test func anExpiredCertificateIsRefusedAndSaysSinceWhen() throws {
    try withLoop { (loop) throws in
      // The certificate is good for 30 days; the loop's clock stands three days later.
      let failure = try self.failure(loop, server: "good", after: 33 * 86_400_000 + 60_000)
      #expect(failure == TLSFailure(.certificateExpired, "certificate expired 3 days ago"))
    }
  }

  @Test func aCertificateThatIsNotValidYetIsRefusedAndSaysWhen() throws {
    try withLoop { (loop) throws in
      let failure = try self.failure(loop, server: "good", after: -2 * 86_400_000 + 1_800_000)
      #expect(failure?.kind == .certificateNotYetValid)
      // The root, made at the same time, is looked at first.
      #expect(failure?.message.hasSuffix("certificate of the chain is not valid yet, but in 1 day") == true)
    }
  }

  @Test func aCertificateForOtherNamesIsRefusedAndSaysForWhich() throws {
    try withLoop { (loop) throws in
      #expect(
        try failure(loop, server: "wrong-name")
          == TLSFailure(
            .wrongName, "name localhost not in certificate (has elsewhere.example, *.apps.example, 10.0.0.1, fd00:0:0:0:0:0:0:1)"))
      #expect(try self.failure(loop, server: "no-name") == TLSFailure(.wrongName, "name localhost not in certificate (has no names)"))
      #expect(try failure(loop, server: "many-names")?.message.hasSuffix("n7.example, ...)") == true)
      #expect(try failure(loop, server: "good", host: "127.0.0.2")?.message.hasPrefix("name 127.0.0.2 not in") == true)
      // A wildcard stands for one label, and not for none.
      for host in ["a.b.svc.internal", "svc.internal", "x.svc.internal.example"] {
        #expect(try failure(loop, server: "wildcard", host: host)?.kind == .wrongName)
      }
      _ = try meet(loop, server: certificates.server("wildcard"), client: certificates.client, host: "x.svc.internal").get()
    }
  }

  @Test func aSelfSignedCertificateAndAStrangeRootAreRefused() throws {
    try withLoop { (loop) throws in
      #expect(try failure(loop, server: "self") == TLSFailure(.untrusted, "certificate is self-signed and not trusted"))
      #expect(
        try failure(loop, server: "strange")
          == TLSFailure(.untrusted, "certificate issued by an authority that is not trusted (/CN=Test other-root)"))
      #expect(try failure(loop, server: "client")?.kind == .badCertificate, "a client's certificate served as a server's")
    }
  }

  @Test func theSystemsRootsDoNotTrustTheTestsRoot() throws {
    try withLoop { (loop) throws in
      guard case .failure(.tls(let failure)) = try meet(loop, server: certificates.server("good"), client: TLSContext()) else {
        Issue.record("trusted")
        return
      }
      #expect(failure.kind == .untrusted)
      let both = try TLSContext(clientTrusting: .systemAnd(pem: certificates.pem("root.pem")))
      _ = try meet(loop, server: certificates.server("good"), client: both).get()
    }
  }

  @Test func aFailureOfOneSessionDoesNotSpoilTheNext() throws {
    try withLoop { (loop) throws in
      for _ in 0..<3 {
        #expect(try failure(loop, server: "self")?.kind == .untrusted)
        _ = try meet(loop, server: certificates.server("good"), client: certificates.client).get()
      }
    }
  }

  @Test func bothSidesOfAFailedHandshakeHearOfIt() throws {
    try withLoop { (loop) throws in
      let server = try SocketTests.Server(loop, tls: certificates.server("self"))
      _ = try SocketTests.connect(loop, [server.address], tls: certificates.client)
      #expect(try loop.turn(until: { server.probes.first?.failure != nil }))
      guard case .tls(let failure) = server.probes[0].failure else {
        Issue.record("\(String(describing: server.probes[0].failure))")
        return
      }
      #expect(failure.kind == .handshake)
      #expect(failure.message.contains("alert"))
    }
  }

  @Test func plainTextIsToldApartOnBothSides() throws {
    try withLoop { (loop) throws in
      // A plain server.
      let plain = try SocketTests.Server(loop)
      var outcome: Result<ByteStream, NetError>?
      Connector.connect(loop, to: [plain.address], host: "localhost", tls: try certificates.client) { outcome = $0 }
      #expect(try loop.turn(until: { plain.probes.count == 1 }))
      plain.probes[0].send(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
      #expect(try loop.turn(until: { outcome != nil }))
      guard case .failure(.tls(let failure)) = outcome else {
        Issue.record("\(String(describing: outcome))")
        return
      }
      #expect(failure.message.hasPrefix("the peer does not speak TLS"))
      // A plain client.
      let server = try SocketTests.Server(loop, tls: certificates.server("good"))
      let client = try SocketTests.connect(loop, [server.address]).get()
      client.send(Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
      #expect(try loop.turn(until: { server.probes.first?.failure != nil }))
      #expect(server.probes[0].failure?.description.contains("does not speak TLS") == true)
    }
  }

  @Test func aPeerThatClosesOrSaysNothingDuringTheHandshakeEndsIt() throws {
    try withLoop { (loop) throws in
      let plain = try SocketTests.Server(loop)
      var outcome: Result<ByteStream, NetError>?
      Connector.connect(loop, to: [plain.address], host: "localhost", tls: try certificates.client) { outcome = $0 }
      #expect(try loop.turn(until: { plain.probes.count == 1 && !plain.probes[0].received.isEmpty }))
      plain.probes[0].stream.close()
      #expect(try loop.turn(until: { outcome != nil }))
      guard case .failure(.tls(let failure)) = outcome else {
        Issue.record("\(String(describing: outcome))")
        return
      }
      #expect(failure == TLSFailure(.handshake, "the peer closed the connection during the handshake"))
      outcome = nil
      Connector.connect(loop, to: [plain.address], host: "localhost", tls: try certificates.client, timeoutMillis: 100) { outcome = $0 }
      #expect(try loop.turn(until: { outcome != nil }))
      guard case .failure(let error) = outcome else { return }
      #expect(error == .timedOut(what: "the TLS handshake with localhost", millis: 100))
      #expect(loop.timerCount == 0)
    }
  }

  @Test func anEndWithoutCloseNotifyIsNoOrderlyEnd() throws {
    try withLoop { (loop) throws in
      let (client, server) = try meet(loop, server: certificates.server("good"), client: certificates.client).get()
      server.send(Array("half a".utf8))
      #expect(try loop.turn(until: { !client.received.isEmpty }))
      server.stream.abort()
      #expect(try loop.turn(until: { client.failure != nil || client.ended }))
      #expect(!client.ended)
    }
  }

  @Test func clientCertificatesAreDemandedAskedForAndVerified() throws {
    try withLoop { (loop) throws in
      let roots = try certificates.pem("root.pem")
      let required = try TLSContext(serverWith: certificates.identity("good"), clients: .required, clientRoots: roots)
      let optional = try TLSContext(serverWith: certificates.identity("good"), clients: .optional, clientRoots: roots)
      let known = try TLSContext(clientTrusting: .pem(roots), identity: certificates.identity("client"))
      let strange = try TLSContext(clientTrusting: .pem(roots), identity: certificates.identity("strange"))
      for context in [required, optional] {
        let (_, server) = try meet(loop, server: context, client: known).get()
        #expect(server.stream.peerCertificate?.subject == "CN=localhost")
      }
      let (_, server) = try meet(loop, server: optional, client: certificates.client).get()
      #expect(server.stream.peerCertificate == nil)
      #expect(server.failure == nil)
      // In TLS 1.3 the client is done before the server has looked at its certificate.
      for (context, client) in [(required, try certificates.client), (required, strange), (optional, strange)] {
        guard case .success(let (client, server)) = try meet(loop, server: context, client: client) else { continue }
        #expect(try loop.turn(until: { server.failure != nil }))
        #expect(try loop.turn(until: { client.failure != nil || client.ended }))
        #expect(!client.ended)
      }
    }
  }

  @Test func olderVersionsAreRefused() throws {
    try withLoop { (loop) throws in
      let server = try SocketTests.Server(loop, tls: TLSContext(serverWith: certificates.identity("good"), minimum: .tls13))
      let port = try #require(server.address.port)
      for (version, accepted) in [("-tls1_2", false), ("-tls1_1", false), ("-tls1_3", true)] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = ["s_client", "-connect", "127.0.0.1:\(port)", version, "-cipher", "ALL:@SECLEVEL=0"]
        process.standardInput = Pipe()
        process.standardOutput = Pipe()
        process.standardError = Pipe()
        try process.run()
        server.probes = []
        #expect(try loop.turn(until: { server.probes.first.map { $0.events > 0 } ?? false }))
        #expect((server.probes.first?.failure == nil) == accepted, "\(version)")
        // The threads that run tests block SIGTERM, and children inherit that.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
      }
    }
  }

  @Test func unusableFilesAreRefusedWithAReason() throws {
    let good = try certificates.identity("good")
    let cases: [(TLSContext.Identity, String)] = [
      (.init(chain: [], key: good.key), "no usable certificate"),
      (.init(chain: Array("nonsense".utf8), key: good.key), "no usable certificate"),
      (.init(chain: good.chain, key: Secret([])), "no usable private key"),
      (.init(chain: good.chain, key: try certificates.identity("self").key), "does not belong"),
      (.init(chain: good.chain + Array("-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n".utf8), key: good.key), "chain"),
    ]
    for (identity, reason) in cases {
      #expect { try TLSContext(serverWith: identity) } throws: { error in
        guard case .tls(let failure)? = error as? NetError else { return false }
        return failure.kind == .configuration && failure.message.contains(reason)
      }
    }
    for pem in [[], Array("nonsense".utf8), Array("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".utf8)] {
      #expect(throws: NetError.self) { try TLSContext(clientTrusting: .pem(pem)) }
    }
    #expect(throws: NetError.self) { try TLSContext(serverWith: good, clients: .required) }
  }

  // MARK: - A server's own

  @Test func theCertificateIsChosenByTheNameThatIsAskedFor() throws {
    try withLoop { (loop) throws in
      let context = try TLSContext(
        serverWith: [certificates.identity("good"), certificates.identity("wildcard"), certificates.identity("wrong-name")],
        options: TLSContext.ServerOptions())
      func names(_ host: String) throws -> [PeerCertificate.AlternativeName] {
        try meet(loop, server: context, client: certificates.client, host: host).get().client.stream.peerCertificate?.names ?? []
      }
      #expect(try names("localhost").contains(.dns("api.example")))
      #expect(try names("x.svc.internal") == [.dns("*.svc.internal")])
      #expect(try names("elsewhere.example").contains(.dns("*.apps.example")))
      #expect(try names("a.apps.example").contains(.dns("elsewhere.example")))
      // By address there is no name to ask for: the first.
      #expect(try names("127.0.0.1").contains(.dns("api.example")))
      guard case .failure(.tls(let failure)) = try meet(loop, server: context, client: certificates.client, host: "unknown.example") else {
        Issue.record("accepted")
        return
      }
      #expect(failure.kind == .wrongName)
    }
  }

  @Test func whicheverCertificateIsShownTheClientIsVerifiedAndTheProtocolAgreedOn() throws {
    try withLoop { (loop) throws in
      let roots = try certificates.pem("root.pem")
      var options = TLSContext.ServerOptions()
      options.clients = .required
      options.clientRoots = roots
      let context = try TLSContext(serverWith: [certificates.identity("good"), certificates.identity("wildcard")], options: options)
      let known = try TLSContext(clientTrusting: .pem(roots), identity: certificates.identity("client"))
      for host in ["localhost", "x.svc.internal"] {
        let (client, server) = try meet(loop, server: context, client: known, host: host).get()
        #expect(client.stream.applicationProtocol == "http/1.1", "\(host)")
        #expect(server.stream.peerCertificate?.names.contains(.dns("client.example")) == true, "\(host)")
      }
      let strange = try TLSContext(clientTrusting: .pem(roots), identity: certificates.identity("strange"))
      for client in [strange, try certificates.client] {
        guard case .success(let (_, server)) = try meet(loop, server: context, client: client, host: "x.svc.internal") else { continue }
        #expect(try loop.turn(until: { server.failure != nil }))
      }
    }
  }

  @Test func aServerGoesOnWithWhatWasReadBeforeIt() throws {
    try withLoop { (loop) throws in
      let plain = try SocketTests.Server(loop)
      var outcome: Result<ByteStream, NetError>?
      Connector.connect(loop, to: [plain.address], host: "localhost", tls: try certificates.client) { outcome = $0 }
      #expect(try loop.turn(until: { plain.probes.first.map { !$0.received.isEmpty } ?? false }))
      let probe = plain.probes[0]
      let first = probe.received
      probe.received = []
      try first.withUnsafeBytes { try probe.stream.startTLS(accepting: certificates.server("good"), received: $0) }
      probe.stream.beginHandshake()
      #expect(try loop.turn(until: { outcome != nil }))
      let client = StreamProbe(try #require(outcome).get(), loop)
      probe.echoes = true
      client.send(Array("hello".utf8))
      #expect(try loop.turn(until: { client.received.count == 5 }))
      #expect(throws: NetError.self) {
        try probe.stream.startTLS(accepting: certificates.server("good"), received: .init(start: nil, count: 0))
      }
    }
  }

  @Test func aClientThatDoesNotSpeakTLSCanBeToldPlainly() throws {
    try withLoop { (loop) throws in
      let server = try SocketTests.Server(loop, tls: certificates.server("good"))
      let client = try SocketTests.connect(loop, [server.address]).get()
      client.send(Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
      #expect(try loop.turn(until: { server.probes.first?.failure != nil }))
      let stream = server.probes[0].stream
      guard case .tls(let failure) = stream.handshakeFailure else {
        Issue.record("\(String(describing: stream.handshakeFailure))")
        return
      }
      #expect(failure.kind == .plainHTTP)
      stream.speakPlainly()
      _ = Array("speak TLS".utf8).withUnsafeBytes { stream.write($0) }
      stream.closeDiscarding()
      #expect(try loop.turn(until: { client.ended }))
      #expect(String(decoding: client.received, as: UTF8.self) == "speak TLS")
      // Who leaves without a word is told apart from who breaks off.
      let silent = try SocketTests.connect(loop, [server.address]).get()
      silent.stream.close()
      #expect(try loop.turn(until: { server.probes.count == 2 && server.probes[1].failure != nil }))
      guard case .tls(let nothing) = server.probes[1].failure else { return }
      #expect(nothing.kind == .nothing)
    }
  }

  @Test func aCertificateInAFileIsRead() throws {
    let certificate = try #require(PeerCertificate(pem: certificates.pem("good.pem")))
    #expect(certificate.names.contains(.dns("api.example")) && certificate.thumbprint.count == 32)
    let validity = try #require(certificate.validity)
    #expect(validity.last - validity.first == 30 * 86_400)
    #expect(PeerCertificate(pem: Array("nothing".utf8)) == nil && PeerCertificate(pem: []) == nil)
  }

  @Test func aClientCertificatesFactsAreRead() throws {
    try withLoop { (loop) throws in
      let roots = try certificates.pem("root.pem")
      let server = try TLSContext(serverWith: certificates.identity("good"), clients: .required, clientRoots: roots)
      let client = try TLSContext(clientTrusting: .pem(roots), identity: certificates.identity("client"))
      let facts = try #require(try meet(loop, server: server, client: client).get().server.stream.peerCertificate)
      #expect(facts.subject == "CN=localhost")
      #expect(facts.issuer == "CN=Test root")
      #expect(
        facts.names == [
          .dns("client.example"), .uri("spiffe://example.org/ns/a"), .ip(try #require(IPAddress("10.1.2.3"))),
          .ip(try #require(IPAddress("fd00::9"))), .email("a@example.org"),
        ])
      #expect(!facts.serial.isEmpty)
      // The command's fingerprint is the same.
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
      process.arguments = [
        "x509", "-in", certificates.folder.appendingPathComponent("client.pem").path, "-noout", "-fingerprint", "-sha256",
      ]
      let pipe = Pipe()
      process.standardOutput = pipe
      try process.run()
      let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      let hex = try #require(text.split(separator: "=").last).filter { $0.isHexDigit }.lowercased()
      #expect(Hex.encode(facts.thumbprint) == hex)
    }
  }

  @Test func aRevokedClientCertificateIsRefusedAndSoIsOneWithoutAList() throws {
    try withLoop { (loop) throws in
      let roots = try certificates.pem("root.pem")
      func refusal(_ revocations: [UInt8]?, after millis: Int64 = 0) throws -> String? {
        loop.wallOffsetMillis = millis
        var options = TLSContext.ServerOptions()
        options.clients = .required
        options.clientRoots = roots
        options.clientRevocations = revocations
        let server = try TLSContext(serverWith: [certificates.identity("good")], options: options)
        let client = try TLSContext(clientTrusting: .pem(roots), identity: certificates.identity("client"))
        let probe = try SocketTests.Server(loop, tls: server)
        defer { probe.listener?.close() }
        guard case .success(let peer) = try SocketTests.connect(loop, [probe.address], tls: client) else { return "client's side" }
        defer { peer.stream.close() }
        #expect(try loop.turn(until: { probe.probes.first.map { $0.events > 0 } ?? false }))
        defer { probe.probes.first?.stream.close() }
        guard case .tls(let failure)? = probe.probes.first?.failure else { return nil }
        return failure.message
      }
      #expect(try refusal(nil) == nil)
      #expect(try refusal(certificates.revocationList(revoking: nil)) == nil)
      #expect(try refusal(certificates.revocationList(revoking: "client")) == "certificate refused: certificate revoked")
      #expect(try refusal(certificates.revocationList(revoking: "good")) == nil)
      // A list that has run out says nothing about today.
      let old = try refusal(certificates.revocationList(revoking: nil), after: 29 * 86_400_000)
      #expect(old == nil)
      let list = try certificates.revocationList(revoking: nil)
      #expect(throws: NetError.self) { try refusal(Array(list.dropLast(60))) }
      #expect(throws: NetError.self) { try refusal(Array("nothing".utf8)) }
    }
  }

  @Test func sessionsAreResumedByTicketsButNotWhereClientsAreVerified() throws {
    try withLoop { (loop) throws in
      // The command connects, keeps the ticket, and connects again with it.
      func resumed(_ server: TLSContext, _ arguments: [String] = []) throws -> [Bool] {
        let probe = try SocketTests.Server(loop, tls: server)
        defer { probe.listener?.close() }
        let port = try #require(probe.address.port)
        let file = certificates.folder.appendingPathComponent("session-\(UUID().uuidString)").path
        return try ["-sess_out", "-sess_in"].map { direction in
          // Where no ticket came there is nothing to come back with.
          if direction == "-sess_in", !FileManager.default.fileExists(atPath: file) { return false }
          probe.probes = []
          let process = Process()
          process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
          process.currentDirectoryURL = certificates.folder
          process.arguments = ["s_client", "-connect", "127.0.0.1:\(port)", direction, file, "-servername", "localhost"] + arguments
          let input = Pipe()
          process.standardInput = input
          process.standardOutput = FileHandle.nullDevice
          process.standardError = FileHandle.nullDevice
          try process.run()
          #expect(try loop.turn(until: { probe.probes.first.map { $0.events > 0 } ?? false }))
          // Something must come for s_client to read the ticket before it ends.
          probe.probes.first?.send(Array("hello".utf8))
          try loop.turn(millis: 100)
          input.fileHandleForWriting.closeFile()
          #expect(try loop.turn(until: { probe.probes.first.map { $0.ended || $0.failure != nil } ?? false }))
          process.waitUntilExit()
          return probe.probes.first?.stream.wasResumed ?? false
        }
      }
      for version in ["-tls1_3", "-tls1_2"] {
        #expect(try resumed(certificates.server("good"), [version]) == [false, true], "\(version)")
      }
      let roots = try certificates.pem("root.pem")
      let verifying = try TLSContext(serverWith: certificates.identity("good"), clients: .required, clientRoots: roots)
      let client = ["-cert", "client.pem", "-key", "client.key"]
      for version in ["-tls1_3", "-tls1_2"] {
        #expect(try resumed(verifying, client + [version]).last == false, "\(version)")
      }
    }
  }

  @Test func ciphersAreSettableAndWrongOnesRefused() throws {
    var options = TLSContext.ServerOptions()
    options.cipherList = "ECDHE-ECDSA-AES128-GCM-SHA256"
    options.cipherSuites = "TLS_AES_128_GCM_SHA256"
    _ = try TLSContext(serverWith: [certificates.identity("good")], options: options)
    options.cipherList = "NO-SUCH-CIPHER"
    #expect(throws: NetError.self) { try TLSContext(serverWith: [self.certificates.identity("good")], options: options) }
    #expect(throws: NetError.self) { try TLSContext(serverWith: [], options: TLSContext.ServerOptions()) }
  }

  @Test func aPeerThatSendsRubbishAfterTheHandshakeIsAnErrorAndNotMore() throws {
    try withLoop { (loop) throws in
      // A relay between the two lets the test write raw bytes into the session.
      let server = try SocketTests.Server(loop, tls: certificates.server("good"))
      for cut in [1, 5, 6, 100, 1000] {
        server.probes = []
        let (a, b) = try socketPair()
        _ = b
        let stream = try ByteStream(loop, fd: a, peer: .unix(path: ""), tls: certificates.server("good"))
        let probe = StreamProbe(stream, loop)
        var rubbish: [UInt8] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]
        rubbish += (0..<cut).map { UInt8(truncatingIfNeeded: $0 &* 97) }
        #expect(csystem_send(b, rubbish, rubbish.count) == rubbish.count)
        _ = csystem_close(b)
        #expect(try loop.turn(until: { probe.failure != nil }))
        stream.close()
      }
    }
  }
}
