/// Entities numbered once for an authorizer, to be laid under many requests: what a token brings.
public final class PreparedEntities: @unchecked Sendable {
  // Written by `Authorizer.prepare` and only read afterwards.
  let layer: Layer
  let authorizer: Authorizer

  init(_ entities: [Entity], on authorizer: Authorizer) throws(OverlayError) {
    layer = Layer(on: authorizer.symbols)
    self.authorizer = authorizer
    try layer.overlay(entities)
  }
}

extension Authorizer {
  /// Numbers entities for many requests to this authorizer: a token's principal with its groups.
  ///
  /// They lie over the static entities; one that has attributes in both is an error.
  public func prepare(_ entities: [Entity]) throws(OverlayError) -> PreparedEntities { try PreparedEntities(entities, on: self) }
}

/// The memory of one evaluation after another, for one thread: it keeps its capacity and forgets its content.
public final class Evaluation {
  private let layer = Layer(on: nil)
  private var stack = Pool<Cell>(capacity: 64)
  private(set) var authorizer: Authorizer?
  private(set) var principal = Cell(false)
  private(set) var action = Cell(false)
  private(set) var resource = Cell(false)
  private(set) var context = Cell(false)

  private var permits = Pool<Int32>(capacity: 16)
  private var forbids = Pool<Int32>(capacity: 16)
  private var failed: [(policy: Int32, error: EvaluationError)] = []

  /// Empty memory.
  public init() {}

  deinit {
    stack.deallocate()
    permits.deallocate()
    forbids.deallocate()
  }

  /// Takes in a request and the entities that come with it.
  func begin(_ request: Request, on authorizer: Authorizer, _ prepared: PreparedEntities?, _ entities: [Entity]) throws(OverlayError) {
    self.authorizer = authorizer
    if let prepared, prepared.authorizer === authorizer {
      layer.reset(on: prepared.layer)
    } else {
      layer.reset(on: authorizer.symbols)
    }
    try layer.overlay(entities)
    principal = Cell(.entity, number: layer.uid(request.principal))
    action = Cell(.entity, number: layer.uid(request.action))
    resource = Cell(.entity, number: layer.uid(request.resource))
    context = Cell(.record, number: layer.record(request.context))
  }

  /// The machine for the request at hand.
  func machine(_ authorizer: Authorizer) -> Machine {
    stack.removeAll()
    stack.append(repeating: Cell(false), count: authorizer.program.stackSize + 4)
    return Machine(
      program: authorizer.program, layer: layer, stack: stack.base, principal: principal, action: action, resource: resource,
      context: context)
  }

  /// A numbered thing as a value.
  func value(_ cell: Cell) -> Value { layer.value(cell) }

  /// Evaluates every policy that can apply.
  private func run(_ authorizer: Authorizer) {
    permits.removeAll()
    forbids.removeAll()
    if !failed.isEmpty { failed.removeAll(keepingCapacity: true) }
    var machine = machine(authorizer)
    let index = authorizer.index
    index.forEachOpen { consider($0, -1, authorizer, &machine) }
    if index.uses(.principal) {
      index.forEach(.principal, principal.number) { consider($0, -1, authorizer, &machine) }
      layer.forEachAncestor(principal.number) { key in index.forEach(.principal, key) { consider($0, -1, authorizer, &machine) } }
    }
    if index.uses(.resource) {
      index.forEach(.resource, resource.number) { consider($0, -1, authorizer, &machine) }
      layer.forEachAncestor(resource.number) { key in index.forEach(.resource, key) { consider($0, -1, authorizer, &machine) } }
    }
    if index.uses(.action) {
      index.forEach(.action, action.number) { consider($0, action.number, authorizer, &machine) }
      layer.forEachAncestor(action.number) { key in index.forEach(.action, key) { consider($0, key, authorizer, &machine) } }
    }
    if index.uses(.principalType) {
      index.forEach(.principalType, layer.type(ofUID: principal.number)) { consider($0, -1, authorizer, &machine) }
    }
    if index.uses(.resourceType) {
      index.forEach(.resourceType, layer.type(ofUID: resource.number)) { consider($0, -1, authorizer, &machine) }
    }
  }

