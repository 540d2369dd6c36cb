import Bytes
import HTTP
import JSON
import Net
import TestSupport
import Testing

@testable import Telemetry

private let sampledParent = TraceParent(trace: (0x4bf9_2f35_77b3_4da6, 0xa3ce_929d_0e0e_4736), span: 0x00f0_67aa_0ba9_02b7, isSampled: true)

private func fields(_ lines: String...) throws -> FieldSection {
  var head = RequestHead()
  let text = "GET / HTTP/1.1\r\nHost: x\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n"
  _ = Array(text.utf8).withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }
  return head.fields
}

@Suite struct TraceTests {
  @Test func samplersAreThoseOfOpenTelemetry() {
    let low = (high: UInt64(1), low: UInt64(0x0ccc_cccc_cccc_cccc))
    let high = (high: UInt64(1), low: UInt64.max)
    let unsampled = TraceParent(trace: low, span: 1, isSampled: false)
    func outcome(_ rule: TraceSampling.Rule, _ ratio: Double = 0.1) -> [Bool] {
      let sampling = TraceSampling(rule, ratio: ratio)
      return [
        sampling.samples(low, calledBy: nil), sampling.samples(high, calledBy: nil), sampling.samples(high, calledBy: sampledParent),
        sampling.samples(low, calledBy: unsampled),
      ]
    }
    #expect(outcome(.alwaysOn) == [true, true, true, true])
    #expect(outcome(.alwaysOff) == [false, false, false, false])
    #expect(outcome(.ratio) == [true, false, false, true])
    #expect(outcome(.parentAlwaysOn) == [true, true, true, false])
    #expect(outcome(.parentAlwaysOff) == [false, false, true, false])
    #expect(outcome(.parentRatio) == [true, false, true, false])
    #expect(outcome(.ratio, 1) == [true, true, true, true])
    #expect(outcome(.ratio, 0) == [false, false, false, false])
  }

  private func tracing(_ rule: TraceSampling.Rule, capacity: Int = 100) throws -> Tracing {
    try Tracing(TraceSampling(rule), shape: DecisionShape(), capacity: capacity)
  }

  @Test func aValidTraceGoesOnUnderASpanOfOurs() throws {
    let port = try tracing(.parentAlwaysOff).port()
    let trace = port.begin(try fields("traceparent: \(sampledParent.description)", "tracestate: a=1"))
    #expect(trace.context.trace == sampledParent.trace && trace.parent == sampledParent.span && trace.context.isSampled)
    #expect(trace.context.span != sampledParent.span && trace.upstream.span != trace.context.span)
    #expect(trace.upstream.trace == sampledParent.trace && trace.upstream.isSampled && trace.keepsState)
  }

  @Test func anInvalidTraceIsBegunAnewWithoutItsState() throws {
    let port = try tracing(.alwaysOn).port()
    for line in ["traceparent: 00-\(sampledParent.traceText)-0000000000000000-01", "traceparent: nonsense", "x: y"] {
      let trace = port.begin(try fields(line, "tracestate: a=1"))
      #expect(trace.context.trace != sampledParent.trace && trace.parent == 0 && !trace.keepsState, "\(line)")
    }
    #expect(!port.begin(try fields("traceparent: \(sampledParent.description)", "tracestate: a=1,a=2")).keepsState)
  }

  @Test func aCallersWordCountsAsFarAsTheSamplerListens() throws {
    let said = try fields("traceparent: \(sampledParent.description)")
    #expect(try !tracing(.alwaysOff).port().begin(said).upstream.isSampled)
    #expect(try tracing(.parentAlwaysOff).port().begin(said).upstream.isSampled)
    #expect(try !tracing(.parentAlwaysOff).port().begin(fields()).upstream.isSampled)
  }

