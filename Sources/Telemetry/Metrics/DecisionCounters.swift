public import HTTP

/// What is counted of a decision.
///
/// Not taken from its record: every decision is counted, and a record, which costs more than all the rest, is made for those that
/// somebody reads.
public struct CountedDecision: Sendable {
  /// What was decided.
  public var decision: Decision
  /// Why.
  public var reason: DecisionReason
  /// Whether the decision was acted upon; false in observe mode.
  public var enforced: Bool
  /// Milliseconds since 1970 UTC when the request was decided.
  public var timeMillis: UInt64
  /// The status sent to the client; 0 if the client went away before one was sent.
  public var status: Int = 0
  /// The method, nil if the request could not be read.
  public var method: String?
  /// The matched route as written in the configuration.
  public var route: String?
  /// The policies that determined the decision.
  public var policies: [String] = []
  /// The policies that failed to evaluate.
  public var failedPolicies: [String] = []
  /// What would be decided if the policies in the shadow were in force; nil where they change nothing.
  public var would: Decision?
  /// The configuration's name for the token's issuer.
  public var issuer: String?
  /// Which engine answered.
  public var engine: String?
  /// Whether it ended a stream that had begun; false for a decision about a request that came.
  public var isOfStream = false
  /// Microseconds spent on deciding.
  public var authorizeMicros: Int?
  /// Microseconds from the first byte of the request to the response's head.
  public var totalMicros: Int?
  /// Microseconds from the first byte forwarded to the upstream's response head.
  public var upstreamMicros: Int?
  /// Microseconds that verifying its token took; nil if that was known, or there was none.
  public var tokenMicros: Int?
  /// The trace that the request belongs to.
  public var trace: TraceParent?

  /// What is always known; the rest has defaults and is filled in.
  public init(decision: Decision, reason: DecisionReason, enforced: Bool, timeMillis: UInt64) {
    self.decision = decision
    self.reason = reason
    self.enforced = enforced
    self.timeMillis = timeMillis
  }
}

/// What decisions add to the numbers of one worker.
public final class DecisionCounters {
  private let shard: MetricsShard
  private let duration: MetricsShard.Histogram
  private let upstreamDuration: MetricsShard.Histogram
  private let tokenValidation: MetricsShard.Histogram
  private let streamsClosed: MetricsShard.Counter
  private let turnedAway: [TurnedAway: MetricsShard.Counter]
  // Looked up by what the configuration calls things: policies, engines, issuers.
  private var engines = KnownByName<MetricsShard.Histogram>()
  private var permits = KnownByName<MetricsShard.Counter>()
  private var forbids = KnownByName<MetricsShard.Counter>()

  /// Counters of a worker's shard.
  public init(_ shard: MetricsShard) {
    self.shard = shard
    duration = shard.histogram(.requestDuration, MetricLabel("listener", "proxy"), showsTraces: true)
    upstreamDuration = shard.histogram(.upstreamDuration, showsTraces: true)
    tokenValidation = shard.histogram(.tokenValidation)
    streamsClosed = shard.counter(.streamsClosed)
    turnedAway = Dictionary(
      uniqueKeysWithValues: TurnedAway.allCases.map { ($0, shard.counter(.rejected, MetricLabel("reason", $0.rawValue))) })
  }

  /// Counts a decision.
  public func count(_ counted: borrowing CountedDecision) {
    shard.countDecision(counted.decision, reason: counted.reason, enforced: counted.enforced, route: counted.route)
    if let would = counted.would { shard.countShadow(would, beside: counted.decision) }
    if !counted.isOfStream {
      shard.countRequest(method: counted.method, status: counted.status)
    } else if counted.enforced {
      // Its request was counted when it came.
      shard.add(streamsClosed)
    }
    if let turned = TurnedAway(counted.reason) { countTurnedAway(turned) }
    countPolicies(of: counted)
    if counted.reason == .keyUnknown, let issuer = counted.issuer {
      shard.add(shard.counter(.unknownKeys, MetricLabel("issuer", issuer)))
    }
    observe(counted.totalMicros, duration, counted)
    observe(counted.upstreamMicros, upstreamDuration, counted)
    observe(counted.authorizeMicros, engine(counted.engine ?? "none"), counted)
    if let micros = counted.tokenMicros { shard.observe(tokenValidation, micros: micros) }
  }

  /// Counts a connection whose proxy said nothing that can be read.
  public func countProxyHeaderRefused() { countTurnedAway(.proxyHeader) }

  private func countTurnedAway(_ why: TurnedAway) { if let counter = turnedAway[why] { shard.add(counter) } }

  private func countPolicies(of counted: borrowing CountedDecision) {
    for policy in counted.failedPolicies { shard.add(shard.counter(.policyErrors, MetricLabel("policy", policy))) }
    switch counted.reason {
    case .policyPermit:
      for policy in counted.policies { shard.add(determination(of: policy, effect: "permit", in: &permits)) }
    // A forbid that another sign-in would lift is a forbid; on a route that asks for the sign-in itself there is no policy.
    case .policyForbid, .insufficientAuthentication:
      for policy in counted.policies { shard.add(determination(of: policy, effect: "forbid", in: &forbids)) }
    default: break
    }
  }

  private func determination(of policy: String, effect: String, in known: inout KnownByName<MetricsShard.Counter>) -> MetricsShard.Counter {
    if let counter = known[policy] { return counter }
    let counter = shard.counter(.determinations, MetricLabel("policy", policy), MetricLabel("effect", effect))
    // Whatever policies come and go, this remembers no more than are shown.
    if known.count < MetricFamily.determinations.seriesLimit { known[policy] = counter }
    return counter
  }

  private func engine(_ name: String) -> MetricsShard.Histogram {
    if let histogram = engines[name] { return histogram }
    let histogram = shard.histogram(.authorizeDuration, MetricLabel("engine", name), showsTraces: true)
    engines[name] = histogram
    return histogram
  }

  private func observe(_ micros: Int?, _ histogram: MetricsShard.Histogram, _ counted: borrowing CountedDecision) {
    guard let micros else { return }
    shard.observe(histogram, micros: micros, in: counted.trace, wallMillis: counted.timeMillis)
  }

  // Why something is turned away before anybody decides about it.
  private enum TurnedAway: String, CaseIterable {
    case malformed
    case tooLarge = "too_large"
    case timeout
    case overload
    case proxyHeader = "proxy_header"

    init?(_ reason: DecisionReason) {
      switch reason {
      case .requestInvalid, .pathAmbiguous, .bodyInvalid, .bodyUnsupported: self = .malformed
      case .requestTooLarge: self = .tooLarge
      case .requestTimeout: self = .timeout
      case .overload, .logFull: self = .overload
      case .policyPermit, .public, .preflight, .authenticated, .metadata, .policyForbid, .noPermit, .policyError, .noRoute,
        .insufficientScope, .insufficientAuthentication, .noToken, .multipleCredentials, .tokenMalformed, .tokenTooLarge, .tokenSignature,
        .tokenExpired, .tokenNotYetValid, .tokenIssuer, .tokenAudience, .tokenUse, .tokenAlgorithm, .tokenLifetime, .tokenBinding,
        .dpopProof, .dpopNonce, .tokenRevoked, .keyUnknown, .jwksUnavailable, .introspectionUnavailable, .engineError, .engineTimeout,
        .entityLookupFailed, .credentialsUnavailable, .credentialsRefused:
        return nil
      }
    }
  }
}
