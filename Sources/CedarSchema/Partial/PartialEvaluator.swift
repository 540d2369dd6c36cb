internal import Cedar

/// What is left of an expression when part of the request and the entities is unknown.
enum Partial {
  case value(Value)
  /// It fails whatever the unknown turns out to be.
  case error
  /// An expression of the residual's tree.
  case residual(ExprID)

  static func bool(_ flag: Bool) -> Partial { .value(.bool(flag)) }
}

/// Reduces a typed condition as far as what is known allows (spec: "type-aware partial evaluation").
///
/// Works on what the type checker reached: what it cut off because of a type is no part of the condition. Recursive, like
/// the type checker: expressions are no deeper than `Limits.depth`.
struct PartialEvaluator {
  let checker: TypeChecker
  let request: PartialRequest
  let entities: PartialEntities
  let link: TemplateLink?
  /// The residual's expressions.
  private(set) var tree = ExprTree()
  // Whether a residual node can fail although its types are right, one a node.
  private var canFail: [Bool] = []

  init(checker: TypeChecker, request: PartialRequest, entities: PartialEntities, link: TemplateLink?) {
    self.checker = checker
    self.request = request
    self.entities = entities
    self.link = link
  }

  private var source: ExprTree { checker.condition.expressions }

  /// Reduces the whole condition, whose operands nest to the right.
  mutating func reduceCondition() -> Partial {
    var reduced: [Partial] = []
    for operand in checker.condition.operands {
      guard checker.wasReached(operand) else { break }
      let next = reduce(operand)
      reduced.append(next)
      if case .value(.bool(true)) = next { continue }
      if case .residual = next { continue }
      break
    }
    guard var whole = reduced.popLast() else { return .bool(true) }
    while let left = reduced.popLast() { whole = and(left, whole) }
    return whole
  }

  /// The expression that stands for an outcome in the residual's tree.
  mutating func expression(_ partial: Partial) -> ExprID {
    switch partial {
    case .residual(let id): return id
    case .error: return add(.undefinedCall("error", []), canFail: true)
    case .value(let value): return literal(value)
    }
  }

  // MARK: Building

  private mutating func add(_ expr: Expr, canFail fails: Bool) -> ExprID {
    let id = tree.add(expr)
    canFail.append(fails)
    return id
  }

  private mutating func literal(_ value: Value) -> ExprID {
    func call(_ function: ExtensionFunction, _ text: String) -> Expr { .call(function, [add(.string(text), canFail: false)]) }
    let id: ExprID
    switch value {
    case .bool(let flag): return add(.bool(flag), canFail: false)
    case .long(let number): return add(.long(number), canFail: false)
    case .string(let text): return add(.string(text), canFail: false)
    case .entity(let uid): return add(.entity(uid), canFail: false)
    case .set(let set):
      let parts = set.elements.map { literal($0) }
      id = add(.set(parts), canFail: false)
    case .record(let record):
      let fields = record.fields.map { Expr.RecordField($0.key, literal($0.value)) }
      id = add(.record(fields), canFail: false)
    case .decimal(let number): id = add(call(.decimal, number.canonical), canFail: false)
    case .ip(let address): id = add(call(.ip, address.canonical), canFail: false)
    case .duration(let span): id = add(call(.duration, "\(span.milliseconds)ms"), canFail: false)
    case .datetime(let instant):
      let epoch = add(call(.datetime, "1970-01-01"), canFail: false)
      let span = add(call(.duration, "\(instant.milliseconds)ms"), canFail: false)
      id = add(.call(.offset, [epoch, span]), canFail: false)
    // Held off by the reader of partial entities and by the check of contexts.
    case .unknown: id = add(.call(.unknown, []), canFail: true)
    }
    return id
  }

  private func fails(_ partial: Partial) -> Bool {
    switch partial {
    case .value: false
    case .error: true
    case .residual(let id): canFail[Int(id.index)]
    }
  }

  /// A residual of some parts; it can fail if it can by itself or if a part can.
  private mutating func residual(_ parts: [Partial], fails byItself: Bool = false, _ make: ([ExprID]) -> Expr) -> Partial {
    let anyFails = byItself || parts.contains { fails($0) }
    let ids = parts.map { expression($0) }
    return .residual(add(make(ids), canFail: anyFails))
  }

