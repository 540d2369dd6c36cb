internal import Bytes
internal import Cedar

/// Attributes, hierarchy and type tests.
extension TypeChecker {
  private static let bearers: [CedarType] = [.anyEntity, .anyRecord]

  // MARK: Attributes

  mutating func attribute(_ a: ExprID, _ name: String, _ span: SourceSpan, _ scope: CapabilityScope) -> Answer {
    let bearer = expect(a, Self.bearers, scope)
    return attribute(name, of: bearer, at: a, [], shapes(a), span, scope)
  }

  /// The attribute of something typed: the expression `a` and then the attributes `behind` it.
  private mutating func attribute(
    _ name: String, of bearer: Answer, at a: ExprID, _ behind: [String], _ shape: Int32, _ span: SourceSpan, _ scope: CapabilityScope
  ) -> Answer {
    guard let type = bearer.type else { return .invalid(nil) }
    guard let found = schema.attribute(name, of: type) else {
      find(.unsafeAttribute(path(a, behind + [name], type), mayExist: schema.mayHaveAttribute(name, type), type), at: span)
      return .invalid(nil)
    }
    if !found.isRequired, !scope.contains(Capability(kind: .attribute, of: shape, name: shapes.name(name))) {
      find(.unsafeOptionalAttribute(path(a, behind + [name], type)), at: span)
      return .invalid(found.type)
    }
    return Answer.valid(found.type).resting(on: bearer)
  }

  /// The access in words: back to the last entity or the context. `last` is the type that the last name is asked of.
  private func path(_ a: ExprID, _ names: [String], _ last: CedarType) -> AttributePath {
    var reversed = Array(names.reversed())
    var here = a
    if names.count == 1, case .entity(let union) = last { return AttributePath(base: .entity(union), names: [ExactString(names[0])]) }
    while true {
      if case .entity(let union)? = type(of: here) { return made(.entity(union)) }
      switch condition.expressions[here] {
      case .variable(.context): return made(.context(environment.action))
      case .attribute(let inner, let name):
        reversed.append(name)
        here = inner
      default: return made(.other)
      }
    }
    func made(_ base: AttributePath.Base) -> AttributePath { AttributePath(base: base, names: reversed.reversed().map { ExactString($0) }) }
  }

  /// `a has b.c`: `a has b && a.b has c`, with `a` typed once.
  mutating func presence(_ a: ExprID, _ path: [String], _ span: SourceSpan, _ outer: CapabilityScope) -> Answer {
    judgePresence(a, check(a, outer), path, span, outer)
  }

  private mutating func judgePresence(
    _ a: ExprID, _ whole: Answer, _ path: [String], _ span: SourceSpan, _ outer: CapabilityScope
  ) -> Answer {
    let bearer = expect(whole, at: a, Self.bearers, help: Self.presenceHelp)
    types[Int(a.index)] = bearer.type
    guard let first = path.first else { return .invalid(.bool) }
    var shape = shapes(a)
    var answer = has(first, of: bearer, shape, outer)
    guard path.count > 1 else { return answer }
    let scope = CapabilityScope(inside: outer)
    var inner = bearer
    for (index, name) in path.enumerated().dropFirst() {
      if answer.type == .false { return .valid(.false).resting(on: answer) }
      scope.add(answer.capabilities)
      let key = path[index - 1]
      if index == 1, bearer.type == nil, let type = whole.type {
        // The reference asks a second time, without advice.
        find(.unexpectedType(expected: Self.bearers, actual: type, nil), at: self.span(a))
      }
      var value = attribute(key, of: inner, at: a, Array(path[..<(index - 1)]), shape, span, scope)
      if let type = value.type, !Self.bearers.contains(where: { type.isSubtype(of: $0, .permissive) }) {
        find(.unexpectedType(expected: Self.bearers, actual: type, Self.presenceHelp(type)), at: span)
        value = .invalid(nil)
      }
      shape = shapes.attribute(key, of: shape)
      inner = value
      answer = Self.and(answer, has(name, of: inner, shape, scope))
    }
    return answer
  }

  private static func presenceHelp(_ actual: CedarType) -> UnexpectedTypeHelp? {
    switch actual {
    case .set: .contains
    case .string: .like
    default: nil
    }
  }

