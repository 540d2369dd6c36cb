internal import Bytes
internal import JSON

/// Expressions: an object whose one member names the form.
extension PolicyJSONReader {
  /// What an expression object's one key can say.
  enum Form {
    case value, variable, not, negate, and, or, `in`, isEmpty, attribute, has, like, `is`, conditional, set, record, slot
    case comparison(Expr.Comparison)
    case arithmetic(Expr.ArithmeticOperator)
    case method(Expr.Method)
    case call(ExtensionFunction)

    static let byKey: [ExactString: Form] = {
      var table: [ExactString: Form] = [:]
      let plain: KeyValuePairs<String, Form> = [
        "Value": .value, "Var": .variable, "!": .not, "neg": .negate, "&&": .and, "||": .or, "in": .in, "isEmpty": .isEmpty,
        ".": .attribute, "has": .has, "like": .like, "is": .is, "if-then-else": .conditional, "Set": .set, "Record": .record, "Slot": .slot,
      ]
      for (key, form) in plain { table[ExactString(key)] = form }
      for comparison in Expr.Comparison.allCases { table[ExactString(comparison.rawValue)] = .comparison(comparison) }
      for arithmetic in Expr.ArithmeticOperator.allCases { table[ExactString(arithmetic.rawValue)] = .arithmetic(arithmetic) }
      for method in Expr.Method.allCases where method != .isEmpty { table[ExactString(method.rawValue)] = .method(method) }
      for function in ExtensionFunction.allCases { table[ExactString(function.rawValue)] = .call(function) }
      return table
    }()
  }

  /// Reads an expression; `depth` counts the expressions around it, itself included.
  mutating func expression(_ json: JSONValue, into tree: inout ExprTree, depth: Int) -> ExprID? {
    guard let (form, argument) = form(of: json, depth: depth) else { return nil }
    switch form {
    case .value:
      guard let id = constant(argument, into: &tree, depth: depth) else { return nil }
      switch tree[id] {
      case .set, .record, .call, .undefinedCall: tree.jsonSpellings[id, default: []].insert(.value)
      default: break
      }
      return id
    case .variable:
      guard let name = string(argument, "`Var`") else { return nil }
      guard let variable = Variable.allCases.first(where: { exactlyEquals($0.rawValue, name) }) else {
        fail("`\(name)` is not a variable", argument.span, help: "the variables are `principal`, `action`, `resource` and `context`")
        return nil
      }
      return add(.variable(variable), json, &tree)
    case .slot:
      fail("found a template slot in a condition", argument.span, help: "slots can stand only in the scope of `principal` and `resource`")
      return nil
    case .not, .negate, .isEmpty:
      guard let parts = fields(of: argument, "the operand", required: ["arg"]),
        let operand = expression(parts[0], into: &tree, depth: depth + 1)
      else { return nil }
      switch form {
      case .not: return add(.not(operand), json, &tree)
      case .negate: return add(.negate(operand), json, &tree)
      default: return add(.method(.isEmpty, operand, nil), json, &tree)
      }
    case .and, .or, .arithmetic: return chain(json, into: &tree, depth: depth)
    case .comparison(let comparison):
      return operands(argument, into: &tree, depth).flatMap { add(.comparison(comparison, $0, $1), json, &tree) }
    case .in: return operands(argument, into: &tree, depth).flatMap { add(.in($0, $1), json, &tree) }
    case .method(let method): return operands(argument, into: &tree, depth).flatMap { add(.method(method, $0, $1), json, &tree) }
    case .attribute:
      guard let parts = fields(of: argument, "`.`", required: ["left", "attr"]) else { return nil }
      let left = expression(parts[0], into: &tree, depth: depth + 1)
      guard let key = string(parts[1], "`attr`"), let left else { return nil }
      return add(.attribute(left, key), json, &tree)
    case .has: return has(json, argument, into: &tree, depth: depth)
    case .like:
      guard let parts = fields(of: argument, "`like`", required: ["left", "pattern"]) else { return nil }
      let left = expression(parts[0], into: &tree, depth: depth + 1)
      guard let literals = pattern(parts[1]), let left else { return nil }
      let elements = literals.flatMap { $0.map { $0.unicodeScalars.map { Pattern.Element.scalar($0) } } ?? [.wildcard] }
      guard let id = add(.like(left, Pattern(elements)), json, &tree) else { return nil }
      if literals.contains(where: { $0?.unicodeScalars.count ?? 1 != 1 }) { tree.jsonPatterns[id] = literals }
      return id
    case .is:
      guard let parts = fields(of: argument, "`is`", required: ["left", "entity_type"], optional: ["in"]) else { return nil }
      let left = expression(parts[0], into: &tree, depth: depth + 1)
      let type = entityType(parts[1])
      var container: ExprID?
      if parts.count > 2, !parts[2].isNull {
        guard let read = expression(parts[2], into: &tree, depth: depth + 1) else { return nil }
        container = read
      }
      guard let left, let type else { return nil }
      return add(.is(left, type, in: container), json, &tree)
    case .conditional:
      guard let parts = fields(of: argument, "`if-then-else`", required: ["if", "then", "else"]) else { return nil }
      let test = expression(parts[0], into: &tree, depth: depth + 1)
      let then = expression(parts[1], into: &tree, depth: depth + 1)
      let otherwise = expression(parts[2], into: &tree, depth: depth + 1)
      guard let test, let then, let otherwise else { return nil }
      return add(.conditional(test, then: then, else: otherwise), json, &tree)
    case .set: return list(argument, "`Set`", into: &tree, depth: depth).flatMap { add(.set($0), json, &tree) }
    case .record:
      guard argument.object != nil else {
        fail("expected `Record` to be an object, got \(argument.kindName)", argument.span)
        return nil
      }
      let before = errors.count
      var record: [Expr.RecordField] = []
      for member in members(of: argument, "`Record`") {
        if let value = expression(member.value, into: &tree, depth: depth + 1) { record.append(.init(member.name, value)) }
      }
      return errors.count == before ? add(.record(record), json, &tree) : nil
    case .call(let function):
      return list(argument, "the arguments of `\(function.rawValue)`", into: &tree, depth: depth).flatMap {
        add(.call(function, $0), json, &tree)
      }
    }
  }

