import HTTP
import Net
import Testing

@Suite struct ResolverTests {
  /// What lookups give, and how often they were asked, by name.
  struct Zone: Sendable {
    var answers: [String: [String]] = [:]
    var counts: [String: Int] = [:]
    var isDown = false
    var lifeMillis: UInt64?
  }

  /// A resolver over a zone, on a loop whose time the test moves.
  private func withZone(_ limits: Resolver.Limits = .init(), _ body: (EventLoop, FakeClock, Locked<Zone>, Resolver) throws -> Void) throws {
    let time = FakeClock()
    time.millis = 10_000_000
    let loop = try EventLoop(clock: time.clock)
    defer { loop.releaseAll() }
    let zone = Locked(Zone())
    let resolver = try Resolver(loop, limits: limits) { host in
      zone.withLock { zone in
        zone.counts[host, default: 0] += 1
        guard !zone.isDown, let answers = zone.answers[host] else { return .failure(.unresolved(host: host, reason: "no such name")) }
        return .success(.init(answers.compactMap { IPAddress($0) }, lifeMillis: zone.lifeMillis))
      }
    }
    try body(loop, time, zone, resolver)
  }

  private func resolve(_ loop: EventLoop, _ resolver: Resolver, _ host: String) throws -> Result<[String], NetError> {
    var outcome: Result<[String], NetError>?
    resolver.resolve(host) { outcome = $0.map { $0.map(\.description) } }
    #expect(try loop.turn(until: { outcome != nil }))
    return outcome ?? .failure(.closed)
  }

  @Test func literalsAndLocalhostAreAnsweredAtOnceAndAskNobody() throws {
    try withZone { (loop, _, zone, resolver) throws in
      for (host, expected) in [
        ("127.0.0.1", ["127.0.0.1"]), ("::1", ["::1"]), ("::ffff:10.0.0.1", ["10.0.0.1"]), ("LocalHost", ["127.0.0.1", "::1"]),
      ] {
        var found: [String]?
        resolver.resolve(host) { result in
          if case .success(let addresses) = result { found = addresses.map(\.description) }
        }
        #expect(found == expected)
      }
      #expect(zone.withLock { $0.counts.isEmpty })
    }
  }

  @Test(arguments: ["", ".", "a b", "-a", "a/b", "a\u{0}b", "é.example", "[::1]", "1.2.3.4:80", String(repeating: "a", count: 254)])
  func whatIsNoNameNeverReachesTheSystem(_ host: String) throws {
    try withZone { (loop, _, zone, resolver) throws in
      guard case .failure(.unresolved) = try resolve(loop, resolver, host) else {
        Issue.record("resolved")
        return
      }
      #expect(zone.withLock { $0.counts.isEmpty })
    }
  }

  @Test func lookupsOfOneNameAtOneTimeAreOne() throws {
    try withZone { (loop, _, zone, resolver) throws in
      zone.withLock { $0.answers["a.example"] = ["10.0.0.1"] }
      var answers = 0
      for _ in 0..<50 {
        resolver.resolve("a.example") { result in
          if case .success = result { answers += 1 }
        }
      }
      #expect(try loop.turn(until: { answers == 50 }))
      #expect(zone.withLock { $0.counts["a.example"] } == 1)
    }
  }

  @Test func anAnswerIsUsedThenRenewedInTheBackgroundThenWaitedFor() throws {
    try withZone { (loop, time, zone, resolver) throws in
      func count() -> Int { zone.withLock { $0.counts["a.example"] ?? 0 } }
      zone.withLock { $0.answers["a.example"] = ["10.0.0.1"] }
      #expect(try resolve(loop, resolver, "a.example").get() == ["10.0.0.1"])
      zone.withLock { $0.answers["a.example"] = ["10.0.0.2"] }
      time.millis += 9_999
      try loop.turn(maxWaitMillis: 0)
      #expect(try resolve(loop, resolver, "a.example").get() == ["10.0.0.1"])
      #expect(count() == 1)
      time.millis += 1
      try loop.turn(maxWaitMillis: 0)
      // The old answer, at once; the new one follows.
      #expect(try resolve(loop, resolver, "a.example").get() == ["10.0.0.1"])
      #expect(try loop.turn(until: { (try? self.resolve(loop, resolver, "a.example").get()) == ["10.0.0.2"] }))
      #expect(count() == 2)
      zone.withLock { $0.answers["a.example"] = ["10.0.0.3"] }
      time.millis += 60_000
      try loop.turn(maxWaitMillis: 0)
      #expect(try resolve(loop, resolver, "a.example").get() == ["10.0.0.3"])
    }
  }

  @Test func theLastGoodAnswerStandsWhileTheNameServersAreDown() throws {
    try withZone { (loop, time, zone, resolver) throws in
      zone.withLock { $0.answers["a.example"] = ["10.0.0.1"] }
      _ = try resolve(loop, resolver, "a.example")
      zone.withLock { $0.isDown = true }
      time.millis += 3_599_999
      try loop.turn(maxWaitMillis: 0)
      #expect(try resolve(loop, resolver, "a.example").get() == ["10.0.0.1"])
      time.millis += 2
      try loop.turn(maxWaitMillis: 0)
      #expect(throws: NetError.self) { try resolve(loop, resolver, "a.example").get() }
      zone.withLock { $0.isDown = false }
      #expect(try resolve(loop, resolver, "a.example").get() == ["10.0.0.1"])
    }
  }

