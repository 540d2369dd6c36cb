internal import Bytes
public import Cedar
public import CedarSchema
internal import JSON

/// `authorize`: one decision, and by which policies.
public enum Authorize {
  /// Decides a request by the policies in force and the entities of a sound bundle. The answer is Cedar's own; what policies in the
  /// shadow would make of it is a message.
  public static func run(_ bundle: PolicyBundle, _ request: Request, overlay: [Entity] = []) -> ToolOutcome {
    guard bundle.isSound else { return unsound(bundle) }
    do throws(OverlayError) {
      func ask(_ policies: PolicySet) throws(OverlayError) -> Response {
        try Authorizer(policies: policies, entities: bundle.entities).isAuthorized(request, and: overlay)
      }
      let response = try ask(bundle.policiesInForce)
      let shadows = bundle.shadowed.isEmpty ? nil : shadowNote(response, all: try ask(bundle.policies), bundle)
      return ToolOutcome(
        output: verdict(response, bundle) + "\n",
        messages: failures(response, bundle) + (note(on: response, bundle) ?? "") + (shadows ?? ""),
        status: response.decision == .allow ? .success : .denied)
    } catch {
      return ToolOutcome(messages: "error: \(error)\n", status: .invalid)
    }
  }

  /// The same as one line of JSON.
  public static func json(_ bundle: PolicyBundle, _ request: Request, overlay: [Entity] = []) -> ToolOutcome {
    guard bundle.isSound else { return unsound(bundle) }
    func answer(_ policies: PolicySet) throws(OverlayError) -> (response: Response, json: [JSONValue.Member]) {
      let response = try Authorizer(policies: policies, entities: bundle.entities).isAuthorized(request, and: overlay)
      let errors = response.errors.map { failure in
        JSONValue.object(["policy": .string(failure.policy.text), "message": .string(failure.error.message)])
      }
      return (
        response,
        [
          .init(name: "decision", value: .string(response.decision.rawValue)),
          .init(name: "policies", value: .array(response.determining.map { .string($0.text) })),
          .init(name: "errors", value: .array(errors)),
        ]
      )
    }
    do throws(OverlayError) {
      var (response, members) = try answer(bundle.policiesInForce)
      if !bundle.shadowed.isEmpty {
        let all = try answer(bundle.policies)
        if all.response != response { members.append(.init(name: "would", value: JSONValue(.object(all.json)))) }
      }
      return ToolOutcome(output: JSONValue(.object(members)).text + "\n", status: response.decision == .allow ? .success : .denied)
    } catch {
      return ToolOutcome(messages: "error: \(error)\n", status: .invalid)
    }
  }

  static func unsound(_ bundle: PolicyBundle) -> ToolOutcome {
    let errors = bundle.problems.filter { $0.diagnostic.severity == .error }
    return ToolOutcome(messages: errors.prefix(100).map(\.rendered).joined(), status: .invalid)
  }

  /// `DENY  forbidden by no-deletes  (orders.cedar:9)`
  static func verdict(_ response: Response, _ bundle: PolicyBundle) -> String {
    let reasons = response.determining.map { id in bundle.place(of: id).map { "\(id)  (\($0))" } ?? "\(id)" }.joined(separator: ", ")
    switch response.decision {
    // An unknown left a forbid open, so that no permit determines the answer.
    case .allow where reasons.isEmpty: return "ALLOW  permitted, as far as a forbid that needs an unknown does not apply"
    case .allow: return "ALLOW  permitted by \(reasons)"
    case .deny: return reasons.isEmpty ? "DENY  no policy permits this" : "DENY  forbidden by \(reasons)"
    }
  }

  /// What a proxy makes of an answer that a failed `forbid` might have changed; nil if none failed.
  static func note(on response: Response, _ bundle: PolicyBundle) -> String? {
    let forbids = response.errors.filter { bundle.policies.statement($0.policy)?.effect == .forbid }
    guard response.decision == .allow, let first = forbids.first else { return nil }
    return "note: \(first.policy) is a forbid that failed; the proxy refuses such a request unless told to skip failed policies\n"
  }

  /// What policies in the shadow would change; nil if nothing.
  static func shadowNote(_ response: Response, all: Response, _ bundle: PolicyBundle) -> String? {
    response == all ? nil : "note: with the policies in the shadow: \(verdict(all, bundle))\n"
  }

  private static func failures(_ response: Response, _ bundle: PolicyBundle) -> String {
    response.errors.map { failure in
      guard let source = bundle.source(of: failure.policy) else { return "warning: \(failure)\n" }
      let span = failure.error.span
      return Diagnostic(.warning, "\(failure)", at: span.start..<span.end).rendered(in: source)
    }.joined()
  }
}
