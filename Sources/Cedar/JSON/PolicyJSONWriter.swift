internal import JSON

/// Writes the JSON policy format.
///
/// Chains nest to the left in JSON however long they are, so expressions are written from a list of what is still to
/// come and not by recursion.
struct PolicyJSONWriter {
  var json: JSONWriter
  private var remaining = PolicyJSONWriter.limit
  static let limit = 4_000_000

  init(_ json: JSONWriter) {
    self.json = json
  }

  // MARK: - Sets and policies

  mutating func policySet(_ set: PolicySet) throws(OutputTooLarge) {
    json.beginObject()
    json.name("templates")
    try policies(set.templates)
    json.name("staticPolicies")
    try policies(set.policies)
    json.name("templateLinks")
    json.beginArray()
    for link in set.links {
      json.beginObject()
      json.name("templateId")
      json.string(link.template.text)
      json.name("newId")
      json.string(link.id.text)
      json.name("values")
      json.beginObject()
      for slot in SlotID.allCases {
        guard let value = link.value(of: slot) else { continue }
        json.name(slot.rawValue)
        entity(value)
      }
      json.endObject()
      json.endObject()
    }
    json.endArray()
    json.endObject()
  }

  private mutating func policies(_ policies: [Policy]) throws(OutputTooLarge) {
    json.beginObject()
    for policy in policies {
      json.name(policy.id.text)
      try self.policy(policy)
    }
    json.endObject()
  }

  mutating func policy(_ policy: Policy) throws(OutputTooLarge) {
    json.beginObject()
    json.name("effect")
    json.string(policy.effect.rawValue)
    json.name("principal")
    scope(policy.principal, .principal)
    json.name("action")
    action(policy.action)
    json.name("resource")
    scope(policy.resource, .resource)
    json.name("conditions")
    json.beginArray()
    for condition in policy.conditions {
      json.beginObject()
      json.name("kind")
      json.string(condition.kind.rawValue)
      json.name("body")
      try expression(condition.body, in: policy.expressions)
      json.endObject()
    }
    json.endArray()
    if !policy.annotations.isEmpty {
      json.name("annotations")
      json.beginObject()
      for annotation in policy.annotations {
        json.name(annotation.key)
        if let value = annotation.value { json.string(value) } else { json.null() }
      }
      json.endObject()
    }
    json.endObject()
  }

  private mutating func scope(_ constraint: ScopeConstraint, _ slot: SlotID) {
    json.beginObject()
    json.name("op")
    switch constraint {
    case .any: json.string("All")
    case .equal(let target):
      json.string("==")
      reference(target, slot)
    case .in(let target):
      json.string("in")
      reference(target, slot)
    case .is(let type):
      json.string("is")
      json.name("entity_type")
      json.string(type.text)
    case .isIn(let type, let target):
      json.string("is")
      json.name("entity_type")
      json.string(type.text)
      json.name("in")
      json.beginObject()
      reference(target, slot)
      json.endObject()
    }
    json.endObject()
  }

  private mutating func action(_ constraint: ActionConstraint) {
    json.beginObject()
    json.name("op")
    switch constraint {
    case .any: json.string("All")
    case .equal(let uid):
      json.string("==")
      json.name("entity")
      entity(uid)
    case .in(let uid):
      json.string("in")
      json.name("entity")
      entity(uid)
    case .inAny(let uids):
      json.string("in")
      json.name("entities")
      json.beginArray()
      for uid in uids { entity(uid) }
      json.endArray()
    }
    json.endObject()
  }

  private mutating func reference(_ reference: EntityReference, _ slot: SlotID) {
    switch reference {
    case .entity(let uid):
      json.name("entity")
      entity(uid)
    case .slot:
      json.name("slot")
      json.string(slot.rawValue)
    }
  }

  private mutating func entity(_ uid: EntityUID) {
    json.beginObject()
    json.name("type")
    json.string(uid.type.text)
    json.name("id")
    json.string(uid.id)
    json.endObject()
  }

  // MARK: - Expressions

  /// What is still to be written, the next last.
  private enum Step {
    case expression(ExprID)
    /// An expression as the data in a `Value`.
    case constant(ExprID)
    case name(StaticString)
    case key(String)
    case string(String)
    case beginObject, endObject, beginArray, endArray
    /// One `has` of a path, with the accesses that lead to it: `e.a.b has c` for the third key.
    case hasKey(ExprID, [String], Int)
  }

