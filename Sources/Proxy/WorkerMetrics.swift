internal import Pipeline
internal import Telemetry

/// A worker's numbers, each looked up once.
struct WorkerMetrics {
  private let shard: MetricsShard
  private let clientConnections: MetricsShard.Counter
  private let inFlight: MetricsShard.Counter
  private let cacheHits: MetricsShard.Counter
  private let cacheMisses: MetricsShard.Counter
  private let entityHits: MetricsShard.Counter
  private let compared: [String: MetricsShard.Counter]
  private let remoteHits: MetricsShard.Counter
  private let remoteAnswers: [String: MetricsShard.Counter]
  private let remoteDuration: MetricsShard.Histogram
  private let heldBytes: MetricsShard.Counter
  private let upstreamConnections: MetricsShard.Counter
  private let decisions: DecisionCounters
  private let upstreamFaults: [UpstreamFault: MetricsShard.Counter]
  private let limits: [Limit: MetricsShard.Counter]
  private let buffered: MetricsShard.Counter

  init(_ shard: MetricsShard) {
    self.shard = shard
    clientConnections = shard.counter(.connections, MetricLabel("state", "client"))
    inFlight = shard.counter(.requestsInFlight)
    cacheHits = shard.counter(.tokenCache, MetricLabel("result", "hit"))
    cacheMisses = shard.counter(.tokenCache, MetricLabel("result", "miss"))
    entityHits = shard.counter(.entityLookups, MetricLabel("result", "hit"))
    compared = Dictionary(
      uniqueKeysWithValues: (Comparison.Difference.allCases.map(\.rawValue) + ["unanswered"]).map {
        ($0, shard.counter(.compared, MetricLabel("result", $0)))
      })
    remoteHits = shard.counter(.remoteDecisions, MetricLabel("result", "hit"))
    remoteAnswers = Dictionary(
      uniqueKeysWithValues: ["answered", "failed", "timeout"].map { ($0, shard.counter(.remoteDecisions, MetricLabel("result", $0))) })
    remoteDuration = shard.histogram(.remoteDuration)
    heldBytes = shard.counter(.heldBodyBytes)
    limits = Dictionary(
      uniqueKeysWithValues: Limit.allCases.map { ($0, shard.counter(.limitsReached, MetricLabel("limit", $0.rawValue))) })
    buffered = shard.counter(.bufferedBytes)
    upstreamConnections = shard.counter(.connections, MetricLabel("state", "upstream"))
    decisions = DecisionCounters(shard)
    upstreamFaults = Dictionary(
      uniqueKeysWithValues: UpstreamFault.allCases.map { ($0, shard.counter(.upstreamErrors, MetricLabel("reason", $0.rawValue))) })
  }

  func reached(_ limit: Limit) { if let counter = limits[limit] { shard.add(counter) } }
  func buffered(_ bytes: Int) { shard.set(buffered, bytes) }
  func ejected(of upstream: String) { shard.add(shard.counter(.upstreamEjections, MetricLabel("upstream", upstream))) }

  /// How a TLS handshake of a client ended.
  enum Handshake: String {
    case full
    case resumed
    case failed
  }

  func handshake(_ result: Handshake) { shard.add(shard.counter(.handshakes, MetricLabel("result", result.rawValue))) }

  func connections(_ change: Int) { shard.add(clientConnections, change) }
  func requestsInFlight(_ count: Int) { shard.set(inFlight, count) }

  func upstreamConnections(_ change: Int) { shard.add(upstreamConnections, change) }
  func proxyHeaderRefused() { decisions.countProxyHeaderRefused() }

  func count(_ counted: borrowing CountedDecision) { decisions.count(counted) }

  func count(_ fault: UpstreamFault) { if let counter = upstreamFaults[fault] { shard.add(counter) } }

  func entityHit() { shard.add(entityHits) }
  func compared(_ difference: Comparison.Difference?) {
    if let counter = compared[difference?.rawValue ?? "unanswered"] { shard.add(counter) }
  }
  func remoteHits(_ count: Int) { shard.set(remoteHits, count) }
  func remote(_ answer: RemoteAnswer, micros: Int) {
    let result =
      switch answer {
      case .answered: "answered"
      case .failed: "failed"
      case .timedOut: "timeout"
      }
    if let counter = remoteAnswers[result] { shard.add(counter) }
    shard.observe(remoteDuration, micros: micros)
  }
  func heldBodies(_ change: Int) { shard.add(heldBytes, change) }

  func tokenCache(hits: Int, misses: Int) {
    shard.set(cacheHits, hits)
    shard.set(cacheMisses, misses)
  }

  func publish() { shard.publish() }
}
