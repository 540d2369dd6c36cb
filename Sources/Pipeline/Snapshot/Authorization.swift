internal import AWS
internal import Cedar
internal import CedarSchema
internal import JOSE

/// The policies in force, and what their failures mean.
public struct Authorization: Sendable {
  /// A name for the set: the hash of its files.
  public let policySet: String
  let onPolicyError: OnPolicyError
  let authorizer: Authorizer
  let forbids: Set<PolicyID>
  let notes: PolicyNotes
  /// The static entities.
  let entities: Entities
  /// The forbids that another sign-in would lift.
  let stepUps: [PolicyID: StepUp]
  /// What entities that are looked up must conform to.
  let schema: Schema?
  /// What the built-in mapping says in every request; nil where it says more.
  let words: RequestWords?
  /// Whether these are the policies in the shadow, whose answer is only told.
  var isShadow = false

  /// What the failure of a policy means. Cedar skips such a policy; for an enforcing front that may turn a `forbid` off.
  public enum OnPolicyError: String, Sendable, CaseIterable {
    /// A `forbid` that fails refuses (the default).
    case deny
    /// As Cedar: a policy that fails does not apply.
    case skip
  }

  /// How many policies there are, links included.
  public var policyCount: Int { authorizer.policyCount }
  /// How many of them forbid.
  public var forbidCount: Int { forbids.count }
  /// Their ids, links included, in byte order.
  public var policyIDs: [String] { authorizer.ids.map(\.text) }

  /// An identity's entities, made ready once for all requests that carry its token.
  func prepare(_ entities: [Entity], token: Record?) throws(Stop) -> PreparedEntities {
    do throws(OverlayError) { return try authorizer.prepare(entities, and: token.map { .record($0) }) } catch {
      throw .refuse(.engineFailed(detail: error.description))
    }
  }

  /// Cedar's own answer.
  func isAuthorized(_ mapped: MappedRequest, _ identity: Identity, _ evaluation: Evaluation) throws(Stop) -> Response {
    do throws(OverlayError) {
      return try authorizer.isAuthorized(
        mapped.request, with: identity.entities(for: self),
        and: mapped.learnedEntities.isEmpty ? mapped.resourceEntities : mapped.resourceEntities + mapped.learnedEntities, in: evaluation)
    } catch {
      throw .refuse(
        mapped.learnedEntities.isEmpty ? .engineFailed(detail: error.description) : .entityLookupFailed(detail: error.description))
    }
  }

  /// As below, for another engine's answer. It does not say what a policy that failed would have done: any failure refuses.
  func enforce(_ answer: AuthorizationAnswer) throws(Stop) {
    if onPolicyError == .deny, let failure = answer.errors.first { throw .refuse(.policyFailed(detail: failure)) }
    guard answer.decision == .deny else { return }
    throw .refuse(answer.determining.isEmpty ? .noPolicyPermits : .policyForbids)
  }

  /// The one place where an answer becomes a refusal, and where `on_policy_error` is applied.
  func enforce(_ response: Response) throws(Stop) {
    if onPolicyError == .deny, let failed = response.errors.first(where: { forbids.contains($0.policy) }) {
      throw .refuse(.policyFailed(detail: failed.description))
    }
    guard response.decision == .deny else { return }
    if let wanted = stepUp(lifting: response.determining) { throw .refuse(.insufficientAuthentication(wanted)) }
    throw .refuse(response.determining.isEmpty ? .noPolicyPermits : .policyForbids)
  }

  // Only if it would lift them all: nobody should sign in again for nothing.
  private func stepUp(lifting forbids: [PolicyID]) -> StepUp? {
    guard !stepUps.isEmpty, let first = forbids.first, var wanted = stepUps[first] else { return nil }
    for other in forbids.dropFirst() {
      guard let also = stepUps[other] else { return nil }
      wanted = wanted.and(also)
    }
    return wanted
  }
}
