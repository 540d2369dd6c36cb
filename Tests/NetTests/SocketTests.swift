import CSystem
import Foundation
import HTTP
import Net
import Testing

@Suite struct SocketTests {
  /// A listener and the probes of what it accepted.
  final class Server {
    var probes: [StreamProbe] = []
    var listener: Listener?

    init(_ loop: EventLoop, at address: SocketAddress = loopback, options: Listener.Options = .init(), tls: TLSContext? = nil) throws {
      listener = try Listener(loop, at: address, options: options) { [self] fd, peer in
        do {
          probes.append(StreamProbe(try ByteStream(loop, fd: fd, peer: peer, tls: tls), loop))
        } catch {
          Issue.record(error)
        }
      }
    }

    var address: SocketAddress { listener?.address ?? loopback }
  }

  static func connect(_ loop: EventLoop, _ addresses: [SocketAddress], tls: TLSContext? = nil, host: String = "localhost") throws -> Result<
    StreamProbe, NetError
  > {
    var outcome: Result<ByteStream, NetError>?
    Connector.connect(loop, to: addresses, host: host, tls: tls) { outcome = $0 }
    #expect(outcome == nil, "called from within connect")
    _ = try loop.turn(until: { outcome != nil })
    switch try #require(outcome) {
    case .success(let stream):
      let probe = StreamProbe(stream, loop)
      probe.read()
      return .success(probe)
    case .failure(let error): return .failure(error)
    }
  }

  @Test(arguments: ["127.0.0.1:0", "[::1]:0", ":0"])
  func bytesAreEchoedWhateverThePieces(_ text: String) throws {
    try withLoop { loop in
      let server = try Server(loop, at: try SocketAddress.parse(text))
      let port = try #require(server.address.port)
      #expect(port != 0)
      let target = text.hasPrefix("[") ? SocketAddress.ip(.loopbackV6, port: port) : .ip(.loopbackV4, port: port)
      let client = try Self.connect(loop, [target]).get()
      #expect(try loop.turn(until: { server.probes.count == 1 }))
      let peer = server.probes[0]
      #expect(peer.stream.peer.ip == target.ip)
      peer.echoes = true
      peer.pieceBytes = 1000
      client.pieceBytes = 777
      let sent = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
      client.send(sent)
      #expect(try loop.turn(until: { client.received.count == sent.count }, seconds: 30))
      #expect(client.received == sent)
      client.stream.shutdownWrite()
      #expect(try loop.turn(until: { peer.ended }))
      peer.stream.close()
      #expect(try loop.turn(until: { client.ended }))
    }
  }

  @Test func bytesAndEndThatArriveTogetherAreBothSeen() throws {
    // The short read that follows one event for both must not hide the end: no second event would come.
    try withLoop { loop in
      let (a, b) = try socketPair()
      #expect(csystem_send(b, "last words", 10) == 10)
      _ = csystem_close(b)
      let probe = StreamProbe(try ByteStream(loop, fd: a, peer: .unix(path: "")), loop)
      #expect(try loop.turn(until: { probe.ended }))
      #expect(probe.received == Array("last words".utf8))
    }
  }

  @Test func aStreamThatWasNotReadToTheEndGoesOnWithoutANewEvent() throws {
    try withLoop { loop in
      let (a, b) = try socketPair()
      let probe = StreamProbe(try ByteStream(loop, fd: a, peer: .unix(path: "")), loop)
      probe.isReading = false
      #expect(csystem_send(b, "hello", 5) == 5)
      try loop.turn(maxWaitMillis: 50)
      try loop.turn(maxWaitMillis: 50)
      #expect(probe.received.isEmpty)
      probe.read()
      #expect(probe.received == Array("hello".utf8))
      _ = csystem_close(b)
    }
  }

  @Test func usingAClosedStreamIsAnErrorAndNotMore() throws {
    try withLoop { loop in
      let (a, b) = try socketPair()
      let stream = try ByteStream(loop, fd: a, peer: .unix(path: ""))
      stream.close()
      stream.close()
      stream.abort()
      stream.shutdownWrite()
      stream.closeDiscarding()
      #expect(!stream.isOpen)
      if case .failed(.closed) = stream.read(into: loop.scratch) {} else { Issue.record("read from a closed stream") }
      if case .failed(.closed) = stream.write(UnsafeRawBufferPointer(loop.scratch)) {} else { Issue.record("wrote to a closed stream") }
      #expect(loop.sourceCount == 0)
      _ = csystem_close(b)
    }
  }

  @Test func abortingResetsTheConnection() throws {
    try withLoop { loop in
      let server = try Server(loop)
      let client = try Self.connect(loop, [server.address]).get()
      #expect(try loop.turn(until: { server.probes.count == 1 }))
      server.probes[0].stream.abort()
      #expect(try loop.turn(until: { client.failure != nil || client.ended }))
      #expect(client.failure == .connectionLost(errno: csystem_econnreset))
    }
  }

  @Test func anAnswerSurvivesClosingWhileThePeerStillSends() throws {
    try withLoop { loop in
      let server = try Server(loop)
      let client = try Self.connect(loop, [server.address]).get()
      #expect(try loop.turn(until: { server.probes.count == 1 }))
      let peer = server.probes[0]
      peer.isReading = false
      client.send([UInt8](repeating: 1, count: 500_000))
      peer.send(Array("refused".utf8))
      peer.stream.closeDiscarding()
      #expect(try loop.turn(until: { client.ended || client.failure != nil }))
      #expect(client.received == Array("refused".utf8))
      #expect(client.failure == nil)
      #expect(!peer.stream.isOpen)
      client.stream.close()
      // What was sent was thrown away, and the descriptor given back as soon as the peer closed: two sources are left.
      #expect(try loop.turn(until: { loop.sourceCount == 1 }))
    }
  }

  @Test func discardingEndsAtItsLimits() throws {
    try withLoop { loop in
      let server = try Server(loop)
      for (limit, millis) in [(100_000, UInt64(60_000)), (.max, 50)] {
        server.probes = []
        let client = try Self.connect(loop, [server.address]).get()
        #expect(try loop.turn(until: { server.probes.count == 1 }))
        server.probes[0].isReading = false
        let before = loop.sourceCount
        server.probes[0].stream.closeDiscarding(limitBytes: limit, millis: millis)
        if limit != .max { client.send([UInt8](repeating: 1, count: 4_000_000)) }
        #expect(try loop.turn(until: { loop.sourceCount < before }))
        client.stream.close()
      }
    }
  }

  @Test func aRefusedConnectionSaysWhere() throws {
    try withLoop { loop in
      let listener = try Listener(loop, at: loopback) { _, _ in }
      let address = listener.address
      listener.close()
      guard case .failure(let error) = try Self.connect(loop, [address]) else {
        Issue.record("connected to nobody")
        return
      }
      #expect(error == .connectFailed(address, errno: csystem_econnrefused))
      #expect(error.description == "cannot connect to \(address): Connection refused")
      #expect(loop.timerCount == 0)
      #expect(loop.sourceCount == 0)
    }
  }

  @Test func theNextAddressIsTriedWhenOneFailsOrSaysNothing() throws {
    try withLoop { loop in
      let server = try Server(loop)
      let dead = try Listener(loop, at: loopback) { _, _ in }
      let deadAddress = dead.address
      dead.close()
      _ = try Self.connect(loop, [deadAddress, server.address]).get()
      // A listener with a full queue answers nothing at all.
      let silent = try Listener(
        loop, at: loopback,
        options: {
          var o = Listener.Options(); o.backlog = 0; return o
        }()
      ) { _, _ in }
      silent.pause()
      var fillers: [Connector] = []
      for _ in 0..<4 { fillers.append(Connector.connect(loop, to: [silent.address], host: "x", timeoutMillis: 60_000) { _ in }) }
      try loop.turn(millis: 50)
      let start = LoopClock.monotonicNanos()
      _ = try Self.connect(loop, [silent.address, server.address]).get()
      let millis = (LoopClock.monotonicNanos() - start) / 1_000_000
      #expect(millis >= 200)
      for filler in fillers { filler.cancel() }
    }
  }

  @Test func connectingEndsInTimeAndLeavesNothingBehind() throws {
    try withLoop { loop in
      let silent = try Listener(
        loop, at: loopback,
        options: {
          var o = Listener.Options(); o.backlog = 0; return o
        }()
      ) { _, _ in }
      silent.pause()
      var outcomes: [Result<ByteStream, NetError>] = []
      for _ in 0..<5 { Connector.connect(loop, to: [silent.address], host: "silent", timeoutMillis: 100) { outcomes.append($0) } }
      #expect(try loop.turn(until: { outcomes.count == 5 }))
      let failures = outcomes.compactMap { outcome -> NetError? in
        if case .failure(let error) = outcome { return error }
        return nil
      }
      #expect(!failures.isEmpty)
      #expect(failures.allSatisfy { $0 == .timedOut(what: "connecting to silent", millis: 100) })
      for case .success(let stream) in outcomes { stream.close() }
      #expect(loop.timerCount == 0)
      #expect(loop.sourceCount == 1)
    }
  }

  @Test func noAddressIsAnErrorToo() throws {
    try withLoop { loop in
      guard case .failure(let error) = try Self.connect(loop, [], host: "nowhere") else {
        Issue.record("connected to nothing")
        return
      }
      #expect(error.description == "cannot resolve nowhere: it has no address")
    }
  }

  // MARK: - Listeners

  @Test func anAddressInUseIsRefusedUnlessItIsSharedByAgreement() throws {
    try withLoop { loop in
      let first = try Listener(loop, at: loopback) { _, _ in }
      #expect { try Listener(loop, at: first.address) { _, _ in } } throws: {
        ($0 as? NetError) == .listenFailed(first.address, errno: csystem_eaddrinuse)
      }
      var shared = Listener.Options()
      shared.reusePort = true
      var counts = [0, 0]
      let a = try Listener(loop, at: loopback, options: shared) { fd, _ in
        counts[0] += 1
        _ = csystem_close(fd)
      }
      let b = try Listener(loop, at: a.address, options: shared) { fd, _ in
        counts[1] += 1
        _ = csystem_close(fd)
      }
      #expect(a.address == b.address)
      for _ in 0..<64 { Connector.connect(loop, to: [a.address], host: "x") { if case .success(let stream) = $0 { stream.close() } } }
      #expect(try loop.turn(until: { counts[0] + counts[1] == 64 }))
      #expect(counts[0] > 0 && counts[1] > 0)
    }
  }

  @Test func aPausedListenerLeavesConnectionsInTheQueueAndAResumedOneTakesThem() throws {
    try withLoop { loop in
      let server = try Server(loop)
      server.listener?.pause()
      let client = try Self.connect(loop, [server.address]).get()
      try loop.turn(millis: 50)
      #expect(server.probes.isEmpty)
      server.listener?.resume()
      #expect(try loop.turn(until: { server.probes.count == 1 }))
      client.stream.close()
    }
  }

  @Test func aGracefulCloseTakesTheConnectionsThatWait() throws {
    try withLoop { loop in
      let server = try Server(loop)
      server.listener?.pause()
      let clients = try (0..<5).map { _ in try Self.connect(loop, [server.address]).get() }
      server.listener?.closeGracefully()
      #expect(server.probes.count == 5)
      server.probes.forEach { $0.send(Array("x".utf8)) }
      #expect(try loop.turn(until: { clients.allSatisfy { $0.received == Array("x".utf8) } }))
    }
  }

  @Test func aUnixSocketServesIsTakenOverWhenStaleAndNeverFromALiveListener() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("net-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appendingPathComponent("s").path
    try withLoop { loop in
      let address = SocketAddress.unix(path: path)
      let server = try Server(loop, at: address)
      let client = try Self.connect(loop, [address]).get()
      #expect(try loop.turn(until: { server.probes.count == 1 }))
      client.send(Array("hi".utf8))
      #expect(try loop.turn(until: { server.probes[0].received.count == 2 }))
      #expect { try Listener(loop, at: address) { _, _ in } } throws: {
        ($0 as? NetError) == .listenFailed(address, errno: csystem_eaddrinuse)
      }
      let mode = try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
      #expect(mode == 0o660)
      server.listener?.close()
      #expect(!FileManager.default.fileExists(atPath: path))
      // A listener that died without removing its file.
      let dead = csystem_socket(1)
      var system = csystem_address()
      system.family = 1
      system.path_length = UInt32(path.utf8.count)
      withUnsafeMutableBytes(of: &system.path) { $0.copyBytes(from: Array(path.utf8)) }
      #expect(csystem_bind(dead, &system) == 0)
      _ = csystem_close(dead)
      #expect(FileManager.default.fileExists(atPath: path))
      let again = try Server(loop, at: address)
      _ = try Self.connect(loop, [address]).get()
      again.listener?.close()
      // A file that is no socket is not touched.
      try "precious".write(toFile: path, atomically: true, encoding: .utf8)
      #expect(throws: NetError.self) { try Listener(loop, at: address) { _, _ in } }
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
    }
  }

  @Test func aDescriptorThatListensIsAdoptedAndOneThatDoesNotIsRefused() throws {
    try withLoop { loop in
      let fd = csystem_socket(4)
      var system = csystem_address()
      system.family = 4
      system.low = 0x7f00_0001
      #expect(csystem_bind(fd, &system) == 0)
      #expect(throws: NetError.self) { try Listener(loop, adopting: fd) { _, _ in } }
      #expect(csystem_listen(fd, 16) == 0)
      var accepted = 0
      let listener = try Listener(loop, adopting: fd) { fd, _ in
        accepted += 1
        _ = csystem_close(fd)
      }
      _ = try Self.connect(loop, [listener.address]).get()
      #expect(try loop.turn(until: { accepted == 1 }))
    }
  }

  @Test func runningOutOfDescriptorsPausesAcceptingAndNothingElse() async {
    // In a process of its own: the limit is the process's.
    await #expect(processExitsWith: .success) {
      try withLoop { loop in
        let server = try Server(loop)
        var failures: [NetError] = []
        server.listener?.acceptFailed = { failures.append($0) }
        let clients = try (0..<3).map { _ in try SocketTests.connect(loop, [server.address]).get() }
        _ = try loop.turn(until: { server.probes.count == 3 })
        // One more client than there are descriptors to accept it with.
        var filler: [Int32] = []
        let late = csystem_socket(4)
        guard csystem_set_descriptor_limit(64) == 0 else { exit(3) }
        // Other threads of the process may give some back for a moment.
        for _ in 0..<20 {
          while case let fd = csystem_eventfd(), fd >= 0 { filler.append(fd) }
          usleepMillis(5)
        }
        var system = csystem_address()
        system.family = 4
        system.port = server.address.port ?? 0
        system.low = 0x7f00_0001
        _ = csystem_connect(late, &system)
        let start = LoopClock.monotonicNanos()
        var turns = 0
        while LoopClock.monotonicNanos() - start < 350_000_000 {
          turns += 1
          try loop.turn(maxWaitMillis: 20)
        }
        guard server.probes.count == 3 else { exit(4) }
        guard !failures.isEmpty, failures.allSatisfy({ $0 == .system(call: "accept", errno: csystem_emfile) }) else { exit(8) }
        // It rests between attempts instead of spinning.
        guard failures.count <= 6, turns < 60 else { exit(5) }
        // The others are served meanwhile.
        server.probes[0].send(Array("still here".utf8))
        guard try loop.turn(until: { clients.contains { $0.received == Array("still here".utf8) } }) else { exit(6) }
        for fd in filler { _ = csystem_close(fd) }
        guard try loop.turn(until: { server.probes.count == 4 }) else { exit(7) }
      }
      exit(0)
    }
  }

  @Test func noDescriptorIsLostOverManyConnectionsThatEndInEveryWay() async {
    await #expect(processExitsWith: .success) {
      try withLoop { loop in
        let server = try Server(loop)
        let before = try openDescriptorCount()
        for round in 0..<200 {
          let client = try SocketTests.connect(loop, [server.address]).get()
          _ = try loop.turn(until: { !server.probes.isEmpty })
          let peer = server.probes.removeLast()
          client.send([1, 2, 3])
          switch round % 4 {
          case 0: client.stream.close()
          case 1: client.stream.abort()
          case 2: client.stream.closeDiscarding()
          default: peer.stream.closeDiscarding(limitBytes: 1)
          }
          client.stream.close()
          peer.stream.close()
        }
        guard try loop.turn(until: { loop.sourceCount == 1 }) else { exit(3) }
        // Other threads of the process may have one or two open; a leak here would be tens.
        guard try openDescriptorCount() <= before + 5 else { exit(4) }
      }
      exit(0)
    }
  }

  @Test func signalsArriveAsEventsOfTheLoop() async {
    await #expect(processExitsWith: .success) {
      try withLoop { loop in
        var received: [ProcessSignal] = []
        // Blocked in this thread only, so it is this thread's loop that must see them; the process has others.
        csystem_block_signals()
        let signals = try Signals(loop) { received.append($0) }
        for (number, signal) in [(csystem_sighup, ProcessSignal.hangUp), (csystem_sigterm, .terminate), (csystem_sigint, .interrupt)] {
          _ = pthread_kill(pthread_self(), number)
          guard try loop.turn(until: { received.last == signal }, seconds: 5) else { exit(3) }
        }
        signals.close()
        guard loop.sourceCount == 0 else { exit(4) }
      }
      exit(0)
    }
  }
}
