internal import Bytes
internal import Cedar

/// Operators on numbers, strings, sets and records, and calls.
extension TypeChecker {
  // MARK: Equality and order

  mutating func compare(_ id: ExprID, _ comparison: Expr.Comparison, _ a: ExprID, _ b: ExprID, _ scope: CapabilityScope) -> Answer {
    switch comparison {
    case .equal: equality(id, a, b, scope)
    case .notEqual: Self.not(equality(id, a, b, scope))
    case .less, .lessOrEqual: order(a, b, scope)
    // `a > b` is `!(a <= b)`.
    case .greater, .greaterOrEqual: Self.not(order(a, b, scope))
    }
  }

  private mutating func equality(_ id: ExprID, _ a: ExprID, _ b: ExprID, _ scope: CapabilityScope) -> Answer {
    judgeEquality(id, a, b, check(a, scope), check(b, scope))
  }

  // Apart from the recursion, whose frames lie on top of each other.
  private mutating func judgeEquality(_ id: ExprID, _ a: ExprID, _ b: ExprID, _ left: Answer, _ right: Answer) -> Answer {
    var type = CedarType.bool
    if let x = left.type, let y = right.type, x.isDisjoint(with: y) {
      type = .false
    } else if let x = literal(a), let y = literal(b) {
      type = .singleton(x == y)
    }
    let answer = Answer.valid(type).resting(on: left, right)
    guard mode == .strict, type == .bool else { return answer }
    return strictlyComparable(answer, left.type, right.type, at: span(id), .equality).resting(on: left, right)
  }

  /// In strict mode, two things are only compared if they can be equal.
  mutating func strictlyComparable(
    _ answer: Answer, _ a: CedarType?, _ b: CedarType?, at span: SourceSpan, _ context: IncompatibleContext
  ) -> Answer {
    guard mode == .strict, let a, let b else { return answer }
    do throws(Incompatible) {
      _ = try a.leastUpperBound(with: b, .strict)
      return answer
    } catch {
      find(.incompatibleTypes([a, b], error.hint, context), at: span)
      return .invalid(answer.type)
    }
  }

  /// The value of a literal, of Boolean literals joined by `&&` and `||`, and of `action`.
  func literal(_ id: ExprID) -> Value? {
    guard condition.slots[id] == nil else { return nil }
    switch condition.expressions[id] {
    case .bool(let value): return .bool(value)
    case .long(let value): return .long(value)
    case .string(let value): return .string(value)
    case .entity(let uid): return .entity(uid)
    case .variable(.action): return .entity(environment.action)
    case .and, .or: return shapes.booleanLiteral(id).map { .bool($0) }
    default: return nil
    }
  }

  private static let ordered: [CedarType] = [.extension(.datetime), .extension(.duration), .long]

  private mutating func order(_ a: ExprID, _ b: ExprID, _ scope: CapabilityScope) -> Answer {
    judgeOrder(a, b, check(a, scope), check(b, scope))
  }

  private mutating func judgeOrder(_ a: ExprID, _ b: ExprID, _ left: Answer, _ right: Answer) -> Answer {
    guard let x = left.type, let y = right.type else { return .invalid(.bool) }
    func complain(_ checker: inout TypeChecker, _ id: ExprID, _ expected: [CedarType], _ actual: CedarType) {
      checker.find(.unexpectedType(expected: expected, actual: actual, nil), at: checker.span(id))
    }
    let isOrdered = (x: Self.ordered.contains(x), y: Self.ordered.contains(y))
    switch (x, y) {
    case (.never, .never): return .invalid(.bool)
    case (.never, _) where isOrdered.y, (_, .never) where isOrdered.x, (_, _) where x == y && isOrdered.x:
      return Answer.valid(.bool).resting(on: left, right)
    case (.never, _): complain(&self, b, Self.ordered, y)
    case (_, .never): complain(&self, a, Self.ordered, x)
    case (.long, _): complain(&self, b, [.long], y)
    case (_, .long): complain(&self, a, [.long], x)
    case (_, _) where isOrdered.x: complain(&self, b, [x], y)
    case (_, _) where isOrdered.y: complain(&self, a, [y], x)
    default:
      complain(&self, a, Self.ordered, x)
      complain(&self, b, Self.ordered, y)
    }
    return .invalid(.bool)
  }

