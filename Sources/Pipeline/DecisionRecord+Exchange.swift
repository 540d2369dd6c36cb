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
    let decision: Telemetry.Decision
    let reason: DecisionReason
    if let rejection = trail.rejection {
      decision = rejection.isFault ? .error : .deny
      reason = rejection.reason
    } else {
      decision = .allow
      switch trail.question?.access {
      case .public: reason = .public
      case .preflight: reason = .preflight
      case .authenticated: reason = .authenticated
      case .policy: reason = .policyPermit
      case nil: reason = trail.isOwn ? .metadata : .policyPermit
      }
    }
    var record = DecisionRecord(timeMillis: wallMillis, id: id, decision: decision, enforced: !observed, reason: reason)
    record.status = status
    record.detail = trail.rejection?.detail
    record.policySet = snapshot.authorization.policySet
    record.generation = snapshot.generation
    if snapshot.recordsInput, trail.response != nil { addInput(to: &record) }
    if let response = trail.response {
      record.policies = response.determining.map(\.description)
      record.errors = response.errors.count
      record.isAudited = snapshot.authorization.notes.isAudited(response)
      record.engine = trail.hasFallenBack ? "local_fallback" : "local"
    } else if let answer = trail.answer {
      record.policies = answer.determining.map(\.description)
      record.errors = answer.errors.count
      record.engine = "verified_permissions"
    }
    if let shadow = trail.shadow {
      record.would = DecisionRecord.Would(
        decision: shadow.rejection == nil ? .allow : .deny, reason: shadow.rejection?.reason ?? .policyPermit,
        policies: shadow.response.determining.map(\.description), errors: shadow.response.errors.count)
    }
    record.wasExplained = snapshot.debugTickets != nil && hasDebugTicket
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
    guard !head.methodRange.isEmpty else { return record }
    record.http = DecisionRecord.HTTPFacts(
      method: head.methodText, host: head.host, path: head.rawPath, version: head.minorVersion == 1 ? "1.1" : "1.0",
      userAgent: head.fields.value(of: .userAgent))
    switch head.framing {
    case .none: record.http.requestBytes = 0
    case .length(let count): record.http.requestBytes = count
    case .chunked, .untilClose: record.http.requestBytes = nil
    }
    return record
  }

  /// What is counted of it beside its record.
  public var aside: DecisionCounters.Aside {
    var aside = DecisionCounters.Aside()
    aside.trace = trace?.context ?? TraceParent(of: head.fields)
    if let errors = trail.response?.errors, !errors.isEmpty { aside.failedPolicies = errors.map(\.policy.description) }
    if trail.verifyingNanos != 0 { aside.tokenMicros = Int(clamping: trail.verifyingNanos / 1000) }
    return aside
  }

  // What JSON cannot hold is left out whole: a record is replayed as it was, or not at all.
  private func addInput(to record: inout DecisionRecord) {
    record.input = asked?.json
    if record.input == nil { record.redacted.append("/input") }
  }
}
