public import Cedar

/// Entities of which parts may be unknown, held to a schema, with the schema's actions. A uid that is not listed is unknown,
/// not missing.
public struct PartialEntities: Sendable {
  private var entities: [EntityUID: PartialEntity] = [:]
  private var ancestors: [EntityUID: Set<EntityUID>] = [:]

  /// Entities that fit a schema: what is known of each conforms, and the parents of known parents are known.
  public init(_ list: some Sequence<PartialEntity>, schema: Schema) throws(ConformanceError) {
    for entity in list {
      guard entities.updateValue(entity, forKey: entity.uid) == nil else { throw .hierarchy(.duplicate(entity.uid)) }
      try schema.check(entity)
    }
    var known: [Entity] = []
    for entity in entities.values {
      guard let parents = entity.parents else { continue }
      for parent in parents {
        if let above = entities[parent], above.parents == nil { throw .unknownAncestors(entity.uid, parent: parent) }
      }
      known.append(Entity(uid: entity.uid, parents: parents))
    }
    known += schema.actionEntities
    let hierarchy: Entities
    do throws(EntitiesError) { hierarchy = try Entities(known) } catch { throw .hierarchy(error) }
    for entity in known { ancestors[entity.uid] = hierarchy.ancestors(of: entity.uid) }
    for action in schema.actionEntities {
      entities[action.uid] = PartialEntity(uid: action.uid, attributes: .empty, parents: action.parents, tags: .empty)
    }
  }

  /// The attributes of an entity; nil if they are unknown.
  public func attributes(of uid: EntityUID) -> Record? { entities[uid]?.attributes }
  /// The tags of an entity; nil if they are unknown.
  public func tags(of uid: EntityUID) -> Record? { entities[uid]?.tags }
  /// All ancestors of an entity; nil if they are unknown.
  public func ancestors(of uid: EntityUID) -> Set<EntityUID>? { ancestors[uid] }
}

extension Schema {
  /// Checks what is known of an entity.
  func check(_ entity: PartialEntity) throws(ConformanceError) {
    guard let type = entityType(entity.uid.type) else { throw .undeclaredType(entity.uid, suggestion: nil) }
    try check(entity.uid)
    if let parents = entity.parents { try check(parents: parents, of: entity.uid) }
    if let attributes = entity.attributes { try check(attributes: attributes, of: entity.uid, type) }
    if let tags = entity.tags { try check(tags: tags, of: entity.uid, type) }
  }
}
