/// Whether a client keeps up with a body: it may be slower than a rate for so long, counted only while it is waited for.
///
/// Kept as the time that it may still take. Waiting uses it up, and each byte brings some back, never more than there was at first: so
/// a fast beginning is no licence for a slow end.
struct Pace {
  private let rate: UInt64
  private let grace: UInt64
  private var credit: UInt64
  private var waitsSince: UInt64?

  /// - Parameters:
  ///   - rate: bytes a second; 0 for no bound.
  ///   - graceMillis: how long it may be slower.
  init(rate: UInt64, graceMillis: UInt64) {
    self.rate = rate
    grace = graceMillis
    credit = graceMillis
  }

  /// The client is waited for; twice is once.
  mutating func wait(at now: UInt64) { if waitsSince == nil { waitsSince = now } }

  /// So many bytes came by. If it is waited for, it is so from now on.
  mutating func moved(_ bytes: Int, at now: UInt64) {
    guard rate > 0 else { return }
    settle(at: now)
    // In two steps, so that no number of bytes overflows: more than it could use counts as that much.
    let useful = min(UInt64(clamping: bytes), (grace / 1000 + 1) * rate)
    credit = min(grace, credit + useful * 1000 / rate)
  }

  /// It is not waited for.
  mutating func rest(at now: UInt64) {
    settle(at: now)
    waitsSince = nil
  }

  /// How many milliseconds it may still be waited for.
  func left(at now: UInt64) -> UInt64 {
    guard rate > 0 else { return .max }
    guard let waitsSince else { return credit }
    return credit > now - waitsSince ? credit - (now - waitsSince) : 0
  }

  private mutating func settle(at now: UInt64) {
    guard waitsSince != nil else { return }
    credit = rate > 0 ? left(at: now) : credit
    waitsSince = now
  }
}
