internal import Bytes
internal import Cedar

/// Whether the entity types, enumerated ids and actions that a policy names exist, wherever they stand in it.
struct NameCheck {
  private(set) var errors: [ValidationError] = []

  init(_ schema: Schema, _ condition: ConditionTree) {
    let policy = condition.policy
    var types: [(EntityType, SourceSpan)] = []
    var uids: [(EntityUID, SourceSpan)] = []
    func note(_ constraint: ScopeConstraint, _ spans: ScopeSpans) {
      let place = spans.references.first ?? spans.element
      switch constraint {
      case .equal(.entity(let uid)), .in(.entity(let uid)): uids.append((uid, place))
      case .is(let type), .isIn(let type, .slot): types.append((type, spans.type ?? spans.element))
      case .isIn(let type, .entity(let uid)):
        types.append((type, spans.type ?? spans.element))
        uids.append((uid, place))
      case .any, .equal(.slot), .in(.slot): break
      }
    }
    note(policy.principal, policy.scopeSpans.principal)
    let action = policy.scopeSpans.action
    switch policy.action {
    case .any: break
    case .equal(let uid), .in(let uid): uids.append((uid, action.references.first ?? action.element))
    case .inAny(let all):
      for (index, uid) in all.enumerated() {
        uids.append((uid, index < action.references.count ? action.references[index] : action.element))
      }
    }
    note(policy.resource, policy.scopeSpans.resource)
    for (node, span) in zip(policy.expressions.nodes, policy.expressions.spans) {
      switch node {
      case .entity(let uid): uids.append((uid, span))
      case .is(_, let type, _): types.append((type, span))
      default: break
      }
    }
    types += uids.map { ($0.0.type, $0.1) }
    var suggestions: [EntityType: ValidationError] = [:]
    for (type, span) in types where !Self.isKnown(type, in: schema) {
      // The same wrong name is looked up once, however often it stands in the policy, and beyond some no more are.
      let error =
        suggestions[type] ?? Self.unrecognized(type, in: policy.id, at: span, schema, suggesting: suggestions.count < Self.mostSuggestions)
      suggestions[type] = error
      errors.append(ValidationError(error.kind, error.policy, at: span, error.message, help: error.help))
    }
    for (uid, span) in uids {
      if uid.type.isAction {
        guard schema.action(uid) == nil else { continue }
        errors.append(Self.unrecognized(uid, in: policy.id, at: span, schema, suggesting: errors.count < Self.mostSuggestions))
      } else if let type = schema.entityType(uid.type), !type.allows(id: uid.id) {
        let error = ConformanceError.invalidEnumeratedID(uid, valid: type.enumeratedIDs ?? [])
        errors.append(
          ValidationError(.invalidEnumEntity, policy.id, at: span, "for policy `\(policy.id)`: \(error.description)", help: error.help))
      }
    }
  }

  /// Whether a type is declared, or one of actions.
  static func isKnown(_ type: EntityType, in schema: Schema) -> Bool { type.isAction || schema.entityType(type) != nil }

  /// A policy with more unknown names than this has another problem than a slip of the fingers.
  private static let mostSuggestions = 50

  static func unrecognized(
    _ type: EntityType, in policy: PolicyID, at span: SourceSpan, _ schema: Schema, suggesting: Bool = true
  ) -> ValidationError {
    let near = suggesting ? Spelling.nearest(to: type.text, among: schema.entityTypes.map(\.name.text)) : nil
    // A name that only lacks its namespace is no slip of the fingers, and the commonest mistake of all.
    let other = suggesting ? schema.entityTypes.first { exactlyEquals($0.name.basename, type.basename) }?.name.text : nil
    return ValidationError(
      .unrecognizedEntityType, policy, at: span, "for policy `\(policy)`, unrecognized entity type `\(type)`",
      help: (other ?? near).map { "did you mean `\($0)`?" })
  }

  private static func unrecognized(
    _ action: EntityUID, in policy: PolicyID, at span: SourceSpan, _ schema: Schema, suggesting: Bool
  ) -> ValidationError {
    let byID = suggesting ? Spelling.nearest(to: action.id, among: schema.actions.map(\.uid.id)) : nil
    let near = suggesting ? schema.actions.first { exactlyEquals($0.uid.id, byID ?? action.id) } : nil
    return ValidationError(
      .unrecognizedActionID, policy, at: span, "for policy `\(policy)`, unrecognized action `\(action)`",
      help: near.map { "did you mean `\($0.uid)`?" })
  }
}
