internal import AWS
internal import Cedar
internal import HTTP
internal import JOSE
public import Telemetry

extension Exchange {
  /// The record of this exchange's decision.
  ///
  /// - Parameters:
  ///   - status: What was sent to the client; 0 if it went away first.
  ///   - observed: Whether the request passed although it would have been refused.
  public func record(status: Int, wallMillis: UInt64, observed: Bool) -> DecisionRecord {
    let verdict = verdict
    var record = DecisionRecord(
      timeMillis: wallMillis, id: id, decision: verdict.decision, enforced: !observed, reason: verdict.reason)
    fill(&record, status: status)
    return record
  }

  /// What is counted of it.
  public func counted(status: Int, wallMillis: UInt64, observed: Bool) -> CountedDecision {
    let verdict = verdict
    var counted = CountedDecision(decision: verdict.decision, reason: verdict.reason, enforced: !observed, timeMillis: wallMillis)
    counted.status = status
    if !head.methodRange.isEmpty { counted.method = head.methodText }
    counted.route = route?.text
    if let response = trail.response {
      counted.policies = response.determining.map(\.text)
      if !response.errors.isEmpty { counted.failedPolicies = response.errors.map(\.policy.text) }
    } else if let answer = trail.answer {
      counted.policies = answer.determining.map(\.text)
    }
    if let shadow = trail.shadow { counted.would = shadow.rejection == nil ? .allow : .deny }
    counted.issuer = trail.identity?.issuer ?? trail.token?.issuer
    counted.engine = engine
    if trail.verifyingNanos != 0 { counted.tokenMicros = Int(clamping: trail.verifyingNanos / 1000) }
    counted.trace = trace?.context ?? TraceParent(of: head.fields)
    return counted
  }

  private var verdict: (decision: Telemetry.Decision, reason: DecisionReason) {
    if let rejection = trail.rejection { return (rejection.isFault ? .error : .deny, rejection.reason) }
    switch trail.question?.access {
    case .public: return (.allow, .public)
    case .preflight: return (.allow, .preflight)
    case .authenticated: return (.allow, .authenticated)
    case .policy: return (.allow, .policyPermit)
    case nil: return (.allow, trail.isOwn ? .metadata : .policyPermit)
    }
  }

  // Which engine answered.
  private var engine: String? {
    if trail.response != nil { return trail.hasFallenBack ? "local_fallback" : "local" }
    return trail.answer == nil ? nil : "verified_permissions"
  }

  private func fill(_ record: inout DecisionRecord, status: Int) {
    record.status = status
    record.detail = trail.rejection?.detail
    record.policySet = snapshot.authorization.policySet
    record.generation = snapshot.generation
    if snapshot.recordsInput, trail.response != nil { addInput(to: &record) }
    if let response = trail.response {
      record.policies = response.determining.map(\.description)
      record.errors = response.errors.count
      record.isAudited = snapshot.authorization.notes.isAudited(response)
    } else if let answer = trail.answer {
      record.policies = answer.determining.map(\.description)
      record.errors = answer.errors.count
    }
    record.engine = engine
    if let shadow = trail.shadow {
      record.would = DecisionRecord.Would(
        decision: shadow.rejection == nil ? .allow : .deny, reason: shadow.rejection?.reason ?? .policyPermit,
        policies: shadow.determining.map(\.description), errors: shadow.errors)
    }
    record.wasExplained = snapshot.debugTickets != nil && hasDebugTicket
    record.signedWith = trail.signedWith
    record.principal = trail.identity?.principalText
    if let question = trail.question {
      record.action = question.action.description
      record.resource = question.resource?.description
      record.route = question.route?.text
    }
    if let identity = trail.identity {
      record.token = DecisionRecord.TokenFacts(
        issuer: identity.issuer, use: identity.tokenUse.rawValue, algorithm: identity.algorithm?.rawValue, keyID: identity.kid,
        clientID: identity.clientID, expiresInSeconds: identity.expiresAt &- time, jtiHash: identity.jtiHash)
    } else if let token = trail.token {
      record.token = DecisionRecord.TokenFacts(issuer: token.issuer, algorithm: token.algorithm?.rawValue, keyID: token.kid)
    }
    record.token?.keysAreStale = trail.keysAreStale
    if let trace = trace?.context ?? TraceParent(of: head.fields) {
      record.traceID = trace.traceText
      record.spanID = trace.spanText
    }
    record.client = DecisionRecord.ClientFacts(ip: client.peer.address, forwarded: client.isForwarded)
    guard !head.methodRange.isEmpty else { return }
    record.http = DecisionRecord.HTTPFacts(
      method: head.methodText, host: head.host, path: head.rawPath, version: head.minorVersion == 1 ? "1.1" : "1.0",
      userAgent: head.fields.value(of: .userAgent))
    switch head.framing {
    case .none: record.http.requestBytes = 0
    case .length(let count): record.http.requestBytes = count
    case .chunked, .untilClose: record.http.requestBytes = nil
    }
  }

  // What JSON cannot hold is left out whole: a record is replayed as it was, or not at all.
  private func addInput(to record: inout DecisionRecord) {
    record.input = asked?.json
    if record.input == nil { record.redacted.append("/input") }
  }
}
