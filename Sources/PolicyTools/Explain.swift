internal import Bytes
public import Cedar
public import CedarSchema

/// `explain`: one decision, and of every policy why it did or did not match.
public enum Explain {
  /// What is known about the parts of a request beyond their names, for the lines that show them.
  public struct Facts: Sendable {
    /// Behind the principal, such as `issuer main · token access · expires in 57 min`.
    public var principal: String?

    /// Facts.
    public init(principal: String? = nil) { self.principal = principal }
  }

  /// Decides a request by the policies and entities of a sound bundle, and tells the story of the decision.
  ///
  /// - Parameters:
  ///   - overlay: entities that came with the request.
  ///   - everyPolicy: whether policies whose scope does not match are all listed, however many they are.
  public static func run(
    _ bundle: PolicyBundle, _ request: Request, overlay: [Entity] = [], facts: Facts = Facts(), everyPolicy: Bool = false
  ) -> ToolOutcome {
    guard bundle.isSound else { return Authorize.unsound(bundle) }
    do throws(OverlayError) {
      func explain(_ policies: PolicySet) throws(OverlayError) -> Explanation {
        try Authorizer(policies: policies, entities: bundle.entities).explain(request, and: overlay)
      }
      let explanation = try explain(bundle.policiesInForce)
      func view(_ explanation: Explanation) -> ExplanationView {
        ExplanationView(
          explanation: explanation, request: request, bundle: bundle, overlay: overlay, facts: facts, everyPolicy: everyPolicy)
      }
      var text = view(explanation).text
      if !bundle.shadowed.isEmpty {
        text += "in the shadow, not enforced:\n" + view(try explain(bundle.policiesInShadow)).policies
        let all = try explain(bundle.policies).response
        text += Authorize.shadowNote(explanation.response, all: all, bundle) ?? ""
      }
      return ToolOutcome(output: text, status: explanation.response.decision == .allow ? .success : .denied)
    } catch {
      return ToolOutcome(messages: "error: \(error)\n", status: .invalid)
    }
  }

  /// The view of an explanation made elsewhere, such as by the running proxy for a logged decision.
  public static func text(
    of explanation: Explanation, _ request: Request, bundle: PolicyBundle, overlay: [Entity] = [], facts: Facts = Facts()
  ) -> String {
    ExplanationView(explanation: explanation, request: request, bundle: bundle, overlay: overlay, facts: facts, everyPolicy: false).text
  }
}
