internal import Bytes

/// Reads policies, templates and expressions in Cedar syntax.
public struct PolicyParser {
  /// The statements of a text, numbered `policy0`, `policy1`, … ; all mistakes of the text at once.
  public static func parse(_ source: some Collection<UInt8>, limits: Limits = Limits()) throws(ParseErrors) -> [Policy] {
    let (tree, syntaxErrors) = SyntaxParser.policies(Array(source), limits: limits)
    var parser = PolicyParser(tree: tree, limits: limits)
    parser.errors = syntaxErrors
    var policies: [Policy] = []
    policies.reserveCapacity(tree.policies.count)
    for (number, id) in tree.policies.enumerated() {
      if let policy = parser.policy(id, name: "policy\(number)") { policies.append(policy) }
      if parser.errors.count >= ParseErrors.limit { break }
    }
    guard parser.errors.isEmpty else { throw ParseErrors(parser.errors) }
    return policies
  }

  /// The statements of a text, numbered `policy0`, `policy1`, … ; all mistakes of the text at once.
  public static func parse(_ text: String, limits: Limits = Limits()) throws(ParseErrors) -> [Policy] {
    try parse(text.utf8, limits: limits)
  }

  /// One expression; all its mistakes at once.
  public static func parseExpression(
    _ source: some Collection<UInt8>, limits: Limits = Limits()
  ) throws(ParseErrors) -> (tree: ExprTree, root: ExprID) {
    let (tree, root, errors) = SyntaxParser.expression(Array(source), limits: limits)
    guard let root else { throw ParseErrors(errors) }
    var parser = PolicyParser(tree: tree, limits: limits)
    parser.builder = ExprBuilder(tree: tree, limits: limits)
    let lowered = parser.builder.lower(root, from: 0, clause: nil)
    guard let lowered, parser.builder.errors.isEmpty else { throw ParseErrors(parser.builder.errors) }
    return (parser.builder.expressions, lowered)
  }

  /// One expression; all its mistakes at once.
  public static func parseExpression(_ text: String, limits: Limits = Limits()) throws(ParseErrors) -> (tree: ExprTree, root: ExprID) {
    try parseExpression(text.utf8, limits: limits)
  }

  /// An entity as Cedar writes it, `User::"alice"`; white space around it does no harm.
  public static func parseEntityUID(_ text: String) throws(ParseErrors) -> EntityUID {
    let (tree, root) = try parseExpression(text)
    if case .entity(let uid) = tree[root] { return uid }
    throw ParseErrors([ParseError("expected an entity such as `User::\"alice\"`", at: tree.span(of: root))])
  }

  private let tree: SyntaxTree
  private var builder: ExprBuilder
  private var errors: [ParseError] = []

  private init(tree: SyntaxTree, limits: Limits) {
    self.tree = tree
    builder = ExprBuilder(tree: tree, limits: limits)
  }

  private mutating func report(_ message: String, at span: SourceSpan, help: String? = nil) {
    errors.append(ParseError(message, at: span, help: help))
  }

  // MARK: Statements