  // MARK: Reduction

  private mutating func reduce(_ id: ExprID) -> Partial {
    if let slot = checker.condition.slots[id] { return link?.value(of: slot).map { .value(.entity($0)) } ?? .error }
    switch source[id] {
    case .bool(let flag): return .bool(flag)
    case .long(let number): return .value(.long(number))
    case .string(let text): return .value(.string(text))
    case .entity(let uid): return .value(.entity(uid))
    case .variable(let variable): return reduce(variable)
    case .and(let operands): return chain(operands, stopAt: false)
    case .or(let operands): return chain(operands, stopAt: true)
    case .conditional(let test, let yes, let no): return conditional(test, yes, no)
    case .not(let operand): return not(reduce(operand))
    case .negate(let operand):
      return strict([reduce(operand)], fails: true, { .negate($0[0]) }) { (values) throws(Undefined) in
        .long(try Self.checked(Int64(0).subtractingReportingOverflow(Self.long(values[0]))))
      }
    case .comparison(let comparison, let a, let b): return compare(comparison, reduce(a), reduce(b))
    case .arithmetic(let first, let steps):
      var result = reduce(first)
      for step in steps { result = arithmetic(step.operator, result, reduce(step.operand)) }
      return result
    case .in(let a, let b): return membership(reduce(a), reduce(b))
    case .is(let a, let type, let container):
      let subject = reduce(a)
      let isType = isType(subject, type)
      guard let container, checker.wasReached(container) else { return isType }
      if case .value(.bool(false)) = isType { return isType }
      if case .error = isType { return .error }
      return and(isType, membership(subject, reduce(container)))
    case .has(let a, let path): return has(a, path)
    case .attribute(let a, let key): return attribute(reduce(a), key)
    case .like(let a, let pattern):
      return strict([reduce(a)], { .like($0[0], pattern) }) { (values) throws(Undefined) in
        guard case .string(let text) = values[0] else { throw Undefined() }
        return .bool(pattern.matches(text))
      }
    case .set(let parts): return strict(parts.map { reduce($0) }, { .set($0) }) { .set(ValueSet($0)) }
    case .record(let fields):
      return strict(
        fields.map { reduce($0.value) }, { ids in .record(zip(fields, ids).map { Expr.RecordField($0.key, $1) }) }
      ) { values in
        .record(Record(lastWins: zip(fields, values).map { Record.Field($0.key, $1) }))
      }
    case .method(let method, let a, let b): return self.method(method, reduce(a), b.map { reduce($0) })
    case .call(let function, let arguments):
      return strict(arguments.map { reduce($0) }, fails: true, { .call(function, $0) }) { (values) throws(Undefined) in
        if function == .unknown { throw Undefined() }
        do throws(EvaluationError) { return try function.apply(values) } catch { throw Undefined() }
      }
    case .undefinedCall: return .error
    }
  }

  private mutating func reduce(_ variable: Variable) -> Partial {
    switch variable {
    case .action: return .value(.entity(request.action))
    case .principal: if let uid = request.principal.uid { return .value(.entity(uid)) }
    case .resource: if let uid = request.resource.uid { return .value(.entity(uid)) }
    case .context: if let context = request.context { return .value(.record(context)) }
    }
    return .residual(add(.variable(variable), canFail: false))
  }

  // MARK: Logic

  private mutating func chain(_ operands: [ExprID], stopAt end: Bool) -> Partial {
    var result: Partial?
    for operand in operands {
      guard checker.wasReached(operand) else { break }
      guard let left = result else {
        result = reduce(operand)
        continue
      }
      switch left {
      case .value(.bool(end)), .error: return left
      case .value: result = reduce(operand)
      case .residual: result = end ? or(left, reduce(operand)) : and(left, reduce(operand))
      }
    }
    return result ?? .bool(!end)
  }

  private mutating func and(_ left: Partial, _ right: Partial) -> Partial {
    switch (left, right) {
    case (.value(.bool(false)), _), (.error, _): return left
    case (.value, _): return right
    case (.residual, .value(.bool(true))): return left
    case (.residual, .value(.bool(false))) where !fails(left): return right
    default: return residual([left, right]) { .and($0) }
    }
  }

