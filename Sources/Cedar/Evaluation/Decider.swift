/// Evaluates the policies that can apply to one request.
struct Decider {
  unowned(unsafe) let authorizer: Authorizer
  private var machine: Machine
  private let scope: RequestScope
  private(set) var permits: Pool<Int32>
  private(set) var forbids: Pool<Int32>
  // The principal and the resource with all that is above them, where lists are searched for them.
  private(set) var principals: Pool<Int32>
  private(set) var resources: Pool<Int32>
  // The clause that was run last and had a value: policies next to each other often share their conditions.
  private var lastClause: (start: Int32, cell: Cell) = (-1, Cell(false))
  private var failed: [(policy: Int32, error: EvaluationError)] = []

  /// Pools are lent: they are given back changed.
  init(
    authorizer: Authorizer, machine: Machine, permits: Pool<Int32>, forbids: Pool<Int32>, principals: Pool<Int32>, resources: Pool<Int32>
  ) {
    self.authorizer = authorizer
    self.machine = machine
    scope = RequestScope(authorizer: authorizer, machine: machine)
    self.permits = permits
    self.forbids = forbids
    self.principals = principals
    self.resources = resources
  }

  /// Evaluates every policy that can apply.
  mutating func run() {
    let index = authorizer.index
    let layer = machine.layer
    let principal = machine.principal.number
    let resource = machine.resource.number
    let action = machine.action.number
    let asked = machine
    if index.isSearched {
      Self.fill(&principals, with: principal, layer)
      Self.fill(&resources, with: resource, layer)
    }
    let principals = principals
    let resources = resources
    index.forEachOpen { consider($0, -1) }
    authorizer.equalities.forEach(asked) { consider($0, -1) }
    if index.uses(.principal) {
      index.forEach(.principal, principal, beside: resources) { consider($0, -1) }
      layer.forEachAncestor(principal) { key in index.forEach(.principal, key, beside: resources) { consider($0, -1) } }
    }
    if index.uses(.resource) {
      index.forEach(.resource, resource, beside: principals) { consider($0, -1) }
      layer.forEachAncestor(resource) { key in index.forEach(.resource, key, beside: principals) { consider($0, -1) } }
    }
    if index.uses(.action) {
      index.forEach(.action, action) { consider($0, action) }
      layer.forEachAncestor(action) { key in index.forEach(.action, key) { consider($0, key) } }
    }
    if index.uses(.principalType) { index.forEach(.principalType, layer.type(ofUID: principal)) { consider($0, -1) } }
    if index.uses(.resourceType) { index.forEach(.resourceType, layer.type(ofUID: resource)) { consider($0, -1) } }
  }

  private static func fill(_ lineage: inout Pool<Int32>, with uid: Int32, _ layer: Layer) {
    lineage.removeAll()
    lineage.append(uid)
    layer.forEachAncestor(uid) { lineage.append($0) }
  }

  /// Evaluates one policy that was found under the action `key`, or under something else.
  private mutating func consider(_ number: Int32, _ key: Int32) {
    let policy = authorizer.compiled.base + Int(number)
    guard scope.matches(policy, key) else { return }
    if machine.meetsUnknowns { return considerUnknowns(number, policy) }
    var observer = NoObserver()
    evaluate(number, policy, &observer)
  }

  /// Evaluates a policy where something may be unknown; apart, so that the common case does not pay for it.
  @inline(never)
  private mutating func considerUnknowns(_ number: Int32, _ policy: UnsafeMutablePointer<CompiledPolicy>) {
    var observer = UnknownsObserver()
    evaluate(number, policy, &observer)
  }

  @inline(__always)
  private mutating func evaluate(
    _ number: Int32, _ policy: UnsafeMutablePointer<CompiledPolicy>, _ observer: inout some EvaluationObserver
  ) {
    var clause = authorizer.clauses.base + Int(policy.pointee.clauses)
    let end = clause + Int(policy.pointee.clauseCount)
    while clause < end {
      guard let cell = value(of: clause.pointee, &observer) else { return note(number) }
      guard cell.tag == .bool else { return noteMismatch(cell, clause.pointee, number) }
      if cell.isTrue == clause.pointee.isUnless { return }
      clause += 1
    }
    if policy.pointee.isForbid { forbids.append(number) } else { permits.append(number) }
  }

  @inline(__always)
  private mutating func value<Observer: EvaluationObserver>(of clause: CompiledClause, _ observer: inout Observer) -> Cell? {
    if !Observer.meetsUnknowns, clause.start == lastClause.start { return lastClause.cell }
    guard let cell = machine.run(Int(clause.start), Int(clause.end), &observer) else { return nil }
    lastClause = (clause.start, cell)
    return cell
  }

  @inline(never)
  private mutating func note(_ number: Int32) {
    guard let failure = machine.failure else { return }
    note(failure.error, at: failure.node, number)
  }

  @inline(never)
  private mutating func noteMismatch(_ cell: Cell, _ clause: CompiledClause, _ number: Int32) {
    note(machine.boolExpected(cell), at: authorizer.program.code[Int(clause.end) - 1].node, number)
  }

  private mutating func note(_ error: EvaluationError, at node: Int32, _ number: Int32) {
    let tree = authorizer.statements[Int(authorizer.compiled[number].statement)].expressions
    failed.append((number, EvaluationError(error.kind, error.message, at: tree.span(of: ExprID(Int(node))))))
  }

  /// Whether a forbid that an unknown left open could still overrule the permits: then none of them determines the answer, as
  /// in the reference.
  private var isOpen: Bool {
    guard !failed.isEmpty, forbids.count == 0 else { return false }
    return failed.contains { $0.error.kind == .nonvalue && authorizer.compiled[$0.policy].isForbid }
  }

  /// The answer. An entity's ancestors may name one twice where a layer bridges to another; a policy counts once.
  var response: Response {
    let satisfied = forbids.count > 0 ? forbids : permits
    let numbers = UnsafeMutableBufferPointer(start: satisfied.base, count: satisfied.count)
    var numbersSorted = numbers
    if numbers.count > 1 { numbersSorted.sort() }
    var determining: [PolicyID] = []
    determining.reserveCapacity(numbers.count)
    if !isOpen {
      for index in 0..<numbers.count where index == 0 || numbers[index] != numbers[index - 1] {
        determining.append(authorizer.ids[Int(numbers[index])])
      }
    }
    var errors: [PolicyError] = []
    if !failed.isEmpty {
      var last: Int32 = -1
      for failure in failed.sorted(by: { $0.policy < $1.policy }) where failure.policy != last {
        errors.append(PolicyError(policy: authorizer.ids[Int(failure.policy)], error: failure.error))
        last = failure.policy
      }
    }
    return Response(decision: forbids.count == 0 && permits.count > 0 ? .allow : .deny, determining: determining, errors: errors)
  }
}
