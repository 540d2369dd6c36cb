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
  /// The tokens that are not accepted though they verify.
  public private(set) var revocations = RevocationList.empty
  /// The keys of load balancers.
  var loadBalancerKeys: [LoadBalancerKeyQuestion: LoadBalancerKeyAnswer] = [:]
  /// What issuers said about tokens.
  var introspections = IntrospectionMemo()
  /// This thread's signature contexts.
  public let verifier = SignatureVerifier()
  /// The signature contexts for proofs of possession: every client has another key, and the issuers' should not make room for them.
  let proofVerifier = SignatureVerifier()
  /// What is remembered of proofs of possession.
  let proofs: ProofMemory
  /// Nanoseconds that only go forward, for telling what a decision costs: nothing is decided by it.
  public var stopwatch: () -> UInt64 = { 0 }
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
  public init(issuers: Int, cacheKey: (UInt64, UInt64), proofs: ProofMemory = ProofMemory()) {
    self.proofs = proofs
    keys = Array(repeating: .unfetched, count: issuers)
    tokens = TokenCache(key: cacheKey)
  }

  /// Takes over the issuers of another load. Tokens that were verified under the one before are verified again.
  public func adopt(_ keys: [IssuerKeys]) {
    self.keys = keys
    decisions.removeAll()
    introspections.removeAll()
    loadBalancerKeys.removeAll()
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

  /// Learns which tokens are revoked. Every token is verified again, and looked up.
  public func learn(_ revocations: RevocationList) {
    self.revocations = revocations
    tokens.removeAll()
    introspections.forgetIdentities()
  }

  /// Learns what an issuer said about a token.
  public func learn(_ answer: IntrospectionAnswer, to question: IntrospectionQuestion, at time: Int64) {
    introspections.keep(answer, to: question, at: time)
  }

  /// Refuses a token that was revoked.
  func requireUnrevoked(_ token: VerifiedToken) throws(Stop) {
    if let match = revocations.match(token) { throw .refuse(.token(.revoked(match))) }
  }

  /// The keys to check a token with; `arrival` is when its request came, on the clock of `IssuerKeys.Known`.
  ///
  /// A token whose key is not among them is refused for it only by a copy of the set that was asked for after the token
  /// came: an older copy may be from before a rotation, however young it is. Until there is one the request waits.
  func keys(of issuer: Issuer, for token: UnverifiedToken, since arrival: UInt64, at time: Int64) throws(Stop) -> JWKSet {
    switch keys[issuer.index] {
    case .unfetched: throw .wait(.keys(issuer: issuer.index))
    case .unavailable(let why): throw .refuse(.keysUnavailable(issuer: issuer.name, detail: why))
    case .known(let known):
      guard time <= known.usableUntil else {
        throw .refuse(.keysUnavailable(issuer: issuer.name, detail: "the last good ones are older than jwks.max_stale"))
      }
      // What no key could mend is refused without asking for one.
      guard !known.set.hasKey(kid: token.kid), issuer.rules.algorithms.contains(token.algorithm), known.askedAt < arrival else {
        return known.set
      }
      guard known.failedAt < arrival else {
        throw .refuse(.keysUnavailable(issuer: issuer.name, detail: "the token names another one, and a fresh copy is not to be had"))
      }
      throw .wait(.keys(issuer: issuer.index))
    }
  }

  /// Whether an issuer's keys are a copy that could not be renewed.
  func keysAreStale(of issuer: Int) -> Bool {
    guard keys.indices.contains(issuer), case .known(let known) = keys[issuer] else { return false }
    return known.isStale
  }

  /// Whose token the credential is, if it was verified before under the same snapshot and keys, and has not expired.
  func identity(of credential: Credential, in head: RequestHead, under snapshot: Snapshot, at time: Int64) -> Identity? {
    let found = head.fields.withBytes(credential.range) { bytes in
      tokens.entry(for: bytes, now: time, snapshot: snapshot.generation) { issuer in generation(of: issuer, at: time) }
    }
    // A load balancer's word in the mouth of a client is nothing.
    guard let found, found.isLoadBalancers == (credential.loadBalancer != nil) else {
      cacheMisses += 1
      return nil
    }
    cacheHits += 1
    return found
  }

  /// Keeps what a verified token said.
  func remember(_ identity: Identity, of token: VerifiedToken, from issuer: Issuer, under snapshot: Snapshot, at time: Int64) {
    let generation = TokenCache<Identity>.Generation(
      snapshot: snapshot.generation, issuer: issuer.index, keys: generation(of: issuer.index, at: time))
    tokens.insert(token, entry: identity, generation: generation, now: time)
  }

  /// Counted up whenever the keys of an issuer change; 0 if there are none.
  public func generation(of issuer: Int) -> UInt64 {
    guard keys.indices.contains(issuer), case .known(let known) = keys[issuer] else { return 0 }
    return known.generation
  }

  // Sets of keys count from 1: an entry is never current while its issuer's keys are unknown, or too old.
  private func generation(of issuer: Int, at time: Int64) -> UInt64 {
    guard keys.indices.contains(issuer), case .known(let known) = keys[issuer], time <= known.usableUntil else { return .max }
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
    /// When it was asked for: monotonic nanoseconds. It says nothing about keys that are younger.
    public let askedAt: UInt64
    /// When it was last asked for in vain: monotonic nanoseconds, 0 for never.
    public let failedAt: UInt64
    /// The last second, since 1970, in which it serves.
    public let usableUntil: Int64
    /// Whether this is an older copy because the last fetch failed.
    public let isStale: Bool

    /// A set of keys; by default one that needs no renewal.
    public init(
      set: JWKSet, generation: UInt64, askedAt: UInt64 = .max, failedAt: UInt64 = 0, usableUntil: Int64 = .max, isStale: Bool = false
    ) {
      self.set = set
      self.generation = generation
      self.askedAt = askedAt
      self.failedAt = failedAt
      self.usableUntil = usableUntil
      self.isStale = isStale
    }
  }
}
