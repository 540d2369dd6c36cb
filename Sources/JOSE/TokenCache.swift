internal import Bytes

/// Tokens that were verified a moment ago, so that a hot token costs a comparison and not a signature.
///
/// One for each event loop; it has no lock and is not sent. What enters is a `VerifiedToken`, so nothing that a stranger sends can
/// push anything out. A hit is a comparison of every byte: the hash only says where to look, and its key keeps senders from
/// choosing the place.
public final class TokenCache<Entry> {
  /// What a result depends on beside the token. When one of them changes, the entry is dead.
  public struct Generation: Sendable, Equatable {
    /// The configuration and policies the entry was made under.
    public var snapshot: UInt64
    /// Which issuer's keys signed it, by the caller's numbering.
    public var issuer: Int
    /// The generation of that issuer's keys.
    public var keys: UInt64

    /// A generation.
    public init(snapshot: UInt64, issuer: Int, keys: UInt64) {
      self.snapshot = snapshot
      self.issuer = issuer
      self.keys = keys
    }
  }

  private struct Slot {
    var hash: UInt64
    var bytes: [UInt8]
    var expiresAt: Int64
    var generation: Generation
    var lastUse: UInt64
    var entry: Entry
  }

  /// Places that a token may be at.
  private static var probes: Int { 8 }

  private let seed: (UInt64, UInt64)
  private let mask: Int
  private let countLimit: Int
  private let byteLimit: Int
  private var slots: ContiguousArray<Slot?>
  private var uses: UInt64 = 0
  private var hand = 0

  /// How many tokens it holds.
  public private(set) var count = 0
  /// How many bytes of tokens it holds.
  public private(set) var byteCount = 0

  /// An empty cache. `key` is random and the process's own; the limits bound the number of tokens and their bytes together.
  public init(key: (UInt64, UInt64), countLimit: Int = 4096, byteLimit: Int = 8 << 20) {
    seed = key
    self.countLimit = max(countLimit, 1)
    self.byteLimit = max(byteLimit, 0)
    var size = Self.probes
    while size < min(self.countLimit, 1 << 20) * 2 { size *= 2 }
    mask = size - 1
    slots = ContiguousArray(repeating: nil, count: size)
  }

  /// The entry of exactly this token, if it has not expired (`now` in seconds since 1970, no leeway: in the seconds after `exp` that
  /// clock skew allows, the token is verified anew) and was made under the present snapshot and the present keys of its issuer.
  public func entry(for token: UnsafeRawBufferPointer, now: Int64, snapshot: UInt64, keys: (Int) -> UInt64) -> Entry? {
    let hash = hash(token)
    for probe in 0..<Self.probes {
      let index = (Int(truncatingIfNeeded: hash) &+ probe) & mask
      guard slots[index]?.hash == hash, matches(index, token) else { continue }
      guard let slot = slots[index], now < slot.expiresAt, slot.generation.snapshot == snapshot,
        slot.generation.keys == keys(slot.generation.issuer)
      else {
        remove(index)
        return nil
      }
      uses &+= 1
      slots[index]?.lastUse = uses
      return slot.entry
    }
    return nil
  }

  /// Remembers what a verified token led to. Of the eight places that the token may have it takes a free or dead one, else the one
  /// that was longest unused.
  public func insert(_ token: VerifiedToken, entry: Entry, generation: Generation, now: Int64) {
    let bytes = token.bytes.exposed
    guard now < token.expiresAt, bytes.count <= byteLimit else { return }
    let hash = bytes.withUnsafeBytes { self.hash($0) }
    var place = Int(truncatingIfNeeded: hash) & mask
    var best = UInt64.max
    for probe in 0..<Self.probes {
      let index = (Int(truncatingIfNeeded: hash) &+ probe) & mask
      guard let slot = slots[index] else {
        if best > 0 { (place, best) = (index, 0) }
        continue
      }
      if slot.hash == hash, slot.bytes == bytes {
        (place, best) = (index, 0)
        break
      }
      let rank = slot.expiresAt <= now || slot.generation.snapshot != generation.snapshot ? 0 : slot.lastUse
      if rank < best { (place, best) = (index, rank) }
    }
    remove(place)
    uses &+= 1
    slots[place] = Slot(
      hash: hash, bytes: bytes, expiresAt: token.expiresAt, generation: generation, lastUse: uses, entry: entry)
    count += 1
    byteCount += bytes.count
    shrink(keeping: place)
  }

  /// Forgets everything.
  public func removeAll() {
    for index in slots.indices { slots[index] = nil }
    count = 0
    byteCount = 0
  }

  /// Walks on around the table and drops what it meets until the limits hold.
  private func shrink(keeping place: Int) {
    var steps = 0
    while count > countLimit || byteCount > byteLimit, steps <= mask {
      hand = (hand &+ 1) & mask
      if hand != place { remove(hand) }
      steps += 1
    }
  }

  private func remove(_ index: Int) {
    guard let slot = slots[index] else { return }
    count -= 1
    byteCount -= slot.bytes.count
    slots[index] = nil
  }

  private func matches(_ index: Int, _ token: UnsafeRawBufferPointer) -> Bool {
    guard let bytes = slots[index]?.bytes, bytes.count == token.count else { return false }
    return bytes.withUnsafeBytes { $0.elementsEqual(token) }
  }

  /// A keyed hash of the last 64 bytes and the length. The end of a token is its signature, as good as random; a shorter token is
  /// hashed whole.
  private func hash(_ token: UnsafeRawBufferPointer) -> UInt64 {
    var state = seed.0 ^ UInt64(truncatingIfNeeded: token.count)
    var at = max(token.count - 64, 0)
    while at + 16 <= token.count {
      let a = token.loadUnaligned(fromByteOffset: at, as: UInt64.self)
      let b = token.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self)
      state = Self.mix(state ^ a, seed.1 ^ b)
      at += 16
    }
    var rest: (UInt64, UInt64) = (0, 0)
    while at < token.count {
      rest = (rest.0 << 8 | rest.1 >> 56, rest.1 << 8 | UInt64(token[at]))
      at += 1
    }
    return Self.mix(state ^ rest.0, seed.1 ^ rest.1)
  }

  private static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    return product.high ^ product.low
  }
}
