internal import Bytes

/// The native line: schema version 1 as JSON, always the same keys in the same order.
///
/// The text between values is written in pieces as long as possible: the line is most of what a request costs us here.
struct DecisionLine {
  private var timestamp = Timestamp()

  /// Appends one record and its line end; `opening` is the brace, or what stands before the members where another has opened it.
  mutating func append(_ record: borrowing DecisionRecord, opening: StaticString = "{", to line: inout LineCursor) {
    line.append(opening)
    line.append(record.difference == nil ? #""v":1,"type":"decision","time":""# : #""v":1,"type":"difference","time":""#)
    timestamp.append(record.timeMillis, to: &line)
    line.append(#"","id":""#)
    line.append(id: record.id)
    switch record.decision {
    case .allow: line.append(#"","decision":"allow","enforced":"#)
    case .deny: line.append(#"","decision":"deny","enforced":"#)
    case .error: line.append(#"","decision":"error","enforced":"#)
    }
    line.append(record.enforced ? #"true,"reason":""# : #"false,"reason":""#)
    line.append(Self.reasonText[record.reason.index])
    line.append(#"","status":"#)
    line.append(integer: record.status)
    if let detail = record.detail { member(#","detail":"#, detail, limit: Limits.detail, to: &line) }
    line.append(#","policies":["#)
    appendPolicies(record.policies, to: &line)
    member(#","policy_set":"#, record.policySet, limit: Limits.name, to: &line)
    line.append(#","generation":"#)
    line.append(integer: record.generation)
    line.append(#","errors":"#)
    line.append(integer: record.errors)
    if let would = record.would { append(would, to: &line) }
    if let difference = record.difference { append(difference, to: &line) }
    member(#","principal":"#, record.principal, limit: Limits.uid, to: &line)
    member(#","action":"#, record.action, limit: Limits.uid, to: &line)
    member(#","resource":"#, record.resource, limit: Limits.uid, to: &line)
    member(#","route":"#, record.route, limit: Limits.uid, to: &line)
    member(#","http":{"method":"#, record.http.method, limit: Limits.method, to: &line)
    member(#","host":"#, record.http.host, limit: Limits.name, to: &line)
    member(#","path":"#, record.http.path, limit: Limits.path, to: &line)
    member(#","version":"#, record.http.version, limit: Limits.method, to: &line)
    member(#","request_bytes":"#, record.http.requestBytes, to: &line)
    member(#","user_agent":"#, record.http.userAgent, limit: Limits.name, to: &line)
    member(#"},"client":{"ip":"#, record.client.ip, limit: Limits.name, to: &line)
    line.append(record.client.forwarded ? #","forwarded":true},"# : #","forwarded":false},"#)
    appendToken(record.token, to: &line)
    member(#","engine":"#, record.engine, limit: Limits.name, to: &line)
    member(#","authz_us":"#, record.authorizeMicros, to: &line)
    if let micros = record.lookupMicros { member(#","lookup_us":"#, micros, to: &line) }
    member(#","total_us":"#, record.totalMicros, to: &line)
    member(#","upstream_us":"#, record.upstreamMicros, to: &line)
    if let error = record.upstreamError { member(#","upstream_error":"#, error, limit: Limits.name, to: &line) }
    member(#","trace_id":"#, record.traceID, limit: Limits.name, to: &line)
    member(#","span_id":"#, record.spanID, limit: Limits.name, to: &line)
    member(#","instance":"#, record.instance, limit: Limits.name, to: &line)
    if record.isAudited { line.append(#","audit":true"#) }
    if record.wasExplained { line.append(#","debug_ticket":true"#) }
    if record.weight != 1 {
      line.append(#","weight":"#)
      line.append(integer: record.weight)
    }
    if let began = record.streamOf { member(#","stream_of":"#, began.description, limit: Limits.name, to: &line) }
    appendRedacted(record.redacted, to: &line)
    if let input = record.input {
      line.append(#","input":"#)
      line.append(json: input)
    }
    line.append("}\n")
  }

  private func appendRedacted(_ pointers: [String], to line: inout LineCursor) {
    guard !pointers.isEmpty else { return }
    for (index, pointer) in pointers.enumerated() {
      line.append(index == 0 ? #","redacted":[""# : #",""#)
      line.append(escaping: pointer, limit: Limits.name)
      line.append(ASCII.quote)
    }
    line.append("]")
  }

  private func append(_ would: DecisionRecord.Would, to line: inout LineCursor) {
    switch would.decision {
    case .allow: line.append(#","would":{"decision":"allow","reason":""#)
    case .deny: line.append(#","would":{"decision":"deny","reason":""#)
    case .error: line.append(#","would":{"decision":"error","reason":""#)
    }
    line.append(Self.reasonText[would.reason.index])
    line.append(#"","policies":["#)
    appendPolicies(would.policies, to: &line)
    line.append(#","errors":"#)
    line.append(integer: would.errors)
    line.append("}")
  }

  private func append(_ difference: DecisionRecord.Difference, to line: inout LineCursor) {
    line.append(#","difference":{"by":""#)
    line.append(own: difference.by.rawValue)
    member(#"","engine":"#, difference.engine, limit: Limits.name, to: &line)
    line.append(#","decision":""#)
    line.append(own: difference.decision.rawValue)
    line.append("\"}")
  }

  private func appendPolicies(_ policies: [String], to line: inout LineCursor) {
    for (index, policy) in policies.prefix(Limits.policies).enumerated() {
      line.append(index == 0 ? "\"" : ",\"")
      line.append(escaping: policy, limit: Limits.name)
      line.append(ASCII.quote)
    }
    line.append("]")
    if policies.count > Limits.policies {
      line.append(#","policies_more":"#)
      line.append(integer: policies.count - Limits.policies)
    }
  }

  private func appendToken(_ token: DecisionRecord.TokenFacts?, to line: inout LineCursor) {
    guard let token else { return line.append(#""token":null"#) }
    member(#""token":{"issuer":"#, token.issuer, limit: Limits.name, to: &line)
    member(#","use":"#, token.use, limit: Limits.name, to: &line)
    member(#","alg":"#, token.algorithm, limit: Limits.name, to: &line)
    member(#","kid":"#, token.keyID, limit: Limits.name, to: &line)
    member(#","client_id":"#, token.clientID, limit: Limits.name, to: &line)
    member(#","expires_in_s":"#, token.expiresInSeconds, to: &line)
    if let hash = token.jtiHash { member(#","jti_hash":"#, hash, limit: Limits.name, to: &line) }
    if token.keysAreStale { line.append(#","keys_stale":true"#) }
    line.append("}")
  }

  private func member(_ name: StaticString, _ value: String?, limit: Int, to line: inout LineCursor) {
    line.append(name)
    guard let value else { return line.append("null") }
    line.append(ASCII.quote)
    line.append(escaping: value, limit: limit)
    line.append(ASCII.quote)
  }

  private func member(_ name: StaticString, _ value: (some FixedWidthInteger)?, to line: inout LineCursor) {
    line.append(name)
    guard let value else { return line.append("null") }
    line.append(integer: value)
  }

  static let reasonText: [[UInt8]] = DecisionReason.allCases.map { Array($0.rawValue.utf8) }

  /// The longest each string may become, in bytes before escaping: a caller chooses most of them.
  enum Limits {
    static let method = 32
    static let name = 256
    static let detail = 512
    static let path = 2048
    static let uid = 2048 + 64
    static let policies = 64
  }
}
