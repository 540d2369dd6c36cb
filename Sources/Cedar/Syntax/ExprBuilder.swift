internal import Bytes

/// Gives a syntax tree's expressions their meaning: names become variables, accesses become methods and calls.
///
/// One pass over the nodes of an expression from the first to the last, parts before wholes, without recursion.
struct ExprBuilder {
  private let tree: SyntaxTree
  private let limits: Limits
  /// What was built.
  private(set) var expressions = ExprTree()
  /// What was wrong.
  private(set) var errors: [ParseError] = []
  /// The variable that an `is` clause of the scope speaks of, for help texts.
  var describeVariable = "principal"
  private var clause: Condition.Kind?
  // The outcome of each composite node of the expression at hand, from `offset` on; nil after a mistake.
  private var outcomes: [ExprID?] = []
  private var offset = 0
  private var saidTooLarge = false

  init(tree: SyntaxTree, limits: Limits) {
    self.tree = tree
    self.limits = limits
  }

  /// Starts a new policy.
  mutating func begin() {
    expressions = ExprTree()
    errors.removeAll(keepingCapacity: true)
    saidTooLarge = false
  }

  /// Builds the expression of `root`, whose nodes begin at index `start`; nil after a mistake.
  mutating func lower(_ root: SyntaxID, from start: Int32, clause: Condition.Kind?) -> ExprID? {
    self.clause = clause
    offset = Int(start)
    outcomes.removeAll(keepingCapacity: true)
    outcomes.reserveCapacity(Int(root.index - start) + 1)
    // The right side of `has` looks like an access but is a path; it must not be taken for an expression.
    var paths: Set<Int32> = []
    for index in start...root.index where tree.nodes[Int(index)].kind == .has {
      var children = tree.children(of: SyntaxID(index: index))
      _ = children.next()
      if let right = children.next(), tree[right].kind == .member { paths.insert(right.index) }
    }
    for index in start...root.index {
      outcomes.append(paths.contains(index) ? nil : composite(SyntaxID(index: index)))
    }
    return expr(root)
  }

  private mutating func report(_ message: String, at span: SourceSpan, help: String? = nil) {
    errors.append(ParseError(message, at: span, help: help))
  }

  private mutating func add(_ expr: Expr, _ id: SyntaxID) -> ExprID? {
    let span = tree.span(of: id)
    guard expressions.nodes.count < limits.nodes else { return tooLarge("has more than \(limits.nodes) expressions", span) }
    let added = expressions.add(expr, at: span)
    guard expressions.depth(of: added) <= limits.depth else { return tooLarge("is nested deeper than \(limits.depth) levels", span) }
    return added
  }

  private mutating func tooLarge(_ what: String, _ span: SourceSpan) -> ExprID? {
    if !saidTooLarge { report("the expression \(what)", at: span) }
    saidTooLarge = true
    return nil
  }

  // MARK: Leaves, built when a whole asks for them

  /// The expression of a node, wherever an expression is wanted.
  private mutating func expr(_ id: SyntaxID) -> ExprID? {
    let node = tree[id]
    switch node.kind {
    case .literal: return literal(id, negative: false)
    case .name: return variable(id)
    case .entity: return entity(id).flatMap { add(.entity($0), id) }
    case .slot:
      let text = tree.text(of: id)
      if let clause {
        report(
          "found template slot \(text) in a `\(clause.rawValue)` clause", at: tree.span(of: id),
          help: "slots are currently unsupported in `\(clause.rawValue)` clauses")
      } else {
        report("found template slot \(text) in an expression", at: tree.span(of: id), help: "slots may stand in a policy's scope only")
      }
      return nil
    default: return outcomes[Int(id.index) - offset]
    }
  }

  private mutating func literal(_ id: SyntaxID, negative: Bool) -> ExprID? {
    let token = tree.tokens[Int(tree[id].mainToken)]
    switch token.kind {
    case .true: return add(.bool(true), id)
    case .false: return add(.bool(false), id)
    case .string: return string(id).flatMap { add(.string($0), id) }
    default: return number(token).flatMap { add(.long($0), id) }
    }
  }

