import HTTP
import Net
import Testing

@Suite struct ResolverTests {
  /// What lookups give, and how often they were asked, by name.
  struct Zone: Sendable {
    var answers: [String: [String]] = [:]
    var counts: [String: Int] = [:]
    var isDown = false
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
        return .success(answers.compactMap { IPAddress($0) })
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
        return .success([.loopbackV6])
      }
      return .success([.loopbackV4])
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

  @Test func theSystemKnowsTheHostsFile() throws {
    // "localhost" itself never reaches the system, so the lookup is asked directly.
    guard case .success(let addresses) = Resolver.system("localhost") else {
      Issue.record("localhost is not in the hosts file")
      return
    }
    #expect(addresses.allSatisfy { $0.isLoopback })
    guard case .failure(let error) = Resolver.system("no-such-name.invalid") else {
      Issue.record("resolved")
      return
    }
    #expect(error.description.hasPrefix("cannot resolve no-such-name.invalid: "))
  }
}
