internal import Pipeline

/// What is known of one address of a service: whether requests should go there.
struct Standing {
  private var failures = 0
  private var ejections = 0
  private var ejectedUntil: UInt64 = 0
  /// Whether its health check has failed.
  var isDown = false

  /// Whether others are preferred.
  func isOut(at now: UInt64) -> Bool { isDown || isEjected(at: now) }

  /// Whether it is left out because requests failed there.
  func isEjected(at now: UInt64) -> Bool { now < ejectedUntil }

  /// A request was answered there, in whatever way.
  mutating func answered(at now: UInt64) {
    failures = 0
    // Well a while after it came back: what was is forgotten.
    if ejections > 0, now >= ejectedUntil + Self.forgetMillis { ejections = 0 }
  }

  /// A request got no answer there.
  ///
  /// - Returns: whether it has failed so often that it should be left out for a while.
  mutating func failed(at now: UInt64, _ rule: UpstreamSettings.Ejection) -> Bool {
    failures += 1
    return rule.failures > 0 && failures >= rule.failures && !isEjected(at: now)
  }

  /// Leaves it out: for twice as long as the time before.
  mutating func eject(at now: UInt64, _ rule: UpstreamSettings.Ejection) {
    failures = 0
    ejectedUntil = now + rule.millis << UInt64(min(ejections, Self.doublings))
    ejections += 1
  }

  private static let doublings = 5
  private static let forgetMillis: UInt64 = 10_000
}

extension UpstreamSettings.Ejection {
  /// How many of so many addresses may be left out at one time: never all of them.
  func most(of addresses: Int) -> Int { min(addresses * percent / 100, addresses - 1) }
}