  private mutating func policy(_ id: SyntaxID, name: String) -> Policy? {
    let before = errors.count
    builder.begin()
    let node = tree[id]
    let word = tree.text(ofToken: Int(node.mainToken))
    var effect = Effect.permit
    switch word {
    case "permit": break
    case "forbid": effect = .forbid
    default:
      let meant = Spelling.nearest(to: word, among: ["permit", "forbid"])
      report(
        "invalid policy effect: \(word)", at: tree.tokens[Int(node.mainToken)].span,
        help: "effect must be either `permit` or `forbid`" + (meant.map { "; did you mean `\($0)`?" } ?? ""))
    }
    var annotations: [Annotation] = []
    var elements: [SyntaxID] = []
    var conditions: [Condition] = []
    // A policy without scope and annotations begins with a condition.
    var previous = tree.children(of: id).first { _ in true }.map { tree.firstNode(of: $0) - 1 } ?? id.index
    for child in tree.children(of: id) {
      switch tree[child].kind {
      case .annotation: if let annotation = annotation(child, after: annotations) { annotations.append(annotation) }
      case .scopeElement: elements.append(child)
      default: if let condition = condition(child, from: previous + 1) { conditions.append(condition) }
      }
      previous = child.index
    }
    let scope = scope(elements, of: node)
    errors.append(contentsOf: builder.errors)
    guard errors.count == before, let scope else { return nil }
    return Policy(
      id: PolicyID(name), effect: effect, annotations: annotations, principal: scope.principal.0, action: scope.action.0,
      resource: scope.resource.0, conditions: conditions, expressions: builder.expressions, span: tree.span(of: id),
      scopeSpans: (scope.principal.1, scope.action.1, scope.resource.1))
  }

  private mutating func annotation(_ id: SyntaxID, after others: [Annotation]) -> Annotation? {
    let node = tree[id]
    let key = tree.text(ofToken: Int(node.mainToken))
    var value: String?
    if node.lastToken > node.mainToken {
      let token = tree.tokens[Int(node.mainToken) + 2]
      let (text, bad) = StringLiteral.unescape(tree.source[(token.span.start + 1)..<(token.span.end - 1)])
      for escape in bad { report("the input `\(escape.text)` is not a valid escape", at: token.span) }
      value = text
    }
    if others.contains(where: { $0.key == key }) {
      report("duplicate annotation: @\(key)", at: tree.span(of: id), help: "an annotation may occur once")
      return nil
    }
    return Annotation(key: key, value: value, span: tree.span(of: id))
  }

  private mutating func condition(_ id: SyntaxID, from start: Int32) -> Condition? {
    let node = tree[id]
    let word = tree.text(ofToken: Int(node.mainToken))
    let kind: Condition.Kind
    switch word {
    case "when": kind = .when
    case "unless": kind = .unless
    default:
      let meant = Spelling.nearest(to: word, among: ["when", "unless"])
      report(
        "invalid policy condition: \(word)", at: tree.tokens[Int(node.mainToken)].span,
        help: "condition must be either `when` or `unless`" + (meant.map { "; did you mean `\($0)`?" } ?? ""))
      return nil
    }
    var children = tree.children(of: id)
    guard let body = children.next() else {
      report(
        "`\(word)` condition clause cannot be empty", at: tree.span(of: id),
        help: "write an expression in the braces, or leave the clause out")
      return nil
    }
    guard let expr = builder.lower(body, from: start, clause: kind) else { return nil }
    return Condition(kind, expr, span: tree.span(of: id))
  }

  // MARK: Scope

  private typealias Scope = (
    principal: (ScopeConstraint, ScopeSpans), action: (ActionConstraint, ScopeSpans), resource: (ScopeConstraint, ScopeSpans)
  )

  private mutating func scope(_ elements: [SyntaxID], of policy: SyntaxNode) -> Scope? {
    var principal: (ScopeConstraint, ScopeSpans) = (.any, ScopeSpans())
    var action: (ActionConstraint, ScopeSpans) = (.any, ScopeSpans())
    var resource: (ScopeConstraint, ScopeSpans) = (.any, ScopeSpans())
    let wanted = ["principal", "action", "resource"]
    for (index, element) in elements.enumerated() {
      let node = tree[element]
      let name = tree.text(ofToken: Int(node.mainToken))
      let span = tree.tokens[Int(node.mainToken)].span
      guard index < wanted.count else {
        report(
          "this policy has an extra element in the scope: \(tree.text(of: element))", at: tree.span(of: element), help: Self.scopeHelp)
        continue
      }
      if name != wanted[index] {
        if wanted.contains(name) || name == "context" {
          report("found the variable `\(name)` where the variable `\(wanted[index])` must be used", at: span, help: Self.scopeHelp)
        } else {
          let meant = Spelling.nearest(to: name, among: wanted)
          report(
            "found an invalid variable in the policy scope: \(name)", at: span,
            help: meant.map { "did you mean `\($0)`?" } ?? Self.scopeHelp)
        }
        continue
      }
      switch index {
      case 0: principal = constraint(element, slot: "?principal")
      case 1: action = actionConstraint(element)
      default: resource = constraint(element, slot: "?resource")
      }
    }
    if elements.count < 3 {
      // The closing parenthesis is the place where something is missing.
      var close = Int(elements.last.map { tree[$0].lastToken } ?? policy.mainToken) + 1
      while close < Int(policy.lastToken), tree.tokens[close].kind != .rightParen { close += 1 }
      report(
        "this policy is missing the `\(wanted[elements.count])` variable in the scope", at: tree.tokens[close].span, help: Self.scopeHelp)
    }
    return (principal, action, resource)
  }