  mutating func arithmetic(_ first: ExprID, _ steps: [Expr.ArithmeticStep], _ scope: CapabilityScope) -> Answer {
    func help(_ step: Expr.ArithmeticOperator?) -> (CedarType) -> UnexpectedTypeHelp? {
      { actual in
        switch (step, actual) {
        case (.add?, .string): .concatenation
        case (_, .set): .setOperation
        default: nil
        }
      }
    }
    var isValid = expect(first, [.long], scope, help: help(steps.first?.operator)).isValid
    for step in steps where !expect(step.operand, [.long], scope, help: help(step.operator)).isValid { isValid = false }
    return isValid ? .valid(.long) : .invalid(.long)
  }

  mutating func like(_ a: ExprID, _ scope: CapabilityScope) -> Answer {
    let operand = expect(a, [.string], scope) { actual in
      switch actual {
      case .entity, .anyEntity: .is
      default: nil
      }
    }
    return Answer.valid(.bool).resting(on: operand)
  }

  // MARK: Sets and records

  mutating func set(_ id: ExprID, _ elements: [ExprID], _ scope: CapabilityScope) -> Answer {
    if elements.isEmpty, mode == .strict {
      find(.emptySet, at: span(id))
      return .invalid(nil)
    }
    var isValid = true
    var types: [CedarType?] = []
    types.reserveCapacity(elements.count)
    for element in elements {
      let answer = check(element, scope)
      isValid = isValid && answer.isValid
      types.append(answer.type)
    }
    guard let element = leastUpperBound(of: types, at: span(id), .set) else { return .invalid(nil) }
    return isValid ? .valid(.set(element)) : .invalid(.set(element))
  }

  mutating func record(_ fields: [Expr.RecordField], _ scope: CapabilityScope) -> Answer {
    var isValid = true
    var attributes: [RecordType.Attribute]? = []
    for field in fields {
      let answer = check(field.value, scope)
      isValid = isValid && answer.isValid
      if let type = answer.type { attributes?.append(RecordType.Attribute(field.key, type)) } else { attributes = nil }
    }
    guard let attributes else { return .invalid(nil) }
    let type = CedarType.record(RecordType(attributes: attributes))
    return isValid ? .valid(type) : .invalid(type)
  }

  mutating func method(_ id: ExprID, _ method: Expr.Method, _ a: ExprID, _ b: ExprID?, _ scope: CapabilityScope) -> Answer {
    switch method {
    case .isEmpty: return Answer.valid(.bool).resting(on: expect(a, Self.sets, scope, help: Self.emptyHelp))
    case .contains:
      let receiver = expect(a, Self.sets, scope, help: Self.setHelp)
      guard let b else { return .invalid(.bool) }
      return judgeContains(id, receiver, check(b, scope))
    case .containsAll, .containsAny:
      let receiver = expect(a, Self.sets, scope, help: Self.setHelp)
      guard let b else { return .invalid(.bool) }
      return judgeContainsAll(id, receiver, expect(b, Self.sets, scope, help: Self.singleHelp))
    case .hasTag, .getTag:
      let receiver = expect(a, Self.entities, scope)
      guard let b else { return .invalid(nil) }
      let argument = expect(b, Self.strings, scope)
      if receiver.type == .never {
        // What is unknown has no type, and nothing says what tags it has.
        find(.invariant, at: span(id))
        return .invalid(method == .hasTag ? .bool : nil)
      }
      let answer = method == .hasTag ? hasTag(a, b, receiver, scope) : getTag(id, a, b, receiver, scope)
      return answer.resting(on: receiver, argument)
    }
  }

  private static let sets: [CedarType] = [.set(nil)]
  private static let strings: [CedarType] = [.string]
  static let entities: [CedarType] = [.anyEntity]

