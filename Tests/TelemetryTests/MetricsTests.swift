import HTTP
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
    shard.countDecision(.deny, reason: .noPermit, enforced: worker == 0, route: "GET /orders/{id}")
    shard.countShadow(.deny, beside: .allow)
    shard.countShadow(.deny, beside: .deny)
    shard.countRequest(method: "GET", status: 200)
    shard.countRequest(method: "BREW", status: 418)
    shard.countRequest(method: nil, status: 0)
    let duration = shard.histogram(.requestDuration, MetricLabel("listener", "proxy"))
    for micros in [0, 100, 101, 800, 70_000_000, -5] { shard.observe(duration, micros: micros) }
    let sampled = TraceParent(trace: (0x4bf9_2f35_77b3_4da6, UInt64(worker)), span: 1, isSampled: true)
    let traced = shard.histogram(.upstreamDuration, showsTraces: true)
    shard.observe(traced, micros: 90, in: sampled, wallMillis: 1_795_424_494_007 + UInt64(worker))
    shard.observe(traced, micros: 240, in: sampled, wallMillis: 1_795_424_494_120 - UInt64(worker))
    shard.observe(traced, micros: 250, in: TraceParent(trace: (1, 1), span: 1, isSampled: false), wallMillis: 1_795_424_495_000)
    shard.observe(traced, micros: 70_000_000, in: sampled, wallMillis: 1_795_424_494_120)
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

  @Test func whatIsWithdrawnIsShownAgainWhenItComesBack() {
    let metrics = Metrics()
    let shard = metrics.shard()
    func shown() -> Bool {
      shard.publish()
      return metrics.text(as: .openMetrics).contains("\nstockade_jwks_keys{issuer=\"main\"} 3\n")
    }
    shard.set(shard.counter(.keys, MetricLabel("issuer", "main")), 3)
    #expect(shown())
    shard.withdraw(.keys, MetricLabel("issuer", "main"))
    shard.withdraw(.keys, MetricLabel("issuer", "other"))
    #expect(!shown())
    shard.set(shard.counter(.keys, MetricLabel("issuer", "main")), 3)
    #expect(shown())
  }

  @Test func routesBeyondAHundredAreOne() {
    let metrics = Metrics()
    let shard = metrics.shard()
    for number in 0..<300 {
      shard.countDecision(.allow, reason: .policyPermit, enforced: true, route: "GET /\(number)")
      shard.countDecision(.deny, reason: .noPermit, enforced: true, route: "GET /\(number)")
    }
    shard.publish()
    let lines = metrics.text(as: .openMetrics).split(separator: "\n").filter { $0.hasPrefix("stockade_decisions_total") }
    #expect(lines.count == 202)
    #expect(
      lines.contains("stockade_decisions_total{decision=\"allow\",reason=\"policy_permit\",enforced=\"true\",route=\"_other\"} 200"))
  }

  @Test func everyFamilyIsInTheTableOnce() {
    let names = MetricFamily.all.map(\.name)
    #expect(Set(names).count == names.count)
    for family in MetricFamily.all {
      #expect(family.help.hasSuffix("."), "\(family.name)")
      #expect(!family.name.hasSuffix("_total") && !family.name.hasSuffix("_info"), "\(family.name)")
    }
  }

  @Test func theTableIsThePublishedOne() {
    #expect(Golden.difference(MetricTable.text, from: "../../../deploy/observability/metrics.md") == nil)
  }

  @Test func whatAWorkersFamiliesAreLabelledWithIsInTheTable() {
    let metrics = Metrics()
    let shard = metrics.shard()
    let counters = DecisionCounters(shard)
    for reason in DecisionReason.allCases {
      var counted = CountedDecision(decision: .deny, reason: reason, enforced: true, timeMillis: 0)
      counted.policies = ["one", "two"]
      counted.failedPolicies = ["three"]
      counted.issuer = "main"
      counted.totalMicros = 1
      counted.authorizeMicros = 1
      counted.upstreamMicros = 1
      counted.tokenMicros = 1
      counters.count(counted)
    }
    shard.publish()
    let documented = Dictionary(uniqueKeysWithValues: MetricFamily.all.map { ($0.name, $0.labels) })
    let text = metrics.text(as: .openMetrics)
    var seen: Set<String> = []
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let name = String(line.prefix { $0 != "{" && $0 != " " })
      let family = ["_total", "_bucket", "_sum", "_count", "_info"].reduce(name) { $0.hasSuffix($1) ? String($0.dropLast($1.count)) : $0 }
      let labels = line.contains("{") ? line.drop { $0 != "{" }.dropFirst().prefix { $0 != "}" }.split(separator: ",") : []
      let found = labels.map { String($0.prefix { $0 != "=" }) }.filter { $0 != "le" }
      #expect(documented[family] == found, "\(line)")
      seen.insert(family)
    }
    #expect(
      seen.isSuperset(of: ["stockade_policy_errors", "stockade_policy_determinations", "stockade_jwks_unknown_kid", "stockade_rejected"]))
    #expect(text.contains("stockade_policy_determinations_total{policy=\"one\",effect=\"permit\"} 1\n"))
    #expect(text.contains("stockade_policy_determinations_total{policy=\"one\",effect=\"forbid\"} 2\n"))
    #expect(text.contains("stockade_jwks_unknown_kid_total{issuer=\"main\"} 1\n"))
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
