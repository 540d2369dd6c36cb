internal import Bytes
internal import Crypto

/// Remembers which proofs were used, for as long as they could be used again (RFC 9449 §11.1).
///
/// One for the whole process, under the caller's lock: a proof that one worker has seen must not pass at another. Bounded; when more
/// proofs are fresh than it may hold, it refuses the next one and forgets none.
public struct DPoPReplayGuard: Sendable {
  private struct Key: Hashable {
    let high: UInt64
    let low: UInt64
  }

  private let limit: Int
  // Two generations: when the younger has lasted a whole window, the older holds nothing that could be used again.
  private var younger: Set<Key> = []
  private var older: Set<Key> = []
  private var turnedAt: Int64 = .min

  /// A guard for at most `limit` proofs in each of two windows.
  public init(limit: Int = 100_000) { self.limit = max(limit, 1) }

  /// How many proofs it remembers.
  public var count: Int { younger.count + older.count }

  /// Notes a proof that passed every other check. `window` is how long a proof is acceptable in all: its greatest age and the clock
  /// skew together, in seconds.
  public mutating func admit(_ proof: DPoPProof, now: Int64, window: Int64 = 120) throws(DPoPError) {
    turn(now, window)
    let key = Self.key(of: proof)
    guard !younger.contains(key), !older.contains(key) else { throw .replayed }
    guard younger.count < limit else { throw .overloaded }
    younger.insert(key)
  }

  private mutating func turn(_ now: Int64, _ window: Int64) {
    let (age, overflow) = now.subtractingReportingOverflow(turnedAt)
    // A clock that was set back proves nothing about age, so nothing is forgotten for it.
    guard overflow || age > window else { return }
    older = overflow || age > 2 * window ? [] : younger
    younger = []
    turnedAt = now
  }

  /// 128 bits of SHA-256 over key and jti: two clients may use one jti, and nobody finds two proofs of one digest.
  private static func key(of proof: DPoPProof) -> Key {
    let digest = Digest.sha256(proof.thumbprint + proof.jti.utf8)
    func word(_ start: Int) -> UInt64 { digest[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) } }
    return Key(high: word(0), low: word(8))
  }
}
