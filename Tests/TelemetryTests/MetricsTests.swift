import TestSupport
import Testing

@testable import Telemetry

/// The exposition without the process's own numbers, which change.
private func stable(_ text: String) -> String {
  text.split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.contains("process_") }.joined(separator: "\n")
}

private func filled() -> Metrics {
  let metrics = Metrics()
  for worker in 0..<2 {
    let shard = metrics.shard()
    shard.countDecision(.allow, reason: .policyPermit, enforced: true)
    shard.countDecision(.deny, reason: .tokenExpired, enforced: true)
    shard.countDecision(.deny, reason: .noPermit, enforced: worker == 0)
    shard.countShadow(.deny, beside: .allow)
    shard.countShadow(.deny, beside: .deny)
    shard.countRequest(method: "GET", status: 200)
    shard.countRequest(method: "BREW", status: 418)
    shard.countRequest(method: nil, status: 0)
    let duration = shard.histogram(.requestDuration, MetricLabel("listener", "proxy"))
    for micros in [0, 100, 101, 800, 70_000_000, -5] { shard.observe(duration, micros: micros) }
    let open = shard.counter(.connections, MetricLabel("state", "client"))
    shard.add(open, 3)
    shard.add(open, -1)
    shard.add(shard.counter(.keyRefreshes, MetricLabel("issuer", "a\"b\\c\nd"), MetricLabel("result", "ok")))
    shard.publish()
  }
  metrics.collect {
    [.init(.build, [MetricLabel("version", "1.0"), MetricLabel("swift", "6.3")], value: 1), .init(.logDropped, value: 0)]
  }
  return metrics
}

@Suite struct MetricsTests {
  @Test func bothFormatsAreAsSpecified() {
    let metrics = filled()
    #expect(Golden.difference(stable(metrics.text(as: .openMetrics)), from: "metrics.openmetrics.txt") == nil)
    #expect(Golden.difference(stable(metrics.text(as: .prometheusText)), from: "metrics.prometheus.txt") == nil)
  }

  @Test func theProcessIsDescribed() {
    let text = Metrics().text(as: .openMetrics)
    for name in [
      "process_cpu_seconds_total ", "process_resident_memory_bytes ", "process_open_fds ", "process_max_fds ",
      "process_start_time_seconds ",
    ] {
      #expect(text.contains("\n" + name), "\(name)")
    }
    #expect(text.hasSuffix("# EOF\n"))
  }

  @Test func whatAWorkerDidNotPublishIsNotShown() {
    let metrics = Metrics()
    let shard = metrics.shard()
    let counter = shard.counter(.tokenCache, MetricLabel("result", "hit"))
    shard.add(counter)
    #expect(!metrics.text(as: .openMetrics).contains("stockade_token_cache_total"))
    shard.publish()
    #expect(metrics.text(as: .openMetrics).contains("stockade_token_cache_total{result=\"hit\"} 1\n"))
    shard.add(counter, 41)
    shard.publish()
    #expect(metrics.text(as: .openMetrics).contains("stockade_token_cache_total{result=\"hit\"} 42\n"))
  }

  @Test func seriesAreBoundedWhateverLabelsCome() {
    let metrics = Metrics()
    let shard = metrics.shard()
    let family = MetricFamily("stockade_test", .counter, "Test.", seriesLimit: 10)
    for number in 0..<1000 { shard.add(shard.counter(family, MetricLabel("name", "\(number)"))) }
    shard.publish()
    let lines = metrics.text(as: .openMetrics).split(separator: "\n").filter { $0.hasPrefix("stockade_test_total") }
    #expect(lines.count == 11)
    #expect(lines.contains("stockade_test_total{name=\"_other\"} 990"))
  }

  @Test(
    arguments: [
      (nil, .prometheusText), ("", .prometheusText), ("*/*", .prometheusText), ("text/plain", .prometheusText),
      ("application/openmetrics-text", .openMetrics), ("Application/OpenMetrics-Text; version=1.0.0", .openMetrics),
      (
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        .openMetrics
      ),
      ("application/openmetrics-text;q=0.2, text/plain;q=0.9", .prometheusText), ("application/openmetrics-text;q=0", .prometheusText),
      ("application/openmetrics-text;q=banana", .prometheusText), (",;,;q=", .prometheusText),
    ] as [(String?, MetricsFormat)])
  func theFormatIsWhatTheScraperAccepts(_ accept: String?, _ format: MetricsFormat) {
    #expect(MetricsFormat(accepting: accept) == format)
  }
}
