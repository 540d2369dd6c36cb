public import AWS
internal import Cedar
public import Telemetry

/// A decision, and what another engine is asked about it in the background. Nothing that comes of it changes the decision.
public struct Comparison: Sendable {
  /// What one engine made of a request.
  public struct Verdict: Sendable, Equatable {
    /// Cedar's own answer.
    public let allows: Bool
    /// The same after `on_policy_error`.
    public let passes: Bool
  }

  /// The other engine's part.
  public enum Other: Sendable {
    /// The local engine has answered already.
    case local(Verdict)
    /// A service is to be asked.
    case remote(RemoteQuestion)
  }

  /// How two verdicts stand to each other.
  public enum Difference: String, Sendable, CaseIterable {
    /// They are one.
    case same
    /// Cedar's own answers differ.
    case decision
    /// Cedar's own answers are one, and `on_policy_error` alone makes the difference.
    case onPolicyError = "on_policy_error"
  }

  /// Which engine decided.
  public let decider: String
  /// Which engine is asked as well.
  public var engine: String {
    switch other {
    case .local: "local"
    case .remote: "verified_permissions"
    }
  }
  /// What it made of the request.
  public let own: Verdict
  /// Whom to ask.
  public let other: Other
  private let authorization: Authorization

  /// The verdict of a service's answer.
  public func verdict(_ answer: AuthorizationAnswer) -> Verdict { authorization.verdict(answer) }

  /// How another verdict stands to the decision.
  public func difference(_ verdict: Verdict) -> Difference {
    if verdict.allows != own.allows { return .decision }
    return verdict.passes == own.passes ? .same : .onPolicyError
  }

  init(decider: String, own: Verdict, other: Other, authorization: Authorization) {
    self.decider = decider
    self.own = own
    self.other = other
    self.authorization = authorization
  }
}

extension Exchange {
  /// What is written of a decision that another engine would have made otherwise: the decision's record, beside its own.
  ///
  /// - Parameter verdict: the other engine's.
  public func record(of comparison: Comparison, _ verdict: Comparison.Verdict, wallMillis: UInt64) -> DecisionRecord? {
    let cause: DecisionRecord.Difference.Cause
    switch comparison.difference(verdict) {
    case .same: return nil
    case .decision: cause = .decision
    case .onPolicyError: cause = .onPolicyError
    }
    let isObserved = trail.rejection.map { (route?.mode ?? snapshot.mode) == .observe && $0.passesWhenObserved } ?? false
    var record = record(status: 0, wallMillis: wallMillis, observed: isObserved)
    record.input = nil
    // Under on_policy_error the decisions are those after it; else Cedar's own.
    let passes = cause == .decision ? verdict.allows : verdict.passes
    record.difference = DecisionRecord.Difference(by: cause, engine: comparison.engine, decision: passes ? .allow : .deny)
    return record
  }

  /// What is to be compared, if that was asked for and an engine has decided this exchange.
  public func comparison(_ facts: Facts) -> Comparison? {
    guard let compared = snapshot.compare, let question = trail.question, let identity = trail.identity, !trail.hasFallenBack else {
      return nil
    }
    let own: Comparison.Verdict
    let decider: Engine
    if let response = trail.response {
      (own, decider) = (snapshot.authorization.verdict(response), .local)
    } else if let answer = trail.answer {
      (own, decider) = (snapshot.authorization.verdict(answer), question.route?.engine ?? snapshot.engine)
    } else {
      return nil
    }
    guard decider != compared else { return nil }
    do throws(Stop) {
      let other: Comparison.Other
      switch compared {
      case .local:
        let response = try snapshot.mapping.ask(
          question, by: identity, from: client.peer, head, at: time, of: snapshot.authorization, facts.evaluation)
        other = .local(snapshot.authorization.verdict(response))
      case .remote(let index):
        let mapped = try snapshot.mapping.request(question, by: identity, from: client.peer, head, at: time)
        let credential = try Credential.find(in: head, for: snapshot.issuers, from: peer, proven: question.demandsProof)
        other = .remote(
          try snapshot.question(mapped, identity, to: index, snapshot.engines[index], credential: credential, in: head))
      }
      return Comparison(
        decider: decider == .local ? "local" : "verified_permissions", own: own, other: other, authorization: snapshot.authorization)
    } catch { return nil }
  }
}

extension Authorization {
  func verdict(_ response: Response) -> Comparison.Verdict {
    Comparison.Verdict(allows: response.decision == .allow, passes: passes { () throws(Stop) in try enforce(response) })
  }

  func verdict(_ answer: AuthorizationAnswer) -> Comparison.Verdict {
    Comparison.Verdict(allows: answer.decision == .allow, passes: passes { () throws(Stop) in try enforce(answer) })
  }

  private func passes(_ enforce: () throws(Stop) -> Void) -> Bool {
    do throws(Stop) {
      try enforce()
      return true
    } catch { return false }
  }
}
