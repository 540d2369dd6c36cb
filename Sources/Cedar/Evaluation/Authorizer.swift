/// Policies and entities made ready to answer: compiled, indexed, frozen.
///
/// Built once for a snapshot and shared by all threads; nothing in it changes afterwards. What a token or a request brings
/// is numbered in layers on top (`PreparedEntities`, `Evaluation`) that die with them.
public final class Authorizer: @unchecked Sendable {
  // Everything below is written by `init` and only read afterwards, which is what makes sharing safe.
  let symbols: Layer
  private let entities: EntityStore
  let program: FrozenProgram
  let compiled: Pool<CompiledPolicy>
  let clauses: Pool<CompiledClause>
  let actionLists: Pool<Int32>
  let index: PolicyIndex
  let equalities: EqualityIndex
  /// The statements that `CompiledPolicy.statement` counts.
  let statements: [Policy]
  /// The ids of policies and links in byte order; compiled policies stand in the same order.
  public let ids: [PolicyID]

  /// Compiles policies and takes in entities; templates count through their links.
  ///
  /// `words` are strings that requests will bring again and again; numbered here they are found at once.
  public init(policies: PolicySet, entities: Entities = Entities(), words: [String] = []) {
    self.entities = entities.store
    symbols = entities.count <= Self.copiedEntities ? entities.store.layer.copy() : Layer.make(on: entities.store.layer)
    for word in words { _ = symbols.string(word) }
    var builder = AuthorizerBuilder(symbols: symbols)
    builder.add(policies)
    program = FrozenProgram(builder.compiler.program)
    compiled = builder.compiled
    clauses = builder.clauses
    actionLists = builder.actionLists
    statements = builder.statements
    ids = builder.ids
    var filed: [(equality: LeadingEquality, policy: Int32)] = []
    index = PolicyIndex(compiled: compiled, actionLists: actionLists, equalities: builder.equalities, byEquality: &filed)
    equalities = EqualityIndex(filed)
  }

  // With up to so many entities one layer holds everything, and each look-up ends there; more are shared, not copied.
  private static let copiedEntities = 10_000

  /// The number of a word, if a policy, an entity or `words` has it.
  public func text(_ word: String) -> Draft.Text? { symbols.findString(word).map { Draft.Text(number: $0) } }

  deinit {
    symbols.free()
    compiled.deallocate()
    clauses.deallocate()
    actionLists.deallocate()
  }

  /// How many policies and links answer.
  public var policyCount: Int { ids.count }

  /// Answers a request: with entities that came with its token, and others of its own.
  ///
  /// Fails only if the entities contradict those that are known.
  public func isAuthorized(
    _ request: Request, with prepared: PreparedEntities? = nil, and entities: [Entity] = [], in evaluation: Evaluation = Evaluation()
  ) throws(OverlayError) -> Response {
    try evaluation.begin(request, on: self, prepared, entities)
    return evaluation.decide(self)
  }
}

/// Collects what an `Authorizer` is made of.
struct AuthorizerBuilder {
  let symbols: Layer
  var compiler: Compiler
  var compiled = Pool<CompiledPolicy>()
  var clauses = Pool<CompiledClause>()
  var actionLists = Pool<Int32>()
  var statements: [Policy] = []
  var ids: [PolicyID] = []
  /// The equality that each statement's conditions begin with.
  var equalities: [LeadingEquality?] = []

  init(symbols: Layer) {
    self.symbols = symbols
    compiler = Compiler(symbols: symbols)
  }

  /// One policy or link before its place in the order of ids is known.
  private struct Entry {
    var id: PolicyID
    var policy: CompiledPolicy
  }

  mutating func add(_ set: PolicySet) {
    var entries: [Entry] = []
    entries.reserveCapacity(set.policies.count + set.links.count)
    for policy in set.policies {
      entries.append(Entry(id: policy.id, policy: compile(policy)))
    }
    var templates: [PolicyID: CompiledPolicy] = [:]
    for link in set.links {
      guard let template = set.template(link.template) else { continue }
      var policy: CompiledPolicy
      if let known = templates[link.template] {
        policy = known
      } else {
        policy = compile(template)
        templates[link.template] = policy
      }
      if let principal = link.principal { policy.principal = symbols.uid(principal) }
      if let resource = link.resource { policy.resource = symbols.uid(resource) }
      entries.append(Entry(id: link.id, policy: policy))
    }
    entries.sort { $0.id < $1.id }
    ids = entries.map(\.id)
    for entry in entries { compiled.append(entry.policy) }
  }

  private mutating func compile(_ policy: Policy) -> CompiledPolicy {
    var out = CompiledPolicy(
      isForbid: policy.effect == .forbid, clauses: Int32(truncatingIfNeeded: clauses.count),
      clauseCount: Int32(truncatingIfNeeded: policy.conditions.count), statement: Int32(truncatingIfNeeded: statements.count))
    statements.append(policy)
    (out.principalMatch, out.principal, out.principalType) = scope(policy.principal)
    (out.resourceMatch, out.resource, out.resourceType) = scope(policy.resource)
    switch policy.action {
    case .any: break
    case .equal(let uid):
      out.actionMatch = .equal
      out.action = symbols.uid(uid)
    case .in(let uid):
      out.actionMatch = .in
      out.action = symbols.uid(uid)
    case .inAny(let uids):
      out.actionMatch = .inAny
      out.action = Int32(truncatingIfNeeded: actionLists.count)
      out.actionCount = Int32(truncatingIfNeeded: uids.count)
      for uid in uids { actionLists.append(symbols.uid(uid)) }
    }
    compiler.begin(policy.expressions)
    equalities.append(policy.conditions.first.flatMap { compiler.leadingEquality(of: $0, in: policy.expressions) })
    for condition in policy.conditions {
      let clause = compiler.compile(condition, in: policy.expressions)
      clauses.append(
        CompiledClause(
          start: Int32(truncatingIfNeeded: clause.start), end: Int32(truncatingIfNeeded: clause.end), isUnless: clause.isUnless))
    }
    return out
  }

  private func scope(_ constraint: ScopeConstraint) -> (CompiledPolicy.Match, entity: Int32, type: Int32) {
    func number(_ reference: EntityReference) -> Int32 { reference.entity.map(symbols.uid) ?? -1 }
    return switch constraint {
    case .any: (.any, -1, -1)
    case .equal(let reference): (.equal, number(reference), -1)
    case .in(let reference): (.in, number(reference), -1)
    case .is(let type): (.is, -1, symbols.string(type.text))
    case .isIn(let type, let reference): (.isIn, number(reference), symbols.string(type.text))
    }
  }
}
