import Cedar

/// Evaluates expressions the plain way, a function a rule of the language, over trees and values: the oracle for the
/// product's compiled evaluator. Shares with it the values and the extension functions, and nothing of how it works.
struct ReferenceInterpreter {
  let tree: ExprTree
  let request: Request
  let entities: Entities

  typealias Failure = EvaluationError.Kind

  struct Failed: Error { let kind: Failure }

  func value(_ id: ExprID) throws -> Value {
    switch tree[id] {
    case .bool(let flag): return .bool(flag)
    case .long(let number): return .long(number)
    case .string(let text): return .string(text)
    case .entity(let uid): return .entity(uid)
    case .variable(.principal): return .entity(request.principal)
    case .variable(.action): return .entity(request.action)
    case .variable(.resource): return .entity(request.resource)
    case .variable(.context): return .record(request.context)
    case .not(let operand): return .bool(try !bool(operand))
    case .negate(let operand): return .long(try checked(Int64(0).subtractingReportingOverflow(long(operand))))
    case .and(let operands):
      for operand in operands where try !bool(operand) { return .bool(false) }
      return .bool(true)
    case .or(let operands):
      for operand in operands where try bool(operand) { return .bool(true) }
      return .bool(false)
    case .comparison(let comparison, let left, let right): return .bool(try compare(comparison, value(left), value(right)))
    case .in(let left, let right): return .bool(try isIn(value(left), value(right)))
    case .arithmetic(let first, let steps):
      // The first operand is checked when the first operator is applied, after its right side was evaluated.
      var result = try value(first)
      for step in steps {
        let right = try value(step.operand)
        guard case .long(let a) = result, case .long(let b) = right else { throw Failed(kind: .type) }
        switch step.operator {
        case .add: result = .long(try checked(a.addingReportingOverflow(b)))
        case .subtract: result = .long(try checked(a.subtractingReportingOverflow(b)))
        case .multiply: result = .long(try checked(a.multipliedReportingOverflow(by: b)))
        }
      }
      return result
    case .has(let target, let path): return .bool(try has(value(target), path[...]))
    case .attribute(let target, let key):
      switch try value(target) {
      case .record(let record):
        guard let value = record[key] else { throw Failed(kind: .attributeMissing) }
        return value
      case .entity(let uid):
        guard let entity = entities[uid] else { throw Failed(kind: .entityMissing) }
        guard let value = entity.attributes[key] else { throw Failed(kind: .attributeMissing) }
        return value
      default: throw Failed(kind: .type)
      }
    case .like(let subject, let pattern):
      guard case .string(let text) = try value(subject) else { throw Failed(kind: .type) }
      return .bool(Self.like(Array(text.unicodeScalars)[...], pattern.elements[...]))
    case .is(let subject, let type, let container):
      let subject = try value(subject)
      guard case .entity(let uid) = subject else { throw Failed(kind: .type) }
      guard uid.type == type else { return .bool(false) }
      guard let container else { return .bool(true) }
      return .bool(try isIn(subject, value(container)))
    case .conditional(let test, let yes, let no): return try bool(test) ? value(yes) : value(no)
    case .set(let parts): return .set(ValueSet(try parts.map(value)))
    case .record(let fields): return .record(Record(lastWins: try fields.map { Record.Field($0.key, try value($0.value)) }))
    case .method(let method, let receiver, let argument):
      let receiver = try value(receiver)
      return try self.method(method, receiver, argument.map(value))
    case .call(let function, let arguments):
      let values = try arguments.map(value)
      do { return try function.apply(values) } catch { throw Failed(kind: error.kind) }
    case .undefinedCall(_, let arguments):
      _ = try arguments.map(value)
      throw Failed(kind: .extensionLookup)
    }
  }

  private func bool(_ id: ExprID) throws -> Bool {
    guard case .bool(let flag) = try value(id) else { throw Failed(kind: .type) }
    return flag
  }

  private func long(_ id: ExprID) throws -> Int64 {
    guard case .long(let number) = try value(id) else { throw Failed(kind: .type) }
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

  private func has(_ target: Value, _ path: ArraySlice<String>) throws -> Bool {
    guard let key = path.first else { return true }
    let next: Value?
    switch target {
    case .record(let record): next = record[key]
    case .entity(let uid): next = entities[uid]?.attributes[key]
    default: throw Failed(kind: .type)
    }
    guard let next else { return false }
    return try path.count == 1 || has(next, path.dropFirst())
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
      }
    }
    for policy in policies.policies { consider(policy.id, policy, nil, nil) }
    for link in policies.links {
      guard let template = policies.template(link.template) else { continue }
      consider(link.id, template, link.principal, link.resource)
    }
    let allowed = forbids.isEmpty && !permits.isEmpty
    return (allowed ? .allow : .deny, (forbids.isEmpty ? permits : forbids).sorted(), errors.sorted())
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
