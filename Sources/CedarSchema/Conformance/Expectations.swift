internal import Bytes
public import Cedar

/// What the readers of entities and contexts ask of a schema.
extension Schema: EntitySchema {
  /// What is expected of entities of a type; nil for a type that is not declared and for types of actions.
  public func expectedEntity(of type: EntityType) -> ExpectedEntity? {
    guard let definition = entityType(type) else { return nil }
    return ExpectedEntity(attributes: definition.attributes.expectation, tags: definition.tags?.expectation)
  }

  /// The declared type whose name is nearest.
  public func nearestType(to type: EntityType) -> EntityType? {
    Spelling.nearest(to: type.text, among: entityTypes.map(\.name.text)).flatMap { near in
      entityTypes.first { exactlyEquals($0.name.text, near) }?.name
    }
  }

  /// What is expected of the context of an action; nil for one that is not declared.
  public func expectedContext(of action: EntityUID) -> [ExpectedAttribute]? { self.action(action)?.context.expectation }
}

extension RecordType {
  /// The attributes as the reader of JSON expects them.
  var expectation: [ExpectedAttribute] {
    attributes.map { ExpectedAttribute($0.name, $0.type.expectation, isRequired: $0.isRequired) }
  }
}

extension CedarType {
  /// The type as the reader of JSON expects it. Types of a schema are of these kinds only.
  var expectation: ExpectedType {
    switch self {
    case .bool, .true, .false: .bool
    case .long: .long
    case .string: .string
    case .entity(let union): union.single.map { .entity($0) } ?? .record([], isOpen: true)
    case .set(let element): .set(element?.expectation ?? .record([], isOpen: true))
    case .record(let record): .record(record.expectation, isOpen: record.isOpen)
    case .extension(let type): .extension(type)
    case .never, .anyEntity: .record([], isOpen: true)
    }
  }
}
