// Measures the authorizer, release builds only. `cedar.py` beside this folder runs it and the reference engine in turn.
//
//   CedarBenchmark measure [WORD]    medians and 99th percentiles of answers to the inputs whose name begins so
//   CedarBenchmark dump [WORD]       the inputs themselves, for the reference
//   CedarBenchmark policies | memory | entities [COUNT] | groups [COUNT] | growth POLICIES TIMES

import Cedar
import Glibc
import JSON

func run(_ input: Input) throws {
  let start = now()
  let statements = try PolicyParser.parse(input.policies)
  let parsed = now()
  var set = try PolicySet(statements)
  for link in input.links { try set.link(link) }
  let entities = try Entities(input.entities)
  let authorizer = Authorizer(policies: set, entities: entities, words: input.words)
  let ready = now()
  let token = try authorizer.prepare(input.token, and: input.tokenValue)
  let evaluation = Evaluation()
  var allowed = 0
  var reasons = 0
  var errors = 0
  let resources = input.resources.isEmpty ? input.requests.map { _ in [] } : input.resources
  for (request, own) in zip(input.requests, resources) {
    let response = try authorizer.isAuthorized(request, with: token, and: own, in: evaluation)
    allowed += response.decision == .allow ? 1 : 0
    reasons += response.determining.count
    errors += response.errors.count
  }
  let count = input.requests.count
  let whole: (median: Double, p99: Double)
  // Of a request that is built: what its answer costs without the building.
  var alone = 0.0
  if let make = input.draft?(authorizer) {
    for index in 0..<count {
      let answer = make(index, evaluation.draft(on: authorizer, with: token), token, 1)
      guard try answer == authorizer.isAuthorized(input.requests[index], with: token, and: resources[index]) else {
        throw Mistake(text: "\(input.name): the draft says something else than the request")
      }
    }
    whole = measure { index in _ = make(index % count, evaluation.draft(on: authorizer, with: token), token, 1) }
    let often = measure { index in _ = make(index % count, evaluation.draft(on: authorizer, with: token), token, 17) }
    alone = (often.median - whole.median) / 16
  } else if let make = input.values {
    whole = measure { index in
      let (request, own) = make(index % count)
      do { _ = try authorizer.isAuthorized(request, with: token, and: own, in: evaluation) } catch {}
    }
  } else {
    whole = measure { index in
      do {
        _ = try authorizer.isAuthorized(input.requests[index % count], with: token, and: resources[index % count], in: evaluation)
      } catch {}
    }
  }
  tell([
    "name": .string(input.name), "median": .number(whole.median), "alone": .number(alone), "p99": .number(whole.p99),
    "parse": .number(parsed - start),
    "load": .number(ready - start), "requests": .number(count), "allowed": .number(allowed), "reasons": .number(reasons),
    "errors": .number(errors),
  ])
}

/// An input as JSON, everything that a token or a request brings among the entities: what a peer can be given.
func dump(_ input: Input) throws {
  var entities = input.entities + input.token
  var seen = Set(entities.map(\.uid))
  for own in input.resources.joined() where seen.insert(own.uid).inserted { entities.append(own) }
  func slots(_ link: TemplateLink) -> JSONValue {
    JSONValue(
      .object(
        SlotID.allCases.compactMap { slot in
          link.value(of: slot).map { JSONValue.Member(name: slot == .principal ? "?principal" : "?resource", value: EntitiesJSON.json($0)) }
        }))
  }
  tell([
    "name": .string(input.name), "policies": .string(input.policies),
    "links": .array(
      input.links.map { .object(["template_id": .string($0.template.text), "new_id": .string($0.id.text), "values": slots($0)]) }),
    "entities": EntitiesJSON.json(try Entities(entities)),
    "requests": .array(
      input.requests.map { request in
        .object([
          "principal": EntitiesJSON.json(request.principal), "action": EntitiesJSON.json(request.action),
          "resource": EntitiesJSON.json(request.resource), "context": EntitiesJSON.json(request.context),
        ])
      }),
  ])
}

/// What to measure, made when it is asked for.
func makers() -> [(name: String, make: () -> Input)] {
  var makers: [(String, () -> Input)] = [
    ("gateway", gateway), ("gateway, built", gatewayBuilt), ("gateway, built as values", gatewayValues),
  ]
  for seed in 1...5 as ClosedRange<UInt64> {
    for count in [5, 10, 20, 30, 40, 50] {
      makers.append(("gdrive \(count) ", { drive(count, seed: seed) }))
      makers.append(("github \(count) ", { repositories(count, seed: seed) }))
      makers.append(("tinytodo \(count) ", { lists(count, seed: seed) }))
      makers.append(("gdrive, \(count) links", { drive(50, seed: seed, links: count) }))
      makers.append(("github, \(count) links", { repositories(50, seed: seed, links: count) }))
    }
  }
  for count in [10, 100, 1000, 10_000] {
    makers.append(("principals \(count)", { perPrincipal(count) }))
    makers.append(("groups \(count)", { perGroup(count) }))
    makers.append(("links \(count)", { linked(count) }))
    makers.append(("open \(count)", { open(count) }))
    makers.append(("equalities \(count)", { equalities(count) }))
  }
  return makers
}

let arguments = Array(CommandLine.arguments.dropFirst())
func argument(_ index: Int, _ otherwise: Int) -> Int { arguments.count > index ? Int(arguments[index]) ?? otherwise : otherwise }
let word = arguments.count > 1 ? arguments[1] : ""
switch arguments.first {
case "measure": for maker in makers() where maker.name.hasPrefix(word) { try run(maker.make()) }
case "dump": for maker in makers() where maker.name.hasPrefix(word) { try dump(maker.make()) }
case "policies":
  try loadPolicies(perPrincipal(10_000), schema: perPrincipalSchema, repeating: 5)
  try loadPolicies(open(10_000), schema: openSchema, repeating: 5)
case "memory": try weighPolicies(10_000)
case "entities": try loadEntities(argument(1, 1_000_000))
case "groups": try askGroups(argument(1, 100_000))
case "growth": try grow(argument(1, 20), argument(2, 10_000))
default:
  print("usage: CedarBenchmark measure [WORD] | dump [WORD] | policies | memory | entities [N] | groups [N] | growth POLICIES TIMES")
  exit(64)
}