  private mutating func number(_ token: Token) -> Int64? {
    let text = String(decoding: tree.source[token.span.start..<token.span.end], as: UTF8.self)
    if let value = Int64(text) { return value }
    report(
      "integer literal `\(text)` is too large", at: token.span, help: "maximum allowed integer literal is `\(Int64.max)`")
    return nil
  }

  /// The content of a string literal, or of an entity's id.
  private mutating func string(_ id: SyntaxID) -> String? {
    let span = tree.tokens[Int(tree[id].mainToken)].span
    let (text, bad) = StringLiteral.unescape(tree.source[(span.start + 1)..<(span.end - 1)])
    for escape in bad { report("the input `\(escape.text)` is not a valid escape", at: span, help: Self.escapeHelp(escape)) }
    return bad.isEmpty ? text : nil
  }

  private static func escapeHelp(_ escape: StringLiteral.BadEscape) -> String {
    switch escape.text {
    case "\\*": "`\\*` is an escape in patterns after `like` only"
    case "\\r": "a carriage return inside a string is written `\\r`"
    default: "a backslash is written `\\\\`; the escapes are `\\n`, `\\r`, `\\t`, `\\0`, `\\\\`, `\\\"`, `\\'`, `\\x41` and `\\u{1F600}`"
    }
  }

  /// The normalised name in the tokens of a range; nil if a component is reserved.
  private mutating func nameText(_ first: Int32, _ last: Int32) -> String? {
    var text = ""
    for index in stride(from: Int(first), through: Int(last), by: 2) {
      let token = tree.tokens[index]
      let word = tree.text(ofToken: index)
      if token.kind != .identifier {
        report("this identifier is reserved and cannot be used: \(word)", at: token.span)
        return nil
      }
      text += text.isEmpty ? word : "::" + word
    }
    for index in stride(from: Int(first), through: Int(last), by: 2) where tree.text(ofToken: index) == "__cedar" {
      report(
        "The name `\(text)` contains `__cedar`, which is reserved",
        at: SourceSpan(tree.tokens[Int(first)].span.start, tree.tokens[Int(last)].span.end))
      return nil
    }
    return text
  }

  /// The uid of an entity node.
  mutating func entity(_ id: SyntaxID) -> EntityUID? {
    let node = tree[id]
    guard let type = nameText(node.firstToken, node.mainToken - 2), let text = string(id) else { return nil }
    return EntityUID(type: EntityType(unchecked: type), id: text)
  }

  /// The entity type that the right side of an `is` names.
  mutating func entityType(_ id: SyntaxID) -> EntityType? {
    let node = tree[id]
    guard node.kind == .name else {
      let text = tree.text(of: id)
      var help: String?
      if node.kind == .entity {
        help = "try using `==` to test for equality: `\(describeVariable) == \(text)`"
      } else if node.kind == .literal, tree.tokens[Int(node.mainToken)].kind == .string {
        let content = String(text.dropFirst().dropLast())
        help =
          Name.isIdentifier(content)
          ? "try removing the quotes: `\(describeVariable) is \(content)`" : "write the type's name without quotes"
      }
      report("right hand side of an `is` expression must be an entity type name, but got `\(text)`", at: tree.span(of: id), help: help)
      return nil
    }
    return nameText(node.firstToken, node.lastToken).map { EntityType(unchecked: $0) }
  }

  private mutating func variable(_ id: SyntaxID) -> ExprID? {
    let node = tree[id]
    guard let name = nameText(node.firstToken, node.lastToken) else { return nil }
    if let variable = Variable(rawValue: name) { return add(.variable(variable), id) }
    let meant = Spelling.nearest(to: name, among: Variable.allCases.map(\.rawValue) + ["true", "false"])
    report(
      "invalid variable: \(name)", at: tree.span(of: id),
      help: "the valid Cedar variables are `principal`, `action`, `resource`, and `context`; did you mean "
        + (meant.map { "`\($0)`?" } ?? "to enclose `\(name)` in quotes to make a string?"))
    return nil
  }

