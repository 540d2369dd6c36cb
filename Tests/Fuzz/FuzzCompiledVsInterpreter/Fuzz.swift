import Cedar

// The first bytes make a world, the rest is an expression or policies: the compiled evaluator and the plain interpreter agree.

// libFuzzer calls on one thread.
nonisolated(unsafe) private let evaluation = Evaluation()

/// One input of libFuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard count >= 4, count < 4096 else { return 0 }
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  let seed = bytes[..<4].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
  var cases = RandomCases(seed: seed)
  let entities: Entities
  do throws(EntitiesError) { entities = try Entities(cases.entities()) } catch { preconditionFailure("the generator makes no cycles") }
  let request = cases.request()
  let written = bytes[4...]
  // Where the bytes are no expression, the world's generator makes one.
  for text in [Array(written), Array(cases.expression(5).utf8)] {
    do throws(ParseErrors) { compare(try PolicyParser.parseExpression(text), request, entities) } catch {}
  }
  for text in [Array(written), Array((0..<6).map { _ in cases.policy() }.joined().utf8)] {
    do throws(ParseErrors) { compare(try PolicyParser.parse(text), request, entities, &cases) } catch {}
  }
  return 0
}

private func isTame(_ tree: ExprTree) -> Bool {
  // The interpreter's `like` tries every way there is.
  tree.nodes.allSatisfy { if case .like(_, let pattern) = $0 { pattern.elements.filter { $0 == .wildcard }.count < 5 } else { true } }
}

private func compare(_ expression: (tree: ExprTree, root: ExprID), _ request: Request, _ entities: Entities) {
  guard isTame(expression.tree) else { return }
  var expected: Value?
  var failure: EvaluationError.Kind?
  do {
    expected = try ReferenceInterpreter(tree: expression.tree, request: request, entities: entities).value(expression.root)
  } catch {
    failure = (error as? ReferenceInterpreter.Failed)?.kind
  }
  do throws(EvaluationError) {
    let actual = try Evaluation.value(of: expression.root, in: expression.tree, for: request, entities: entities)
    precondition(actual == expected, "\(actual) instead of \(String(describing: expected))")
  } catch {
    precondition(error.kind == failure, "\(error) instead of \(String(describing: failure))")
  }
}

private func compare(_ policies: [Policy], _ request: Request, _ entities: Entities, _ cases: inout RandomCases) {
  guard policies.allSatisfy({ isTame($0.expressions) }) else { return }
  do throws(PolicySetError) {
    var set = try PolicySet(policies)
    for template in set.templates {
      try set.link(
        TemplateLink(
          id: PolicyID("link \(template.id)"), template: template.id, principal: template.slots.contains(.principal) ? cases.uid() : nil,
          resource: template.slots.contains(.resource) ? cases.uid() : nil))
    }
    let expected = ReferenceAuthorizer(policies: set, entities: entities).response(request)
    do throws(OverlayError) {
      let authorizer = Authorizer(policies: set, entities: entities)
      let actual = try authorizer.isAuthorized(request, in: evaluation)
      precondition(actual.decision == expected.decision && actual.determining == expected.determining)
      precondition(actual.errors.map(\.policy) == expected.errors)
      let explained = try authorizer.explain(request, in: evaluation)
      precondition(explained.response == actual)
      // The same entities, some of them static, some of the token, some of the request.
      let list = entities.all.sorted { $0.uid < $1.uid }
      let ofToken = list.filter { _ in cases.chance(25) }
      let rest = list.filter { entity in !ofToken.contains { $0.uid == entity.uid } }
      let ofRequest = cases.chance(50) ? Array(rest.prefix(1)) : rest.filter { _ in cases.chance(25) }
      let fixed = rest.filter { entity in !ofRequest.contains { $0.uid == entity.uid } }
      let base: Entities
      do throws(EntitiesError) { base = try Entities(fixed) } catch { preconditionFailure("a part of a hierarchy has no cycle") }
      let layered = Authorizer(policies: set, entities: base)
      let answer = try layered.isAuthorized(request, with: layered.prepare(ofToken), and: ofRequest, in: evaluation)
      precondition(answer == actual, "in layers the answer is another")
    } catch { preconditionFailure("no overlay, no conflict") }
  } catch { preconditionFailure("ids differ") }
}
