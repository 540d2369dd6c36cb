import Bytes
import Cedar
import CedarSchema
import JSON

func evaluate(_ question: Case) throws(Failure) -> Answer {
  let (tree, root) = try question.expression()
  let entities = try question.entities()
  let request = try question["request"].map { (json) throws(Failure) in try Case(json).request() } ?? defaultRequest
  do throws(EvaluationError) {
    return [("value", protocolValue(try Evaluation.value(of: root, in: tree, for: request, entities: entities)))]
  } catch {
    throw Failure("eval", kind: error.kind.rawValue, message: error.message)
  }
}

private let defaultRequest = Request(
  principal: EntityUID(type: EntityType(unchecked: "User"), id: "alice"),
  action: EntityUID(type: EntityType(unchecked: "Action"), id: "view"),
  resource: EntityUID(type: EntityType(unchecked: "Photo"), id: "p1"))

func authorize(_ question: Case) throws(Failure) -> Answer {
  let policies = try question.policySet()
  let schema = try question.schema()
  let entities = try question.entities(schema)
  let authorizer = Authorizer(policies: policies, entities: entities)
  let evaluation = Evaluation()
  // Not of the protocol: the same questions with the trace that explanations are made of.
  let isTraced = question["traced"]?.bool ?? false
  var results: [JSONValue] = []
  for json in question["requests"]?.array ?? [] {
    do throws(Failure) {
      let request = try Case(json).request(schema)
      let response = try staged("request") { () throws(OverlayError) in
        isTraced ? told(try authorizer.explain(request, in: evaluation)) : try authorizer.isAuthorized(request, in: evaluation)
      }
      results.append(
        .object([
          "decision": .string(response.decision.rawValue), "reason": .array(response.determining.map { .string($0.text) }),
          "errors": .array(response.errors.map { .string($0.policy.text) }),
        ]))
    } catch {
      results.append(.object(["error": .string(error.stage), "message": .string(error.message ?? "")]))
    }
  }
  return [("results", .array(results))]
}

/// The answer that follows from what is told of each policy.
private func told(_ explanation: Explanation) -> Response {
  var satisfied: [Effect: [PolicyID]] = [:]
  var errors: [PolicyError] = []
  var isOpen = false
  for policy in explanation.policies {
    switch policy.outcome {
    case .satisfied: satisfied[policy.effect, default: []].append(policy.policy)
    case .failed(let error):
      errors.append(PolicyError(policy: policy.policy, error: error))
      if error.kind == .nonvalue, policy.effect == .forbid { isOpen = true }
    case .notSatisfied: break
    }
  }
  let forbids = satisfied[.forbid] ?? []
  let permits = satisfied[.permit] ?? []
  return Response(
    decision: forbids.isEmpty && !permits.isEmpty ? .allow : .deny, determining: forbids.isEmpty ? isOpen ? [] : permits : forbids,
    errors: errors)
}

func parseEntities(_ question: Case) throws(Failure) -> Answer {
  [("count", .integer(Int64(try question.entities(question.schema()).count)))]
}

func entitiesToJSON(_ question: Case) throws(Failure) -> Answer {
  let entities = try question.entities(question.schema())
  // The reference writes every ancestor as a parent.
  let closed = entities.all.map {
    Entity(uid: $0.uid, attributes: $0.attributes, parents: entities.ancestors(of: $0.uid), tags: $0.tags)
  }
  let all = try staged("serialize") { () throws(EntitiesError) in try Entities(closed) }
  return [("json", EntitiesJSON.json(all))]
}

func parseContext(_ question: Case) throws(Failure) -> Answer {
  let action = try question["action"].map { (json) throws(Failure) in
    try staged("context") { () throws(ParseErrors) in try EntitiesJSON.uid(json) }
  }
  let schema = action == nil ? nil : try question.schema()
  _ = try staged("context") { () throws(ParseErrors) in
    try EntitiesJSON.context(question["context"] ?? .object([:]), action: action ?? defaultRequest.action, schema: schema)
  }
  return []
}

/// A value as the protocol writes it.
func protocolValue(_ value: Value) -> JSONValue {
  switch value {
  case .bool(let flag): .bool(flag)
  case .long(let number): .integer(number)
  case .string(let text): .string(text)
  case .entity(let uid): .object(["__entity": EntitiesJSON.json(uid)])
  case .set(let set): .array(set.elements.map(protocolValue))
  case .record(let record): JSONValue(.object(record.fields.map { .init(name: $0.key, value: protocolValue($0.value)) }))
  case .decimal(let number): extensionValue(["fn": .string("decimal"), "scaled": .integer(number.scaled)])
  case .ip(let address):
    extensionValue([
      "fn": .string("ip"), "hex": .string(address.isIPv6 ? hex(address.high, 8) + hex(address.low, 8) : hex(address.low, 4)),
      "prefix": .integer(Int64(address.prefix)),
    ])
  case .datetime(let instant): extensionValue(["fn": .string("datetime"), "ms": .integer(instant.milliseconds)])
  case .duration(let span): extensionValue(["fn": .string("duration"), "ms": .integer(span.milliseconds)])
  case .unknown: EntitiesJSON.json(value)
  }
}

private func extensionValue(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue { .object(["__extn": .object(members)]) }

private func hex(_ number: UInt64, _ bytes: Int) -> String {
  Hex.encode((0..<bytes).reversed().map { UInt8(truncatingIfNeeded: number >> UInt64(8 * $0)) })
}

extension Case {
  /// The entities of the line.
  func entities(_ schema: Schema? = nil) throws(Failure) -> Entities {
    let json = self["entities"] ?? .array([])
    let list = try staged("entities") { () throws(ParseErrors) in try EntitiesJSON.entities(json, schema: schema) }
    if let schema { return try staged("entities") { () throws(ConformanceError) in try schema.store(of: list) } }
    return try staged("entities") { () throws(EntitiesError) in try Entities(list) }
  }

  /// The request that this object is.
  func request(_ schema: Schema? = nil) throws(Failure) -> Request {
    func uid(_ name: String) throws(Failure) -> EntityUID {
      guard let json = self[name] else { throw Failure("request", message: "no `\(name)`") }
      return try staged("request") { () throws(ParseErrors) in try EntitiesJSON.uid(json) }
    }
    let action = try uid("action")
    let context = try staged("context") { () throws(ParseErrors) in
      try EntitiesJSON.context(self["context"] ?? .object([:]), action: action, schema: schema)
    }
    let request = Request(principal: try uid("principal"), action: action, resource: try uid("resource"), context: context)
    if let schema, self["validate"]?.bool != false {
      try staged("request") { () throws(ConformanceError) in try schema.check(request) }
    }
    return request
  }

  /// The template links of the line.
  func links() throws(Failure) -> [TemplateLink] {
    var links: [TemplateLink] = []
    for json in self["links"]?.array ?? [] {
      guard let template = json["template_id"]?.string, let id = json["new_id"]?.string else { throw Failure("links") }
      var values: [SlotID: EntityUID] = [:]
      for member in json["values"]?.object ?? [] {
        guard let slot = SlotID(rawValue: member.name) else { throw Failure("links", message: "no slot `\(member.name)`") }
        values[slot] = try staged("links") { () throws(ParseErrors) in try EntitiesJSON.uid(member.value) }
      }
      links.append(
        TemplateLink(id: PolicyID(id), template: PolicyID(template), principal: values[.principal], resource: values[.resource]))
    }
    return links
  }
}
