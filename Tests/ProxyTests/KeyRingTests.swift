import Foundation
import HTTP
import JOSE
import Net
import Testing

@testable import Pipeline
@testable import Proxy

@Suite struct KeyRingTests {
  @Test func anUnknownKeyIsAskedForAtOnceAfterAQuietTimeAndThenOnceAnInterval() throws {
    let bench = try KeyBench()
    var body = KeyBench.set("old")
    let url = try bench.provider { _ in KeyBench.response(body) }
    try bench.start([url], "jwks: { min_interval: '300ms' }")
    try bench.wait(for: 1)
    #expect(bench.kids() == ["old"])
    try bench.turn("a quiet time") { bench.loop.now >= 0 && bench.ageMillis > 320 }

    // After a quiet time at once.
    body = KeyBench.set("old", "new")
    let wantedAt = LoopClock.monotonicNanos()
    bench.ring?.want(0)
    try bench.wait(for: 2)
    #expect(bench.kids() == ["old", "new"])
    #expect((bench.known()?.askedAt ?? 0) >= wantedAt)
    #expect(LoopClock.monotonicNanos() - wantedAt < 200_000_000, "not a moment of it was waiting for a turn")

    // Then a thousand wishes are one fetch, when its time has come, and nobody is told anything before.
    let before = bench.asked[0]
    for _ in 1...1000 { bench.ring?.want(0) }
    #expect(bench.told[0].count == 2)
    try bench.wait(for: 3)
    #expect(bench.asked[0] == before + 1)
    let interval = (bench.known()?.askedAt ?? 0) - wantedAt
    #expect(interval >= 290_000_000 && interval < 1_000_000_000)
  }

  @Test func madeUpNamesOfKeysAreNoFlood() throws {
    let bench = try KeyBench()
    let body = KeyBench.set("a")
    let url = try bench.provider { _ in KeyBench.response(body) }
    try bench.start([url], "jwks: { min_interval: '100ms' }")
    try bench.wait(for: 1)
    let began = LoopClock.monotonicNanos()
    var wishes = 0
    try bench.turn("a second") {
      bench.ring?.want(0)
      wishes += 1
      return LoopClock.monotonicNanos() - began > 1_000_000_000
    }
    #expect(wishes > 20 && bench.asked[0] <= 12, "\(bench.asked[0]) fetches in a second for \(wishes) wishes")
  }

  @Test func theIssuersOwnFreshnessCountsWithinBounds() throws {
    let bench = try KeyBench()
    let body = KeyBench.set("a")
    let url = try bench.provider { _ in KeyBench.response(body, cacheControl: "max-age=0") }
    // A second is the bound that the operator sets; a minute is the shortest life that is believed without one.
    try bench.start([url], "jwks: { refresh: '1s' }")
    try bench.wait(for: 1)
    let first = bench.known()?.askedAt ?? 0
    try bench.wait(for: 2)
    let life = (bench.known()?.askedAt ?? 0) - first
    #expect(life >= 790_000_000 && life < 1_000_000_000, "renewed before they were due, not at once: \(life) ns")
  }

  @Test func keysAreFreshForAMinuteAtLeastWhateverTheirIssuerSays() throws {
    var freshness = KeyFreshness()
    for (said, life) in [(0, 60), (59, 60), (60, 60), (600, 600), (3600, 3600), (86_400, 3600), (nil, 3600)] as [(Int64?, Int64)] {
      #expect(freshness.life(said: said) == life, "\(said ?? -1)")
    }
    // What the operator sets is shorter than either.
    freshness.refreshSeconds = 10
    #expect(freshness.life(said: 0) == 10 && freshness.life(said: nil) == 10 && freshness.life(said: 100) == 10)

    let bench = try KeyBench()
    let body = KeyBench.set("a")
    let url = try bench.provider { _ in KeyBench.response(body, cacheControl: "max-age=0") }
    try bench.start([url], "jwks: { min_interval: '100ms' }")
    try bench.wait(for: 1)
    try bench.turn("some seconds") { bench.ageMillis > 1500 }
    #expect(bench.asked[0] == 1)
  }

