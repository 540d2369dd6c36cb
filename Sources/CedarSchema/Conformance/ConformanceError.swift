public import Cedar

/// Why entities, a request or a context do not fit a schema.
public enum ConformanceError: Error, Sendable, Equatable {
  /// An entity of a type that the schema does not have.
  case undeclaredType(EntityUID, suggestion: String?)
  /// A required attribute is not there.
  case missingAttribute(EntityUID, String)
  /// An attribute that the type does not have.
  case unexpectedAttribute(EntityUID, String)
  /// A tag on entities that have none.
  case unexpectedTag(EntityUID, String)
  /// An attribute with a value of another type.
  case attributeType(EntityUID, String, TypeMismatch)
  /// A tag with a value of another type.
  case tagType(EntityUID, String, TypeMismatch)
  /// A parent of a type that cannot be above.
  case ancestorType(EntityUID, EntityType)
  /// An id that an enumerated type does not list.
  case invalidEnumeratedID(EntityUID, valid: [String])
  /// An action that is not declared.
  case undeclaredAction(EntityUID, suggestion: String?)
  /// An action that differs from its declaration.
  case actionMismatch(EntityUID)
  /// A known parent of a partial entity whose own parents are unknown.
  case unknownAncestors(EntityUID, parent: EntityUID)
  /// The hierarchy itself is wrong.
  case hierarchy(EntitiesError)

  /// A principal of a type that the schema does not have.
  case undeclaredPrincipalType(EntityType, suggestion: String?)
  /// A resource of a type that the schema does not have.
  case undeclaredResourceType(EntityType, suggestion: String?)
  /// The action does not apply to principals of the type.
  case principalType(EntityType, action: EntityUID, valid: [EntityType])
  /// The action does not apply to resources of the type.
  case resourceType(EntityType, action: EntityUID, valid: [EntityType])
  /// The context is not of the action's context type.
  case context(action: EntityUID, TypeMismatch)
}

/// A value that is not of the type expected, at the place where the two part.
public struct TypeMismatch: Sendable, Equatable {
  /// The keys that lead to the place; empty for the value itself.
  public var path: [String]
  /// What is wrong there, such as `value was expected to have type long, but it actually has type string: "1"`.
  public var problem: String

  /// The path as a person writes it: `.address.zip`.
  var place: String { path.isEmpty ? "" : " (at `\(path.joined(separator: "."))`)" }
}

extension ConformanceError: CustomStringConvertible {
  /// One sentence, in the reference's words where it has some.
  public var description: String {
    switch self {
    case .undeclaredType(let uid, _): "entity `\(uid)` has type `\(uid.type)` which is not declared in the schema"
    case .missingAttribute(let uid, let name): "expected entity `\(uid)` to have attribute `\(name)`, but it does not"
    case .unexpectedAttribute(let uid, let name): "attribute `\(name)` on `\(uid)` should not exist according to the schema"
    case .unexpectedTag(let uid, let name):
      "found a tag `\(name)` on `\(uid)`, but no tags should exist on `\(uid)` according to the schema"
    case .attributeType(let uid, let name, let mismatch):
      "in attribute `\(name)` on `\(uid)`\(mismatch.place), type mismatch: \(mismatch.problem)"
    case .tagType(let uid, let name, let mismatch): "in tag `\(name)` on `\(uid)`\(mismatch.place), type mismatch: \(mismatch.problem)"
    case .ancestorType(let uid, let type): "`\(uid)` is not allowed to have an ancestor of type `\(type)` according to the schema"
    case .invalidEnumeratedID(let uid, _):
      "entity `\(uid)` is of an enumerated entity type, but `\(Value.string(uid.id))` is not declared as a valid eid"
    case .undeclaredAction(let uid, _): "action `\(uid)` does not exist in the supplied schema"
    case .actionMismatch(let uid): "definition of action `\(uid)` does not match its schema declaration"
    case .unknownAncestors(let uid, let parent): "the parents of `\(uid)` are known, but those of its parent `\(parent)` are not"
    case .hierarchy(let error): error.description
    case .undeclaredPrincipalType(let type, _): "principal type `\(type)` is not declared in the schema"
    case .undeclaredResourceType(let type, _): "resource type `\(type)` is not declared in the schema"
    case .principalType(let type, let action, _): "principal type `\(type)` is not valid for `\(action)`"
    case .resourceType(let type, let action, _): "resource type `\(type)` is not valid for `\(action)`"
    case .context(let action, let mismatch): "context is not valid for `\(action)`\(mismatch.place): \(mismatch.problem)"
    }
  }

  /// What to try; nil where there is no good guess.
  public var help: String? {
    switch self {
    case .undeclaredType(_, let near?), .undeclaredAction(_, let near?), .undeclaredPrincipalType(_, let near?),
      .undeclaredResourceType(_, let near?):
      "did you mean `\(near)`?"
    case .invalidEnumeratedID(_, let valid):
      "valid entity eids: \(valid.prefix(20).map { Value.string($0).description }.joined(separator: ", "))"
    case .actionMismatch:
      "to use the schema's definition of the action, simply omit it from the entities input data"
    case .principalType(_, let action, let valid): Self.help("principal", action, valid)
    case .resourceType(_, let action, let valid): Self.help("resource", action, valid)
    default: nil
    }
  }

  private static func help(_ variable: String, _ action: EntityUID, _ valid: [EntityType]) -> String {
    guard !valid.isEmpty else { return "no \(variable) types are valid for `\(action)`; it is a group of actions" }
    return "valid \(variable) types for `\(action)`: \(valid.prefix(20).map { "`\($0)`" }.joined(separator: ", "))"
  }
}