  private static let scopeHelp = "policy scopes must contain a `principal`, `action`, and `resource` element in that order"

  /// The parts of a scope element, parentheses around the operand taken off.
  private mutating func parts(_ element: SyntaxID) -> (type: SyntaxID?, sign: Token.Kind?, operand: SyntaxID?) {
    var type: SyntaxID?
    var sign: Token.Kind?
    var operand: SyntaxID?
    for part in tree.children(of: element) {
      var children = tree.children(of: part)
      let child = children.next()
      switch tree[part].kind {
      case .typeConstraint:
        report(
          "type constraints using `:` are not supported", at: tree.span(of: part),
          help: child.map { "try using `is` instead: `\(tree.text(ofToken: Int(tree[element].mainToken))) is \(tree.text(of: $0))`" })
      case .isClause: type = child
      default:
        sign = tree.tokens[Int(tree[part].mainToken)].kind
        operand = child
        if sign == .assign {
          report("'=' is not a valid operator in Cedar", at: tree.span(of: part), help: "try using '==' instead")
        }
      }
    }
    while let inside = operand, tree[inside].kind == .paren {
      var children = tree.children(of: inside)
      operand = children.next()
    }
    return (type, sign, operand)
  }

  private mutating func constraint(_ element: SyntaxID, slot: String) -> (ScopeConstraint, ScopeSpans) {
    var spans = ScopeSpans()
    spans.element = tree.span(of: element)
    let (typeNode, sign, operand) = parts(element)
    var type: EntityType?
    if let typeNode {
      spans.type = tree.span(of: typeNode)
      builder.describeVariable = tree.text(ofToken: Int(tree[element].mainToken))
      type = builder.entityType(typeNode)
    }
    guard let sign, let operand else { return (type.map { .is($0) } ?? .any, spans) }
    spans.references = [tree.span(of: operand)]
    switch sign {
    case .equal where typeNode == nil:
      return (reference(operand, slot: slot).map { .equal($0) } ?? .any, spans)
    case .in:
      guard let reference = reference(operand, slot: slot) else { return (.any, spans) }
      return (type.map { .isIn($0, reference) } ?? .in(reference), spans)
    case .assign: break
    case .equal:
      report("`is` cannot be used together with `==`", at: tree.span(of: element), help: "try using `_ is _ in _`")
    default: invalidOperator(sign, element)
    }
    return (.any, spans)
  }

  private mutating func invalidOperator(_ sign: Token.Kind, _ element: SyntaxID) {
    let text = sign.expectation.filter { $0 != "`" }
    report(
      "invalid operator in the policy scope: \(text)", at: tree.span(of: element),
      help: "policy scope clauses can only use `==`, `in`, `is`, or `_ is _ in _`; write other conditions in a `when` clause")
  }