  mutating func expression(_ root: ExprID, in tree: ExprTree) throws(OutputTooLarge) {
    var steps: [Step] = [.expression(root)]
    while let step = steps.popLast() {
      remaining -= 1
      guard remaining > 0 else { throw OutputTooLarge(limit: Self.limit) }
      switch step {
      case .expression(let id): write(id, tree, &steps)
      case .constant(let id): writeConstant(id, tree, &steps)
      case .name(let name): json.name(name)
      case .key(let key): json.name(key)
      case .string(let text): json.string(text)
      case .beginObject: json.beginObject()
      case .endObject: json.endObject()
      case .beginArray: json.beginArray()
      case .endArray: json.endArray()
      case .hasKey(let left, let path, let index): writeHas(left, path, index, &steps)
      }
    }
  }

  private mutating func write(_ id: ExprID, _ tree: ExprTree, _ steps: inout [Step]) {
    json.beginObject()
    steps.append(.endObject)
    if tree.jsonSpellings[id]?.contains(.value) == true {
      json.name("Value")
      steps.append(.constant(id))
      return
    }
    switch tree[id] {
    case .bool, .long, .string, .entity:
      json.name("Value")
      steps.append(.constant(id))
    case .variable(let variable):
      json.name("Var")
      json.string(variable.rawValue)
    case .not(let operand): unary("!", operand, &steps)
    case .negate(let operand): unary("neg", operand, &steps)
    case .method(.isEmpty, let operand, nil): unary("isEmpty", operand, &steps)
    case .and(let operands): chain(operands.map { ("&&", $0) }, &steps)
    case .or(let operands): chain(operands.map { ("||", $0) }, &steps)
    case .arithmetic(let first, let rest): chain([("", first)] + rest.map { ($0.operator.rawValue, $0.operand) }, &steps)
    case .comparison(let comparison, let left, let right): binary(comparison.rawValue, left, right, &steps)
    case .in(let left, let right): binary("in", left, right, &steps)
    case .method(let method, let left, let right): binary(method.rawValue, left, right ?? left, &steps)
    case .attribute(let left, let key):
      json.name(".")
      fields([("left", .expression(left)), ("attr", .string(key))], &steps)
    case .has(let left, let path):
      if tree.jsonSpellings[id]?.contains(.list) == true {
        json.name("has")
        json.beginObject()
        steps.append(.endObject)
        steps.append(.endArray)
        for key in path.reversed() { steps.append(.string(key)) }
        steps.append(.beginArray)
        steps.append(.name("attr"))
        steps.append(.expression(left))
        steps.append(.name("left"))
      } else {
        // Written out: `e has a && e.a has b && e.a.b has c`, nested to the left.
        chain(path.indices.map { ("&&", .hasKey(left, path, $0)) }, &steps)
      }
    case .like(let left, let pattern):
      json.name("like")
      json.beginObject()
      steps.append(.endObject)
      steps.append(.endArray)
      let literals = tree.jsonPatterns[id] ?? pattern.elements.map { if case .scalar(let scalar) = $0 { String(scalar) } else { nil } }
      for literal in literals.reversed() {
        if let literal {
          steps += [.endObject, .string(literal), .name("Literal"), .beginObject]
        } else {
          steps.append(.string("Wildcard"))
        }
      }
      steps += [.beginArray, .name("pattern"), .expression(left), .name("left")]
    case .is(let left, let type, in: let container):
      json.name("is")
      fields(
        [("left", .expression(left)), ("entity_type", .string(type.text))] + (container.map { [("in", .expression($0))] } ?? []), &steps)
    case .conditional(let test, then: let then, else: let otherwise):
      json.name("if-then-else")
      fields([("if", .expression(test)), ("then", .expression(then)), ("else", .expression(otherwise))], &steps)
    case .set(let elements):
      json.name("Set")
      list(elements.map { .expression($0) }, &steps)
    case .record(let record):
      json.name("Record")
      json.beginObject()
      steps.append(.endObject)
      for field in record.reversed() { steps += [.expression(field.value), .key(field.key)] }
    case .call(let function, let arguments):
      json.name(function.rawValue)
      list(arguments.map { .expression($0) }, &steps)
    case .undefinedCall(let name, let arguments):
      json.name(name)
      list(arguments.map { .expression($0) }, &steps)
    }
  }

