internal import Bytes
public import HTTP
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
    /// Where its buckets' exemplars begin; nil for none.
    var exemplars: Int?
  }

  private let published: PublishedMetrics
  private var cells: [UInt64] = []
  private var series: [MetricSeries] = []
  private var known: [SeriesKey: Int] = [:]
  private var seriesCounts: [String: Int] = [:]
  private var exemplars: [Exemplar] = []
  // The series of cells that are not shown.
  private var withdrawn: [Int: Int] = [:]
  private var isDirty = false
  // Counted up whenever a series appears or goes.
  private var layout: UInt64 = 0

  // Counters of the hot path, by the indices of their labels; -1 until first used. Decisions have a row for each route.
  private var decisionCells: [[Int]] = []
  private var decisionRows = KnownByName<Int>()
  private var requestCells: [Int]

  init(published: PublishedMetrics) {
    self.published = published
    self.requestCells = Array(repeating: -1, count: Self.methods.count * Self.statusCount)
  }

  /// The counter or gauge of a family with some labels. Look it up once and keep it.
  public func counter(_ family: MetricFamily, _ labels: MetricLabel...) -> Counter {
    Counter(cell: cell(family, labels, width: 1))
  }

  /// The histogram of a family with some labels. Look it up once and keep it.
  ///
  /// - Parameter showsTraces: Whether its buckets carry exemplars.
  public func histogram(_ family: MetricFamily, _ labels: MetricLabel..., showsTraces: Bool = false) -> Histogram {
    guard case .histogram(let bounds) = family.kind else { return Histogram(cell: cell(family, labels, width: 2), bounds: []) }
    // The buckets, the bucket without bound, and the sum.
    let cell = cell(family, labels, width: bounds.count + 2)
    guard showsTraces, let index = series.firstIndex(where: { $0.cell == cell }) else { return Histogram(cell: cell, bounds: bounds) }
    if series[index].exemplars == nil {
      series[index].exemplars = exemplars.count
      exemplars.append(contentsOf: repeatElement(Exemplar(), count: bounds.count + 1))
      changeLayout()
    }
    return Histogram(cell: cell, bounds: bounds, exemplars: series[index].exemplars)
  }

  /// Shows a counter or gauge no longer, until it is looked up again: what it was about is gone.
  public func withdraw(_ family: MetricFamily, _ labels: MetricLabel...) {
    guard let cell = known[SeriesKey(name: family.name, labels: labels)],
      let index = series.firstIndex(where: { $0.cell == cell }), !series[index].isWithdrawn
    else { return }
    series[index].isWithdrawn = true
    withdrawn[cell] = index
    cells[cell] = 0
    changeLayout()
  }

  /// Adds to a counter or gauge; a gauge may be given a negative number.
  public func add(_ counter: Counter, _ amount: Int = 1) {
    cells[counter.cell] &+= UInt64(bitPattern: Int64(amount))
    isDirty = true
  }

  /// Sets this shard's part of a gauge.
  public func set(_ gauge: Counter, _ value: Int) {
    let value = UInt64(bitPattern: Int64(value))
    guard cells[gauge.cell] != value else { return }
    cells[gauge.cell] = value
    isDirty = true
  }

  /// Counts a duration, and remembers the trace that it belongs to.
  public func observe(_ histogram: Histogram, micros: Int, in trace: TraceParent? = nil, wallMillis: UInt64 = 0) {
    let value = UInt64(max(micros, 0))
    var bucket = 0
    while bucket < histogram.bounds.count && value > histogram.bounds[bucket] { bucket += 1 }
    cells[histogram.cell + bucket] &+= 1
    cells[histogram.cell + histogram.bounds.count + 1] &+= value
    if let trace, trace.isSampled, let first = histogram.exemplars {
      exemplars[first + bucket] = Exemplar(trace: trace.trace, micros: value, wallMillis: wallMillis)
    }
    isDirty = true
  }

  /// Counts a decision.
  public func countDecision(_ decision: Decision, reason: DecisionReason, enforced: Bool, route: String? = nil) {
    let row = decisionRow(of: route)
    let verdict = decision == .allow ? 0 : decision == .deny ? 1 : 2
    let slot = (verdict * 2 + (enforced ? 1 : 0)) * Self.reasonCount + reason.index
    if decisionCells[row.index][slot] < 0 {
      decisionCells[row.index][slot] = cell(
        .decisions,
        [
          MetricLabel("decision", decision.rawValue), MetricLabel("reason", reason.rawValue), MetricLabel("enforced", "\(enforced)"),
          MetricLabel("route", row.route),
        ], width: 1)
    }
    cells[decisionCells[row.index][slot]] &+= 1
    isDirty = true
  }

  private func decisionRow(of route: String?) -> (index: Int, route: String) {
    var route = route ?? "_none"
    if let index = decisionRows[route] { return (index, route) }
    if decisionRows.count >= Self.routesShown {
      route = "_other"
      if let index = decisionRows[route] { return (index, route) }
    }
    let index = decisionCells.count
    decisionRows[route] = index
    decisionCells.append(Array(repeating: -1, count: Decision.allCases.count * 2 * Self.reasonCount))
    return (index, route)
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
    published.adopt(cells: cells, exemplars: exemplars, series: series, layout: layout)
  }

  private func cell(_ family: MetricFamily, _ labels: [MetricLabel], width: Int) -> Int {
    let key = SeriesKey(name: family.name, labels: labels)
    if let known = known[key] {
      if !withdrawn.isEmpty, let index = withdrawn.removeValue(forKey: known) {
        series[index].isWithdrawn = false
        changeLayout()
      }
      return known
    }
    if seriesCounts[family.name, default: 0] >= family.seriesLimit && !labels.allSatisfy({ $0.value == "_other" }) {
      return cell(family, labels.map { MetricLabel(name: $0.name, value: "_other") }, width: width)
    }
    seriesCounts[family.name, default: 0] += 1
    let cell = cells.count
    known[key] = cell
    series.append(MetricSeries(family: family, labels: labels, cell: cell))
    cells.append(contentsOf: repeatElement(0, count: width))
    changeLayout()
    return cell
  }

  private func changeLayout() {
    layout &+= 1
    isDirty = true
  }

  private static let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "_OTHER"]
  // Routes by their own name; the configuration may have more.
  private static let routesShown = 100
  private static let reasonCount = DecisionReason.allCases.count
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
  var exemplars: Int?
  var isWithdrawn = false
}