  /// Evaluates one policy that was found under `key`.
  @inline(__always)
  private func consider(_ number: Int32, _ key: Int32, _ authorizer: Authorizer, _ machine: inout Machine) {
    let policy = authorizer.compiled[number]
    guard scopeMatches(policy, key, authorizer) else { return }
    var observer = NoObserver()
    for index in 0..<policy.clauseCount {
      let clause = authorizer.clauses[policy.clauses &+ index]
      guard let cell = machine.run(Int(clause.start), Int(clause.end), &observer) else { return note(machine.failure, number, authorizer) }
      guard cell.tag == .bool else { return noteMismatch(cell, clause, number, authorizer) }
      if cell.isTrue == clause.isUnless { return }
    }
    if policy.isForbid { forbids.append(number) } else { permits.append(number) }
  }

  @inline(__always)
  private func matches(_ match: CompiledPolicy.Match, _ entity: Int32, _ type: Int32, _ uid: Int32) -> Bool {
    switch match {
    case .any: true
    case .equal: uid == entity
    case .in: uid == entity || layer.isAncestor(entity, of: uid)
    case .is: layer.type(ofUID: uid) == type
    default: layer.type(ofUID: uid) == type && (uid == entity || layer.isAncestor(entity, of: uid))
    }
  }

  /// Whether a policy's scope matches. A list of actions that was found under a key counts for the first of its actions
  /// that matches, so that a policy found under several is evaluated once.
  @inline(__always)
  private func scopeMatches(_ policy: CompiledPolicy, _ key: Int32, _ authorizer: Authorizer) -> Bool {
    guard matches(policy.principalMatch, policy.principal, policy.principalType, principal.number),
      matches(policy.resourceMatch, policy.resource, policy.resourceType, resource.number)
    else { return false }
    if policy.actionMatch != .inAny { return matches(policy.actionMatch, policy.action, -1, action.number) }
    for index in 0..<policy.actionCount {
      let candidate = authorizer.actionLists[policy.action &+ index]
      if matches(.in, candidate, -1, action.number) { return key < 0 || candidate == key }
    }
    return false
  }

  @inline(never)
  private func note(_ failure: (error: EvaluationError, node: Int32)?, _ number: Int32, _ authorizer: Authorizer) {
    guard let failure else { return }
    // An entity's ancestors may name one twice when a layer bridges to another; a policy fails once.
    guard !failed.contains(where: { $0.policy == number }) else { return }
    let tree = authorizer.statements[Int(authorizer.compiled[number].statement)].expressions
    failed.append(
      (number, EvaluationError(failure.error.kind, failure.error.message, at: tree.span(of: ExprID(Int(failure.node))))))
  }

  @inline(never)
  private func noteMismatch(_ cell: Cell, _ clause: CompiledClause, _ number: Int32, _ authorizer: Authorizer) {
    let node = authorizer.program.code[Int(clause.end) - 1].node
    note((boolExpected(cell), node), number, authorizer)
  }

  /// The failure of a clause that is no Boolean.
  func boolExpected(_ cell: Cell) -> EvaluationError {
    EvaluationError(.type, "type error: expected bool, got \(layer.typeName(cell))")
  }

  /// Which elements of a policy's scope match.
  func scope(of policy: CompiledPolicy, on authorizer: Authorizer) -> (principal: Bool, action: Bool, resource: Bool) {
    var isAction = false
    if policy.actionMatch == .inAny {
      for index in 0..<policy.actionCount
      where matches(.in, authorizer.actionLists[policy.action &+ index], -1, action.number) { isAction = true }
    } else {
      isAction = matches(policy.actionMatch, policy.action, -1, action.number)
    }
    return (
      matches(policy.principalMatch, policy.principal, policy.principalType, principal.number), isAction,
      matches(policy.resourceMatch, policy.resource, policy.resourceType, resource.number)
    )
  }

  /// The answer to the request at hand.
  func decide() -> Response {
    guard let authorizer else { return Response(decision: .deny, determining: [], errors: []) }
    run(authorizer)
    let satisfied = forbids.count > 0 ? forbids : permits
    let numbers = Set(UnsafeBufferPointer(start: satisfied.base, count: satisfied.count)).sorted()
    return Response(
      decision: forbids.count == 0 && permits.count > 0 ? .allow : .deny, determining: numbers.map { authorizer.ids[Int($0)] },
      errors: failed.sorted { $0.policy < $1.policy }.map { PolicyError(policy: authorizer.ids[Int($0.policy)], error: $0.error) })
  }
}
