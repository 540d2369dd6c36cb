internal import Cedar

/// The policies in force, and what their failures mean.
public struct Authorization: Sendable {
  /// A name for the set: the hash of its files.
  public let policySet: String
  /// How many policies there are, links included.
  public let policyCount: Int
  let onPolicyError: OnPolicyError
  let authorizer: Authorizer

  /// What the failure of a policy means. Cedar skips such a policy; for an enforcing front that may turn a `forbid` off.
  public enum OnPolicyError: String, Sendable, CaseIterable {
    /// A `forbid` that fails refuses (the default).
    case deny
    /// As Cedar: a policy that fails does not apply.
    case skip
  }

  /// Cedar's own answer.
  func isAuthorized(_ mapped: MappedRequest, _ identity: Identity) throws(Stop) -> Response {
    do throws(OverlayError) {
      return try authorizer.isAuthorized(mapped.request, overlay: [identity.entities, mapped.resourceEntities])
    } catch {
      throw .refuse(.engineFailed(detail: error.description))
    }
  }

  /// The one place where an answer becomes a refusal, and where `on_policy_error` is applied.
  func enforce(_ response: Response) throws(Stop) {
    if onPolicyError == .deny, let failed = response.errors.first(where: { authorizer.isForbid($0.policy) }) {
      throw .refuse(.policyFailed(detail: failed.description))
    }
    guard response.decision == .deny else { return }
    throw .refuse(response.determining.isEmpty ? .noPolicyPermits : .policyForbids)
  }
}
