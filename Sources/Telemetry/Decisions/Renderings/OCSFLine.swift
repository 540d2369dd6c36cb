internal import Bytes

/// A record as an event of the Open Cybersecurity Schema Framework: API Activity (6003) with the profile `security_control`.
///
/// Not Authorize Session (3003): that is about the privileges of a logon, and has no room for a request.
struct OCSFLine {
  private let version: String

  /// - Parameter version: our own.
  init(version: String) { self.version = version }

  /// The version of the schema that lines keep to.
  static let schemaVersion: StaticString = "1.6.0"

  private typealias Limits = DecisionLine.Limits

  func append(_ record: borrowing DecisionRecord, to line: inout LineCursor) {
    let activity = Self.activity(record.http.method)
    var members = begin(activity, Self.severity(of: record), at: record.timeMillis, to: &line)
    members.integer("duration", record.totalMicros.map { $0 / 1000 }, in: &line)
    members.begin("message", in: &line)
    line.append(ASCII.quote)
    Rendered.appendSentence(record, to: &line)
    line.append(ASCII.quote)
    members.end()
    appendVerdict(record, &members, to: &line)
    appendMetadata(of: record.id, record.traceID, &members, to: &line)
    appendActor(record, &members, to: &line)
    appendCall(record, &members, to: &line)
    members.open("src_endpoint", in: &line)
    if let ip = record.client.ip, Rendered.isAddress(ip) {
      members.text("ip", ip, limit: Limits.name, in: &line)
    } else {
      members.text("name", record.client.ip ?? "unknown", limit: Limits.name, in: &line)
    }
    members.close(in: &line)
    if let resource = record.resource {
      members.openList("resources", in: &line)
      members.open(in: &line)
      members.text("uid", resource, limit: Limits.uid, in: &line)
      members.close(in: &line)
      members.closeList(in: &line)
    }
    members.open("unmapped", in: &line)
    Rendered.appendOwn(record, &members, to: &line)
    members.close(in: &line)
    line.append("}\n")
  }

