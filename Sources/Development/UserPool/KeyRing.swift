internal import Bytes
internal import Crypto
internal import JOSE
internal import JSON
internal import Net

/// The signing keys of the development issuer. They live in memory, and a restart makes new ones.
///
/// Like Cognito it has two RS256 keys, one for each kind of token. Keys of other algorithms are made when first asked for. After a
/// rotation the old public keys stay in the set until the next one, unless they are retired at once.
struct KeyRing: Sendable {
  private struct Role: Hashable {
    let use: TokenUse
    let algorithm: JWSAlgorithm
  }

  private var current: [Role: JWSSigner] = [:]
  // In the order they were made, for a set that does not change from one answer to the next.
  private var published: [JWSSigner] = []
  private var former: [JWSSigner] = []
  private var strays: [JWSAlgorithm: JWSSigner] = [:]

  init() throws(KeyError) {
    let pair = try Self.generateRSAPair()
    for (use, key) in [(TokenUse.access, pair.0), (.id, pair.1)] {
      let signer = JWSSigner(kid: Self.freshKid(), algorithm: .rs256, key: key)
      current[Role(use: use, algorithm: .rs256)] = signer
      published.append(signer)
    }
  }

  /// The key that signs now; the first use of an algorithm makes one.
  mutating func key(for use: TokenUse, _ algorithm: JWSAlgorithm) throws(KeyError) -> JWSSigner {
    let role = Role(use: use, algorithm: algorithm)
    if let key = current[role] { return key }
    let key = JWSSigner(kid: Self.freshKid(), algorithm: algorithm, key: try Self.generate(algorithm))
    current[role] = key
    published.append(key)
    return key
  }

  /// Replaces every key. The old ones stay in the set until the next rotation, or leave it now.
  mutating func rotate(retiring: Bool) throws(KeyError) {
    let roles = published.compactMap { key in current.first { $0.value.kid == key.kid }?.key }
    former = retiring ? [] : published
    published = []
    current = [:]
    for role in roles { _ = try key(for: role.use, role.algorithm) }
  }

  /// A key that is in no set, for tokens that nobody should accept.
  mutating func stray(_ algorithm: JWSAlgorithm) throws(KeyError) -> JWSSigner {
    if let key = strays[algorithm] { return key }
    let key = JWSSigner(kid: Self.freshKid(), algorithm: algorithm, key: try Self.generate(algorithm))
    strays[algorithm] = key
    return key
  }

  /// The public keys, RFC 7517. The member `stockade_development` lets a proxy recognize keys that anyone can have used.
  var document: JSONValue {
    .object(["keys": .array((published + former).map(\.publicJWK)), JWKSet.developmentMember: .bool(true)])
  }

  /// Two RSA keys, made side by side: they are what the start of the demo takes its time for.
  private static func generateRSAPair() throws(KeyError) -> (PrivateKey, PrivateKey) {
    let other = Locked<Result<PrivateKey, KeyError>?>(nil)
    let thread: RunningThread?
    do throws(NetError) {
      thread = try startThread(name: "development-key") {
        let made = Result { () throws(KeyError) in try PrivateKey.generateRSA() }
        other.withLock { $0 = made }
      }
    } catch {
      thread = nil
    }
    let first = Result { () throws(KeyError) in try PrivateKey.generateRSA() }
    thread?.join()
    guard let second = other.withLock({ $0 }) else { return (try first.get(), try PrivateKey.generateRSA()) }
    return (try first.get(), try second.get())
  }

  private static func generate(_ algorithm: JWSAlgorithm) throws(KeyError) -> PrivateKey {
    switch algorithm.signature {
    case .rsaPKCS1, .rsaPSS: try PrivateKey.generateRSA()
    case .ecdsa(let curve): try PrivateKey.generateEC(curve)
    case .ed25519: try PrivateKey.generateEd25519()
    }
  }

  /// Cognito's kids are base64 of 32 bytes, `=` at the end included.
  private static func freshKid() -> String { Base64URL.encode(RandomBytes.make(32)) + "=" }
}
