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

  private final class Node {
    let bytes: [UInt8]
    let expiresAt: Int64
    let generation: Generation
    let entry: Entry
    var lastUse: UInt64

    init(_ token: VerifiedToken, entry: Entry, generation: Generation, lastUse: UInt64) {
      bytes = token.bytes.exposed
      expiresAt = token.expiresAt
      self.generation = generation
      self.entry = entry
      self.lastUse = lastUse
    }
  }

  /// Places that a token may be at: eight hashes lie in one or two cache lines.
  private static var probes: Int { 8 }
  /// The hash of a free place; no token has it.
  private static var free: UInt64 { 0 }

  private let seed: (UInt64, UInt64)
  private let mask: Int
  private let countLimit: Int
  private let byteLimit: Int
  private var hashes: ContiguousArray<UInt64>
  private var nodes: ContiguousArray<Node?>
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
    hashes = ContiguousArray(repeating: Self.free, count: size)
    nodes = ContiguousArray(repeating: nil, count: size)
  }

  /// The entry of exactly this token, if it has not expired (`now` in seconds since 1970, no leeway: in the seconds after `exp` that
  /// clock skew allows, the token is verified anew) and was made under the present snapshot and the present keys of its issuer.
  public func entry(for token: UnsafeRawBufferPointer, now: Int64, snapshot: UInt64, keys: (Int) -> UInt64) -> Entry? {
    let hash = hash(token)
    for probe in 0..<Self.probes {
      let index = (Int(truncatingIfNeeded: hash) &+ probe) & mask
      guard hashes[index] == hash, let node = nodes[index], Self.equal(node.bytes, token) else { continue }
      guard now < node.expiresAt, node.generation.snapshot == snapshot, node.generation.keys == keys(node.generation.issuer) else {
        remove(index)
        return nil
      }
      uses &+= 1
      node.lastUse = uses
      return node.entry
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
      guard let node = nodes[index] else {
        if best > 0 { (place, best) = (index, 0) }
        continue
      }
      if hashes[index] == hash, node.bytes == bytes {
        place = index
        break
      }
      let rank = node.expiresAt <= now || node.generation.snapshot != generation.snapshot ? 0 : node.lastUse
      if rank < best { (place, best) = (index, rank) }
    }
    remove(place)
    uses &+= 1
    hashes[place] = hash
    nodes[place] = Node(token, entry: entry, generation: generation, lastUse: uses)
    count += 1
    byteCount += bytes.count
    shrink(keeping: place)
  }

  /// Forgets everything.
  public func removeAll() {
    for index in nodes.indices { remove(index) }
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
    guard let node = nodes[index] else { return }
    count -= 1
    byteCount -= node.bytes.count
    hashes[index] = Self.free
    nodes[index] = nil
  }

  /// Whether all bytes agree. How soon it ends tells nothing: whoever gets here has sent the end of a valid token.
  private static func equal(_ held: [UInt8], _ token: UnsafeRawBufferPointer) -> Bool {
    guard held.count == token.count else { return false }
    return held.withUnsafeBytes { held in
      var at = 0
      while at &+ 64 <= held.count {
        var difference = SIMD16<UInt8>()
        for block in 0..<4 {
          difference |=
            held.loadUnaligned(fromByteOffset: at &+ block &* 16, as: SIMD16<UInt8>.self)
            ^ token.loadUnaligned(fromByteOffset: at &+ block &* 16, as: SIMD16<UInt8>.self)
        }
        let words = unsafeBitCast(difference, to: SIMD2<UInt64>.self)
        guard words[0] | words[1] == 0 else { return false }
        at &+= 64
      }
      while at < held.count {
        guard held[at] == token[at] else { return false }
        at += 1
      }
      return true
    }
  }

  /// A keyed hash of the last 64 bytes and the length, never that of a free place. The end of a token is its signature, as good as
  /// random; a shorter token is hashed whole.
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
    let hash = Self.mix(state ^ rest.0, seed.1 ^ rest.1)
    return hash == Self.free ? 1 : hash
  }

  private static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    return product.high ^ product.low
  }
}