  /// The form and what it is about; nil, with a mistake noted, if the value is no expression object.
  private mutating func form(of json: JSONValue, depth: Int) -> (Form, JSONValue)? {
    guard depth <= limits.depth else {
      fail("nested deeper than \(limits.depth) levels", json.span)
      return nil
    }
    guard let members = json.object else {
      fail("expected an expression, got \(json.kindName)", json.span, help: #"an expression is an object such as {"Var": "principal"}"#)
      return nil
    }
    guard let member = members.first, members.count == 1 else {
      fail(
        members.isEmpty ? "an empty object is not an expression" : "an expression has one member, found \(members.count)", json.span,
        help: members.isEmpty ? nil : "found \(Self.list(members.prefix(4).map(\.name)))")
      return nil
    }
    guard let form = Form.byKey[ExactString(member.name)] else {
      let near = Spelling.nearest(to: member.name, among: Form.byKey.keys.map(\.string).sorted())
      fail("`\(member.name)` is not an operator or function", member.nameSpan, help: near.map { "did you mean `\($0)`?" })
      return nil
    }
    return (form, member.value)
  }

  private mutating func operands(_ json: JSONValue, into tree: inout ExprTree, _ depth: Int) -> (ExprID, ExprID)? {
    guard let parts = fields(of: json, "the operands", required: ["left", "right"]) else { return nil }
    let left = expression(parts[0], into: &tree, depth: depth + 1)
    let right = expression(parts[1], into: &tree, depth: depth + 1)
    guard let left, let right else { return nil }
    return (left, right)
  }

  /// `a && b && c` is nested to the left in JSON and one node here.
  private mutating func chain(_ json: JSONValue, into tree: inout ExprTree, depth: Int) -> ExprID? {
    guard let (outermost, _) = form(of: json, depth: depth) else { return nil }
    // Right operands from the last to the first, with the operator before each.
    var steps: [(Form, JSONValue)] = []
    var here = json
    while let member = here.object?.first, here.object?.count == 1, let form = Form.byKey[ExactString(member.name)],
      Self.isSameChain(form, outermost)
    {
      guard let parts = fields(of: member.value, "the operands", required: ["left", "right"]) else { return nil }
      steps.append((form, parts[1]))
      here = parts[0]
    }
    var operands: [ExprID?] = [expression(here, into: &tree, depth: depth + 1)]
    for (_, right) in steps.reversed() { operands.append(expression(right, into: &tree, depth: depth + 1)) }
    let all = operands.compactMap { $0 }
    guard all.count == operands.count else { return nil }
    switch outermost {
    case .and: return add(.and(all), json, &tree)
    case .or: return add(.or(all), json, &tree)
    default:
      let arithmetic = zip(steps.reversed(), all.dropFirst()).compactMap { step, operand in
        if case .arithmetic(let op) = step.0 { Expr.ArithmeticStep(op, operand) } else { nil }
      }
      return add(.arithmetic(all[0], arithmetic), json, &tree)
    }
  }

  /// Sums and products are chains of their own, so that a chain can be written without parentheses.
  private static func isSameChain(_ a: Form, _ b: Form) -> Bool {
    switch (a, b) {
    case (.and, .and), (.or, .or): true
    case (.arithmetic(let x), .arithmetic(let y)): (x == .multiply) == (y == .multiply)
    default: false
    }
  }

  private mutating func has(_ json: JSONValue, _ argument: JSONValue, into tree: inout ExprTree, depth: Int) -> ExprID? {
    // The one form in which other members mean nothing.
    guard let parts = fields(of: argument, "`has`", required: ["left", "attr"], isOpen: true) else { return nil }
    let left = expression(parts[0], into: &tree, depth: depth + 1)
    if let key = parts[1].string { return left.flatMap { add(.has($0, [key]), json, &tree) } }
    guard let elements = parts[1].array, !elements.isEmpty else {
      fail(
        "expected `attr` to be a string or an array of at least one string, got \(parts[1].array == nil ? parts[1].kindName : "an empty array")",
        parts[1].span)
      return nil
    }
    var keys: [String] = []
    for element in elements { if let key = string(element, "an element of `attr`") { keys.append(key) } }
    guard keys.count == elements.count, let left, let id = add(.has(left, keys), json, &tree) else { return nil }
    tree.jsonSpellings[id] = .list
    return id
  }

  /// The literals of a pattern, nil for a wildcard.
  private mutating func pattern(_ json: JSONValue) -> [String?]? {
    var literals: [String?] = []
    let before = errors.count
    for element in elements(of: json, "`pattern`") {
      if let word = element.string, exactlyEquals(word, "Wildcard") {
        literals.append(nil)
      } else if element.object?.count == 1, let literal = element["Literal"]?.string {
        literals.append(literal)
      } else {
        fail(#"expected "Wildcard" or {"Literal": "…"}"#, element.span)
      }
    }
    return errors.count == before ? literals : nil
  }

  private mutating func list(_ json: JSONValue, _ what: String, into tree: inout ExprTree, depth: Int) -> [ExprID]? {
    guard let elements = json.array else {
      fail("expected \(what) to be an array, got \(json.kindName)", json.span)
      return nil
    }
    let read = elements.map { expression($0, into: &tree, depth: depth + 1) }
    let all = read.compactMap { $0 }
    return all.count == read.count ? all : nil
  }

  /// Adds a node, if the tree stays within its limits.
  mutating func add(_ expr: Expr, _ json: JSONValue, _ tree: inout ExprTree) -> ExprID? {
    guard tree.nodes.count < limits.nodes else {
      fail("more than \(limits.nodes) expressions in one policy", json.span)
      return nil
    }
    let id = tree.add(expr, at: span(json))
    guard tree.depth(of: id) <= limits.depth else {
      fail("nested deeper than \(limits.depth) levels", json.span)
      return nil
    }
    return id
  }

  // MARK: - Constants

  /// What stands in a `Value`: JSON data with the escapes for entities and extension values.
  private mutating func constant(_ json: JSONValue, into tree: inout ExprTree, depth: Int) -> ExprID? {
    guard depth <= limits.depth else {
      fail("nested deeper than \(limits.depth) levels", json.span)
      return nil
    }
    switch json.kind {
    case .bool(let flag): return add(.bool(flag), json, &tree)
    case .integer(let number): return add(.long(number), json, &tree)
    case .string(let text): return add(.string(text), json, &tree)
    case .null:
      fail("null is not a value", json.span)
      return nil
    case .number(let text):
      fail("`\(text)` is not an integer of 64 bits", json.span, help: #"for fractions write {"decimal": [{"Value": "1.5"}]}"#)
      return nil
    case .array(let elements): return constants(elements, into: &tree, depth: depth).flatMap { add(.set($0), json, &tree) }
    case .object(let members):
      if members.count == 1, let escape = escape(members[0], json, into: &tree, depth: depth) { return escape.id }
      let before = errors.count
      var record: [Expr.RecordField] = []
      for member in self.members(of: json, "a record") {
        if let value = constant(member.value, into: &tree, depth: depth + 1) { record.append(.init(member.name, value)) }
      }
      return errors.count == before ? add(.record(record), json, &tree) : nil
    }
  }

  private mutating func constants(_ elements: [JSONValue], into tree: inout ExprTree, depth: Int) -> [ExprID]? {
    let read = elements.map { constant($0, into: &tree, depth: depth + 1) }
    let all = read.compactMap { $0 }
    return all.count == read.count ? all : nil
  }

  /// The escape that a single member is, with nil inside if it is a broken one; nil if it is no escape but a record's field.
  private mutating func escape(
    _ member: JSONValue.Member, _ json: JSONValue, into tree: inout ExprTree, depth: Int
  ) -> (id: ExprID?, Void)? {
    let inner = member.value
    if member.name.utf8.starts(with: "__e".utf8), let bad = EscapeRest.firstUnreadable(in: inner) {
      fail("`\(member.name)` holds what no value can: a number that is no 64-bit integer, or a name twice", bad.span)
      return (nil, ())
    }
    if exactlyEquals(member.name, "__expr"), inner.string != nil {
      fail("`__expr` is no longer supported", json.span, help: "write the expression in this format")
      return (nil, ())
    }
    if exactlyEquals(member.name, "__entity"), let type = inner["type"], type.string != nil, let id = inner["id"]?.string {
      return (entityType(type).flatMap { add(.entity(EntityUID(type: $0, id: id)), json, &tree) }, ())
    }
    guard exactlyEquals(member.name, "__extn"), let function = inner["fn"]?.string, inner["arg"] != nil || inner["args"]?.array != nil
    else {
      return nil
    }
    let arguments: [ExprID]?
    if let argument = inner["arg"] {
      arguments = constant(argument, into: &tree, depth: depth + 1).map { [$0] }
    } else {
      arguments = constants(inner["args"]?.array ?? [], into: &tree, depth: depth)
    }
    guard let arguments else { return (nil, ()) }
    let call: Expr
    if let known = ExtensionFunction.allCases.first(where: { exactlyEquals($0.rawValue, function) }) {
      call = .call(known, arguments)
    } else {
      do throws(NameError) { _ = try Name(normalized: function) } catch {
        fail("`\(function)` is not the name of a function: \(error)", inner["fn"]?.span ?? json.span)
        return (nil, ())
      }
      call = .undefinedCall(function, arguments)
    }
    guard let id = add(call, json, &tree) else { return (nil, ()) }
    if inner["arg"] == nil { tree.jsonSpellings[id, default: []].insert(.list) }
    return (id, ())
  }
}
