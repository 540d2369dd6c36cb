internal import Bytes
internal import Cedar

/// How many steps from entity to entity a policy takes (Cedar RFC 76). Works on a condition that was typed: what the types
/// cut off is not counted.
struct LevelCheck {
  private let checker: TypeChecker
  private let limit: Int
  private(set) var findings: Set<TypeChecker.Finding> = []

  /// Checks the condition that a type checker has typed.
  init(_ checker: TypeChecker, limit: Int) {
    self.checker = checker
    self.limit = limit
    for operand in checker.condition.operands { check(operand) }
  }

  private mutating func find(_ problem: TypeProblem, _ id: ExprID) {
    findings.insert(TypeChecker.Finding(problem: problem, span: checker.span(id)))
  }

  private func isEntity(_ type: CedarType?) -> Bool { if case .entity? = type { true } else { false } }
  private func isRecord(_ type: CedarType?) -> Bool { if case .record? = type { true } else { false } }

  /// Counts every dereference in an expression.
  private mutating func check(_ id: ExprID) {
    guard checker.wasReached(id) else { return }
    let expression = checker.tree[id]
    switch expression {
    case .attribute(let a, _): dereference(a, at: id)
    case .has(let a, let path):
      dereference(a, at: id)
      stepwise(a, path, at: id)
    case .in(let a, let b):
      step(from: a, at: id)
      check(b)
    case .is(let a, _, let b?):
      check(a)
      if checker.wasReached(b) {
        step(from: a, at: id)
        check(b)
      }
    case .method(.hasTag, let a, let b), .method(.getTag, let a, let b):
      step(from: a, at: id)
      if let b { check(b) }
    default:
      var parts: [ExprID] = []
      expression.forEachPart { parts.append($0) }
      for part in parts { check(part) }
    }
  }

  /// An attribute or its presence asked of `a`.
  private mutating func dereference(_ a: ExprID, at id: ExprID) {
    let type = checker.type(of: a)
    if isEntity(type) {
      step(from: a, at: id)
    } else if isRecord(type) {
      check(a)
    } else {
      find(.invariant, id)
    }
  }

  private mutating func step(from a: ExprID, at id: ExprID) {
    let level = level(of: a, [])
    if level >= limit { find(.level(needed: level + 1, allowed: limit), id) }
  }

  /// The steps of `a has b.c` behind the first: each asks the attribute before it.
  private mutating func stepwise(_ a: ExprID, _ path: [String], at id: ExprID) {
    guard path.count > 1, var type = checker.type(of: a) else { return }
    var level = isEntity(type) ? self.level(of: a, []) + 1 : nil
    var names: [String] = []
    for key in path.dropLast() {
      names.insert(key, at: 0)
      guard let next = checker.schema.attribute(key, of: type)?.type else { return }
      type = next
      if isEntity(type) {
        // The way here, through records too, is as deep as the last entity before it.
        let here = level ?? self.level(of: a, names)
        if here >= limit { find(.level(needed: here + 1, allowed: limit), id) }
        level = here + 1
      } else if !isRecord(type) {
        return
      }
    }
  }

  /// The level of an entity that is dereferenced. `path` are the attributes asked of a record on the way, the nearest last.
  private mutating func level(of id: ExprID, _ path: [String]) -> Int {
    // As in the type checker: few cases a function, so that frames stay small where nothing is optimised.
    if checker.condition.slots[id] != nil { return literalLevel(nil, id) }
    switch checker.tree[id] {
    case .variable: return 0
    case .entity(let uid): return literalLevel(uid, id)
    case .attribute: return attributeLevel(id, path)
    case .conditional: return conditionalLevel(id, path)
    case .method(.getTag, _, _): return tagLevel(id, path)
    case .record: return recordLevel(id, path)
    default: return unexpected(id)
    }
  }

  private mutating func literalLevel(_ uid: EntityUID?, _ id: ExprID) -> Int {
    if uid != checker.environment.action { find(.literalDereference, id) }
    return 0
  }

  private mutating func unexpected(_ id: ExprID) -> Int {
    find(.invariant, id)
    return 0
  }

  private mutating func attributeLevel(_ id: ExprID, _ path: [String]) -> Int {
    guard case .attribute(let a, let name) = checker.tree[id] else { return unexpected(id) }
    let type = checker.type(of: a)
    if isEntity(type) { return level(of: a, path) + 1 }
    if isRecord(type) { return level(of: a, path + [name]) }
    return unexpected(id)
  }

  private mutating func conditionalLevel(_ id: ExprID, _ path: [String]) -> Int {
    guard case .conditional(let test, let first, let second) = checker.tree[id] else { return unexpected(id) }
    check(test)
    let one = checker.wasReached(first) ? level(of: first, path) : 0
    let other = checker.wasReached(second) ? level(of: second, path) : 0
    return max(one, other)
  }

  private mutating func tagLevel(_ id: ExprID, _ path: [String]) -> Int {
    guard case .method(_, let a, let b) = checker.tree[id] else { return unexpected(id) }
    let level = level(of: a, path)
    if let b { check(b) }
    return level + 1
  }

  private mutating func recordLevel(_ id: ExprID, _ path: [String]) -> Int {
    guard case .record(let fields) = checker.tree[id], let name = path.last, fields.contains(where: { exactlyEquals($0.key, name) }) else {
      return unexpected(id)
    }
    var found = 0
    for field in fields {
      if exactlyEquals(field.key, name) { found = level(of: field.value, path.dropLast()) } else { check(field.value) }
    }
    return found
  }
}
