internal import Bytes

/// A record as an OpenTelemetry log record, in OTLP's JSON: attributes by the names of the semantic conventions where there are such,
/// and ours under `stockade.`.
struct OTLPLine {
  private let message: OTLPMessage?

  /// - Parameter message: what stands around each record where a line is a whole message, as in files (OTLP File Exporter); nil where
  ///   a sender puts it around many.
  init(_ message: OTLPMessage?) { self.message = message }

  private typealias Limits = DecisionLine.Limits

  func append(_ record: borrowing DecisionRecord, to line: inout LineCursor) {
    if let message { line.append(message.head) }
    let severity: (number: Int, text: String) =
      switch record.decision {
      case .allow: (9, "INFO")
      case .deny: (13, "WARN")
      case .error: (17, "ERROR")
      }
    var members = begin(severity, record.difference == nil ? "stockade.decision" : "stockade.difference", at: record.timeMillis, to: &line)
    members.open("body", in: &line)
    members.begin("stringValue", in: &line)
    line.append(ASCII.quote)
    Rendered.appendSentence(record, to: &line)
    line.append(ASCII.quote)
    members.end()
    members.close(in: &line)
    members.openList("attributes", in: &line)
    var attributes = Attributes(members)
    appendRequest(record, &attributes, to: &line)
    appendDecision(record, &attributes, to: &line)
    members = attributes.members
    members.closeList(in: &line)
    // Hexadecimal, unlike all other bytes of protobuf's JSON.
    members.text("traceId", record.traceID, limit: Limits.name, in: &line)
    members.text("spanId", record.spanID, limit: Limits.name, in: &line)
    members.close(in: &line)
    if let message { line.append(message.tail) }
    line.append("\n")
  }

  func appendSummary(of lost: UInt64, at millis: UInt64, to line: inout LineCursor) {
    if let message { line.append(message.head) }
    var members = begin((17, "ERROR"), "stockade.decisions_dropped", at: millis, to: &line)
    members.raw("body", #"{"stringValue":"decisions were not logged: the log could not keep up"}"#, in: &line)
    members.openList("attributes", in: &line)
    var attributes = Attributes(members)
    attributes.integer("stockade.dropped", Int64(clamping: lost), in: &line)
    members = attributes.members
    members.closeList(in: &line)
    members.close(in: &line)
    if let message { line.append(message.tail) }
    line.append("\n")
  }

  private func begin(
    _ severity: (number: Int, text: String), _ event: String, at millis: UInt64, to line: inout LineCursor
  ) -> LineMembers {
    var members = LineMembers()
    members.open(in: &line)
    for name in ["timeUnixNano", "observedTimeUnixNano"] as [StaticString] {
      members.begin(name, in: &line)
      line.append(ASCII.quote)
      line.append(integer: millis)
      line.append("000000\"")
      members.end()
    }
    members.integer("severityNumber", severity.number, in: &line)
    members.word("severityText", severity.text, in: &line)
    members.word("eventName", event, in: &line)
    return members
  }

  private func appendRequest(_ record: borrowing DecisionRecord, _ attributes: inout Attributes, to line: inout LineCursor) {
    let http = record.http
    if let method = http.method {
      let isKnown = Self.methods.contains(method)
      attributes.text("http.request.method", isKnown ? method : "_OTHER", limit: Limits.method, in: &line)
      if !isKnown { attributes.text("http.request.method_original", method, limit: Limits.method, in: &line) }
    }
    attributes.text("url.path", http.path, limit: Limits.path, in: &line)
    attributes.text("server.address", http.host, limit: Limits.name, in: &line)
    attributes.text("http.route", record.route, limit: Limits.uid, in: &line)
    attributes.text("network.protocol.version", http.version, limit: Limits.method, in: &line)
    attributes.integer("http.request.body.size", http.requestBytes.map { Int64(clamping: $0) }, in: &line)
    if record.status != 0 { attributes.integer("http.response.status_code", Int64(record.status), in: &line) }
    attributes.text("user_agent.original", http.userAgent, limit: Limits.name, in: &line)
    attributes.text("client.address", record.client.ip, limit: Limits.name, in: &line)
    if let principal = record.principal {
      let isHash = record.redacted.contains("/principal")
      attributes.text(isHash ? "enduser.pseudo.id" : "enduser.id", LogText.id(of: principal), limit: Limits.uid, in: &line)
    }
    if let error = record.upstreamError ?? (record.decision == .error ? record.reason.rawValue : nil) {
      attributes.text("error.type", error, limit: Limits.name, in: &line)
    }
    attributes.text("security_rule.name", record.policies.first, limit: Limits.name, in: &line)
    attributes.text("security_rule.ruleset.name", record.policySet, limit: Limits.name, in: &line)
  }

  private func appendDecision(_ record: borrowing DecisionRecord, _ attributes: inout Attributes, to line: inout LineCursor) {
    attributes.text("stockade.id", record.id.description, limit: .max, in: &line)
    attributes.text("stockade.decision", record.decision.rawValue, limit: .max, in: &line)
    attributes.flag("stockade.enforced", record.enforced, in: &line)
    attributes.text("stockade.reason", record.reason.rawValue, limit: .max, in: &line)
    attributes.text("stockade.detail", record.detail, limit: Limits.detail, in: &line)
    attributes.texts("stockade.policies", record.policies.prefix(Limits.policies), limit: Limits.name, in: &line)
    attributes.integer("stockade.generation", Int64(clamping: record.generation), in: &line)
    attributes.integer("stockade.errors", Int64(record.errors), in: &line)
    if let would = record.would {
      attributes.text("stockade.would.decision", would.decision.rawValue, limit: .max, in: &line)
      attributes.text("stockade.would.reason", would.reason.rawValue, limit: .max, in: &line)
      attributes.texts("stockade.would.policies", would.policies.prefix(Limits.policies), limit: Limits.name, in: &line)
    }
    if let difference = record.difference {
      attributes.text("stockade.difference.by", difference.by.rawValue, limit: .max, in: &line)
      attributes.text("stockade.difference.engine", difference.engine, limit: Limits.name, in: &line)
      attributes.text("stockade.difference.decision", difference.decision.rawValue, limit: .max, in: &line)
    }
    attributes.text("stockade.principal", record.principal, limit: Limits.uid, in: &line)
    attributes.text("stockade.action", record.action, limit: Limits.uid, in: &line)
    attributes.text("stockade.resource", record.resource, limit: Limits.uid, in: &line)
    attributes.text("stockade.engine", record.engine, limit: Limits.name, in: &line)
    for (name, micros) in [
      ("stockade.authz_us", record.authorizeMicros), ("stockade.lookup_us", record.lookupMicros), ("stockade.total_us", record.totalMicros),
      ("stockade.upstream_us", record.upstreamMicros),
    ] as [(StaticString, Int?)] { attributes.integer(name, micros.map(Int64.init), in: &line) }
    if let token = record.token {
      attributes.text("stockade.token.issuer", token.issuer, limit: Limits.name, in: &line)
      attributes.text("stockade.token.use", token.use, limit: Limits.name, in: &line)
      attributes.text("stockade.token.alg", token.algorithm, limit: Limits.name, in: &line)
      attributes.text("stockade.token.kid", token.keyID, limit: Limits.name, in: &line)
      attributes.text("stockade.token.client_id", token.clientID, limit: Limits.name, in: &line)
      attributes.integer("stockade.token.expires_in_s", token.expiresInSeconds, in: &line)
      attributes.text("stockade.token.jti_hash", token.jtiHash, limit: Limits.name, in: &line)
    }
    if record.isAudited { attributes.flag("stockade.audit", true, in: &line) }
    if record.wasExplained { attributes.flag("stockade.debug_ticket", true, in: &line) }
    if record.weight != 1 { attributes.integer("stockade.weight", Int64(record.weight), in: &line) }
    attributes.texts("stockade.redacted", record.redacted, limit: Limits.name, in: &line)
  }

  // The methods that the semantic conventions name; any other is `_OTHER`.
  private static let methods: Set<String> = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"]
}

/// Attributes of OTLP: a list of keys with values that say their type.
private struct Attributes {
  var members: LineMembers

