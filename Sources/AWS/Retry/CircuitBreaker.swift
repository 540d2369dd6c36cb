/// Stops asking a service that does not answer, and tries from time to time whether it does again.
public struct CircuitBreaker: Sendable {
  private var failures = 0
  private var opensAgainAt: UInt64?
  private var pauseMillis = shortestMillis
  private var isTrying = false

  /// A closed breaker.
  public init() {}

  /// Whether a question may be asked now; after a pause one may, by which the others are judged.
  public mutating func allows(at now: UInt64) -> Bool {
    guard let opensAgainAt else { return true }
    guard now >= opensAgainAt, !isTrying else { return false }
    isTrying = true
    return true
  }

  /// The service answered.
  public mutating func succeeded() {
    self = CircuitBreaker()
  }

  /// It did not.
  public mutating func failed(at now: UInt64) {
    failures += 1
    if isTrying {
      isTrying = false
      pauseMillis = min(pauseMillis * 2, Self.longestMillis)
    } else if opensAgainAt != nil || failures < Self.mostFailures {
      return
    }
    opensAgainAt = now + pauseMillis
  }

  // So many failures in a row are no accident.
  private static let mostFailures = 10
  private static let shortestMillis: UInt64 = 500
  private static let longestMillis: UInt64 = 10_000
}
