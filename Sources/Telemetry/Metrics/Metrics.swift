internal import Net

/// All numbers of the process: the workers' shards, added up when somebody asks.
public final class Metrics: Sendable {
  /// A number read at the moment of asking.
  public struct Sample: Sendable {
    /// The family it belongs to: a counter, gauge or info.
    public let family: MetricFamily
    /// Its labels.
    public let labels: [MetricLabel]
    /// The value.
    public let value: Double

    /// A sample.
    public init(_ family: MetricFamily, _ labels: [MetricLabel] = [], value: Double) {
      self.family = family
      self.labels = labels
      self.value = value
    }
  }

  private struct State: Sendable {
    var shards: [PublishedMetrics] = []
    var collectors: [@Sendable () -> [Sample]] = []
  }

  private let state = Locked(State())

  /// A registry that knows the process's own numbers and nothing else yet.
  public init() {
    let started = Double(WallClock.millis()) / 1000
    collect { ProcessMetrics.samples(startedSeconds: started) }
  }

  /// A shard for one thread. Make it on that thread and keep it there.
  public func shard() -> MetricsShard {
    let published = PublishedMetrics()
    state.withLock { $0.shards.append(published) }
    return MetricsShard(published: published)
  }

  /// Adds a source of numbers that are read when somebody asks.
  public func collect(_ collector: @escaping @Sendable () -> [Sample]) {
    state.withLock { $0.collectors.append(collector) }
  }

  /// Adds a decision log's own numbers.
  public func collect(from log: DecisionLog) {
    collect { [weak log] in
      log?.samples ?? []
    }
  }

  /// The exposition as text.
  public func text(as format: MetricsFormat) -> String {
    let (shards, collectors) = state.withLock { ($0.shards, $0.collectors) }
    var exposition = Exposition(format: format)
    for shard in shards {
      let numbers = shard.read()
      for one in numbers.series where !one.isWithdrawn { exposition.add(one, of: numbers) }
    }
    for collector in collectors {
      for sample in collector() { exposition.add(sample) }
    }
    return exposition.text()
  }
}

/// How the numbers are written.
public enum MetricsFormat: Sendable, CaseIterable {
  /// OpenMetrics 1.0.
  case openMetrics
  /// The older Prometheus text format, 0.0.4.
  case prometheusText

  /// The media type to answer with.
  public var contentType: String {
    switch self {
    case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
    case .prometheusText: "text/plain; version=0.0.4; charset=utf-8"
    }
  }

  /// What an `Accept` header asks for: OpenMetrics if it is named with a quality not below plain text's (RFC 9110 §12.5.1).
  public init(accepting accept: String?) {
    var openMetrics = 0
    var plain = 0
    for range in (accept ?? "").split(separator: ",") {
      let parts = range.split(separator: ";").map { part in String(part.filter { $0 != " " && $0 != "\t" }).lowercased() }
      guard let type = parts.first else { continue }
      let quality = parts.dropFirst().first { $0.hasPrefix("q=") }.map { Self.thousandths($0.dropFirst(2)) } ?? 1000
      switch type {
      case "application/openmetrics-text": openMetrics = max(openMetrics, quality)
      case "text/plain", "text/*": plain = max(plain, quality)
      default: break
      }
    }
    self = openMetrics > 0 && openMetrics >= plain ? .openMetrics : .prometheusText
  }

  // A qvalue has at most three decimals (RFC 9110 §12.4.2); what is not one counts as 0.
  private static func thousandths(_ text: some StringProtocol) -> Int {
    guard let value = Double(String(text)), value >= 0, value <= 1 else { return 0 }
    return Int(value * 1000)
  }
}
