internal import Bytes
internal import Cedar

/// Types a policy's condition in one request environment (Cedar reference, "validation"; Lean specification, `Typechecker`).
///
/// Recursive: expressions are no deeper than `Limits.depth` of the parser. Every expression is typed at most once.
struct TypeChecker {
  /// What is known of an expression.
  struct Answer {
    /// Its type; nil where a mistake leaves none.
    var type: CedarType?
    /// Whether it and everything in it is without mistake.
    var isValid: Bool
    /// What exists if the expression is true.
    var capabilities: Set<Capability> = []

    static func valid(_ type: CedarType, _ capabilities: Set<Capability> = []) -> Answer {
      Answer(type: type, isValid: true, capabilities: capabilities)
    }

    static func invalid(_ type: CedarType?) -> Answer { Answer(type: type, isValid: false) }

    /// This answer, given that it rests on another: a mistake there is one here, and nothing is learned.
    func resting(on other: Answer) -> Answer { other.isValid ? self : .invalid(type) }
    func resting(on a: Answer, _ b: Answer) -> Answer { resting(on: a).resting(on: b) }
  }

  /// A mistake and its place.
  struct Finding: Hashable {
    var problem: TypeProblem
    var span: SourceSpan
  }

  let schema: Schema
  let mode: ValidationMode
  let environment: RequestEnvironment
  let condition: ConditionTree
  let shapes: ExpressionShapes
  /// The types found, one a node; nil for what was not typed and for what has no type.
  var types: [CedarType?]
  /// Whether a node was typed: what a decided `&&`, `||` or `if` cuts off is not.
  private(set) var isReached: [Bool]
  var findings: Set<Finding> = []

  init(schema: Schema, mode: ValidationMode, environment: RequestEnvironment, condition: ConditionTree, shapes: ExpressionShapes) {
    self.schema = schema
    self.mode = mode
    self.environment = environment
    self.condition = condition
    self.shapes = shapes
    types = [CedarType?](repeating: nil, count: condition.expressions.nodes.count)
    isReached = [Bool](repeating: false, count: condition.expressions.nodes.count)
  }

  var tree: ExprTree { condition.expressions }

  func span(_ id: ExprID) -> SourceSpan { condition.expressions.span(of: id) }
  func type(of id: ExprID) -> CedarType? { types[Int(id.index)] }
  func wasReached(_ id: ExprID) -> Bool { isReached[Int(id.index)] }

  mutating func find(_ problem: TypeProblem, at span: SourceSpan) { findings.insert(Finding(problem: problem, span: span)) }

  /// Types the whole condition.
  mutating func checkCondition() -> Answer {
    // The scope and the clauses nest to the right: what one part learns holds in all that follow, and the parts are joined
    // from the last.
    let scope = CapabilityScope()
    var answers: [Answer] = []
    for operand in condition.operands {
      let answer = expect(operand, [.bool], scope)
      answers.append(answer)
      if answer.type == .false { break }
      scope.add(answer.capabilities)
    }
    var whole = answers.popLast() ?? .valid(.true)
    // The innermost `true` that stands for "no clause" changes nothing.
    while let left = answers.popLast() { whole = Self.and(left, whole) }
    return whole
  }

  // MARK: Expectations

  /// Types an expression that must have one of some types.
  mutating func expect(
    _ id: ExprID, _ expected: [CedarType], _ scope: CapabilityScope, help: (CedarType) -> UnexpectedTypeHelp? = { _ in nil }
  ) -> Answer {
    let answer = check(id, scope)
    let result = expect(answer, at: id, expected, help: help)
    types[Int(id.index)] = result.type
    return result
  }

  /// Holds an answer to one of some types.
  mutating func expect(
    _ answer: Answer, at id: ExprID, _ expected: [CedarType], help: (CedarType) -> UnexpectedTypeHelp? = { _ in nil }
  ) -> Answer {
    guard let type = answer.type else { return .invalid(nil) }
    // Permissive in both modes: `{}` expects records of every width, "any entity" entities of every type.
    if expected.contains(where: { type.isSubtype(of: $0, .permissive) }) { return answer }
    find(.unexpectedType(expected: expected, actual: type, help(type)), at: span(id))
    return .invalid(nil)
  }