  // MARK: Wholes

  private mutating func composite(_ id: SyntaxID) -> ExprID? {
    switch tree[id].kind {
    case .or: return all(id).flatMap { add(.or($0), id) }
    case .and: return all(id).flatMap { add(.and($0), id) }
    case .sum, .product: return arithmetic(id)
    case .relation: return relation(id)
    case .has: return has(id)
    case .like: return like(id)
    case .is: return isExpression(id)
    case .not, .negate: return unary(id)
    case .member:
      return member(id)
    case .paren: return pair(id).first.flatMap { expr($0) }
    case .set: return all(id).flatMap { add(.set($0), id) }
    case .record: return record(id)
    case .conditional:
      guard let parts = all(id), parts.count == 3 else { return nil }
      return add(.conditional(parts[0], then: parts[1], else: parts[2]), id)
    case .entityRecord:
      report("invalid entity literal: \(tree.text(of: id))", at: tree.span(of: id), help: "entity literals have the form `User::\"alice\"`")
      return nil
    default: return nil
    }
  }

  private func pair(_ id: SyntaxID) -> (first: SyntaxID?, second: SyntaxID?) {
    var children = tree.children(of: id)
    let first = children.next()
    return (first, children.next())
  }

  /// The expressions of all children; nil if any failed, after all have been looked at.
  private mutating func all(_ id: SyntaxID) -> [ExprID]? {
    var parts: [ExprID] = []
    var complete = true
    for child in tree.children(of: id) {
      if let part = expr(child) { parts.append(part) } else { complete = false }
    }
    return complete ? parts : nil
  }

  private mutating func arithmetic(_ id: SyntaxID) -> ExprID? {
    guard let operands = all(id) else { return nil }
    var steps: [Expr.ArithmeticStep] = []
    for (child, operand) in zip(tree.children(of: id), operands) {
      if steps.isEmpty, operand == operands[0], child.index == tree[id].firstChild { continue }
      let sign = tree.tokens[Int(tree[child].firstToken) - 1]
      switch sign.kind {
      case .plus: steps.append(Expr.ArithmeticStep(.add, operand))
      case .minus: steps.append(Expr.ArithmeticStep(.subtract, operand))
      case .times: steps.append(Expr.ArithmeticStep(.multiply, operand))
      default:
        report(
          "\(sign.kind == .slash ? "division" : "remainder") is not supported", at: sign.span,
          help: "Cedar has `+`, `-` and `*`; compute the quotient where the data comes from, or compare products")
        return nil
      }
    }
    return add(.arithmetic(operands[0], steps), id)
  }

  private mutating func relation(_ id: SyntaxID) -> ExprID? {
    let operands = all(id)
    let sign = tree.tokens[Int(tree[id].mainToken)]
    if tree.children(of: id).reduce(0, { count, _ in count + 1 }) > 2 {
      report(
        "multiple relational operators (>, ==, in, etc.) must be used with parentheses to make ordering explicit", at: tree.span(of: id),
        help: "join two comparisons with `&&`")
      return nil
    }
    let comparison: Expr.Comparison
    switch sign.kind {
    case .assign:
      report("'=' is not a valid operator in Cedar", at: tree.span(of: id), help: "try using '==' instead")
      return nil
    case .in: return operands.flatMap { $0.count == 2 ? add(.in($0[0], $0[1]), id) : nil }
    case .equal: comparison = .equal
    case .notEqual: comparison = .notEqual
    case .less: comparison = .less
    case .lessOrEqual: comparison = .lessOrEqual
    case .greater: comparison = .greater
    default: comparison = .greaterOrEqual
    }
    return operands.flatMap { $0.count == 2 ? add(.comparison(comparison, $0[0], $0[1]), id) : nil }
  }

