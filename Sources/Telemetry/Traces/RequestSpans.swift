internal import HTTP

/// The spans of one request, by OpenTelemetry's semantic conventions for HTTP: the request as a server sees it, and in it who asks
/// (`stockade.authenticate`), what was decided (`stockade.authorize`), and the call to the service behind.
///
/// They end with the response's head, as the record's times do. What the record does not say they do not say either.
struct RequestSpans {
  private let record: DecisionRecord
  private let trace: RequestTrace
  private let facts: SpanFacts
  // What is added to monotonic nanoseconds to have wall time.
  private let offset: UInt64

  /// - Parameter wallNanos: now, on the wall; `facts.ended` is the same moment.
  init(_ record: DecisionRecord, _ trace: RequestTrace, _ facts: SpanFacts, wallNanos: UInt64) {
    self.record = record
    self.trace = trace
    self.facts = facts
    offset = wallNanos &- facts.ended
  }

  /// The request.
  func server() -> Span {
    var span = span(trace.context.span, in: trace.parent, .server, name: name, facts.began, facts.ended)
    span.state = trace.state
    addMethod(to: &span)
    span.add("url.scheme", facts.scheme)
    span.add("url.path", record.http.path)
    span.add("http.route", facts.routePath)
    span.add("server.address", record.http.host)
    span.add("client.address", record.client.ip)
    span.add("network.protocol.version", record.http.version)
    span.add("user_agent.original", record.http.userAgent)
    // The client may be gone before a status was sent.
    if record.status != 0 { span.add("http.response.status_code", record.status) }
    span.add("stockade.decision_id", record.id.description)
    addDecision(to: &span)
    if record.status >= 500 {
      span.add("error.type", record.upstreamError ?? (record.decision == .error ? record.reason.rawValue : "\(record.status)"))
      span.isError = true
    }
    return span
  }

  /// Who asks: until that was known, waiting for keys included; nil where nobody said.
  func authenticate(id: UInt64) -> Span? {
    guard facts.authenticated != 0 || record.token != nil else { return nil }
    let end = facts.authenticated != 0 ? facts.authenticated : facts.decided
    var span = span(id, in: trace.context.span, .internal, name: "stockade.authenticate", facts.began, end)
    span.add("stockade.issuer", record.token?.issuer)
    span.add("stockade.token.use", record.token?.use)
    if facts.authenticated == 0 { span.add("stockade.reason", record.reason.rawValue) }
    return span
  }

  /// What was decided, waiting for bodies, entities and engines elsewhere included; nil where no policy was asked.
  func authorize(id: UInt64) -> Span? {
    guard facts.authenticated != 0, facts.decided >= facts.authenticated, let engine = record.engine else { return nil }
    var span = span(id, in: trace.context.span, .internal, name: "stockade.authorize", facts.authenticated, facts.decided)
    span.add("stockade.engine", engine)
    addDecision(to: &span)
    if !record.policies.isEmpty { span.attributes.append(("stockade.policies", .texts(record.policies))) }
    span.add("stockade.policy_set", record.policySet)
    if record.errors > 0 { span.add("stockade.policy_errors", record.errors) }
    return span
  }

  /// The call to the service behind; nil where it was not asked.
  func call() -> Span? {
    guard facts.isForwarded else { return nil }
    var span = span(trace.upstream.span, in: trace.context.span, .client, name: methodName, facts.decided, facts.ended)
    span.state = trace.state
    addMethod(to: &span)
    span.add("server.address", facts.upstream)
    span.add("http.response.status_code", facts.upstreamStatus)
    if let error = record.upstreamError ?? facts.upstreamStatus.flatMap({ $0 >= 400 ? "\($0)" : nil }) {
      span.add("error.type", error)
      span.isError = true
    }
    return span
  }

  private func span(_ id: UInt64, in parent: UInt64, _ kind: Span.Kind, name: String, _ start: UInt64, _ end: UInt64) -> Span {
    Span(trace: trace.context, id: id, parent: parent, kind: kind, name: name, start: start &+ offset, end: max(start, end) &+ offset)
  }

  private func addDecision(to span: inout Span) {
    span.add("stockade.decision", record.decision.rawValue)
    span.add("stockade.reason", record.reason.rawValue)
    span.attributes.append(("stockade.enforced", .flag(record.enforced)))
  }

  // The conventions: a method that is not HTTP's own is told beside, so that the attribute has few values.
  private var isKnownMethod: Bool { record.http.method.map { Method(token: $0.utf8) != .other } ?? false }

  private func addMethod(to span: inout Span) {
    guard let method = record.http.method else { return }
    span.add("http.request.method", isKnownMethod ? method : "_OTHER")
    if !isKnownMethod { span.add("http.request.method_original", method) }
  }

  private var methodName: String { isKnownMethod ? record.http.method ?? "HTTP" : "HTTP" }
  private var name: String { facts.routePath.map { "\(methodName) \($0)" } ?? methodName }
}
