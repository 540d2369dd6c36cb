import Cedar
import Testing

@Suite struct EvaluatorTests {
  @Test func `the compiled evaluator agrees with the plain interpreter on random expressions`() throws {
    var values = 0
    for seed in 0..<1200 as Range<UInt64> {
      var cases = RandomCases(seed: seed)
      let text = cases.expression(4)
      let (tree, root) = try PolicyParser.parseExpression(text)
      let entities = try Entities(cases.entities())
      let request = cases.request()
      let expected = Result { try ReferenceInterpreter(tree: tree, request: request, entities: entities).value(root) }
      let actual = Result { () throws(EvaluationError) in try Evaluation.value(of: root, in: tree, for: request, entities: entities) }
      switch (expected, actual) {
      case (.success(let a), .success(let b)):
        values += 1
        #expect(a == b, "seed \(seed): \(text)")
      case (.failure(let a), .failure(let b)):
        #expect((a as? ReferenceInterpreter.Failed)?.kind == b.kind, "seed \(seed): \(text): \(b)")
      default: Issue.record("seed \(seed): \(text): expected \(expected), got \(actual)")
      }
    }
    #expect(values > 200)
  }

  @Test func `the authorizer agrees with one that skips nothing, and explains the answer it gives`() throws {
    var decided = 0
    var failed = 0
    for seed in 0..<200 as Range<UInt64> {
      var cases = RandomCases(seed: seed)
      let text = (0..<12).map { _ in cases.policy() }.joined()
      var set = try PolicySet(PolicyParser.parse(text))
      for template in set.templates {
        for copy in 0..<Int.random(in: 0...3, using: &cases) {
          try set.link(
            TemplateLink(
              id: PolicyID("link \(template.id) \(copy)"), template: template.id,
              principal: template.slots.contains(.principal) ? cases.uid() : nil,
              resource: template.slots.contains(.resource) ? cases.uid() : nil))
        }
      }
      let list = cases.entities()
      let entities = try Entities(list)
      let authorizer = Authorizer(policies: set, entities: entities)
      let reference = ReferenceAuthorizer(policies: set, entities: entities)
      let evaluation = Evaluation()
      // The same entities, some of them static, some of the token, some of the request.
      let tokenShare = list.filter { _ in cases.chance(25) }
      let rest = list.filter { entity in !tokenShare.contains { $0.uid == entity.uid } }
      // Requests mostly bring one entity or none, which goes a way of its own.
      let requestShare = cases.chance(50) ? Array(rest.prefix(1)) : rest.filter { _ in cases.chance(25) }
      let fixed = rest.filter { entity in !requestShare.contains { $0.uid == entity.uid } }
      let layered = Authorizer(policies: set, entities: try Entities(fixed))
      let prepared = try layered.prepare(tokenShare)
      for _ in 0..<4 {
        let request = cases.request()
        let expected = reference.response(request)
        let actual = try authorizer.isAuthorized(request, in: evaluation)
        #expect(actual.decision == expected.decision, "seed \(seed)")
        #expect(actual.determining == expected.determining, "seed \(seed)")
        #expect(actual.errors.map(\.policy) == expected.errors, "seed \(seed)")
        let explanation = try authorizer.explain(request, in: evaluation)
        #expect(explanation.response == actual, "seed \(seed)")
        for policy in explanation.policies {
          if case .failed(let error) = policy.outcome {
            #expect(actual.errors.contains { $0.policy == policy.policy && $0.error == error }, "seed \(seed)")
          }
        }
        let failures = explanation.policies.filter { if case .failed = $0.outcome { true } else { false } }
        #expect(failures.count == actual.errors.count, "seed \(seed)")
        #expect(try layered.isAuthorized(request, with: prepared, and: requestShare, in: evaluation) == actual, "seed \(seed): layers")
        decided += actual.determining.isEmpty ? 0 : 1
        failed += actual.errors.isEmpty ? 0 : 1
      }
    }
    #expect(decided > 100 && failed > 100)
  }
}