  private mutating func unary(_ id: SyntaxID) -> ExprID? {
    let node = tree[id]
    guard let child = pair(id).first else { return nil }
    let operatorCount = Int(tree[child].firstToken - node.firstToken)
    let isNot = node.kind == .not
    if operatorCount > 4 {
      report("too many occurrences of `\(isNot ? "!" : "-")`", at: tree.span(of: id), help: "cannot chain more than 4 of them")
      return nil
    }
    var remaining = operatorCount
    var operand: ExprID?
    let token = tree.tokens[Int(tree[child].mainToken)]
    if !isNot, tree[child].kind == .literal, token.kind == .number {
      // A minus directly before a number is part of it: the smallest integer has no positive counterpart.
      let digits = String(decoding: tree.source[token.span.start..<token.span.end], as: UTF8.self)
      guard let value = Int64("-" + digits) else {
        report("integer literal `\(digits)` is too large", at: token.span, help: "minimum allowed integer literal is `\(Int64.min)`")
        return nil
      }
      operand = add(.long(value), id)
      remaining -= 1
    } else {
      operand = expr(child)
    }
    for _ in 0..<remaining {
      guard let inner = operand else { return nil }
      operand = add(isNot ? .not(inner) : .negate(inner), id)
    }
    return operand
  }

  private mutating func record(_ id: SyntaxID) -> ExprID? {
    var fields: [Expr.RecordField] = []
    var seen: Set<ExactString> = []
    var complete = true
    for field in tree.children(of: id) {
      let (keyNode, valueNode) = pair(field)
      guard let keyNode, let valueNode else { return nil }
      let value = expr(valueNode)
      guard let key = key(keyNode), let value else {
        complete = false
        continue
      }
      if !seen.insert(ExactString(key)).inserted {
        report("duplicate key `\(key)` in record literal", at: tree.span(of: keyNode))
        complete = false
      }
      fields.append(Expr.RecordField(key, value))
    }
    return complete ? add(.record(fields), id) : nil
  }

  private mutating func key(_ id: SyntaxID) -> String? {
    let node = tree[id]
    if node.kind == .literal, tree.tokens[Int(node.mainToken)].kind == .string { return string(id) }
    if node.kind == .name { return attribute(node.firstToken, node.lastToken) }
    report(
      "invalid attribute name: \(tree.text(of: id))", at: tree.span(of: id), help: "attribute names are identifiers or string literals")
    return nil
  }

  /// An attribute written as a bare name.
  private mutating func attribute(_ first: Int32, _ last: Int32) -> String? {
    guard let name = nameText(first, last) else { return nil }
    guard first == last else {
      report(
        "`\(name)` cannot be used as an attribute as it contains a namespace",
        at: SourceSpan(tree.tokens[Int(first)].span.start, tree.tokens[Int(last)].span.end))
      return nil
    }
    return name
  }

  private mutating func has(_ id: SyntaxID) -> ExprID? {
    let (left, right) = pair(id)
    guard let left, let right else { return nil }
    let target = expr(left)
    let node = tree[right]
    var path: [String] = []
    switch node.kind {
    case .literal where tree.tokens[Int(node.mainToken)].kind == .string:
      guard let key = string(right) else { return nil }
      path = [key]
    case .name:
      guard let key = attribute(node.firstToken, node.lastToken) else { return nil }
      path = [key]
    case .member:
      for part in tree.children(of: right) {
        let partNode = tree[part]
        guard partNode.kind == .name || partNode.kind == .field else { return invalidPath(right) }
        let first = partNode.kind == .name ? partNode.firstToken : partNode.mainToken
        guard let key = attribute(first, partNode.lastToken) else { return nil }
        path.append(key)
      }
    default: return invalidPath(right)
    }
    return target.flatMap { add(.has($0, path), id) }
  }

  private mutating func invalidPath(_ id: SyntaxID) -> ExprID? {
    report(
      "invalid RHS of a `has` operation: \(tree.text(of: id))", at: tree.span(of: id),
      help: "valid RHS of a `has` operation is either a sequence of identifiers separated by `.` or a string literal")
    return nil
  }

