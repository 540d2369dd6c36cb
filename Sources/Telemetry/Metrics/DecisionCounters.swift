public import HTTP

/// What decisions add to the numbers of one worker.
public final class DecisionCounters {
  /// What is counted of a decision and not written in its record.
  public struct Aside: Sendable {
    /// The trace that the request belongs to.
    public var trace: TraceParent?
    /// The policies that failed to evaluate.
    public var failedPolicies: [String] = []
    /// Microseconds that verifying its token took; nil if that was known, or there was none.
    public var tokenMicros: Int?

    /// Nothing.
    public init() {}
  }

  private let shard: MetricsShard
  private let duration: MetricsShard.Histogram
  private let upstreamDuration: MetricsShard.Histogram
  private let tokenValidation: MetricsShard.Histogram
  private let streamsClosed: MetricsShard.Counter
  private let turnedAway: [TurnedAway: MetricsShard.Counter]
  // Looked up by what the configuration calls things: policies, engines, issuers.
  private var engines: [String: MetricsShard.Histogram] = [:]
  private var permits: [String: MetricsShard.Counter] = [:]
  private var forbids: [String: MetricsShard.Counter] = [:]

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
  public func count(_ record: borrowing DecisionRecord, _ aside: Aside) {
    shard.countDecision(record.decision, reason: record.reason, enforced: record.enforced, route: record.route)
    if let would = record.would { shard.countShadow(would.decision, beside: record.decision) }
    if record.streamOf == nil {
      shard.countRequest(method: record.http.method, status: record.status)
    } else if record.enforced {
      // Its request was counted when it came.
      shard.add(streamsClosed)
    }
    if let turned = TurnedAway(record.reason) { countTurnedAway(turned) }
    countPolicies(of: record, aside)
    if record.reason == .keyUnknown, let issuer = record.token?.issuer {
      shard.add(shard.counter(.unknownKeys, MetricLabel("issuer", issuer)))
    }
    observe(record.totalMicros, duration, record, aside)
    observe(record.upstreamMicros, upstreamDuration, record, aside)
    observe(record.authorizeMicros, engine(record.engine ?? "none"), record, aside)
    if let micros = aside.tokenMicros { shard.observe(tokenValidation, micros: micros) }
  }

  /// Counts a connection whose proxy said nothing that can be read.
  public func countProxyHeaderRefused() { countTurnedAway(.proxyHeader) }

  private func countTurnedAway(_ why: TurnedAway) { if let counter = turnedAway[why] { shard.add(counter) } }

  private func countPolicies(of record: borrowing DecisionRecord, _ aside: Aside) {
    for policy in aside.failedPolicies { shard.add(shard.counter(.policyErrors, MetricLabel("policy", policy))) }
    switch record.reason {
    case .policyPermit:
      for policy in record.policies { shard.add(determination(of: policy, effect: "permit", in: &permits)) }
    // A forbid that another sign-in would lift is a forbid; on a route that asks for the sign-in itself there is no policy.
    case .policyForbid, .insufficientAuthentication:
      for policy in record.policies { shard.add(determination(of: policy, effect: "forbid", in: &forbids)) }
    default: break
    }
  }

  private func determination(of policy: String, effect: String, in known: inout [String: MetricsShard.Counter]) -> MetricsShard.Counter {
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

  private func observe(
    _ micros: Int?, _ histogram: MetricsShard.Histogram, _ record: borrowing DecisionRecord, _ aside: Aside
  ) {
    guard let micros else { return }
    shard.observe(histogram, micros: micros, in: aside.trace, wallMillis: record.timeMillis)
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
        .entityLookupFailed:
        return nil
      }
    }
  }
}