  private func record() -> DecisionRecord {
    var record = DecisionRecord(
      timeMillis: 0, id: DecisionID(milliseconds: 1, random: (2, 3)), decision: .allow, enforced: true, reason: .policyPermit)
    record.status = 200
    record.http = .init(method: "GET", host: "api.example.com", path: "/orders/\"42\"", version: "1.1", userAgent: "curl\n")
    record.client.ip = "192.0.2.7"
    record.policies = ["readers", "all"]
    record.policySet = "sha256:00"
    record.engine = "local"
    record.token = .init(issuer: "main", use: "access")
    return record
  }

  private func facts() -> SpanFacts {
    var facts = SpanFacts()
    (facts.began, facts.authenticated, facts.decided, facts.ended) = (1_000, 2_000, 3_000, 9_000)
    facts.isForwarded = true
    facts.upstreamStatus = 200
    facts.routePath = "/orders/{id}"
    facts.upstream = "orders.internal"
    return facts
  }

  private var trace: RequestTrace {
    RequestTrace(
      context: TraceParent(trace: sampledParent.trace, span: 0xa, isSampled: true), parent: sampledParent.span,
      upstream: TraceParent(trace: sampledParent.trace, span: 0xb, isSampled: true), keepsState: true, state: "a=1")
  }

  @Test func theSpansOfARequestAreAsRecorded() {
    func text(_ record: DecisionRecord, _ facts: SpanFacts) -> String {
      let spans = RequestSpans(record, trace, facts, wallNanos: 1_795_424_494_000_009_000)
      var buffer = LineBuffer()
      for span in [spans.server(), spans.authenticate(id: 0xc), spans.authorize(id: 0xd), spans.call()] {
        if let span { buffer.write { span.append(to: &$0) } }
      }
      return String(decoding: buffer.bytes, as: UTF8.self)
    }
    var refused = record()
    (refused.decision, refused.reason, refused.status, refused.engine) = (.deny, .tokenExpired, 401, nil)
    refused.policies = []
    var early = facts()
    (early.authenticated, early.isForwarded, early.upstreamStatus, early.routePath) = (0, false, nil, nil)
    var failed = record()
    (failed.status, failed.upstreamError, failed.http.method) = (502, "connect", "BREW")
    var unanswered = facts()
    unanswered.upstreamStatus = nil
    let all = [text(record(), facts()), text(refused, early), text(failed, unanswered)].joined(separator: "\n")
    #expect(Golden.difference(all, from: "spans.jsonl") == nil)
  }

  @Test func whatTheLogLeavesOutSpansLeaveOutToo() throws {
    let shape = DecisionShape(addresses: .omit, drops: ["/http/path", "/http/user_agent"])
    let loop = try EventLoop()
    let tracing = try Tracing(TraceSampling(.alwaysOn), shape: shape, capacity: 100)
    var lines = ""
    try tracing.mailbox.attach(to: loop) { lines += String(decoding: $0.lines, as: UTF8.self) }
    let port = tracing.port()
    port.write(record(), trace, facts())
    port.flush()
    try loop.turn(maxWaitMillis: 1_000)
    #expect(lines.split(separator: "\n").count == 4)
    for secret in ["192.0.2.7", "client.address", "url.path", "user_agent.original"] { #expect(!lines.contains(secret), "\(secret)") }
    loop.releaseAll()
  }

  @Test func whatIsNotSampledHasNoSpansAndWhatIsTooMuchIsCounted() throws {
    let tracing = try tracing(.parentAlwaysOff, capacity: 6)
    let port = tracing.port()
    port.write(record(), port.begin(try fields()), facts())
    port.flush()
    #expect(tracing.mailbox.count == 0 && tracing.droppedSpans == 0)
    for _ in 0..<3 {
      port.write(record(), trace, facts())
      port.flush()
    }
    // Four spans each, six may wait: nobody takes them.
    #expect(tracing.mailbox.count == 1 && tracing.droppedSpans == 8)
    tracing.taken(4)
    port.write(record(), trace, facts())
    port.flush()
    #expect(tracing.mailbox.count == 2)
  }
}
