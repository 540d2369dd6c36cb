import Cedar

/// Evaluates expressions the plain way, a function a rule of the language, over trees and values: the oracle for the
/// product's compiled evaluator. Shares with it the values and the extension functions, and nothing of how it works.
struct ReferenceInterpreter {
  let tree: ExprTree
  let request: Request
  let entities: Entities

  typealias Failure = EvaluationError.Kind

  struct Failed: Error { let kind: Failure }

  /// The value of an expression; something unknown is none.
  func value(_ id: ExprID) throws -> Value {
    let value = try partial(id)
    if value.holdsUnknown { throw Failed(kind: .nonvalue) }
    return value
  }

  /// What an operator makes of something unknown.
  private static let leftover = Value.unknown(Unknown("", []))

  /// Whether a record's parts can be had one by one: all are known, or no part is a call, as extension values are.
  private func canProject(_ value: Value) -> Bool { !value.holdsUnknown || isProjectable(value) }

  private func isProjectable(_ value: Value) -> Bool {
    switch value {
    case .decimal, .ip, .datetime, .duration: false
    case .unknown(let unknown): if case .string? = unknown.arguments.first { unknown.function == "unknown" } else { false }
    case .set(let set): set.elements.allSatisfy(isProjectable)
    case .record(let record): record.fields.allSatisfy { isProjectable($0.value) }
    default: true
    }
  }

  /// The outcome of an operator that needs all of its operands.
  private func strict(_ operands: ExprID..., then: ([Value]) throws -> Value) throws -> Value {
    let values = try operands.map(partial)
    return values.contains(where: \.holdsUnknown) ? Self.leftover : try then(values)
  }

  /// The value of an expression, of which parts may be unknown.
  private func partial(_ id: ExprID) throws -> Value {
    switch tree[id] {
    case .bool(let flag): return .bool(flag)
    case .long(let number): return .long(number)
    case .string(let text): return .string(text)
    case .entity(let uid): return .entity(uid)
    case .variable(.principal): return .entity(request.principal)
    case .variable(.action): return .entity(request.action)
    case .variable(.resource): return .entity(request.resource)
    case .variable(.context): return .record(request.context)
    case .not(let operand): return try strict(operand) { .bool(!(try bool($0[0]))) }
    case .negate(let operand): return try strict(operand) { .long(try checked(Int64(0).subtractingReportingOverflow(long($0[0])))) }
    case .and(let operands):
      for operand in operands {
        let value = try partial(operand)
        if value.holdsUnknown { return Self.leftover }
        if try !bool(value) { return value }
      }
      return .bool(true)
    case .or(let operands):
      for operand in operands {
        let value = try partial(operand)
        if value.holdsUnknown { return Self.leftover }
        if try bool(value) { return value }
      }
      return .bool(false)
    case .comparison(let comparison, let left, let right): return try strict(left, right) { .bool(try compare(comparison, $0[0], $0[1])) }
    case .in(let left, let right): return try strict(left, right) { .bool(try isIn($0[0], $0[1])) }
    case .arithmetic(let first, let steps):
      // The first operand is checked when the first operator is applied, after its right side was evaluated.
      var result = try partial(first)
      for step in steps {
        let right = try partial(step.operand)
        if result.holdsUnknown || right.holdsUnknown {
          result = Self.leftover
          continue
        }
        guard case .long(let a) = result, case .long(let b) = right else { throw Failed(kind: .type) }
        switch step.operator {
        case .add: result = .long(try checked(a.addingReportingOverflow(b)))
        case .subtract: result = .long(try checked(a.subtractingReportingOverflow(b)))
        case .multiply: result = .long(try checked(a.multipliedReportingOverflow(by: b)))
        }
      }
      return result
    case .has(let target, let path): return try has(partial(target), path[...])
    case .attribute(let target, let key):
      switch try partial(target) {
      case .record(let record):
        guard let value = record[key] else { throw Failed(kind: .attributeMissing) }
        return canProject(.record(record)) ? value : Self.leftover
      case .entity(let uid):
        guard let entity = entities[uid] else { throw Failed(kind: .entityMissing) }
        guard let value = entity.attributes[key] else { throw Failed(kind: .attributeMissing) }
        return value
      case let other where other.holdsUnknown: return Self.leftover
      default: throw Failed(kind: .type)
      }
    case .like(let subject, let pattern):
      return try strict(subject) { values in
        guard case .string(let text) = values[0] else { throw Failed(kind: .type) }
        return .bool(Self.like(Array(text.unicodeScalars)[...], pattern.elements[...]))
      }
    case .is(let subject, let type, let container):
      return try strict(subject) { values in
        guard case .entity(let uid) = values[0] else { throw Failed(kind: .type) }
        guard uid.type == type else { return .bool(false) }
        guard let container else { return .bool(true) }
        return try strict(container) { .bool(try isIn(values[0], $0[0])) }
      }
    case .conditional(let test, let yes, let no): return try strict(test) { try bool($0[0]) ? partial(yes) : partial(no) }
    case .set(let parts): return .set(ValueSet(try parts.map(partial)))
    case .record(let fields): return .record(Record(lastWins: try fields.map { Record.Field($0.key, try partial($0.value)) }))
    case .method(let method, let receiver, let argument):
      guard let argument else { return try strict(receiver) { try self.method(method, $0[0], nil) } }
      return try strict(receiver, argument) { try self.method(method, $0[0], $0[1]) }
    case .call(let function, let arguments):
      let values = try arguments.map(partial)
      if values.contains(where: \.holdsUnknown) { return Self.leftover }
      do { return try function.apply(values) } catch { throw Failed(kind: error.kind) }
    case .undefinedCall(_, let arguments):
      if try arguments.map(partial).contains(where: \.holdsUnknown) { return Self.leftover }
      throw Failed(kind: .extensionLookup)
    }
  }

