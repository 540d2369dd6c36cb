import Cedar
import CedarSchema
import JSON

func partiallyAuthorize(_ question: Case) throws(Failure) -> Answer {
  let policies = try question.policySet()
  guard let schema = try question.schema() else { throw Failure("unsupported", message: "no schema") }
  let list = try staged("entities") { () throws(ParseErrors) in
    try EntitiesJSON.partialEntities(question["entities"] ?? .array([]), schema: schema)
  }
  let entities = try staged("entities") { () throws(ConformanceError) in try PartialEntities(list, schema: schema) }
  guard let json = question["request"] else { throw Failure("request", message: "no `request`") }
  let request = try Case(json).partialRequest(schema)
  let response = try staged("tpe") { () throws(PartialEvaluationError) in
    try PartialAuthorizer(policies: policies, schema: schema).response(to: request, entities: entities)
  }
  var answer: Answer = [("decision", response.decision.map { .string($0.rawValue) } ?? JSONValue(.null))]
  for (effect, noun) in [(Effect.permit, "permits"), (.forbid, "forbids")] {
    for (outcome, word) in [
      (ResidualPolicy.Outcome.satisfied, "true"), (.notSatisfied, "false"), (.failed, "error"), (.unknown, "residual"),
    ] {
      answer.append(("\(word)_\(noun)", .array(response.ids(effect, outcome).map { .string($0.text) })))
    }
  }
  var residuals: [JSONValue.Member] = []
  for residual in response.residuals {
    let text = try staged("serialize") { () throws(OutputTooLarge) in
      var writer = JSONWriter()
      try PolicyJSON.write(residual.policy, to: &writer)
      return writer.text
    }
    residuals.append(
      .init(name: residual.policy.id.text, value: try staged("serialize") { () throws(JSONError) in try JSONParser.parse(text) }))
  }
  answer.append(("residuals", JSONValue(.object(residuals))))
  return answer
}

extension Case {
  /// The partial request that this object is.
  fileprivate func partialRequest(_ schema: Schema) throws(Failure) -> PartialRequest {
    func subject(_ name: String) throws(Failure) -> PartialRequest.Subject {
      guard let type = self[name]?["type"]?.string else { throw Failure("request", message: "no type of `\(name)`") }
      return PartialRequest.Subject(
        type: try staged("request") { () throws(NameError) in try EntityType(normalized: type) }, id: self[name]?["id"]?.string)
    }
    guard let json = self["action"] else { throw Failure("request", message: "no `action`") }
    let action = try staged("request") { () throws(ParseErrors) in try EntitiesJSON.uid(json) }
    let context = try self["context"].map { (json) throws(Failure) in
      try staged("context") { () throws(ParseErrors) in try EntitiesJSON.context(json, action: action, schema: schema) }
    }
    return PartialRequest(principal: try subject("principal"), action: action, resource: try subject("resource"), context: context)
  }
}