  private mutating func unary(_ name: StaticString, _ operand: ExprID, _ steps: inout [Step]) {
    json.name(name)
    fields([("arg", .expression(operand))], &steps)
  }

  private mutating func binary(_ name: String, _ left: ExprID, _ right: ExprID, _ steps: inout [Step]) {
    json.name(name)
    fields([("left", .expression(left)), ("right", .expression(right))], &steps)
  }

  private mutating func chain(_ operands: [(String, ExprID)], _ steps: inout [Step]) {
    chain(operands.map { ($0.0, .expression($0.1)) }, &steps)
  }

  /// Operands with the operator before each; that of the first means nothing. The outer object is open already.
  private mutating func chain(_ operands: [(String, Step)], _ steps: inout [Step]) {
    guard let first = operands.first, operands.count > 1 else {
      // One link of a chain: its own object is the open one.
      if let only = operands.first, case .hasKey(let left, let path, let index) = only.1 { hasFields(left, path, index, &steps) }
      return
    }
    for (index, operand) in operands.enumerated().dropFirst().reversed() {
      json.name(operand.0)
      json.beginObject()
      json.name("left")
      if index > 1 { json.beginObject() }
    }
    for (index, operand) in operands.enumerated().dropFirst().reversed() {
      if index < operands.count - 1 { steps.append(.endObject) }
      steps += [.endObject, operand.1, .name("right")]
    }
    steps.append(first.1)
  }

  private mutating func writeHas(_ left: ExprID, _ path: [String], _ index: Int, _ steps: inout [Step]) {
    json.beginObject()
    steps.append(.endObject)
    hasFields(left, path, index, &steps)
  }

  private mutating func hasFields(_ left: ExprID, _ path: [String], _ index: Int, _ steps: inout [Step]) {
    json.name("has")
    json.beginObject()
    json.name("left")
    steps += [.endObject, .string(path[index]), .name("attr")]
    // The accesses open from the outside in, and close the other way round.
    for key in path[..<index].reversed() {
      json.beginObject()
      json.name(".")
      json.beginObject()
      json.name("left")
      steps += [.endObject, .endObject, .string(key), .name("attr")]
    }
    steps.append(.expression(left))
  }

  private mutating func fields(_ fields: [(StaticString, Step)], _ steps: inout [Step]) {
    json.beginObject()
    steps.append(.endObject)
    for (name, value) in fields.reversed() { steps += [value, .name(name)] }
  }

  private mutating func list(_ elements: [Step], _ steps: inout [Step]) {
    json.beginArray()
    steps.append(.endArray)
    steps += elements.reversed()
  }

  // MARK: - Constants

  private mutating func writeConstant(_ id: ExprID, _ tree: ExprTree, _ steps: inout [Step]) {
    switch tree[id] {
    case .bool(let flag): json.bool(flag)
    case .long(let number): json.integer(number)
    case .string(let text): json.string(text)
    case .entity(let uid):
      json.beginObject()
      json.name("__entity")
      entity(uid)
      json.endObject()
    case .set(let elements): list(elements.map { .constant($0) }, &steps)
    case .record(let fields):
      json.beginObject()
      steps.append(.endObject)
      for field in fields.reversed() { steps += [.constant(field.value), .key(field.key)] }
    case .call(let function, let arguments): call(function.rawValue, arguments, id, tree, &steps)
    case .undefinedCall(let name, let arguments): call(name, arguments, id, tree, &steps)
    // Only the forms above are marked as constants by the reader, and only it marks.
    default: json.null()
    }
  }

  private mutating func call(_ name: String, _ arguments: [ExprID], _ id: ExprID, _ tree: ExprTree, _ steps: inout [Step]) {
    json.beginObject()
    json.name("__extn")
    json.beginObject()
    json.name("fn")
    json.string(name)
    steps += [.endObject, .endObject]
    if arguments.count == 1, tree.jsonSpellings[id]?.contains(.list) != true {
      steps += [.constant(arguments[0]), .name("arg")]
    } else {
      steps.append(.endArray)
      for argument in arguments.reversed() { steps.append(.constant(argument)) }
      steps += [.beginArray, .name("args")]
    }
  }
}