  private static func emptyHelp(_ actual: CedarType) -> UnexpectedTypeHelp? { actual == .string ? .equalsEmptyString : nil }
  private static func singleHelp(_ actual: CedarType) -> UnexpectedTypeHelp? { .singleContains }
  private static func setHelp(_ actual: CedarType) -> UnexpectedTypeHelp? {
    switch actual {
    case .entity, .anyEntity: .in
    case .record: .has
    case .string: .like
    default: nil
    }
  }

  private mutating func judgeContains(_ id: ExprID, _ receiver: Answer, _ argument: Answer) -> Answer {
    var element: CedarType?
    if case .set(let type?)? = receiver.type { element = type }
    return strictlyComparable(.valid(.bool), element, argument.type, at: span(id), .contains).resting(on: receiver, argument)
  }

  private mutating func judgeContainsAll(_ id: ExprID, _ receiver: Answer, _ argument: Answer) -> Answer {
    strictlyComparable(.valid(.bool), receiver.type, argument.type, at: span(id), .containsAnyAll).resting(on: receiver, argument)
  }

  private func tag(_ a: ExprID, _ b: ExprID) -> Capability { Capability(kind: .tag, of: shapes(a), name: shapes(b)) }

  private func hasTag(_ a: ExprID, _ b: ExprID, _ receiver: Answer, _ scope: CapabilityScope) -> Answer {
    guard let type = receiver.type else { return .invalid(nil) }
    let capability = tag(a, b)
    if schema.tagTypes(of: type).isEmpty { return .valid(.false, [capability]) }
    return .valid(scope.contains(capability) ? .true : .bool, [capability])
  }

  private mutating func getTag(_ id: ExprID, _ a: ExprID, _ b: ExprID, _ receiver: Answer, _ scope: CapabilityScope) -> Answer {
    guard let type = receiver.type else { return .invalid(nil) }
    var union: EntityUnion?
    if case .entity(let types) = type { union = types }
    guard scope.contains(tag(a, b)) else {
      find(.unsafeTag(union, tag: shown(b)), at: span(id))
      return .invalid(nil)
    }
    let tags = schema.tagTypes(of: type)
    guard !tags.isEmpty else {
      find(.noTags(union?.single), at: span(id))
      return .invalid(nil)
    }
    guard let bound = leastUpperBound(of: tags, at: span(id), .getTag) else { return .invalid(nil) }
    return .valid(bound)
  }

  /// A tag's name in a message.
  private func shown(_ id: ExprID) -> String {
    if case .string(let text) = condition.expressions[id] { return Value.string(text).description }
    return "…"
  }

  // MARK: Calls

  mutating func call(_ id: ExprID, _ function: ExtensionFunction, _ arguments: [ExprID], _ scope: CapabilityScope) -> Answer {
    guard isWellCalled(id, function, arguments) else {
      for argument in arguments { _ = check(argument, scope) }
      return .invalid(function.signature.result)
    }
    var isValid = true
    for index in arguments.indices where !expect(arguments[index], [function.signature.arguments[index]], scope).isValid { isValid = false }
    return isValid ? .valid(function.signature.result) : .invalid(function.signature.result)
  }

  private mutating func isWellCalled(_ id: ExprID, _ function: ExtensionFunction, _ arguments: [ExprID]) -> Bool {
    let signature = function.signature
    var isValid = true
    if arguments.count != signature.arguments.count {
      find(.wrongNumberOfArguments(expected: signature.arguments.count, actual: arguments.count), at: span(id))
      isValid = false
    }
    guard function.isConstructor else { return isValid }
    if arguments.count == 1, case .string(let text)? = arguments.first.flatMap({ constant($0) }), function.complaint(about: text) != nil {
      find(.invalidArgument(function, text), at: span(id))
      isValid = false
    }
    if mode == .strict, !arguments.allSatisfy({ constant($0) != nil }) {
      find(.nonLiteralConstructor, at: span(id))
      isValid = false
    }
    return isValid
  }

  /// The value of a literal; `action` is none here.
  private func constant(_ id: ExprID) -> Value? {
    if case .variable = condition.expressions[id] { return nil }
    return literal(id)
  }
}