  private mutating func like(_ id: SyntaxID) -> ExprID? {
    let (left, right) = pair(id)
    guard let left, let right else { return nil }
    let subject = expr(left)
    let token = tree.tokens[Int(tree[right].mainToken)]
    guard tree[right].kind == .literal, token.kind == .string else {
      report(
        "right hand side of a `like` expression must be a pattern literal, but got `\(tree.text(of: right))`", at: tree.span(of: right))
      return nil
    }
    let (pattern, bad) = StringLiteral.pattern(tree.source[(token.span.start + 1)..<(token.span.end - 1)])
    for escape in bad {
      report("the input `\(escape.text)` is not a valid escape", at: token.span, help: Self.escapeHelp(escape))
    }
    guard bad.isEmpty else { return nil }
    return subject.flatMap { add(.like($0, pattern), id) }
  }

  private mutating func isExpression(_ id: SyntaxID) -> ExprID? {
    var children = tree.children(of: id)
    guard let left = children.next(), let right = children.next() else { return nil }
    let container = children.next()
    let subject = expr(left)
    describeVariable = tree.text(of: left)
    let type = entityType(right)
    var inside: ExprID?
    if let container {
      inside = expr(container)
      guard inside != nil else { return nil }
    }
    guard let subject, let type else { return nil }
    return add(.is(subject, type, in: inside), id)
  }
}

// MARK: Accesses and calls

extension ExprBuilder {
  private mutating func member(_ id: SyntaxID) -> ExprID? {
    let parts = Array(tree.children(of: id))
    guard let head = parts.first else { return nil }
    var index = 1
    var receiver: ExprID?
    if tree[head].kind == .name, !isVariable(head) || tree[parts[1]].kind == .call {
      guard tree[parts[1]].kind == .call else { return namedHead(head, parts, id) }
      guard let call = functionCall(head, parts[1]) else { return nil }
      receiver = call
      index = 2
    } else {
      receiver = expr(head)
    }
    while index < parts.count {
      guard let current = receiver else { return nil }
      let part = parts[index]
      switch tree[part].kind {
      case .field where index + 1 < parts.count && tree[parts[index + 1]].kind == .call:
        receiver = methodCall(current, field: part, call: parts[index + 1], head: head)
        index += 2
      case .field:
        let token = tree[part].mainToken
        receiver = attribute(token, token).flatMap { addAccess(.attribute(current, $0), head, part) }
        index += 1
      case .index:
        receiver = indexKey(part).flatMap { addAccess(.attribute(current, $0), head, part) }
        index += 1
      default:
        report(
          "function calls must be of the form `<name>(arg1, arg2, ...)`", at: SourceSpan(tree.span(of: head).start, tree.span(of: part).end)
        )
        return nil
      }
    }
    return receiver
  }

  private func isVariable(_ name: SyntaxID) -> Bool {
    tree[name].firstToken == tree[name].lastToken && Variable(rawValue: tree.text(of: name)) != nil
  }

  /// Adds what spans from the head of a chain of accesses to one of them.
  private mutating func addAccess(_ expr: Expr, _ head: SyntaxID, _ part: SyntaxID) -> ExprID? {
    let span = SourceSpan(tree.span(of: head).start, tree.span(of: part).end)
    guard expressions.nodes.count < limits.nodes else { return tooLarge("has more than \(limits.nodes) expressions", span) }
    let added = expressions.add(expr, at: span)
    guard expressions.depth(of: added) <= limits.depth else { return tooLarge("is nested deeper than \(limits.depth) levels", span) }
    return added
  }

  /// A name that is no variable, with accesses: always a mistake; which one, depends on what follows.
  private mutating func namedHead(_ head: SyntaxID, _ parts: [SyntaxID], _ id: SyntaxID) -> ExprID? {
    let node = tree[head]
    guard let name = nameText(node.firstToken, node.lastToken) else { return nil }
    let span = SourceSpan(tree.span(of: head).start, tree.span(of: parts[1]).end)
    let written = String(decoding: tree.source[span.start..<span.end], as: UTF8.self)
    let meant = Spelling.nearest(to: name, among: Variable.allCases.map(\.rawValue))
    let help = meant.map { "did you mean `\($0)`?" } ?? "the valid Cedar variables are `principal`, `action`, `resource`, and `context`"
    if tree[parts[1]].kind == .index {
      report("invalid indexing expression `\(written)`, `\(name)` has no fields", at: span, help: help)
    } else if parts.count > 2, tree[parts[2]].kind == .call {
      report("attempted to call `\(written)(...)`, but `\(name)` does not have any methods", at: span, help: help)
    } else {
      report("invalid member access `\(written)`, `\(name)` has no fields or methods", at: span, help: help)
    }
    return nil
  }