  init(_ members: LineMembers) { self.members = members }

  private mutating func open(_ key: StaticString, in line: inout LineCursor) {
    members.open(in: &line)
    members.begin("key", in: &line)
    line.append(ASCII.quote)
    line.append(key)
    line.append(ASCII.quote)
    members.end()
    members.open("value", in: &line)
  }

  private mutating func close(in line: inout LineCursor) {
    members.close(in: &line)
    members.close(in: &line)
  }

  mutating func text(_ key: StaticString, _ value: String?, limit: Int, in line: inout LineCursor) {
    guard let value else { return }
    open(key, in: &line)
    members.text("stringValue", value, limit: limit, in: &line)
    close(in: &line)
  }

  // 64-bit numbers are strings in protobuf's JSON.
  mutating func integer(_ key: StaticString, _ value: Int64?, in line: inout LineCursor) {
    guard let value else { return }
    open(key, in: &line)
    members.begin("intValue", in: &line)
    line.append(ASCII.quote)
    line.append(integer: value)
    line.append(ASCII.quote)
    members.end()
    close(in: &line)
  }

  mutating func flag(_ key: StaticString, _ value: Bool, in line: inout LineCursor) {
    open(key, in: &line)
    members.flag("boolValue", value, in: &line)
    close(in: &line)
  }

  mutating func texts(_ key: StaticString, _ values: some Sequence<String>, limit: Int, in line: inout LineCursor) {
    var isOpen = false
    for value in values {
      if !isOpen {
        open(key, in: &line)
        members.open("arrayValue", in: &line)
        members.openList("values", in: &line)
      }
      isOpen = true
      members.open(in: &line)
      members.text("stringValue", value, limit: limit, in: &line)
      members.close(in: &line)
    }
    guard isOpen else { return }
    members.closeList(in: &line)
    members.close(in: &line)
    close(in: &line)
  }
}
