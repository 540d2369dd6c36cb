import Cedar
import Testing

/// A policy that an index skips can neither apply nor fail: answers are those of an interpreter that asks every policy.
@Suite struct IndexTests {
  private func check(_ set: PolicySet, _ entities: Entities, _ requests: [Request], _ place: String) throws -> (decided: Int, failed: Int) {
    let authorizer = Authorizer(policies: set, entities: entities)
    let reference = ReferenceAuthorizer(policies: set, entities: entities)
    let evaluation = Evaluation()
    var (decided, failed) = (0, 0)
    for request in requests {
      let expected = reference.response(request)
      let actual = try authorizer.isAuthorized(request, in: evaluation)
      #expect(actual.decision == expected.decision, "\(place)")
      #expect(actual.determining == expected.determining, "\(place)")
      #expect(actual.errors.map(\.policy) == expected.errors, "\(place)")
      decided += actual.determining.isEmpty ? 0 : 1
      failed += actual.errors.isEmpty ? 0 : 1
    }
    return (decided, failed)
  }

  @Test func `of a principal's many links, and a resource's, only those that fit are asked, and all that fail are told`() throws {
    var (decided, failed) = (0, 0)
    for seed in 0..<60 as Range<UInt64> {
      var cases = RandomCases(seed: seed * 4 + 1)
      let principals = [cases.uid(), cases.uid()]
      let scopes = ["== ?principal", "in ?principal", "is User in ?principal"]
      // Conditions that hold, that do not, and that fail for some requests; the first is common to many links.
      let conditions = ["", "when { principal.b }", "when { resource.n < 2 && context.n + 1 > 0 }", "unless { context.s like \"a*\" }"]
      let text = (0..<6).map { number in
        "\(cases.chance(80) ? "permit" : "forbid")(principal \(cases.pick(scopes)), action, resource "
          + "\(cases.pick(["== ?resource", "in ?resource"]))) \(conditions[number % 4]);\n"
      }.joined()
      var set = try PolicySet(PolicyParser.parse(text))
      for number in 0..<160 {
        // Many links of few principals to many resources in half of the cases, the other way round in the others.
        let (few, many) = (cases.pick(principals), cases.uid())
        try set.link(
          TemplateLink(
            id: PolicyID("link \(number)"), template: cases.pick(set.templates.map(\.id)), principal: seed % 2 == 0 ? few : many,
            resource: seed % 2 == 0 ? many : few))
      }
      let requests = (0..<6).map { number in
        var request = cases.request()
        if number < 4, seed % 2 == 0 { request.principal = cases.pick(principals) }
        if number < 4, seed % 2 == 1 { request.resource = cases.pick(principals) }
        return request
      }
      let found = try check(set, Entities(cases.entities()), requests, "seed \(seed)")
      decided += found.decided
      failed += found.failed
    }
    #expect(decided > 50 && failed > 50)
  }

  @Test func `policies that share a condition each get its outcome`() throws {
    var failed = 0
    for seed in 0..<40 as Range<UInt64> {
      var cases = RandomCases(seed: seed)
      // Few conditions, so that the same stands in many policies, next to each other and not.
      let conditions = (0..<3).map { _ in (cases.chance(70) ? "when" : "unless") + " { \(cases.expression(2)) }" }
      let text = (0..<24).map { _ in
        "\(cases.chance(70) ? "permit" : "forbid")(principal, action, resource) \(cases.pick(conditions)) \(cases.pick(conditions));\n"
      }.joined()
      let found = try check(
        PolicySet(PolicyParser.parse(text)), Entities(cases.entities()), (0..<4).map { _ in cases.request() }, "seed \(seed)")
      failed += found.failed
    }
    #expect(failed > 10)
  }

  @Test func `more entities than are copied answer as few do`() throws {
    var cases = RandomCases(seed: 7)
    let others = (0...10_000).map { number in
      Entity(
        uid: EntityUID(type: EntityType(unchecked: "Filler"), id: "\(number)"), attributes: cases.record(0),
        parents: Set([EntityUID(type: EntityType(unchecked: "Filler"), id: "\(number + 1 - number % 5)")]).filter { $0.id != "\(number)" })
    }
    for seed in 0..<6 as Range<UInt64> {
      var cases = RandomCases(seed: seed)
      let set = try PolicySet(PolicyParser.parse((0..<12).map { _ in cases.policy() }.joined()))
      let list = cases.entities()
      let token = list.filter { _ in cases.chance(30) }
      let fixed = list.filter { entity in !token.contains { $0.uid == entity.uid } }
      let few = Authorizer(policies: set, entities: try Entities(fixed))
      let many = Authorizer(policies: set, entities: try Entities(others + fixed))
      let (onFew, onMany) = (try few.prepare(token), try many.prepare(token))
      for _ in 0..<8 {
        let request = cases.request()
        #expect(try many.isAuthorized(request, with: onMany) == few.isAuthorized(request, with: onFew), "seed \(seed)")
      }
    }
  }
}