  private mutating func or(_ left: Partial, _ right: Partial) -> Partial {
    switch (left, right) {
    case (.value(.bool(true)), _), (.error, _): return left
    case (.value, _): return right
    case (.residual, .value(.bool(false))): return left
    case (.residual, .value(.bool(true))) where !fails(left): return right
    default: return residual([left, right]) { .or($0) }
    }
  }

  private mutating func not(_ operand: Partial) -> Partial {
    strict([operand], { .not($0[0]) }) { (values) throws(Undefined) in
      guard case .bool(let flag) = values[0] else { throw Undefined() }
      return .bool(!flag)
    }
  }

  private mutating func conditional(_ test: ExprID, _ yes: ExprID, _ no: ExprID) -> Partial {
    // A branch that a type cut off is replaced by the other one.
    let first = checker.wasReached(yes) ? yes : no
    let second = checker.wasReached(no) ? no : yes
    let reduced = reduce(test)
    switch reduced {
    case .value(.bool(true)): return reduce(first)
    case .value(.bool(false)): return reduce(second)
    case .value, .error: return .error
    case .residual:
      let one = reduce(first)
      let other = reduce(second)
      return residual([reduced, one, other]) { .conditional($0[0], then: $0[1], else: $0[2]) }
    }
  }

  // MARK: Strict operators

  /// An operator that has no value for these operands.
  private struct Undefined: Error {}

  /// An operator that needs all of its operands.
  private mutating func strict(
    _ operands: [Partial], fails byItself: Bool = false, _ make: ([ExprID]) -> Expr, _ apply: ([Value]) throws(Undefined) -> Value
  ) -> Partial {
    var values: [Value] = []
    var isKnown = true
    for operand in operands {
      switch operand {
      case .value(let value): values.append(value)
      case .residual: isKnown = false
      case .error: return .error
      }
    }
    guard isKnown else { return residual(operands, fails: byItself, make) }
    do throws(Undefined) { return .value(try apply(values)) } catch { return .error }
  }

  private static func long(_ value: Value) throws(Undefined) -> Int64 {
    guard case .long(let number) = value else { throw Undefined() }
    return number
  }

  private static func checked(_ result: (partialValue: Int64, overflow: Bool)) throws(Undefined) -> Int64 {
    if result.overflow { throw Undefined() }
    return result.partialValue
  }

  private mutating func arithmetic(_ sign: Expr.ArithmeticOperator, _ a: Partial, _ b: Partial) -> Partial {
    strict([a, b], fails: true, { .arithmetic($0[0], [Expr.ArithmeticStep(sign, $0[1])]) }) { (values) throws(Undefined) in
      let left = try Self.long(values[0])
      let right = try Self.long(values[1])
      return switch sign {
      case .add: .long(try Self.checked(left.addingReportingOverflow(right)))
      case .subtract: .long(try Self.checked(left.subtractingReportingOverflow(right)))
      case .multiply: .long(try Self.checked(left.multipliedReportingOverflow(by: right)))
      }
    }
  }

  private mutating func compare(_ comparison: Expr.Comparison, _ a: Partial, _ b: Partial) -> Partial {
    // Residuals are written with the operators that the others are defined by.
    switch comparison {
    case .notEqual: return not(compare(.equal, a, b))
    case .greater: return not(compare(.lessOrEqual, a, b))
    case .greaterOrEqual: return not(compare(.less, a, b))
    default: break
    }
    return strict([a, b], { .comparison(comparison, $0[0], $0[1]) }) { (values) throws(Undefined) in
      if comparison == .equal { return .bool(values[0] == values[1]) }
      let left: Int64
      let right: Int64
      switch (values[0], values[1]) {
      case (.long(let x), .long(let y)): (left, right) = (x, y)
      case (.datetime(let x), .datetime(let y)): (left, right) = (x.milliseconds, y.milliseconds)
      case (.duration(let x), .duration(let y)): (left, right) = (x.milliseconds, y.milliseconds)
      default: throw Undefined()
      }
      return .bool(comparison == .less ? left < right : left <= right)
    }
  }

  // MARK: Entities