  /// The type above all of some, unless one is missing or they have none.
  mutating func leastUpperBound(of types: [CedarType?], at span: SourceSpan, _ context: IncompatibleContext) -> CedarType? {
    var known: [CedarType] = []
    for type in types {
      guard let type else { return nil }
      known.append(type)
    }
    do throws(Incompatible) {
      return try CedarType.leastUpperBound(of: known, mode)
    } catch {
      find(.incompatibleTypes(Set(known), error.hint, context), at: span)
      return nil
    }
  }

  // MARK: Expressions

  /// Types an expression.
  mutating func check(_ id: ExprID, _ scope: CapabilityScope) -> Answer {
    isReached[Int(id.index)] = true
    let answer = answer(id, scope)
    types[Int(id.index)] = answer.type
    return answer
  }

  // In four steps, each with few cases: without optimisation every case has a place of its own in its function's frame, and
  // these frames lie on top of each other as deep as the expression is.
  private mutating func answer(_ id: ExprID, _ scope: CapabilityScope) -> Answer {
    switch condition.expressions[id] {
    case .bool, .long, .string, .entity, .variable: atom(id)
    case .and, .or, .not, .conditional: logic(id, scope)
    case .in, .is: relation(id, scope)
    case .has, .attribute, .like: access(id, scope)
    case .negate, .comparison, .arithmetic, .method: valueOperator(id, scope)
    case .set, .record, .call, .undefinedCall: collection(id, scope)
    }
  }

  private func atom(_ id: ExprID) -> Answer {
    if let slot = condition.slots[id] { return slotAnswer(slot) }
    switch condition.expressions[id] {
    case .bool(let value): return .valid(.singleton(value))
    case .long: return .valid(.long)
    case .string: return .valid(.string)
    case .entity(let uid): return entityLiteral(uid)
    case .variable(let variable): return variableAnswer(variable)
    default: return .invalid(nil)
    }
  }

  private mutating func logic(_ id: ExprID, _ scope: CapabilityScope) -> Answer {
    switch condition.expressions[id] {
    case .and(let operands): conjunction(operands, scope)
    case .or(let operands): disjunction(operands, scope)
    case .conditional(let test, let first, let second): conditional(id, test, first, second, scope)
    case .not(let operand): Self.not(expect(operand, [.bool], scope))
    default: .invalid(nil)
    }
  }

  private mutating func relation(_ id: ExprID, _ scope: CapabilityScope) -> Answer {
    switch condition.expressions[id] {
    case .in(let a, let b): membership(id, a, b, scope)
    case .is(let a, let type, let container): typeTest(id, a, type, container, scope)
    default: .invalid(nil)
    }
  }

  private mutating func access(_ id: ExprID, _ scope: CapabilityScope) -> Answer {
    switch condition.expressions[id] {
    case .has(let a, let path): presence(a, path, span(id), scope)
    case .attribute(let a, let name): attribute(a, name, span(id), scope)
    case .like(let a, _): like(a, scope)
    default: .invalid(nil)
    }
  }

  private mutating func valueOperator(_ id: ExprID, _ scope: CapabilityScope) -> Answer {
    switch condition.expressions[id] {
    case .negate(let operand): Answer.valid(.long).resting(on: expect(operand, [.long], scope))
    case .comparison(let comparison, let a, let b): compare(id, comparison, a, b, scope)
    case .arithmetic(let first, let steps): arithmetic(first, steps, scope)
    case .method(let method, let a, let b): self.method(id, method, a, b, scope)
    default: .invalid(nil)
    }
  }

  private mutating func collection(_ id: ExprID, _ scope: CapabilityScope) -> Answer {
    switch condition.expressions[id] {
    case .set(let elements): return set(id, elements, scope)
    case .record(let fields): return record(fields, scope)
    case .call(let function, let arguments): return call(id, function, arguments, scope)
    case .undefinedCall(let name, let arguments):
      find(.undefinedFunction(name), at: span(id))
      for argument in arguments { _ = check(argument, scope) }
      return .invalid(nil)
    default: return .invalid(nil)
    }
  }

  private func slotAnswer(_ slot: SlotID) -> Answer {
    let type = slot == .principal ? environment.principalSlot : environment.resourceSlot
    return .valid(type.map { .entity(of: $0) } ?? .anyEntity)
  }

