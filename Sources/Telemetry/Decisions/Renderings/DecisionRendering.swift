internal import Bytes

/// A record as a line in one of the formats; each thread that writes lines has its own.
struct DecisionRendering {
  private enum Style {
    case native(DecisionLine)
    case text(DecisionText)
    case ecs(ECSLine)
    case ocsf(OCSFLine)
    case emf(EMFLine)
    case otlp(OTLPLine)
  }

  private var style: Style
  private var timestamp = Timestamp()

  init(_ format: DecisionLog.Format) {
    style =
      switch format {
      case .json: .native(DecisionLine())
      case .text(let text): .text(text)
      case .ecs(let version): .ecs(ECSLine(version: version))
      case .ocsf(let version): .ocsf(OCSFLine(version: version))
      case .emf: .emf(EMFLine())
      case .otlp(let message): .otlp(OTLPLine(message))
      }
  }

  /// Appends a record's line and its end.
  mutating func append(_ record: borrowing DecisionRecord, to line: inout LineCursor) {
    // Taken out and put back, so that what a style keeps from line to line is changed in place.
    switch style {
    case .native(var native):
      native.append(record, to: &line)
      style = .native(native)
    case .text(var text):
      text.append(record, to: &line)
      style = .text(text)
    case .ecs(var ecs):
      ecs.append(record, to: &line)
      style = .ecs(ecs)
    case .ocsf(let ocsf): ocsf.append(record, to: &line)
    case .emf(var emf):
      emf.append(record, to: &line)
      style = .emf(emf)
    case .otlp(let otlp): otlp.append(record, to: &line)
    }
  }

  /// Appends the line that says how many decisions were lost.
  mutating func appendSummary(of lost: UInt64, at millis: UInt64, to line: inout LineCursor) {
    switch style {
    case .native: appendNative(lost, millis, to: &line)
    case .text:
      timestamp.appendTimeOfDay(millis, to: &line)
      line.append(" ! ")
      line.append(integer: lost)
      line.append(" decisions were not logged: the log could not keep up\n")
    case .ecs(var ecs):
      ecs.appendSummary(of: lost, at: millis, to: &line)
      style = .ecs(ecs)
    case .ocsf(let ocsf): ocsf.appendSummary(of: lost, at: millis, to: &line)
    case .emf:
      EMFLine.appendHead(millis, dimensions: "[[]]", metrics: #"{"Name":"dropped","Unit":"Count"}"#, to: &line)
      appendNative(lost, millis, opening: ",", to: &line)
    case .otlp(let otlp): otlp.appendSummary(of: lost, at: millis, to: &line)
    }
  }

  private mutating func appendNative(_ lost: UInt64, _ millis: UInt64, opening: StaticString = "{", to line: inout LineCursor) {
    line.append(opening)
    line.append(#""v":1,"type":"summary","time":""#)
    timestamp.append(millis, to: &line)
    line.append(#"","dropped":"#)
    line.append(integer: lost)
    line.append("}\n")
  }
}

/// What the other formats share.
enum Rendered {
  typealias Limits = DecisionLine.Limits

  /// Whether the request passed: it was allowed, or its refusal is only observed.
  static func passed(_ record: borrowing DecisionRecord) -> Bool { record.decision == .allow || !record.enforced }

  /// `deny DELETE /orders/42: policy_forbid`, for people.
  static func appendSentence(_ record: borrowing DecisionRecord, to line: inout LineCursor) {
    if record.difference != nil { line.append("engines differ: ") }
    line.append(own: record.decision.rawValue)
    line.append(" ")
    line.append(escaping: record.http.method ?? "-", limit: Limits.method)
    line.append(" ")
    line.append(escaping: record.http.path ?? "-", limit: longestPath)
    line.append(": ")
    line.append(own: record.reason.rawValue)
    if !record.enforced, record.decision != .allow { line.append(" (observed)") }
  }

  /// What the other formats have no field for, under our own name: members as in the native line.
  static func appendOwn(_ record: borrowing DecisionRecord, _ members: inout LineMembers, to line: inout LineCursor) {
    members.open("stockade", in: &line)
    members.word("decision", record.decision.rawValue, in: &line)
    members.flag("enforced", record.enforced, in: &line)
    members.word("reason", record.reason.rawValue, in: &line)
    members.texts("policies", record.policies.prefix(Limits.policies), limit: Limits.name, in: &line)
    if record.policies.count > Limits.policies {
      members.integer("policies_more", record.policies.count - Limits.policies, in: &line)
    }
    members.text("policy_set", record.policySet, limit: Limits.name, in: &line)
    members.integer("generation", record.generation, in: &line)
    members.integer("errors", record.errors, in: &line)
    if let would = record.would {
      members.open("would", in: &line)
      members.word("decision", would.decision.rawValue, in: &line)
      members.word("reason", would.reason.rawValue, in: &line)
      members.texts("policies", would.policies.prefix(Limits.policies), limit: Limits.name, in: &line)
      members.integer("errors", would.errors, in: &line)
      members.close(in: &line)
    }
    if let difference = record.difference {
      members.open("difference", in: &line)
      members.word("by", difference.by.rawValue, in: &line)
      members.text("engine", difference.engine, limit: Limits.name, in: &line)
      members.word("decision", difference.decision.rawValue, in: &line)
      members.close(in: &line)
    }
    members.text("principal", record.principal, limit: Limits.uid, in: &line)
    members.text("action", record.action, limit: Limits.uid, in: &line)
    members.text("resource", record.resource, limit: Limits.uid, in: &line)
    members.text("route", record.route, limit: Limits.uid, in: &line)
    if record.client.forwarded { members.flag("client_forwarded", true, in: &line) }
    if let token = record.token { appendToken(token, &members, to: &line) }
    members.text("engine", record.engine, limit: Limits.name, in: &line)
    members.integer("authz_us", record.authorizeMicros, in: &line)
    members.integer("lookup_us", record.lookupMicros, in: &line)
    members.integer("total_us", record.totalMicros, in: &line)
    members.integer("upstream_us", record.upstreamMicros, in: &line)
    members.text("upstream_error", record.upstreamError, limit: Limits.name, in: &line)
    members.text("instance", record.instance, limit: Limits.name, in: &line)
    if record.isAudited { members.flag("audit", true, in: &line) }
    if record.wasExplained { members.flag("debug_ticket", true, in: &line) }
    if record.weight != 1 { members.integer("weight", record.weight, in: &line) }
    members.texts("redacted", record.redacted, limit: Limits.name, in: &line)
    members.close(in: &line)
  }

  private static func appendToken(_ token: DecisionRecord.TokenFacts, _ members: inout LineMembers, to line: inout LineCursor) {
    members.open("token", in: &line)
    members.text("issuer", token.issuer, limit: Limits.name, in: &line)
    members.text("use", token.use, limit: Limits.name, in: &line)
    members.text("alg", token.algorithm, limit: Limits.name, in: &line)
    members.text("kid", token.keyID, limit: Limits.name, in: &line)
    members.text("client_id", token.clientID, limit: Limits.name, in: &line)
    members.integer("expires_in_s", token.expiresInSeconds, in: &line)
    members.text("jti_hash", token.jtiHash, limit: Limits.name, in: &line)
    if token.keysAreStale { members.flag("keys_stale", true, in: &line) }
    members.close(in: &line)
  }

  /// Whether a text is an address and not a network or what stands for one.
  static func isAddress(_ text: String) -> Bool { !text.utf8.contains(UInt8(ascii: "/")) && !text.isEmpty }

  private static let longestPath = 256
}