  private func bool(_ value: Value) throws -> Bool {
    guard case .bool(let flag) = value else { throw Failed(kind: .type) }
    return flag
  }

  private func long(_ value: Value) throws -> Int64 {
    guard case .long(let number) = value else { throw Failed(kind: .type) }
    return number
  }

  private func checked(_ result: (partialValue: Int64, overflow: Bool)) throws -> Int64 {
    if result.overflow { throw Failed(kind: .overflow) }
    return result.partialValue
  }

  private func compare(_ comparison: Expr.Comparison, _ left: Value, _ right: Value) throws -> Bool {
    if comparison == .equal { return left == right }
    if comparison == .notEqual { return left != right }
    let a: Int64
    let b: Int64
    switch (left, right) {
    case (.long(let x), .long(let y)): (a, b) = (x, y)
    case (.datetime(let x), .datetime(let y)): (a, b) = (x.milliseconds, y.milliseconds)
    case (.duration(let x), .duration(let y)): (a, b) = (x.milliseconds, y.milliseconds)
    default: throw Failed(kind: .type)
    }
    switch comparison {
    case .less: return a < b
    case .lessOrEqual: return a <= b
    case .greater: return a > b
    default: return a >= b
    }
  }

  private func isIn(_ left: Value, _ right: Value) throws -> Bool {
    guard case .entity(let uid) = left else { throw Failed(kind: .type) }
    switch right {
    case .entity(let container): return reaches(uid, container)
    case .set(let set):
      let containers = try set.elements.map { element in
        guard case .entity(let container) = element else { throw Failed(kind: .type) }
        return container
      }
      return containers.contains { reaches(uid, $0) }
    default: throw Failed(kind: .type)
    }
  }

  /// Walks the parents, without the closure that `Entities` keeps.
  private func reaches(_ start: EntityUID, _ goal: EntityUID) -> Bool {
    var seen: Set<EntityUID> = [start]
    var queue = [start]
    while let uid = queue.popLast() {
      if uid == goal { return true }
      for parent in entities[uid]?.parents ?? [] where seen.insert(parent).inserted { queue.append(parent) }
    }
    return false
  }

  private func has(_ target: Value, _ path: ArraySlice<String>) throws -> Value {
    guard let key = path.first else { return .bool(true) }
    let next: Value?
    switch target {
    case .record(let record):
      if !canProject(target) { return Self.leftover }
      next = record[key]
    case .entity(let uid): next = entities[uid]?.attributes[key]
    case let other where other.holdsUnknown: return Self.leftover
    default: throw Failed(kind: .type)
    }
    guard let next else { return .bool(false) }
    return try path.count == 1 ? .bool(true) : has(next, path.dropFirst())
  }

