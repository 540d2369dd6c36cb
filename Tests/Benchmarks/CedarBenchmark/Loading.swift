import Cedar
import CedarSchema
import Glibc
import JSON

/// Reads policies as a reload does: parsed, validated against a schema, compiled and indexed.
func loadPolicies(_ input: Input, schema text: String, repeating rounds: Int) throws {
  let schema = try Schema(text)
  var stages: [[UInt64]] = [[], [], []]
  for _ in 0..<rounds {
    let start = now()
    let statements = try PolicyParser.parse(input.policies)
    let parsed = now()
    let set = try PolicySet(statements)
    let result = Validator(schema).validate(set)
    guard result.errors.isEmpty else { throw Mistake(text: "\(input.name): \(result.errors[0].message)") }
    let valid = now()
    _ = Authorizer(policies: set)
    let ready = now()
    for (stage, time) in [parsed - start, valid - parsed, ready - valid].enumerated() { stages[stage].append(time) }
  }
  let medians = stages.map { $0.sorted()[$0.count / 2] }
  tell([
    "name": .string("load " + input.name), "parse": .number(medians[0]), "validate": .number(medians[1]), "compile": .number(medians[2]),
  ])
}

struct Mistake: Error { var text: String }

/// What policies hold in memory as the proxy keeps them: the set, for explanations, and what answers.
func weighPolicies(_ count: Int) throws {
  let input = perPrincipal(count)
  try withExtendedLifetime(Authorizer(policies: PolicySet(PolicyParser.parse(perPrincipal(100).policies)))) {}
  let before = residentBytes()
  let set = try PolicySet(PolicyParser.parse(input.policies))
  let parsed = residentBytes()
  let authorizer = Authorizer(policies: set)
  let after = residentBytes()
  withExtendedLifetime((set, authorizer)) {
    tell([
      "name": .string("memory of policies"), "set": .number((parsed - before) / count), "authorizer": .number((after - parsed) / count),
    ])
  }
}

/// Loads entities with two parents and three attributes from JSON.
func loadEntities(_ count: Int) throws {
  var text = [UInt8]("[".utf8)
  for number in 0..<count {
    if number > 0 { text.append(UInt8(ascii: ",")) }
    text +=
      """
      {"uid":{"type":"User","id":"user-\(number)@example.org"},"attrs":{"department":"d\(number % 100)","level":\(number % 7),\
      "manager":{"__entity":{"type":"User","id":"user-\(number / 10)@example.org"}}},\
      "parents":[{"type":"Group","id":"g\(number % 1000)"},{"type":"Group","id":"all"}]}
      """.utf8
  }
  text.append(UInt8(ascii: "]"))
  let before = residentBytes()
  let start = now()
  let builder = EntitiesBuilder()
  var mistakes = 0
  let unread = try EntitiesJSON.forEach(in: text) { entity, _ in
    do { try builder.add(entity) } catch { mistakes += 1 }
  }
  guard unread.isEmpty, mistakes == 0 else { throw Mistake(text: "unreadable entities") }
  let entities = try builder.finish()
  let read = now()
  let authorizer = Authorizer(
    policies: try PolicySet(PolicyParser.parse("permit(principal in Group::\"g7\", action, resource);")), entities: entities)
  let ready = now()
  let peak = peakBytes()
  let after = residentBytes()
  let request = Request(principal: uid("User", "user-7@example.org"), action: uid("Action", "a"), resource: uid("Doc", "d"))
  guard try authorizer.isAuthorized(request).decision == .allow, entities.count == count else { throw Mistake(text: "wrong answer") }
  tell([
    "name": .string("entities"), "count": .number(count), "text": .number(text.count / count), "read": .number(read - start),
    "authorizer": .number(ready - read), "each": .number((after - before) / count), "peak": .number((peak - before) / count),
  ])
}

/// A group of `members`, 50 levels deep in groups: what loading takes, and a question about the hierarchy beside one about an attribute.
func askGroups(_ members: Int) throws {
  var list: [Entity] = []
  for level in 0..<50 { list.append(Entity(uid: uid("Group", "g\(level)"), parents: level < 49 ? [uid("Group", "g\(level + 1)")] : [])) }
  for number in 0..<members {
    list.append(
      Entity(
        uid: uid("User", "u\(number)"), attributes: record(["kind": .string("member"), "level": .long(Int64(number))]),
        parents: [uid("Group", "g0")]))
  }
  let start = now()
  let entities = try Entities(list)
  let ready = now()
  func time(_ condition: String) throws -> Double {
    let authorizer = Authorizer(
      policies: try PolicySet(PolicyParser.parse("permit(principal, action, resource) when { \(condition) };")), entities: entities)
    let requests = (0..<64).map {
      Request(principal: uid("User", "u\($0 * members / 64)"), action: uid("Action", "a"), resource: uid("Doc", "d"))
    }
    let evaluation = Evaluation()
    guard try authorizer.isAuthorized(requests[0]).decision == .allow else { throw Mistake(text: "wrong answer") }
    var best = Double.infinity
    for _ in 0..<5 {
      best = min(
        best, measure { index in do { _ = try authorizer.isAuthorized(requests[index % 64], in: evaluation) } catch {} }.median)
    }
    return best
  }
  // Fifty questions each, all of which hold.
  let below = try time((0..<50).map { "principal in Group::\"g\($0)\"" }.joined(separator: " && "))
  let lookup = try time((0..<50).map { _ in "principal.kind == \"member\"" }.joined(separator: " && "))
  tell([
    "name": .string("groups"), "members": .number(members), "load": .number(ready - start), "hierarchy": .number(below * 10 / 50),
    "attribute": .number(lookup * 10 / 50),
  ])
}

/// Loads and drops policies again and again; what is held must not grow.
func grow(_ count: Int, _ times: Int) throws {
  let input = count == 20 ? gateway() : perPrincipal(count)
  var held: [Int] = []
  var last: Authorizer?
  for round in 0..<times {
    // As in the proxy, the old set serves until the new one is ready.
    last = Authorizer(policies: try PolicySet(PolicyParser.parse(input.policies)), entities: try Entities(input.entities))
    if round % max(times / 20, 1) == 0 || round == times - 1 { held.append(residentBytes()) }
  }
  withExtendedLifetime(last) {
    tell([
      "name": .string("growth \(count)"), "times": .number(times), "early": .number(held[1...4].max() ?? 0),
      "late": .number(held.last ?? 0),
    ])
  }
}
