/// One metric by name: what it counts, of which kind, and how many series it may have.
///
/// Names and units follow the Prometheus naming rules; a counter's `_total` is added by the exposition. Label values
/// come from our own tables and from the configuration, never from a request.
public struct MetricFamily: Sendable {
  /// What kind of number it is.
  public enum Kind: Sendable, Equatable {
    /// Only grows.
    case counter
    /// Goes up and down; the shards' values are added.
    case gauge
    /// Always 1; the labels are the information.
    case info
    /// Durations in buckets, whose upper bounds are given in microseconds.
    case histogram(boundsMicros: [UInt64])
  }

  /// The name without `_total` or `_info`.
  public let name: String
  /// Its kind.
  public let kind: Kind
  /// The names of its labels, in their order.
  public let labels: [String]
  /// One sentence.
  public let help: String
  /// How many series a shard may have; what comes later is counted under labels that say `_other`.
  public let seriesLimit: Int

  /// A family. The product's own are the static members; tests may make others.
  public init(_ name: String, _ kind: Kind, labels: [String] = [], _ help: String, seriesLimit: Int = 100) {
    self.name = name
    self.kind = kind
    self.labels = labels
    self.help = help
    self.seriesLimit = seriesLimit
  }
}

/// A label's name and value.
public struct MetricLabel: Sendable, Hashable {
  /// The name, known at compile time.
  public let name: String
  /// The value, from our tables or the configuration.
  public let value: String

  /// A label.
  public init(_ name: StaticString, _ value: String) {
    self.name = name.description
    self.value = value
  }
}