/// A sampled request that fell into a bucket: one without a trace is none.
struct Exemplar: Sendable {
  var trace: (high: UInt64, low: UInt64) = (0, 0)
  var micros: UInt64 = 0
  var wallMillis: UInt64 = 0

  var isPresent: Bool { trace.high | trace.low != 0 }
}

private struct SeriesKey: Hashable {
  let name: String
  let labels: [MetricLabel]
}

/// A shard's last published numbers.
final class PublishedMetrics: Sendable {
  struct State: Sendable {
    var cells: [UInt64] = []
    var exemplars: [Exemplar] = []
    var series: [MetricSeries] = []
    var layout: UInt64 = 0
  }

  private let state = Locked(State())

  func adopt(cells: [UInt64], exemplars: [Exemplar], series: [MetricSeries], layout: UInt64) {
    state.withLock { state in
      if state.layout != layout {
        state.series = series
        state.layout = layout
      }
      // Copied in place: sharing the array would make the worker's next write copy it into fresh memory.
      state.cells.replaceSubrange(state.cells.startIndex..., with: cells)
      state.exemplars.replaceSubrange(state.exemplars.startIndex..., with: exemplars)
    }
  }

  func read() -> State {
    state.withLock { state in
      State(cells: Array(state.cells[...]), exemplars: Array(state.exemplars[...]), series: state.series, layout: state.layout)
    }
  }
}