  @Test func theLastGoodKeysServeThroughEveryKindOfFailure() throws {
    let bench = try KeyBench()
    let body = KeyBench.set("good")
    var answer: HTTPServer.Response? = KeyBench.response(body)
    let url = try bench.provider { _ in answer }
    try bench.start([url], "jwks: { min_interval: '100ms' }")
    try bench.wait(for: 1)
    #expect(bench.known()?.isStale == false)
    var moved = KeyBench.response([], .found)
    moved.fields.append("Location", url)
    let failures = [
      KeyBench.response(Array("<html>Service Unavailable</html>".utf8)), KeyBench.response(Array(#"{"keys": []}"#.utf8)),
      KeyBench.response(Array(body.dropLast(5))), KeyBench.response(body, .internalServerError), moved,
      KeyBench.response([UInt8](repeating: 0x20, count: 2 << 20)), KeyBench.response([]),
      KeyBench.response(Array(#"{"stockade_development": true, "#.utf8) + body.dropFirst()),
    ]
    for (index, failure) in failures.enumerated() {
      answer = failure
      let count = bench.told[0].count
      bench.ring?.want(0)
      try bench.wait(for: count + 1)
      #expect(bench.kids() == ["good"], "failure \(index)")
      #expect(bench.known()?.isStale == true, "failure \(index)")
      #expect((bench.known()?.failedAt ?? 0) > (bench.known()?.askedAt ?? 0))
    }
    answer = KeyBench.response(body)
    let count = bench.told[0].count
    bench.ring?.want(0)
    try bench.wait(for: count + 1)
    #expect(bench.known()?.isStale == false)
  }

  @Test func anIssuerInTroubleHarmsNoOther() throws {
    let bench = try KeyBench()
    let body = KeyBench.set("a")
    let good = try bench.provider { _ in KeyBench.response(body) }
    let silent = try bench.provider { _ in nil }
    let huge = try bench.provider { _ in KeyBench.response([UInt8](repeating: 0x7b, count: 4 << 20)) }
    let page = try bench.provider { _ in KeyBench.response(Array("<!doctype html>".utf8)) }
    // Port 9 refuses; the last one is where clouds keep their credentials.
    try bench.start([silent, huge, page, "http://127.0.0.1:9/", "https://169.254.169.254/keys", good], "jwks: { min_interval: '100ms' }")
    try bench.wait(for: 1, of: 5)
    #expect(bench.kids(of: 5) == ["a"])
    for index in 1...4 {
      try bench.wait(for: 1, of: index)
      guard case .unavailable = bench.told[index].first else {
        Issue.record("issuer \(index) has keys")
        continue
      }
    }
    #expect(bench.told[0].isEmpty, "the silent one is still waited for")
    if case .unavailable(let why) = bench.told[4].first { #expect(why.contains("link-local"), "\(why)") }
  }

  @Test func oneBrokenKeySpoilsNoOther() throws {
    let bench = try KeyBench()
    let good = String(decoding: KeyBench.set("good"), as: UTF8.self)
    let body = good.replacingOccurrences(of: #""keys":["#, with: #""keys":[{"kty":"RSA","kid":"broken","n":"AQAB","e":"AQ"},7,"#)
    let url = try bench.provider { _ in KeyBench.response(Array(body.utf8)) }
    try bench.start([url])
    try bench.wait(for: 1)
    #expect(bench.kids() == ["good"])
    #expect(bench.known()?.set.problems.count == 2)
  }

  @Test func aRestartDuringAnOutageServesWhatWasKept() throws {
    try KeyBench.withFolder { folder in
      let bench = try KeyBench()
      let body = KeyBench.set("kept")
      var answer: HTTPServer.Response? = KeyBench.response(body)
      let url = try bench.provider { _ in answer }
      try bench.start([url], folder: folder)
      try bench.wait(for: 1)
      let files = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(files.count == 1)
      let attributes = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(files.first ?? "")")
      #expect(attributes[.posixPermissions] as? Int == 0o600)

      // Another process: nothing is handed over but the folder.
      answer = KeyBench.response([], .serviceUnavailable)
      try bench.start([url], folder: folder)
      #expect(bench.ring?.problem(of: 0) == nil, "ready at once")
      guard case .known(let known) = bench.ring?.known.first else {
        Issue.record("nothing was recalled")
        return
      }
      #expect(known.set.keys.map(\.kid) == ["kept"] && known.isStale && known.askedAt == 0)
      try bench.wait(for: 1)
      #expect(bench.kids() == ["kept"] && bench.known()?.isStale == true)

      // Once the issuer is back, they are like any others.
      answer = KeyBench.response(body)
      try bench.wait(for: 2)
      #expect(bench.known()?.isStale == false)
    }
  }

  @Test func keysThatWereKeptTooLongServeNoMore() throws {
    try KeyBench.withFolder { folder in
      let bench = try KeyBench()
      let url = try bench.provider { _ in KeyBench.response([], .serviceUnavailable) }
      let source = KeySource.jwks(url: url)
      let body = KeyBench.set("kept")
      _ = KeySnapshots(folder: folder).write(.init(body: body, fetchedAt: bench.loop.wallSeconds - 100), of: source)
      try bench.start([url], "jwks: { refresh: '10s', max_stale: '80s' }", folder: folder)
      #expect(bench.ring?.problem(of: 0) != nil)
      guard case .unavailable = bench.ring?.known.first else {
        Issue.record("they serve")
        return
      }
      try bench.start([url], "jwks: { refresh: '10s', max_stale: '100s' }", folder: folder)
      #expect(bench.ring?.problem(of: 0) == nil)
    }
  }

  @Test func anotherRingTakesOverWhatIsKnownAndDoesNotAskAgain() throws {
    let bench = try KeyBench()
    let body = KeyBench.set("a")
    let url = try bench.provider { _ in KeyBench.response(body) }
    try bench.start([url])
    try bench.wait(for: 1)
    let asked = bench.asked[0]
    try bench.start([url], after: bench.ring)
    #expect(bench.ring?.problem(of: 0) == nil)
    // The interval goes on as well: a reload is no way around it.
    bench.ring?.want(0)
    try bench.turn("a while") { bench.ageMillis > 300 }
    #expect(bench.asked[0] == asked)
  }
}

extension KeyBench {
  /// How long ago the set that was told last was asked for, in milliseconds.
  var ageMillis: UInt64 { (LoopClock.monotonicNanos() - lastAskedAt) / 1_000_000 }

  private var lastAskedAt: UInt64 {
    if let known = known() { return known.askedAt }
    if case .known(let known) = ring?.known.first { return known.askedAt }
    return LoopClock.monotonicNanos()
  }
}
