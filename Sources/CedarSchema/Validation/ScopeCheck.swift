internal import Cedar

/// Whether some action that satisfies a scope applies to principals and resources that do.
struct ScopeCheck {
  private let schema: Schema
  private let principal: ScopeConstraint
  private let resource: ScopeConstraint
  private let actions: [Schema.ActionDefinition]

  init(_ schema: Schema, principal: ScopeConstraint, action: ActionConstraint, resource: ScopeConstraint) {
    self.schema = schema
    self.principal = principal
    self.resource = resource
    func `in`(_ groups: [EntityUID]) -> [Schema.ActionDefinition] {
      // One action that does not exist makes the whole list unsatisfiable.
      guard groups.allSatisfy({ schema.action($0) != nil }) else { return [] }
      return schema.actions.filter { action in groups.contains { schema.isAction(action.uid, in: $0) } }
    }
    switch action {
    case .any: actions = schema.actions
    case .equal(let uid): actions = schema.action(uid).map { [$0] } ?? []
    case .in(let uid): actions = `in`([uid])
    case .inAny(let uids): actions = `in`(uids)
    }
  }

  /// The error, unless the scope can apply.
  func error(in policy: PolicyID, at span: SourceSpan) -> ValidationError? {
    let isApplicable = actions.contains { action in
      action.principals.contains { satisfies($0, principal) } && action.resources.contains { satisfies($0, resource) }
    }
    if isApplicable { return nil }
    let variables = [("principal", wouldInFix(principal, \.principals)), ("resource", wouldInFix(resource, \.resources))]
    let fixable = variables.filter(\.1).map { "the \($0.0) clause" }
    let help = fixable.isEmpty ? scopeHelp : "try replacing `==` with `in` in \(fixable.joined(separator: " and "))"
    return ValidationError(
      .invalidActionApplication, policy, at: span,
      "for policy `\(policy)`, unable to find an applicable action given the policy scope constraints", help: help)
  }

  /// Whether entities of a type can satisfy a constraint.
  private func satisfies(_ type: EntityType, _ constraint: ScopeConstraint) -> Bool {
    switch constraint {
    case .any, .equal(.slot), .in(.slot): true
    case .equal(.entity(let uid)): type == uid.type
    case .in(.entity(let uid)): type == uid.type || schema.canBe(type, below: uid.type)
    case .is(let wanted), .isIn(let wanted, .slot): type == wanted
    case .isIn(let wanted, .entity(let uid)): type == wanted && (type == uid.type || schema.canBe(type, below: uid.type))
    }
  }

  /// Whether `==` names an entity that no action applies to, while entities below it are applied to.
  private func wouldInFix(_ constraint: ScopeConstraint, _ types: (Schema.ActionDefinition) -> [EntityType]) -> Bool {
    guard case .equal(.entity(let uid)) = constraint else { return false }
    let applied = actions.flatMap(types)
    return !applied.contains(uid.type) && applied.contains { schema.canBe($0, below: uid.type) }
  }

  /// What the actions in question do apply to.
  private var scopeHelp: String {
    guard let first = actions.first else { return "the scope names no action of the schema, or one that is not declared" }
    guard actions.count == 1 else { return "none of the scope's actions applies to such a principal and resource together" }
    guard !first.principals.isEmpty, !first.resources.isEmpty else {
      return "`\(first.uid)` applies to nothing: it is only a group of actions"
    }
    func list(_ types: [EntityType]) -> String { types.prefix(10).map { "`\($0)`" }.joined(separator: ", ") }
    return "`\(first.uid)` applies to principals of type \(list(first.principals)) and resources of type \(list(first.resources))"
  }
}
