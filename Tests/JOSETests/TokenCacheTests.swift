import Bytes
import Crypto
import JSON
import Testing

@testable import JOSE

struct TokenCacheTests {
  typealias Cache = TokenCache<String>
  static let generation = Cache.Generation(snapshot: 1, issuer: 0, keys: 1)

  private func verified(_ subject: String, expiresIn: Int64 = 3600) throws -> VerifiedToken {
    let token = try TokenForge.token(.edDSA, claims: ["sub": .string(subject), "exp": .integer(TokenForge.now + expiresIn)])
    let keys = try TokenForge.set([TokenForge.jwk(TokenForge.key(.edDSA))])
    return try TokenForge.verdict(token, keys: keys).get()
  }

  private func look(_ cache: Cache, _ bytes: [UInt8], now: Int64 = TokenForge.now, snapshot: UInt64 = 1, keys: UInt64 = 1) -> String? {
    bytes.withUnsafeBytes { cache.entry(for: $0, now: now, snapshot: snapshot, keys: { _ in keys }) }
  }

  @Test("a verified token is found by all its bytes and by no others")
  func hit() throws {
    let cache = Cache(key: (1, 2))
    let token = try verified("alice")
    let bytes = token.bytes.exposed
    #expect(look(cache, bytes) == nil)
    cache.insert(token, entry: "alice", generation: Self.generation, now: TokenForge.now)
    #expect(look(cache, bytes) == "alice")
    for index in bytes.indices {
      var changed = bytes
      changed[index] ^= 1
      #expect(look(cache, changed) == nil, "byte \(index)")
    }
    #expect(look(cache, Array(bytes.dropFirst())) == nil)
    #expect(look(cache, bytes + [0]) == nil)
    #expect(look(cache, []) == nil)
    #expect(look(cache, bytes) == "alice")
  }

  @Test("an entry ends with exp, without leeway, and does not enter after it")
  func expiry() throws {
    let cache = Cache(key: (1, 2))
    let token = try verified("alice", expiresIn: 10)
    cache.insert(token, entry: "alice", generation: Self.generation, now: TokenForge.now)
    #expect(look(cache, token.bytes.exposed, now: TokenForge.now + 9) == "alice")
    #expect(look(cache, token.bytes.exposed, now: TokenForge.now + 10) == nil)
    #expect(cache.count == 0)
    cache.insert(token, entry: "alice", generation: Self.generation, now: TokenForge.now + 10)
    #expect(cache.count == 0)
  }

  @Test("a new snapshot or new keys of the issuer make an entry dead at once")
  func generations() throws {
    for (snapshot, keys) in [(2, 1), (1, 2), (0, 1)] as [(UInt64, UInt64)] {
      let cache = Cache(key: (1, 2))
      let token = try verified("alice")
      cache.insert(token, entry: "alice", generation: Self.generation, now: TokenForge.now)
      #expect(look(cache, token.bytes.exposed, snapshot: snapshot, keys: keys) == nil)
      #expect(look(cache, token.bytes.exposed) == nil, "the dead entry is gone")
    }
  }

  @Test("the same token entered again replaces its entry")
  func replacement() throws {
    let cache = Cache(key: (1, 2))
    let token = try verified("alice")
    cache.insert(token, entry: "old", generation: Self.generation, now: TokenForge.now)
    cache.insert(token, entry: "new", generation: .init(snapshot: 2, issuer: 0, keys: 1), now: TokenForge.now)
    #expect(cache.count == 1)
    #expect(cache.byteCount == token.bytes.exposed.count)
    #expect(look(cache, token.bytes.exposed, snapshot: 2) == "new")
  }

  @Test("count and bytes stay within their limits, and what was used last survives")
  func limits() throws {
    let tokens = try (0..<60).map { try verified("user\($0)") }
    let size = tokens.map(\.bytes.exposed.count).max() ?? 0
    for (countLimit, byteLimit) in [(8, 1 << 20), (1000, size * 10), (1, 1 << 20)] {
      let cache = Cache(key: (3, 4), countLimit: countLimit, byteLimit: byteLimit)
      for token in tokens {
        cache.insert(token, entry: token.subject, generation: Self.generation, now: TokenForge.now)
        #expect(cache.count <= countLimit)
        #expect(cache.byteCount <= byteLimit)
        #expect(look(cache, token.bytes.exposed) == token.subject)
      }
      let held = tokens.filter { look(cache, $0.bytes.exposed) != nil }
      #expect(held.count == cache.count)
      #expect(held.map(\.bytes.exposed.count).reduce(0, +) == cache.byteCount)
      cache.removeAll()
      #expect(cache.count == 0 && cache.byteCount == 0)
    }
  }

  @Test("a cache without room for bytes holds nothing")
  func noRoom() throws {
    let cache = Cache(key: (3, 4), countLimit: 10, byteLimit: 0)
    cache.insert(try verified("alice"), entry: "alice", generation: Self.generation, now: TokenForge.now)
    #expect(cache.count == 0)
  }
}
