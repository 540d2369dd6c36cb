internal import Bytes

/// A record in the Elastic Common Schema: its fields where it has them, and our own under `stockade`, as it asks of custom fields.
struct ECSLine {
  private let version: String
  private var timestamp = Timestamp()

  /// - Parameter version: our own.
  init(version: String) { self.version = version }

  /// The version of the schema that lines keep to.
  static let schemaVersion: StaticString = "9.0.0"

  private typealias Limits = DecisionLine.Limits

  mutating func append(_ record: borrowing DecisionRecord, to line: inout LineCursor) {
    var members = begin(at: record.timeMillis, to: &line)
    members.begin("message", in: &line)
    line.append(ASCII.quote)
    Rendered.appendSentence(record, to: &line)
    line.append(ASCII.quote)
    members.end()
    appendEvent(record, &members, to: &line)
    if !record.policies.isEmpty || !record.policySet.isEmpty {
      members.open("rule", in: &line)
      members.text("name", record.policies.first, limit: Limits.name, in: &line)
      members.text("ruleset", record.policySet, limit: Limits.name, in: &line)
      members.close(in: &line)
    }
    appendHTTP(record, &members, to: &line)
    if let ip = record.client.ip {
      members.open("client", in: &line)
      members.text("address", ip, limit: Limits.name, in: &line)
      // A network is no address: the field's type would refuse it.
      if Rendered.isAddress(ip) { members.text("ip", ip, limit: Limits.name, in: &line) }
      members.close(in: &line)
    }
    if let principal = record.principal {
      members.open("user", in: &line)
      members.text("id", LogText.id(of: principal), limit: Limits.uid, in: &line)
      members.close(in: &line)
    }
    for (name, id) in [("trace", record.traceID), ("span", record.spanID)] as [(StaticString, String?)] {
      guard let id else { continue }
      members.open(name, in: &line)
      members.text("id", id, limit: Limits.name, in: &line)
      members.close(in: &line)
    }
    if record.decision == .error {
      members.open("error", in: &line)
      members.word("type", record.reason.rawValue, in: &line)
      members.text("message", record.detail, limit: Limits.detail, in: &line)
      members.close(in: &line)
    }
    appendObserver(record.instance, &members, to: &line)
    Rendered.appendOwn(record, &members, to: &line)
    line.append("}\n")
  }

  mutating func appendSummary(of lost: UInt64, at millis: UInt64, to line: inout LineCursor) {
    var members = begin(at: millis, to: &line)
    members.raw("message", #""decisions were not logged: the log could not keep up""#, in: &line)
    members.raw("event", #"{"kind":"event","category":["process"],"type":["info"],"dataset":"stockade.decisions"}"#, in: &line)
    appendObserver("", &members, to: &line)
    members.open("stockade", in: &line)
    members.integer("dropped", lost, in: &line)
    members.close(in: &line)
    line.append("}\n")
  }

  private mutating func begin(at millis: UInt64, to line: inout LineCursor) -> LineMembers {
    var members = LineMembers()
    members.open(in: &line)
    members.begin("@timestamp", in: &line)
    line.append(ASCII.quote)
    timestamp.append(millis, to: &line)
    line.append(ASCII.quote)
    members.end()
    members.open("ecs", in: &line)
    members.word("version", Self.schemaVersion.description, in: &line)
    members.close(in: &line)
    return members
  }

  private func appendEvent(_ record: borrowing DecisionRecord, _ members: inout LineMembers, to line: inout LineCursor) {
    let passed = Rendered.passed(record)
    members.open("event", in: &line)
    members.raw("kind", #""event""#, in: &line)
    members.raw("category", #"["api","web"]"#, in: &line)
    members.raw("type", passed ? #"["access","allowed"]"# : #"["access","denied"]"#, in: &line)
    members.raw("outcome", passed ? #""success""# : #""failure""#, in: &line)
    members.raw("dataset", #""stockade.decisions""#, in: &line)
    members.raw("module", #""stockade""#, in: &line)
    members.begin("id", in: &line)
    line.append(ASCII.quote)
    line.append(id: record.id)
    line.append(ASCII.quote)
    members.end()
    if record.difference != nil {
      members.raw("action", #""engines-differ""#, in: &line)
    } else {
      members.text("action", record.action, limit: Limits.uid, in: &line)
    }
    members.word("reason", record.reason.rawValue, in: &line)
    // ECS counts nanoseconds.
    members.integer("duration", record.totalMicros.map { max($0, 0).multipliedReportingOverflow(by: 1000).partialValue }, in: &line)
    members.close(in: &line)
  }

  private func appendHTTP(_ record: borrowing DecisionRecord, _ members: inout LineMembers, to line: inout LineCursor) {
    let http = record.http
    members.open("http", in: &line)
    if http.method != nil || http.requestBytes != nil {
      members.open("request", in: &line)
      members.text("method", http.method, limit: Limits.method, in: &line)
      if let bytes = http.requestBytes {
        members.open("body", in: &line)
        members.integer("bytes", Int64(clamping: bytes), in: &line)
        members.close(in: &line)
      }
      members.close(in: &line)
    }
    if record.status != 0 {
      members.open("response", in: &line)
      members.integer("status_code", record.status, in: &line)
      members.close(in: &line)
    }
    members.text("version", http.version, limit: Limits.method, in: &line)
    members.close(in: &line)
    if http.path != nil || http.host != nil {
      members.open("url", in: &line)
      members.text("path", http.path, limit: Limits.path, in: &line)
      members.text("domain", http.host, limit: Limits.name, in: &line)
      members.close(in: &line)
    }
    if let agent = http.userAgent {
      members.open("user_agent", in: &line)
      members.text("original", agent, limit: Limits.name, in: &line)
      members.close(in: &line)
    }
  }

  private func appendObserver(_ instance: String, _ members: inout LineMembers, to line: inout LineCursor) {
    members.open("observer", in: &line)
    members.raw("type", #""proxy""#, in: &line)
    members.raw("product", #""stockade""#, in: &line)
    members.word("version", version, in: &line)
    if !instance.isEmpty { members.text("hostname", instance, limit: Limits.name, in: &line) }
    members.close(in: &line)
  }
}