  private mutating func isType(_ subject: Partial, _ type: EntityType) -> Partial {
    switch subject {
    case .value(.entity(let uid)): return .bool(uid.type == type)
    case .value, .error: return .error
    case .residual(let id):
      // The types of principal and resource are known even where their ids are not.
      if case .variable(.principal) = tree[id] { return .bool(request.principal.type == type) }
      if case .variable(.resource) = tree[id] { return .bool(request.resource.type == type) }
      return residual([subject]) { .is($0[0], type, in: nil) }
    }
  }

  private mutating func membership(_ a: Partial, _ b: Partial) -> Partial {
    guard case .value(let left) = a, case .value(let right) = b else { return strict([a, b], { .in($0[0], $0[1]) }) { $0[0] } }
    guard case .entity(let uid) = left else { return .error }
    var containers: [EntityUID] = []
    switch right {
    case .entity(let container): containers = [container]
    case .set(let set):
      for element in set.elements {
        guard case .entity(let container) = element else { return .error }
        containers.append(container)
      }
    default: return .error
    }
    if containers.contains(uid) { return .bool(true) }
    if containers.isEmpty { return .bool(false) }
    guard let ancestors = entities.ancestors(of: uid) else { return residual([a, b]) { .in($0[0], $0[1]) } }
    return .bool(containers.contains(where: ancestors.contains))
  }

  private mutating func attribute(_ target: Partial, _ key: String) -> Partial {
    switch target {
    case .value(.record(let record)): return record[key].map { .value($0) } ?? .error
    case .value(.entity(let uid)):
      if let attributes = entities.attributes(of: uid) { return attributes[key].map { .value($0) } ?? .error }
    case .value, .error: return .error
    case .residual: break
    }
    return residual([target], fails: true) { .attribute($0[0], key) }
  }

  private mutating func hasAttribute(_ target: Partial, _ key: String) -> Partial {
    switch target {
    case .value(.record(let record)): return .bool(record[key] != nil)
    case .value(.entity(let uid)): if let attributes = entities.attributes(of: uid) { return .bool(attributes[key] != nil) }
    case .value, .error: return .error
    case .residual: break
    }
    return residual([target]) { .has($0[0], [key]) }
  }

  /// `a has b.c`: `a has b && a.b has c`, cut off where the types say that a part is false.
  private mutating func has(_ a: ExprID, _ path: [String]) -> Partial {
    var target = reduce(a)
    var type = checker.type(of: a)
    var result: Partial?
    for (index, key) in path.enumerated() {
      let here = hasAttribute(target, key)
      result = result.map { and($0, here) } ?? here
      switch result {
      case .value(.bool(false)), .error: return result ?? .error
      default: break
      }
      guard index + 1 < path.count else { break }
      guard let bearer = type, let attribute = checker.schema.attribute(key, of: bearer) else { break }
      type = attribute.type
      target = self.attribute(target, key)
    }
    return result ?? .bool(true)
  }

  private mutating func method(_ method: Expr.Method, _ receiver: Partial, _ argument: Partial?) -> Partial {
    let operands = [receiver] + (argument.map { [$0] } ?? [])
    func make(_ ids: [ExprID]) -> Expr { .method(method, ids[0], ids.count > 1 ? ids[1] : nil) }
    if method == .getTag || method == .hasTag {
      guard case .value(let target) = receiver, case .value(let name)? = argument else {
        return strict(operands, fails: method == .getTag, make) { $0[0] }
      }
      guard case .entity(let uid) = target, case .string(let key) = name else { return .error }
      guard let tags = entities.tags(of: uid) else { return residual(operands, fails: method == .getTag, make) }
      if method == .hasTag { return .bool(tags[key] != nil) }
      return tags[key].map { .value($0) } ?? .error
    }
    return strict(operands, make) { (values) throws(Undefined) in
      guard case .set(let set) = values[0] else { throw Undefined() }
      switch method {
      case .isEmpty: return .bool(set.isEmpty)
      case .contains: return .bool(set.contains(values[1]))
      default:
        guard case .set(let other) = values[1] else { throw Undefined() }
        return .bool(method == .containsAll ? other.elements.allSatisfy(set.contains) : other.elements.contains(where: set.contains))
      }
    }
  }
}