  private mutating func has(_ name: String, of bearer: Answer, _ shape: Int32, _ scope: CapabilityScope) -> Answer {
    guard let type = bearer.type else { return .invalid(.bool) }
    let capability = Capability(kind: .attribute, of: shape, name: shapes.name(name))
    guard let found = schema.attribute(name, of: type) else {
      return Answer.valid(schema.mayHaveAttribute(name, type) ? .bool : .false).resting(on: bearer)
    }
    // An entity need not exist, so that even a required attribute may be missing; once it was seen it is known to be there.
    var isKnown = scope.contains(capability)
    if found.isRequired, case .record = type { isKnown = true }
    return Answer.valid(isKnown ? .true : .bool, [capability]).resting(on: bearer)
  }

  // MARK: Hierarchy

  mutating func membership(_ id: ExprID, _ a: ExprID, _ b: ExprID, _ scope: CapabilityScope) -> Answer {
    let left = expect(a, Self.entities, scope, help: Self.containsHelp)
    return judgeMembership(a, left, b, expect(b, Self.containers, scope, help: Self.containerHelp))
  }

  private static let containers: [CedarType] = [.set(.anyEntity), .anyEntity]
  private static func containsHelp(_ actual: CedarType) -> UnexpectedTypeHelp? { .contains }
  private static func typeTestHelp(_ actual: CedarType) -> UnexpectedTypeHelp? { .typeTest }
  private static func containerHelp(_ actual: CedarType) -> UnexpectedTypeHelp? {
    switch actual {
    case .set: .contains
    case .string: .like
    default: nil
    }
  }

  private mutating func judgeMembership(_ a: ExprID, _ left: Answer, _ b: ExprID, _ right: Answer) -> Answer {
    guard left.isValid, right.isValid else { return .invalid(.bool) }
    if let action = uid(a), action.type.isAction, let containers = uids(b) { return actionMembership(action, containers) }
    if case .entity(let below)? = left.type, let above = Self.entities(right.type), !canBe(below, below: above) { return .valid(.false) }
    return .valid(.bool)
  }

  private static func entities(_ type: CedarType?) -> EntityUnion? {
    switch type {
    case .entity(let union)?, .set(.entity(let union)?)?: union
    default: nil
    }
  }

  private func canBe(_ below: EntityUnion, below above: EntityUnion) -> Bool {
    below.types.contains { low in
      above.types.contains { high in low == high || schema.canBe(low, below: high) || schema.canBeAction(low, below: high) }
    }
  }

  /// An action that is written out, among entities that are: the schema decides.
  private func actionMembership(_ action: EntityUID, _ containers: [EntityUID]) -> Answer {
    let actions = containers.filter(\.type.isAction)
    guard actions.allSatisfy({ schema.action($0) != nil }) else { return .invalid(.bool) }
    return .valid(.singleton(actions.contains { schema.isAction(action, in: $0) }))
  }

  private func uid(_ id: ExprID) -> EntityUID? {
    guard condition.slots[id] == nil else { return nil }
    switch condition.expressions[id] {
    case .entity(let uid): return uid
    case .variable(.action): return environment.action
    default: return nil
    }
  }

  private func uids(_ id: ExprID) -> [EntityUID]? {
    if let single = uid(id) { return [single] }
    guard condition.slots[id] == nil, case .set(let elements) = condition.expressions[id] else { return nil }
    var uids: [EntityUID] = []
    for element in elements {
      guard let uid = uid(element) else { return nil }
      uids.append(uid)
    }
    return uids
  }

  /// `a is T` and `a is T in b`: the second is `a is T && a in b`, with `a` typed once.
  mutating func typeTest(_ id: ExprID, _ a: ExprID, _ type: EntityType, _ container: ExprID?, _ scope: CapabilityScope) -> Answer {
    let whole = check(a, scope)
    let test = judgeTypeTest(a, whole, type)
    guard let container else { return test }
    if test.type == .false { return .valid(.false).resting(on: test) }
    let left = expect(whole, at: a, Self.entities, help: Self.containsHelp)
    return Self.and(test, judgeMembership(a, left, container, expect(container, Self.containers, scope, help: Self.containerHelp)))
  }

  private mutating func judgeTypeTest(_ a: ExprID, _ whole: Answer, _ type: EntityType) -> Answer {
    let entity = expect(whole, at: a, Self.entities, help: Self.typeTestHelp)
    types[Int(a.index)] = entity.type
    switch entity.type {
    case .entity(let union)?:
      return Answer.valid(!union.contains(type) ? .false : union.single != nil ? .true : .bool).resting(on: entity)
    case .anyEntity?, .never?: return Answer.valid(.bool).resting(on: entity)
    default: return .invalid(.bool)
    }
  }
}
