internal import Bytes
internal import Net

/// One worker's numbers: plain variables of its own, published once a turn for the scraper to read.
public final class MetricsShard {
  /// A number that was looked up once and is then an index.
  public struct Counter: Sendable {
    let cell: Int
  }

  /// A histogram that was looked up once.
  public struct Histogram: Sendable {
    let cell: Int
    let bounds: [UInt64]
  }

  private let published: PublishedMetrics
  private var cells: [UInt64] = []
  private var series: [MetricSeries] = []
  private var known: [SeriesKey: Int] = [:]
  private var seriesCounts: [String: Int] = [:]
  private var isDirty = false

  // Counters of the hot path, by the indices of their labels; -1 until first used.
  private var decisionCells: [Int]
  private var requestCells: [Int]

  init(published: PublishedMetrics) {
    self.published = published
    self.decisionCells = Array(repeating: -1, count: Decision.allCases.count * 2 * DecisionReason.allCases.count)
    self.requestCells = Array(repeating: -1, count: Self.methods.count * Self.statusCount)
  }

  /// The counter or gauge of a family with some labels. Look it up once and keep it.
  public func counter(_ family: MetricFamily, _ labels: MetricLabel...) -> Counter {
    Counter(cell: cell(family, labels, width: 1))
  }

  /// The histogram of a family with some labels. Look it up once and keep it.
  public func histogram(_ family: MetricFamily, _ labels: MetricLabel...) -> Histogram {
    guard case .histogram(let bounds) = family.kind else { return Histogram(cell: cell(family, labels, width: 2), bounds: []) }
    // The buckets, the bucket without bound, and the sum.
    return Histogram(cell: cell(family, labels, width: bounds.count + 2), bounds: bounds)
  }

  /// Adds to a counter or gauge; a gauge may be given a negative number.
  public func add(_ counter: Counter, _ amount: Int = 1) {
    cells[counter.cell] &+= UInt64(bitPattern: Int64(amount))
    isDirty = true
  }

  /// Sets this shard's part of a gauge.
  public func set(_ gauge: Counter, _ value: Int) {
    cells[gauge.cell] = UInt64(bitPattern: Int64(value))
    isDirty = true
  }

  /// Counts a duration.
  public func observe(_ histogram: Histogram, micros: Int) {
    let value = UInt64(max(micros, 0))
    var bucket = 0
    while bucket < histogram.bounds.count && value > histogram.bounds[bucket] { bucket += 1 }
    cells[histogram.cell + bucket] &+= 1
    cells[histogram.cell + histogram.bounds.count + 1] &+= value
    isDirty = true
  }

  /// Counts a decision.
  public func countDecision(_ decision: Decision, reason: DecisionReason, enforced: Bool) {
    let verdict = decision == .allow ? 0 : decision == .deny ? 1 : 2
    let slot = (verdict * 2 + (enforced ? 1 : 0)) * DecisionReason.allCases.count + reason.index
    if decisionCells[slot] < 0 {
      decisionCells[slot] = cell(
        .decisions,
        [
          MetricLabel("decision", decision.rawValue), MetricLabel("reason", reason.rawValue), MetricLabel("enforced", "\(enforced)"),
        ], width: 1)
    }
    cells[decisionCells[slot]] &+= 1
    isDirty = true
  }

  /// Counts what would have been decided with the policies in the shadow.
  public func countShadow(_ would: Decision, beside decision: Decision) {
    add(counter(.shadowDecisions, MetricLabel("would", would.rawValue), MetricLabel("changes", would == decision ? "false" : "true")))
  }

  /// Counts a request to the proxy listener by method and status. Unknown methods are counted as `_OTHER`.
  public func countRequest(method: String?, status: Int) {
    let methodIndex = method.flatMap { name in Self.methods.firstIndex { exactlyEquals($0, name) } } ?? Self.methods.count - 1
    let statusIndex = (0..<Self.statusCount).contains(status - 100) ? status - 100 : -1
    guard statusIndex >= 0 else {
      return add(
        counter(.requests, MetricLabel("listener", "proxy"), MetricLabel("method", Self.methods[methodIndex]), MetricLabel("code", "none")))
    }
    let slot = methodIndex * Self.statusCount + statusIndex
    if requestCells[slot] < 0 {
      requestCells[slot] = cell(
        .requests,
        [MetricLabel("listener", "proxy"), MetricLabel("method", Self.methods[methodIndex]), MetricLabel("code", "\(status)")], width: 1)
    }
    cells[requestCells[slot]] &+= 1
    isDirty = true
  }

  /// Shows the numbers to the scraper. Call it at the end of every turn; it does nothing if nothing changed.
  public func publish() {
    guard isDirty else { return }
    isDirty = false
    published.adopt(cells: cells, series: series)
  }

  private func cell(_ family: MetricFamily, _ labels: [MetricLabel], width: Int) -> Int {
    let key = SeriesKey(name: family.name, labels: labels)
    if let known = known[key] { return known }
    if seriesCounts[family.name, default: 0] >= family.seriesLimit && !labels.allSatisfy({ $0.value == "_other" }) {
      return cell(family, labels.map { MetricLabel(name: $0.name, value: "_other") }, width: width)
    }
    seriesCounts[family.name, default: 0] += 1
    let cell = cells.count
    known[key] = cell
    series.append(MetricSeries(family: family, labels: labels, cell: cell))
    cells.append(contentsOf: repeatElement(0, count: width))
    isDirty = true
    return cell
  }

  private static let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "_OTHER"]
  // Status codes 100 to 599.
  private static let statusCount = 500
}

extension MetricLabel {
  init(name: String, value: String) {
    self.name = name
    self.value = value
  }
}

/// One line, or one histogram, of the exposition.
struct MetricSeries: Sendable {
  let family: MetricFamily
  let labels: [MetricLabel]
  let cell: Int
}

private struct SeriesKey: Hashable {
  let name: String
  let labels: [MetricLabel]
}

/// A shard's last published numbers.
final class PublishedMetrics: Sendable {
  private struct State: Sendable {
    var cells: [UInt64] = []
    var series: [MetricSeries] = []
  }

  private let state = Locked(State())

  func adopt(cells: [UInt64], series: [MetricSeries]) {
    state.withLock { state in
      if state.series.count != series.count { state.series = series }
      // Copied in place: sharing the array would make the worker's next write copy it into fresh memory.
      state.cells.replaceSubrange(state.cells.startIndex..., with: cells)
    }
  }

  func read() -> (cells: [UInt64], series: [MetricSeries]) {
    state.withLock { state in (Array(state.cells[...]), state.series) }
  }
}
