/// The published table of all metrics, in Markdown: made from the families themselves, so that it cannot say anything else.
public enum MetricTable {
  /// The whole page.
  public static var text: String {
    var out = """
      # Metrics

      What `/metrics` of the operations listener shows: OpenMetrics 1.0 for whoever accepts it, else the Prometheus text format 0.0.4. \
      This page is made from the code (`UPDATE_GOLDEN=1 swift test --filter MetricsTests`).

      Label values come from the configuration and from tables of ours, never from a request: no subject, path, host, key id, issuer \
      claim or user agent. A family has at most so many series a worker as the table says; what would come beyond is counted under \
      labels that say `_other`. Methods that are not HTTP's own are `_OTHER`.

      In OpenMetrics, buckets of the durations of requests, decisions and the service behind carry the trace id of the last sampled \
      request that fell into them, as an exemplar.

      | metric | type | labels | series | meaning |
      |---|---|---|---|---|

      """
    for family in MetricFamily.all {
      let (name, type) =
        switch family.kind {
        case .counter: (family.name + "_total", "counter")
        case .gauge: (family.name, "gauge")
        case .info: (family.name + "_info", "info")
        case .histogram: (family.name, "histogram")
        }
      let labels = family.labels.map { "`\($0)`" }.joined(separator: ", ")
      let series = family.labels.isEmpty ? "1" : "\(family.seriesLimit)"
      out += "| `\(name)` | \(type) | \(labels) | \(series) | \(family.help) |\n"
    }
    return out
  }
}
