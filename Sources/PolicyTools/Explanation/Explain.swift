internal import Bytes
public import Cedar
public import CedarSchema
public import Telemetry

/// `explain`: one decision, and of every policy why it did or did not apply.
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
    _ bundle: PolicyBundle, _ request: Request, overlay: [Entity] = [], facts: Facts = Facts(), everyPolicy: Bool = false,
    style: TextStyle = TextStyle()
  ) -> ToolOutcome {
    guard bundle.isSound else { return Authorize.unsound(bundle) }
    let (response, all): (Response, Response?)
    do throws(OverlayError) {
      response = try Authorizer(policies: bundle.policiesInForce, entities: bundle.entities).isAuthorized(request, and: overlay)
      all =
        bundle.shadowed.isEmpty
        ? nil : try Authorizer(policies: bundle.policies, entities: bundle.entities).isAuthorized(request, and: overlay)
    } catch {
      return ToolOutcome(messages: "error: \(error)\n", status: .invalid)
    }
    do throws(EntitiesError) {
      let known = try KnownRequest(request, overlay: overlay, over: bundle.entities, literals: bundle.policies.literals)
      var view = ExplanationView(known, bundle, style)
      view.everyPolicy = everyPolicy
      view.principalFacts = facts.principal
      let tone = response.decision == .allow ? TextStyle.Tone.good : .bad
      let mark = style.mark(response.decision == .allow ? .yes : .no)
      var out = style.toned(mark, tone) + " " + style.wrapped(Authorize.verdict(response, bundle), used: 2, indent: 8) + "\n"
      out += view.requestRows + "\n" + view.policyRows
      out += view.shadowRows
      if let all, let note = Authorize.shadowNote(response, all: all, bundle) {
        out += "\n" + style.wrapped(String(note.dropLast()), used: 0, indent: 2) + "\n"
      }
      if let story = story(of: response, view, bundle) { out += "\n" + story }
      if let note = Authorize.note(on: response, bundle) { out += "\n" + style.wrapped(String(note.dropLast()), used: 0, indent: 2) + "\n" }
      return ToolOutcome(output: out, status: response.decision == .allow ? .success : .denied)
    } catch {
      return ToolOutcome(messages: "error: \(error)\n", status: .invalid)
    }
  }

  static func story(of response: Response, _ view: ExplanationView, _ bundle: PolicyBundle) -> String? {
    guard response.decision == .deny else { return nil }
    return response.determining.isEmpty ? view.nearestRows : view.forbiddenRows(by: response.determining)
  }
}