  private func variableAnswer(_ variable: Variable) -> Answer {
    switch variable {
    case .principal: .valid(.entity(of: environment.principal))
    case .resource: .valid(.entity(of: environment.resource))
    case .context: .valid(.record(environment.context))
    case .action: entityLiteral(environment.action)
    }
  }

  /// What is not declared was reported by the checks that need no types.
  private func entityLiteral(_ uid: EntityUID) -> Answer {
    let isDeclared = uid.type.isAction ? schema.action(uid) != nil : schema.entityType(uid.type) != nil
    return isDeclared ? .valid(.entity(of: uid.type)) : .invalid(nil)
  }

  // MARK: Logic

  static func not(_ answer: Answer) -> Answer {
    switch answer.type {
    case .true?: Answer.valid(.false).resting(on: answer)
    case .false?: Answer.valid(.true).resting(on: answer)
    case nil: .invalid(.bool)
    default: Answer.valid(.bool).resting(on: answer)
    }
  }

  /// `left && right`, both typed.
  static func and(_ left: Answer, _ right: Answer) -> Answer {
    let joined: Answer
    switch (left.type, right.type) {
    case (_?, .false?): joined = .valid(.false)
    case (let type?, .true?): joined = .valid(type, left.capabilities.union(right.capabilities))
    // That the left side's capabilities are lost here is the reference's way; whoever stands to the right has them already.
    case (.true?, let type?): joined = .valid(type, right.capabilities)
    case (_?, _?): joined = .valid(.bool, left.capabilities.union(right.capabilities))
    default: joined = .invalid(.bool)
    }
    return joined.resting(on: left, right)
  }

  /// `left || right`, both typed.
  static func or(_ left: Answer, _ right: Answer) -> Answer {
    let joined: Answer
    switch (left.type, right.type) {
    case (_?, .true?): joined = .valid(.true, right.capabilities)
    case (let type?, .false?): joined = .valid(type, left.capabilities)
    case (.false?, let type?): joined = .valid(type, right.capabilities)
    case (_?, _?): joined = .valid(.bool, left.capabilities.intersection(right.capabilities))
    default: joined = .invalid(.bool)
    }
    return joined.resting(on: left, right)
  }

  private mutating func conjunction(_ operands: [ExprID], _ outer: CapabilityScope) -> Answer {
    let scope = CapabilityScope(inside: outer)
    guard let first = operands.first else { return .valid(.true) }
    var answer = expect(first, [.bool], scope)
    for operand in operands.dropFirst() {
      if answer.type == .false { return .valid(.false).resting(on: answer) }
      scope.add(answer.capabilities)
      answer = Self.and(answer, expect(operand, [.bool], scope))
    }
    return answer
  }

  private mutating func disjunction(_ operands: [ExprID], _ scope: CapabilityScope) -> Answer {
    guard let first = operands.first else { return .valid(.false) }
    var answer = expect(first, [.bool], scope)
    for operand in operands.dropFirst() {
      if answer.type == .true { return answer }
      answer = Self.or(answer, expect(operand, [.bool], scope))
    }
    return answer
  }

  private mutating func conditional(
    _ id: ExprID, _ test: ExprID, _ first: ExprID, _ second: ExprID, _ outer: CapabilityScope
  ) -> Answer {
    let condition = expect(test, [.bool], outer)
    let scope = CapabilityScope(inside: outer)
    scope.add(condition.capabilities)
    switch condition.type {
    case .true?:
      var answer = check(first, scope)
      if answer.isValid { answer.capabilities.formUnion(condition.capabilities) }
      return answer.resting(on: condition)
    case .false?: return check(second, outer).resting(on: condition)
    default:
      return judgeConditional(id, condition, check(first, scope), check(second, outer))
    }
  }

  private mutating func judgeConditional(_ id: ExprID, _ condition: Answer, _ first: Answer, _ other: Answer) -> Answer {
    var one = first
    if one.isValid { one.capabilities.formUnion(condition.capabilities) }
    guard let type = leastUpperBound(of: [one.type, other.type], at: span(id), .conditional) else { return .invalid(nil) }
    return Answer.valid(type, one.capabilities.intersection(other.capabilities)).resting(on: condition).resting(on: one, other)
  }
}