  @Test func aDoubtedAnswerIsLookedUpAgainButNotInATightLoop() throws {
    try withZone { (loop, time, zone, resolver) throws in
      zone.withLock { $0.answers["a.example"] = ["10.0.0.1"] }
      _ = try resolve(loop, resolver, "a.example")
      zone.withLock { $0.answers["a.example"] = ["10.0.0.2"] }
      resolver.doubt("a.example")
      #expect(try resolve(loop, resolver, "a.example").get() == ["10.0.0.1"])
      time.millis += 1000
      try loop.turn(maxWaitMillis: 0)
      resolver.doubt("a.example")
      #expect(try resolve(loop, resolver, "a.example").get() == ["10.0.0.2"])
      resolver.doubt("b.example")
    }
  }

  @Test func aNameServerThatDoesNotAnswerHoldsUpNobodyElseAndItsCallersNotForLong() throws {
    let loop = try EventLoop()
    defer { loop.releaseAll() }
    let gate = Locked(false)
    var limits = Resolver.Limits()
    limits.lookupMillis = 100
    let resolver = try Resolver(loop, limits: limits) { host in
      if host == "slow.example" {
        for _ in 0..<1000 where !gate.withLock({ $0 }) { usleepMillis(5) }
        return .success(.init([.loopbackV6]))
      }
      return .success(.init([.loopbackV4]))
    }
    var slow: Result<[IPAddress], NetError>?
    resolver.resolve("slow.example") { slow = $0 }
    #expect(try resolve(loop, resolver, "fast.example").get() == ["127.0.0.1"])
    #expect(slow == nil)
    #expect(try loop.turn(until: { slow != nil }))
    #expect(throws: NetError.unresolved(host: "slow.example", reason: "no answer within 100 ms")) { try slow?.get() }
    gate.withLock { $0 = true }
    // The late answer is kept for the next caller.
    #expect(try loop.turn(until: { (try? self.resolve(loop, resolver, "slow.example").get()) == ["::1"] }))
  }

  @Test func moreLookupsThanMayRunWaitTheirTurn() throws {
    var limits = Resolver.Limits()
    limits.lookups = 2
    limits.names = 10
    try withZone(limits) { (loop, _, zone, resolver) throws in
      var count = 0
      for index in 0..<40 {
        zone.withLock { $0.answers["n\(index).example"] = ["10.0.0.1"] }
        resolver.resolve("n\(index).example") { _ in count += 1 }
      }
      #expect(try loop.turn(until: { count == 40 }))
      #expect(zone.withLock { $0.counts.count } == 40)
      #expect(loop.timerCount == 0)
    }
  }

  @Test func anAnswersOwnLifeIsKeptWithinReason() throws {
    for (said, lives) in [(5_000, 5_000), (0, 1_000), (86_400_000, 300_000)] as [(UInt64, UInt64)] {
      try withZone { (loop, time, zone, resolver) throws in
        zone.withLock {
          $0.answers["a.example"] = ["10.0.0.1"]
          $0.lifeMillis = said
        }
        _ = try resolve(loop, resolver, "a.example")
        time.millis += lives - 1
        try loop.turn(maxWaitMillis: 0)
        _ = try resolve(loop, resolver, "a.example")
        #expect(zone.withLock { $0.counts["a.example"] } == 1)
        time.millis += 1
        try loop.turn(maxWaitMillis: 0)
        _ = try resolve(loop, resolver, "a.example")
        #expect(try loop.turn(until: { zone.withLock { $0.counts["a.example"] } == 2 }))
      }
    }
  }

  // MARK: - A name server

  @Test func aNameServersAnswersAreReadWithTheirLife() throws {
    let server = try NameServerStub { query in
      switch (query.name, query.type) {
      case ("both.example", 1): return .records([.init(1, 30, [10, 0, 0, 1]), .init(1, 20, [10, 0, 0, 2])])
      case ("both.example", 28): return .records([.init(28, 40, [0x20, 1, 0xd, 0xb8] + [UInt8](repeating: 0, count: 11) + [1])])
      case ("alias.example", 1): return .records([.init(5, 7, [1, 0x61, 0]), .init(1, 60, [10, 0, 0, 3])])
      case ("six.example", 28): return .records([.init(28, 9, [UInt8](repeating: 0, count: 15) + [9])])
      case ("six.example", 1), ("empty.example", _), ("alias.example", 28): return .records([])
      case ("odd.example", _): return .records([.init(1, 5, [1, 2, 3]), .init(28, 5, [1])])
      case ("cut.example", _): return .garbage
      default: return .code(3)
      }
    }
    defer { server.stop() }
    let lookup = Resolver.nameServer(server.address)
    let both = try lookup("both.example").get()
    #expect(both.addresses.map(\.description) == ["10.0.0.1", "10.0.0.2", "2001:db8::1"])
    #expect(both.lifeMillis == 20_000)
    let alias = try lookup("alias.example").get()
    #expect(alias.addresses.map(\.description) == ["10.0.0.3"])
    #expect(alias.lifeMillis == 7_000)
    #expect(try lookup("six.example").get().addresses.map(\.description) == ["::9"])
    for (name, reason) in [
      ("absent.example", "the name does not exist"), ("empty.example", "it has no address"), ("odd.example", "it has no address"),
    ] {
      #expect(throws: NetError.unresolved(host: name, reason: reason)) { try lookup(name).get() }
    }
    // Rubbish, as silence, is no answer.
    #expect(throws: NetError.self) { try lookup("cut.example").get() }
  }

  @Test func theSystemKnowsTheHostsFile() throws {
    // "localhost" itself never reaches the system, so the lookup is asked directly.
    guard case .success(let found) = Resolver.system("localhost") else {
      Issue.record("localhost is not in the hosts file")
      return
    }
    #expect(found.addresses.allSatisfy { $0.isLoopback })
    guard case .failure(let error) = Resolver.system("no-such-name.invalid") else {
      Issue.record("resolved")
      return
    }
    #expect(error.description.hasPrefix("cannot resolve no-such-name.invalid: "))
  }
}