  private mutating func functionCall(_ head: SyntaxID, _ call: SyntaxID) -> ExprID? {
    let node = tree[head]
    let arguments = all(call)
    guard let name = nameText(node.firstToken, node.lastToken) else { return nil }
    let span = tree.span(of: head).union(tree.span(of: call))
    if let function = ExtensionFunction(rawValue: name), function.isFunction {
      return arguments.flatMap { addAccess(.call(function, $0), head, call) }
    }
    if Variable(rawValue: name) != nil {
      report("`\(name)(...)` is not a valid function call", at: span, help: "variables cannot be called as functions")
    } else if ExtensionFunction(rawValue: name) != nil || Expr.Method(rawValue: name) != nil {
      report("`\(name)` is a method, not a function", at: span, help: "use a method-style call: `e.\(name)(..)`")
    } else {
      let functions = ExtensionFunction.allCases.filter(\.isConstructor).map(\.rawValue)
      report(
        "`\(name)` is not a valid function", at: span,
        help: Spelling.nearest(to: name, among: functions).map { "did you mean `\($0)`?" }
          ?? "the functions are " + functions.map { "`\($0)`" }.joined(separator: ", "))
    }
    return nil
  }

  private mutating func methodCall(_ receiver: ExprID, field: SyntaxID, call: SyntaxID, head: SyntaxID) -> ExprID? {
    let name = tree.text(ofToken: Int(tree[field].mainToken))
    let arguments = all(call)
    let span = SourceSpan(tree.span(of: head).start, tree.span(of: call).end)
    if let method = Expr.Method(rawValue: name) {
      let wanted = method == .isEmpty ? 0 : 1
      let given = tree.children(of: call).reduce(0) { count, _ in count + 1 }
      guard given == wanted else {
        report(
          "call to `\(name)` requires exactly \(wanted) argument\(wanted == 1 ? "" : "s"), but got \(given) argument\(given == 1 ? "" : "s")",
          at: span)
        return nil
      }
      return arguments.flatMap { addAccess(.method(method, receiver, $0.first), head, call) }
    }
    if let function = ExtensionFunction(rawValue: name) {
      if !function.isFunction { return arguments.flatMap { addAccess(.call(function, [receiver] + $0), head, call) } }
      report("`\(name)` is a function, not a method", at: span, help: "use a function-style call: `\(name)(..)`")
      return nil
    }
    let methods = Expr.Method.allCases.map(\.rawValue) + ExtensionFunction.allCases.filter { !$0.isFunction }.map(\.rawValue)
    let alias = ["include": "contains", "includes": "contains", "has": "contains", "size": "isEmpty", "count": "isEmpty"][name]
    let meant = alias ?? Spelling.nearest(to: name, among: methods)
    report(
      "`\(name)` is not a valid method", at: SourceSpan(tree.span(of: field).start + 1, tree.span(of: field).end),
      help: meant.map { "did you mean `\($0)`?" } ?? "the methods of sets are `contains`, `containsAll`, `containsAny` and `isEmpty`")
    return nil
  }

  private mutating func indexKey(_ index: SyntaxID) -> String? {
    guard let inside = pair(index).first else { return nil }
    let node = tree[inside]
    if node.kind == .literal, tree.tokens[Int(node.mainToken)].kind == .string { return string(inside) }
    report(
      "invalid string literal: \(tree.text(of: inside))", at: tree.span(of: inside), help: "an index is one string literal: `e[\"name\"]`")
    return nil
  }
}