  /// The entity or matching slot of a principal or resource constraint.
  private mutating func reference(_ operand: SyntaxID, slot: String) -> EntityReference? {
    let node = tree[operand]
    let span = tree.span(of: operand)
    switch node.kind {
    case .entity: return builder.entity(operand).map { .entity($0) }
    case .slot:
      let text = tree.text(of: operand)
      if text == slot { return .slot }
      report("expected an entity uid or matching template slot, found \(text) instead of \(slot)", at: span)
    case .set:
      report(
        "expected single entity uid or template slot, found set of entity uids", at: span,
        help: "write one policy for each entity, or give them a common parent")
    case .relation, .is:
      if let inner = firstChild(operand), tree[operand].kind == .is, tree[inner].kind == .entity {
        report("when `is` and `in` are used together, `is` must come first", at: span, help: "try `_ is _ in _`")
      } else {
        report("expected an entity uid or matching template slot, found \(found(operand))", at: span)
      }
    default:
      report(
        "expected an entity uid or matching template slot, found \(found(operand))", at: span,
        help: node.kind == .literal && tree.tokens[Int(node.mainToken)].kind == .string
          ? "try including the entity type if you intended this string to be an entity uid" : nil)
    }
    return nil
  }

  private func firstChild(_ id: SyntaxID) -> SyntaxID? {
    var children = tree.children(of: id)
    return children.next()
  }

  /// What stands where an entity should, in words.
  private func found(_ operand: SyntaxID) -> String {
    let text = tree.text(of: operand)
    return switch tree[operand].kind {
    case .literal: "literal `\(text)`"
    case .name: "name `\(text)`"
    case .entityRecord: "invalid entity literal `\(text)`"
    case .record: "a record"
    case .conditional: "an `if` expression"
    default: "`\(text)`"
    }
  }

  private mutating func actionConstraint(_ element: SyntaxID) -> (ActionConstraint, ScopeSpans) {
    var spans = ScopeSpans()
    spans.element = tree.span(of: element)
    let (typeNode, sign, operand) = parts(element)
    if let typeNode {
      report(
        "`is` cannot appear in the action scope", at: tree.span(of: typeNode),
        help: "try moving `action is ..` into a `when` condition")
    }
    guard let sign, let operand else { return (.any, spans) }
    switch sign {
    case .equal:
      spans.references = [tree.span(of: operand)]
      return (action(operand, expecting: "single entity uid").map { .equal($0) } ?? .any, spans)
    case .in:
      guard tree[operand].kind == .set else {
        spans.references = [tree.span(of: operand)]
        return (action(operand, expecting: "single entity uid or set of entity uids").map { .in($0) } ?? .any, spans)
      }
      var actions: [EntityUID] = []
      for element in tree.children(of: operand) {
        var inside = element
        while tree[inside].kind == .paren, let inner = firstChild(inside) { inside = inner }
        if let uid = action(inside, expecting: "single entity uid") {
          actions.append(uid)
          spans.references.append(tree.span(of: inside))
        }
      }
      return (actions.count == 1 ? .in(actions[0]) : .inAny(actions), spans)
    case .assign: break
    default: invalidOperator(sign, element)
    }
    return (.any, spans)
  }

  private mutating func action(_ operand: SyntaxID, expecting expected: String) -> EntityUID? {
    let span = tree.span(of: operand)
    switch tree[operand].kind {
    case .entity:
      guard let uid = builder.entity(operand) else { return nil }
      if uid.type.isAction { return uid }
      report(
        "expected an entity uid with type `Action` but got `\(uid)`", at: span,
        help: "action entities must have type `Action`, optionally in a namespace")
    case .slot: report("expected \(expected), found template slot", at: span, help: "slots are for `principal` and `resource` only")
    case .set: report("expected \(expected), found set of entity uids", at: span)
    default:
      report(
        "expected an entity uid, found \(found(operand))", at: span,
        help: tree[operand].kind == .literal ? "try including the entity type: `Action::\"...\"`" : nil)
    }
    return nil
  }
}
