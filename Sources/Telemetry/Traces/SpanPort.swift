public import HTTP

/// A worker's end of tracing: begins the trace of each request, writes its spans, and hands them over once a turn of its loop.
public final class SpanPort {
  private let tracing: Tracing
  private var random = RandomWords()
  private var batch = LineBuffer()
  private var count = 0

  init(_ tracing: Tracing) { self.tracing = tracing }

  /// Begins a request's part of the trace that its caller names, or a trace of its own (W3C Trace Context §4.3).
  public func begin(_ fields: FieldSection) -> RequestTrace {
    let parent = TraceParent(of: fields)
    let trace = parent?.trace ?? (random.next(), random.next())
    let isSampled = tracing.sampling.samples(trace, calledBy: parent)
    let span = random.next()
    // A call that is not recorded has no span; the service behind still gets a parent id of ours.
    let call = isSampled ? random.next() : span
    // Without a valid parent the state is nobody's (§4.2, step 3).
    let keepsState = parent != nil && TraceState.isValid(in: fields)
    return RequestTrace(
      context: TraceParent(trace: trace, span: span, isSampled: isSampled), parent: parent?.span ?? 0,
      upstream: TraceParent(trace: trace, span: call, isSampled: isSampled),
      keepsState: keepsState, state: isSampled && keepsState ? TraceState.text(in: fields) : nil)
  }

  /// Writes the spans of a request that is recorded; of another nothing.
  public func write(_ record: borrowing DecisionRecord, _ trace: RequestTrace, _ facts: SpanFacts) {
    guard trace.context.isSampled else { return }
    var shaped = copy record
    tracing.shape.apply(to: &shaped)
    let spans = RequestSpans(shaped, trace, facts, wallNanos: WallClock.nanos())
    if let authenticate = spans.authenticate(id: random.next()) { append(authenticate) }
    if let authorize = spans.authorize(id: random.next()) { append(authorize) }
    if let call = spans.call() { append(call) }
    append(spans.server())
    if batch.count >= Self.largestBatch { flush() }
  }

  private func append(_ span: Span) {
    batch.write { line in span.append(to: &line) }
    count += 1
  }

  /// Hands over what was written. Call it at the end of every turn.
  public func flush() {
    guard count > 0 else { return }
    tracing.hand(over: Tracing.Batch(lines: batch.bytes, count: count))
    batch.removeAll()
    count = 0
  }

  private static let largestBatch = 64 * 1024
}
