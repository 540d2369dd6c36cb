internal import AWS
internal import Cedar

/// What would be decided if the policies in the shadow (`@mode("shadow")`) were in force as well.
///
/// A class, so that the exchange of a request that has none carries one word for it.
final class ShadowDecision: Sendable {
  /// The policies that would determine the decision.
  let determining: [PolicyID]
  /// How many policies would fail.
  let errors: Int
  /// What would refuse the request; nil if it would pass.
  let rejection: Rejection?

  init(_ response: Response, errorsElsewhere: Int = 0, refusedBy rejection: Rejection?) {
    determining = response.determining
    errors = response.errors.count + errorsElsewhere
    self.rejection = rejection
  }
}

extension Exchange {
  /// Asks the policies in the shadow; nil if there are none, or if all policies together say what those in force say alone.
  ///
  /// For the record only: whatever they answer, and if they fail, the request goes its way.
  func askShadow(_ question: Question, by identity: Identity, beside response: Response, _ facts: Facts) -> ShadowDecision? {
    guard let shadow = snapshot.shadow else { return nil }
    do throws(Stop) {
      let answer = try snapshot.mapping.ask(question, by: identity, from: client.peer, head, at: time, of: shadow, facts.evaluation)
      let together = response.joined(with: answer)
      guard together != response else { return nil }
      do throws(Stop) { try shadow.enforce(together) } catch {
        guard case .refuse(let rejection) = error else { return nil }
        return ShadowDecision(together, refusedBy: rejection)
      }
      return ShadowDecision(together, refusedBy: nil)
    } catch {
      // The same facts have just been good enough for the policies in force.
      return nil
    }
  }

  /// The same beside the answer of an engine elsewhere: the policies in the shadow are in files, and are asked here, with the entities
  /// that are known here. Policies of two places are disjoint, so that their answers join as those of two sets.
  func askShadow(_ question: Question, by identity: Identity, beside answer: AuthorizationAnswer, _ facts: Facts) -> ShadowDecision? {
    guard let shadow = snapshot.shadow else { return nil }
    do throws(Stop) {
      let own = Response(decision: answer.decision, determining: answer.determining, errors: [])
      let said = try snapshot.mapping.ask(question, by: identity, from: client.peer, head, at: time, of: shadow, facts.evaluation)
      let together = own.joined(with: said)
      guard together != own else { return nil }
      do throws(Stop) {
        // Any policy that fails elsewhere refuses, and here one that forbids.
        try shadow.enforce(AuthorizationAnswer(decision: .allow, determining: [], errors: answer.errors))
        try shadow.enforce(together)
      } catch {
        guard case .refuse(let rejection) = error else { return nil }
        return ShadowDecision(together, errorsElsewhere: answer.errors.count, refusedBy: rejection)
      }
      return ShadowDecision(together, errorsElsewhere: answer.errors.count, refusedBy: nil)
    } catch {
      // What cannot be asked here has no say.
      return nil
    }
  }
}

extension Response {
  /// The answer of two disjoint sets of policies as one set would give it (Cedar reference, "authorization"): a satisfied forbid
  /// wins, then a satisfied permit; without either the answer is deny.
  func joined(with other: Response) -> Response {
    let errors = (self.errors + other.errors).sorted { $0.policy < $1.policy }
    let forbids = [self, other].filter { $0.decision == .deny }.flatMap(\.determining)
    let permits = [self, other].filter { $0.decision == .allow }.flatMap(\.determining)
    if !forbids.isEmpty { return Response(decision: .deny, determining: forbids.sorted(), errors: errors) }
    return Response(decision: permits.isEmpty ? .deny : .allow, determining: permits.sorted(), errors: errors)
  }
}
