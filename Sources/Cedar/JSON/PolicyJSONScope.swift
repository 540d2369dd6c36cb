internal import Bytes
internal import JSON

/// Scope constraints: `{"op": "All"}`, `{"op": "==", "entity": …}` and the like.
extension PolicyJSONReader {
  mutating func scopeConstraint(_ json: JSONValue, slot: SlotID) -> (constraint: ScopeConstraint?, spans: ScopeSpans) {
    var spans = ScopeSpans()
    spans.element = span(json)
    let name = slot.rawValue.dropFirst()
    guard let op = op(json, "`\(name)`") else { return (nil, spans) }
    switch op {
    case "All", "all": return (.any, spans)
    case "==": return (reference(json, slot, &spans).map { .equal($0) }, spans)
    case "in": return (reference(json, slot, &spans).map { .in($0) }, spans)
    case "is":
      guard let parts = fields(of: json, "an `is` constraint", required: ["op", "entity_type"], optional: ["in"]),
        let type = entityType(parts[1])
      else { return (nil, spans) }
      spans.type = span(parts[1])
      guard parts.count > 2, !parts[2].isNull else { return (.is(type), spans) }
      guard parts[2].object != nil else {
        fail("expected the `in` of an `is` constraint to be an object, got \(parts[2].kindName)", parts[2].span)
        return (nil, spans)
      }
      return (reference(parts[2], slot, &spans).map { .isIn(type, $0) }, spans)
    default:
      unknownOp(json, op, ["All", "==", "in", "is"])
      return (nil, spans)
    }
  }

  mutating func actionConstraint(_ json: JSONValue) -> (constraint: ActionConstraint?, spans: ScopeSpans) {
    var spans = ScopeSpans()
    spans.element = span(json)
    guard let op = op(json, "`action`") else { return (nil, spans) }
    switch op {
    case "All", "all": return (.any, spans)
    case "==": return (action(json["entity"], in: json, &spans).map { .equal($0) }, spans)
    case "in":
      if let entity = json["entity"] { return (action(entity, in: json, &spans).map { .in($0) }, spans) }
      guard let entities = json["entities"] else { return (action(nil, in: json, &spans).map { .in($0) }, spans) }
      let before = errors.count
      var actions: [EntityUID] = []
      for element in elements(of: entities, "`entities`") {
        if let uid = action(element, in: json, &spans) { actions.append(uid) }
      }
      return (errors.count == before ? .inAny(actions) : nil, spans)
    default:
      unknownOp(json, op, ["All", "==", "in"])
      return (nil, spans)
    }
  }

  private mutating func op(_ json: JSONValue, _ what: String) -> String? {
    guard json.object != nil else {
      fail("expected \(what) to be an object, got \(json.kindName)", json.span, help: #"write {"op": "All"} for no constraint"#)
      return nil
    }
    let before = errors.count
    _ = members(of: json, what)
    guard let op = json["op"] else {
      fail("missing field `op` in \(what)", json.span)
      return nil
    }
    guard let text = string(op, "`op`"), errors.count == before else { return nil }
    return text
  }

  private mutating func unknownOp(_ json: JSONValue, _ op: String, _ known: [String]) {
    fail("`\(op)` is not an operator of a scope", json["op"]?.span ?? json.span, help: "write one of \(Self.list(known))")
  }

  /// `{"entity": …}` or `{"slot": "?principal"}`; where both stand the entity counts.
  private mutating func reference(_ json: JSONValue, _ slot: SlotID, _ spans: inout ScopeSpans) -> EntityReference? {
    if let entity = json["entity"] {
      spans.references = [span(entity)]
      return self.entity(entity).map { .entity($0) }
    }
    guard let written = json["slot"] else {
      fail("missing field `entity` or `slot`", json.span)
      return nil
    }
    guard let text = string(written, "`slot`") else { return nil }
    guard exactlyEquals(text, slot.rawValue) else {
      fail("`\(text)` cannot stand here", written.span, help: "the slot of this position is `\(slot)`")
      return nil
    }
    spans.references = [span(written)]
    return .slot
  }

  private mutating func action(_ json: JSONValue?, in constraint: JSONValue, _ spans: inout ScopeSpans) -> EntityUID? {
    guard let json else {
      if let slot = constraint["slot"] {
        fail("slots cannot stand in the scope of `action`", slot.span)
      } else {
        fail("missing field `entity`", constraint.span)
      }
      return nil
    }
    guard let uid = entity(json) else { return nil }
    guard uid.type.isAction else {
      fail(
        "expected an entity uid with type `Action` but got `\(uid)`", json.span,
        help: "action entities must have type `Action`, optionally in a namespace")
      return nil
    }
    spans.references.append(span(json))
    return uid
  }
}
