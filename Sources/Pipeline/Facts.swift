internal import AWS
internal import Bytes
internal import Cedar
public import Crypto
internal import HTTP
public import JOSE

/// What a worker knows beside the snapshot: the keys of the issuers as last fetched, and the tokens it has verified.
///
/// One a worker, not shared. The page only reads it; that a token verified once is found again changes no answer.
public final class Facts {
  /// The keys of each issuer, in the order of the snapshot's table.
  public private(set) var keys: [IssuerKeys]
  /// This thread's signature contexts.
  public let verifier = SignatureVerifier()
  /// This thread's memory for evaluating policies.
  let evaluation = Evaluation()
  private let tokens: TokenCache<Identity>
  private var decisions = DecisionMemo()
  /// How often another engine's answer was found remembered; for the metrics.
  public private(set) var decisionHits = 0
  /// How often a token was found verified, and how often not; for the metrics.
  public private(set) var cacheHits = 0
  /// How often a token was not found.
  public private(set) var cacheMisses = 0

  /// Nothing known yet of a number of issuers.
  public init(issuers: Int, cacheKey: (UInt64, UInt64)) {
    keys = Array(repeating: .unfetched, count: issuers)
    tokens = TokenCache(key: cacheKey)
  }

  /// Takes over the issuers of another load. Tokens that were verified under the one before are verified again.
  public func adopt(_ keys: [IssuerKeys]) {
    self.keys = keys
    decisions.removeAll()
  }

  /// What another engine answered to the same request in this second.
  func answer(to key: DecisionMemo.Key?, at time: Int64) -> AuthorizationAnswer? {
    guard let key, let answer = decisions.answer(to: key, at: time) else { return nil }
    decisionHits += 1
    return answer
  }

  /// Keeps another engine's answer.
  func remember(_ answer: AuthorizationAnswer, to key: DecisionMemo.Key?, by identity: Identity, at time: Int64) {
    guard let key else { return }
    decisions.keep(answer, to: key, by: identity, at: time)
  }

  /// Learns an issuer's keys. Tokens that another set of keys verified are verified again.
  public func learn(_ keys: IssuerKeys, of issuer: Int) {
    guard self.keys.indices.contains(issuer) else { return }
    self.keys[issuer] = keys
  }

  /// The keys to check a token with. Waits, once an exchange, if there are none yet or the token names one that a fresh
  /// copy of the set may have.
  func keys(of issuer: Issuer, for token: UnverifiedToken, asking asked: inout UInt64, at time: Int64) throws(Stop) -> JWKSet {
    let bit: UInt64 = issuer.index < 64 ? 1 << UInt64(issuer.index) : 0
    let mayAsk = bit != 0 && asked & bit == 0
    switch keys[issuer.index] {
    case .unfetched:
      guard mayAsk else { throw .refuse(.keysUnavailable(issuer: issuer.name, detail: "not fetched yet")) }
    case .unavailable(let why):
      throw .refuse(.keysUnavailable(issuer: issuer.name, detail: why))
    case .known(let known):
      let lacksKey = !known.set.hasKey(kid: token.kid)
      guard lacksKey, mayAsk, time >= known.mayRefetchAt else { return known.set }
    }
    asked |= bit
    throw .wait(.keys(issuer: issuer.index))
  }

  /// Whose token the credential is, if it was verified before under the same snapshot and keys, and has not expired.
  func identity(of credential: Credential, in head: RequestHead, under snapshot: Snapshot, at time: Int64) -> Identity? {
    let found = head.fields.withBytes(credential.range) { bytes in
      tokens.entry(for: bytes, now: time, snapshot: snapshot.generation) { issuer in generation(of: issuer) }
    }
    if found == nil { cacheMisses += 1 } else { cacheHits += 1 }
    return found
  }

  /// Keeps what a verified token said.
  func remember(_ identity: Identity, of token: VerifiedToken, from issuer: Issuer, under snapshot: Snapshot, at time: Int64) {
    let generation = TokenCache<Identity>.Generation(
      snapshot: snapshot.generation, issuer: issuer.index, keys: generation(of: issuer.index))
    tokens.insert(token, entry: identity, generation: generation, now: time)
  }

  // Sets of keys count from 1: an entry is never current while its issuer's keys are unknown.
  private func generation(of issuer: Int) -> UInt64 {
    guard keys.indices.contains(issuer), case .known(let known) = keys[issuer] else { return .max }
    return known.generation
  }
}

/// What is known of an issuer's keys.
public enum IssuerKeys: Sendable {
  /// Never asked for.
  case unfetched
  /// Asked for, not to be had, and no older copy is young enough.
  case unavailable(String)
  /// A set of keys.
  case known(Known)

  /// A set of keys, and how fresh it is.
  public struct Known: Sendable {
    /// The keys.
    public let set: JWKSet
    /// Counted up whenever the keys change: a token verified under other keys is verified again.
    public let generation: UInt64
    /// Not before this second may an unknown `kid` ask for another fetch.
    public let mayRefetchAt: Int64
    /// Whether the last fetch failed and this is an older copy.
    public let isStale: Bool

    /// A set of keys.
    public init(set: JWKSet, generation: UInt64, mayRefetchAt: Int64, isStale: Bool) {
      self.set = set
      self.generation = generation
      self.mayRefetchAt = mayRefetchAt
      self.isStale = isStale
    }
  }
}
