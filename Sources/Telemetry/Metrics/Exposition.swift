internal import HTTP

/// The text of a scrape: families in order of appearance, series in order of their labels.
struct Exposition {
  private struct Family {
    let family: MetricFamily
    var values: [String: Double] = [:]
    var histograms: [String: [UInt64]] = [:]
    var exemplars: [String: [Exemplar]] = [:]
  }

  private let format: MetricsFormat
  private var order: [String] = []
  private var families: [String: Family] = [:]

  init(format: MetricsFormat) { self.format = format }

  mutating func add(_ series: MetricSeries, of numbers: PublishedMetrics.State) {
    let cells = numbers.cells
    let labels = Self.text(of: series.labels)
    if case .histogram(let bounds) = series.family.kind {
      let width = bounds.count + 2
      guard series.cell + width <= cells.count else { return }
      update(series.family) { family in
        var sum = family.histograms[labels] ?? Array(repeating: 0, count: width)
        for index in 0..<width { sum[index] &+= cells[series.cell + index] }
        family.histograms[labels] = sum
        guard let first = series.exemplars, first + bounds.count < numbers.exemplars.count else { return }
        var latest = family.exemplars[labels] ?? Array(repeating: Exemplar(), count: bounds.count + 1)
        for index in latest.indices where numbers.exemplars[first + index].isPresent {
          let exemplar = numbers.exemplars[first + index]
          if !latest[index].isPresent || exemplar.wallMillis > latest[index].wallMillis { latest[index] = exemplar }
        }
        family.exemplars[labels] = latest
      }
    } else {
      guard series.cell < cells.count else { return }
      let cell = cells[series.cell]
      let value = series.family.kind == .gauge ? Double(Int64(bitPattern: cell)) : Double(cell)
      update(series.family) { $0.values[labels, default: 0] += value }
    }
  }

  mutating func add(_ sample: Metrics.Sample) {
    let labels = Self.text(of: sample.labels)
    update(sample.family) { $0.values[labels, default: 0] += sample.value }
  }

  private mutating func update(_ family: MetricFamily, _ change: (inout Family) -> Void) {
    if families[family.name] == nil {
      order.append(family.name)
      families[family.name] = Family(family: family)
    }
    change(&families[family.name, default: Family(family: family)])
  }

  func text() -> String {
    var out = ""
    for name in order {
      guard let family = families[name] else { continue }
      write(family, to: &out)
    }
    if format == .openMetrics { out += "# EOF\n" }
    return out
  }

  private func write(_ family: Family, to out: inout String) {
    let name = family.family.name
    let isOpen = format == .openMetrics
    let suffix: String
    let type: String
    switch family.family.kind {
    case .counter: (suffix, type) = ("_total", "counter")
    case .gauge: (suffix, type) = ("", "gauge")
    case .info: (suffix, type) = ("_info", isOpen ? "info" : "gauge")
    case .histogram: (suffix, type) = ("", "histogram")
    }
    // OpenMetrics describes the family, the older format the samples.
    let described = isOpen ? name : name + suffix
    out += "# HELP \(described) \(Self.escaped(family.family.help, quotes: false))\n# TYPE \(described) \(type)\n"
    if isOpen, let unit = ["seconds", "bytes"].first(where: { name.hasSuffix("_" + $0) }) { out += "# UNIT \(described) \(unit)\n" }
    for (labels, value) in family.values.sorted(by: { $0.key < $1.key }) {
      out += name + suffix + (labels.isEmpty ? "" : "{\(labels)}") + " \(Self.number(value))\n"
    }
    guard case .histogram(let bounds) = family.family.kind else { return }
    for (labels, cells) in family.histograms.sorted(by: { $0.key < $1.key }) {
      let lead = labels.isEmpty ? "" : labels + ","
      let exemplars = isOpen ? family.exemplars[labels] ?? [] : []
      func exemplar(_ index: Int) -> String { exemplars.indices.contains(index) ? Self.text(of: exemplars[index]) : "" }
      var total: UInt64 = 0
      for (index, bound) in bounds.enumerated() {
        total &+= cells[index]
        out += "\(name)_bucket{\(lead)le=\"\(Self.number(Double(bound) / 1_000_000))\"} \(total)\(exemplar(index))\n"
      }
      total &+= cells[bounds.count]
      let braces = labels.isEmpty ? "" : "{\(labels)}"
      out += "\(name)_bucket{\(lead)le=\"+Inf\"} \(total)\(exemplar(bounds.count))\n"
      out += "\(name)_sum\(braces) \(Self.number(Double(cells[bounds.count + 1]) / 1_000_000))\n\(name)_count\(braces) \(total)\n"
    }
  }

  // OpenMetrics 1.0, "Exemplars": the labels, the value in the metric's unit, the time in seconds.
  private static func text(of exemplar: Exemplar) -> String {
    guard exemplar.isPresent else { return "" }
    let trace = TraceParent.text(exemplar.trace.high) + TraceParent.text(exemplar.trace.low)
    let millis = exemplar.wallMillis % 1000
    let time = "\(exemplar.wallMillis / 1000)." + (millis < 10 ? "00" : millis < 100 ? "0" : "") + "\(millis)"
    return " # {trace_id=\"\(trace)\"} \(number(Double(exemplar.micros) / 1_000_000)) \(time)"
  }

  private static func text(of labels: [MetricLabel]) -> String {
    labels.map { "\($0.name)=\"\(escaped($0.value, quotes: true))\"" }.joined(separator: ",")
  }

  private static func escaped(_ text: String, quotes: Bool) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\"" where quotes: out += "\\\""
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }

  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
    if value == value.rounded(), abs(value) < 9e15 { return "\(Int64(value))" }
    return "\(value)"
  }
}
