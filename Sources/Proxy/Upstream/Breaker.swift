internal import Pipeline

/// The circuit breaker of a service (one a worker): after so many requests in a row that got no answer from any address, none is
/// sent for a while. Then one is let through in each such time, and the first answer closes it.
///
/// A request that is let through may never end, because its client goes: so it is not waited for, and the next one is let through when
/// the time is over again.
final class Breaker {
  private let rule: UpstreamSettings.Breaker
  private var failures = 0
  private var openUntil: UInt64 = 0
  /// Whether requests are held back.
  private(set) var isOpen = false

  init(_ rule: UpstreamSettings.Breaker) { self.rule = rule }

  /// Whether a request may be sent.
  func admits(at now: UInt64) -> Bool {
    guard isOpen else { return true }
    guard now >= openUntil else { return false }
    openUntil = now + rule.openMillis
    return true
  }

  /// How many seconds it may be until a request is let through, rounded up.
  func secondsLeft(at now: UInt64) -> UInt64 { openUntil > now ? (openUntil - now + 999) / 1000 : 1 }

  /// A request was answered, in whatever way.
  func answered() {
    failures = 0
    isOpen = false
  }

  /// A request got no answer. Says whether that has opened it.
  @discardableResult func failed(at now: UInt64) -> Bool {
    failures += 1
    guard rule.failures > 0, failures >= rule.failures else { return false }
    let opens = !isOpen
    isOpen = true
    openUntil = now + rule.openMillis
    return opens
  }
}