  func appendSummary(of lost: UInt64, at millis: UInt64, to line: inout LineCursor) {
    var members = begin((99, "Log"), 4, at: millis, to: &line)
    members.raw("message", #""decisions were not logged: the log could not keep up""#, in: &line)
    appendMetadata(of: nil, nil, &members, to: &line)
    members.raw("actor", #"{"app_name":"stockade"}"#, in: &line)
    members.raw("api", #"{"operation":"log"}"#, in: &line)
    members.raw("src_endpoint", #"{"name":"stockade"}"#, in: &line)
    members.open("unmapped", in: &line)
    members.open("stockade", in: &line)
    members.integer("dropped", lost, in: &line)
    members.close(in: &line)
    members.close(in: &line)
    line.append("}\n")
  }

  private func begin(
    _ activity: (id: Int, name: String), _ severity: Int, at millis: UInt64, to line: inout LineCursor
  ) -> LineMembers {
    var members = LineMembers()
    members.open(in: &line)
    members.raw("category_uid", "6", in: &line)
    members.raw("class_uid", "6003", in: &line)
    members.integer("type_uid", 600_300 + activity.id, in: &line)
    members.integer("activity_id", activity.id, in: &line)
    members.text("activity_name", activity.name, limit: Limits.method, in: &line)
    members.integer("severity_id", severity, in: &line)
    members.integer("time", millis, in: &line)
    return members
  }

  /// What a method does to a resource, RFC 9110 §9.3.
  private static func activity(_ method: String?) -> (id: Int, name: String) {
    switch method {
    case "POST": (1, "Create")
    case "GET", "HEAD", "OPTIONS": (2, "Read")
    case "PUT", "PATCH": (3, "Update")
    case "DELETE": (4, "Delete")
    case let method?: (99, method)
    case nil: (0, "Unknown")
    }
  }

  private static func severity(of record: borrowing DecisionRecord) -> Int {
    switch record.decision {
    case .allow: 1
    case .deny: 2
    case .error: 3
    }
  }

  private func appendVerdict(_ record: borrowing DecisionRecord, _ members: inout LineMembers, to line: inout LineCursor) {
    // Allowed and Allowed; Denied and Blocked, or Error; Observed and Logged.
    let (action, disposition): (Int, Int) =
      switch record.decision {
      case .allow: (1, 1)
      case .deny: record.enforced ? (2, 2) : (3, 17)
      case .error: record.enforced ? (2, 27) : (3, 17)
      }
    members.integer("action_id", action, in: &line)
    members.integer("disposition_id", disposition, in: &line)
    members.integer("status_id", Rendered.passed(record) ? 1 : 2, in: &line)
    if record.status != 0 { members.word("status_code", String(record.status), in: &line) }
    if let detail = record.detail {
      members.text("status_detail", detail, limit: Limits.detail, in: &line)
    } else {
      members.word("status_detail", record.reason.rawValue, in: &line)
    }
  }

  private func appendMetadata(of id: DecisionID?, _ trace: String?, _ members: inout LineMembers, to line: inout LineCursor) {
    members.open("metadata", in: &line)
    members.word("version", Self.schemaVersion.description, in: &line)
    members.open("product", in: &line)
    members.raw("name", #""Stockade""#, in: &line)
    members.raw("vendor_name", #""Stockade""#, in: &line)
    members.word("version", version, in: &line)
    members.close(in: &line)
    members.raw("profiles", #"["security_control"]"#, in: &line)
    members.raw("log_name", #""decisions""#, in: &line)
    if let id {
      members.begin("uid", in: &line)
      line.append(ASCII.quote)
      line.append(id: id)
      line.append(ASCII.quote)
      members.end()
    }
    members.text("correlation_uid", trace, limit: Limits.name, in: &line)
    members.close(in: &line)
  }

  private func appendActor(_ record: borrowing DecisionRecord, _ members: inout LineMembers, to line: inout LineCursor) {
    members.open("actor", in: &line)
    members.open("user", in: &line)
    if let principal = record.principal {
      members.text("uid", LogText.id(of: principal), limit: Limits.uid, in: &line)
    } else {
      members.raw("name", #""anonymous""#, in: &line)
    }
    members.close(in: &line)
    if let issuer = record.token?.issuer {
      members.open("idp", in: &line)
      members.text("name", issuer, limit: Limits.name, in: &line)
      members.close(in: &line)
    }
    members.text("app_uid", record.token?.clientID, limit: Limits.name, in: &line)
    let decision = record.decision.rawValue
    let set = record.policySet
    if !record.policies.isEmpty {
      members.openList("authorizations", in: &line)
      for policy in record.policies.prefix(Limits.policies) {
        members.open(in: &line)
        members.word("decision", decision, in: &line)
        members.open("policy", in: &line)
        members.text("uid", policy, limit: Limits.name, in: &line)
        members.text("version", set, limit: Limits.name, in: &line)
        members.flag("is_applied", record.enforced, in: &line)
        members.close(in: &line)
        members.close(in: &line)
      }
      members.closeList(in: &line)
    }
    members.close(in: &line)
  }

  private func appendCall(_ record: borrowing DecisionRecord, _ members: inout LineMembers, to line: inout LineCursor) {
    let http = record.http
    members.open("api", in: &line)
    members.text("operation", record.action ?? http.method ?? "unknown", limit: Limits.uid, in: &line)
    members.open("request", in: &line)
    members.begin("uid", in: &line)
    line.append(ASCII.quote)
    line.append(id: record.id)
    line.append(ASCII.quote)
    members.end()
    members.close(in: &line)
    if let host = http.host {
      members.open("service", in: &line)
      members.text("name", host, limit: Limits.name, in: &line)
      members.close(in: &line)
    }
    members.close(in: &line)
    members.open("http_request", in: &line)
    // The schema knows these methods and no other.
    if let method = http.method, Self.methods.contains(method) { members.word("http_method", method, in: &line) }
    if http.path != nil {
      members.open("url", in: &line)
      members.text("path", http.path, limit: Limits.path, in: &line)
      members.text("hostname", http.host, limit: Limits.name, in: &line)
      members.close(in: &line)
    }
    members.text("user_agent", http.userAgent, limit: Limits.name, in: &line)
    members.text("version", http.version, limit: Limits.method, in: &line)
    members.integer("body_length", http.requestBytes.map { Int64(clamping: $0) }, in: &line)
    members.close(in: &line)
    if record.status != 0 {
      members.open("http_response", in: &line)
      members.integer("code", record.status, in: &line)
      members.close(in: &line)
    }
  }

  private static let methods: Set<String> = ["OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "CONNECT", "PATCH"]
}