  private func method(_ method: Expr.Method, _ receiver: Value, _ argument: Value?) throws -> Value {
    switch method {
    case .getTag, .hasTag:
      guard case .entity(let uid) = receiver, case .string(let key)? = argument else { throw Failed(kind: .type) }
      if method == .hasTag { return .bool(entities[uid]?.tags[key] != nil) }
      guard let entity = entities[uid] else { throw Failed(kind: .entityMissing) }
      guard let value = entity.tags[key] else { throw Failed(kind: .attributeMissing) }
      return value
    default: break
    }
    guard case .set(let set) = receiver else { throw Failed(kind: .type) }
    switch (method, argument) {
    case (.isEmpty, _): return .bool(set.isEmpty)
    case (.contains, let value?): return .bool(set.elements.contains(value))
    case (.containsAll, .set(let other)?): return .bool(other.elements.allSatisfy { set.elements.contains($0) })
    case (.containsAny, .set(let other)?): return .bool(other.elements.contains { set.elements.contains($0) })
    default: throw Failed(kind: .type)
    }
  }

  private static func like(_ text: ArraySlice<Unicode.Scalar>, _ pattern: ArraySlice<Pattern.Element>) -> Bool {
    switch pattern.first {
    case nil: return text.isEmpty
    case .scalar(let scalar): return text.first == scalar && like(text.dropFirst(), pattern.dropFirst())
    case .wildcard:
      return like(text, pattern.dropFirst()) || (!text.isEmpty && like(text.dropFirst(), pattern))
    }
  }
}

/// Authorizes the plain way: every policy, scope and clauses, nothing skipped.
struct ReferenceAuthorizer {
  let policies: PolicySet
  let entities: Entities

  func response(_ request: Request) -> (decision: Decision, determining: [PolicyID], errors: [PolicyID]) {
    var permits: [PolicyID] = []
    var forbids: [PolicyID] = []
    var errors: [PolicyID] = []
    var isOpen = false
    func consider(_ id: PolicyID, _ policy: Policy, _ principal: EntityUID?, _ resource: EntityUID?) {
      guard matches(policy.principal, request.principal, principal), matches(policy.resource, request.resource, resource),
        matches(policy, request)
      else { return }
      let interpreter = ReferenceInterpreter(tree: policy.expressions, request: request, entities: entities)
      do {
        for condition in policy.conditions {
          guard case .bool(let flag) = try interpreter.value(condition.body) else { throw ReferenceInterpreter.Failed(kind: .type) }
          if flag != (condition.kind == .when) { return }
        }
        if policy.effect == .permit { permits.append(id) } else { forbids.append(id) }
      } catch {
        errors.append(id)
        if policy.effect == .forbid, (error as? ReferenceInterpreter.Failed)?.kind == .nonvalue { isOpen = true }
      }
    }
    for policy in policies.policies { consider(policy.id, policy, nil, nil) }
    for link in policies.links {
      guard let template = policies.template(link.template) else { continue }
      consider(link.id, template, link.principal, link.resource)
    }
    let allowed = forbids.isEmpty && !permits.isEmpty
    return (allowed ? .allow : .deny, (forbids.isEmpty ? isOpen ? [] : permits : forbids).sorted(), errors.sorted())
  }

  private func matches(_ constraint: ScopeConstraint, _ uid: EntityUID, _ slot: EntityUID?) -> Bool {
    switch constraint {
    case .any: true
    case .equal(let reference): uid == (reference.entity ?? slot)
    case .in(let reference): isIn(uid, reference.entity ?? slot)
    case .is(let type): uid.type == type
    case .isIn(let type, let reference): uid.type == type && isIn(uid, reference.entity ?? slot)
    }
  }

  private func matches(_ policy: Policy, _ request: Request) -> Bool {
    switch policy.action {
    case .any: true
    case .equal(let uid): request.action == uid
    case .in(let uid): isIn(request.action, uid)
    case .inAny(let uids): uids.contains { isIn(request.action, $0) }
    }
  }

  private func isIn(_ uid: EntityUID, _ container: EntityUID?) -> Bool {
    guard let container else { return false }
    return uid == container || entities.ancestors(of: uid).contains(container)
  }
}
