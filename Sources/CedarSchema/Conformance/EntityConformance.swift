internal import Bytes
public import Cedar

extension Schema {
  /// A store of entities that fit the schema, together with the schema's actions.
  ///
  /// Source: Cedar reference, "entities and the schema". Actions among the entities must equal their declarations.
  public func store(of entities: some Sequence<Entity>) throws(ConformanceError) -> Entities {
    let all = Array(entities)
    for entity in all where !entity.uid.type.isAction { try check(entity) }
    do throws(EntitiesError) { _ = try Entities(all) } catch { throw .hierarchy(error) }
    // The schema's own actions replace those listed.
    try check(actions: all.filter(\.uid.type.isAction))
    do throws(EntitiesError) { return try Entities(all.filter { !$0.uid.type.isAction } + actionEntities) } catch {
      throw .hierarchy(error)
    }
  }

  /// Checks actions that are listed among entities: they are as declared, their parents perhaps spelled out transitively.
  func check(actions: [Entity]) throws(ConformanceError) {
    let listed: Entities
    do throws(EntitiesError) { listed = try Entities(actions) } catch { throw .hierarchy(error) }
    for action in actions { try checkAction(action, ancestors: listed.ancestors(of: action.uid)) }
  }

  /// Checks one entity: its type, attributes, tags and parents. Actions are compared with their declarations by `store`.
  public func check(_ entity: Entity) throws(ConformanceError) {
    let uid = entity.uid
    if uid.type.isAction { return try checkAction(entity, ancestors: entity.parents) }
    guard let type = entityType(uid.type) else {
      throw .undeclaredType(uid, suggestion: nearestType(to: uid.type)?.text)
    }
    try check(uid)
    try check(attributes: entity.attributes, of: uid, type)
    try check(parents: entity.parents, of: uid)
    try check(tags: entity.tags, of: uid, type)
  }

  /// Everything wrong with an entity that is no action; what `check` finds is the first of it.
  public func problems(in entity: Entity) -> [ConformanceError] {
    var problems: [ConformanceError] = []
    func note(_ check: () throws(ConformanceError) -> Void) {
      do throws(ConformanceError) { try check() } catch { problems.append(error) }
    }
    let uid = entity.uid
    guard let type = entityType(uid.type) else {
      note { () throws(ConformanceError) in try check(entity) }
      return problems
    }
    note { () throws(ConformanceError) in try check(uid) }
    for attribute in type.attributes.attributes where attribute.isRequired && entity.attributes[attribute.name] == nil {
      problems.append(.missingAttribute(uid, attribute.name))
    }
    for field in entity.attributes.fields { note { () throws(ConformanceError) in try check(attribute: field, of: uid, type) } }
    for parent in entity.parents.sorted() { note { () throws(ConformanceError) in try check(parent: parent, of: uid) } }
    for tag in entity.tags.fields { note { () throws(ConformanceError) in try check(tag: tag, of: uid, type) } }
    return problems
  }

  func check(attributes: Record, of uid: EntityUID, _ type: EntityTypeDefinition) throws(ConformanceError) {
    for attribute in type.attributes.attributes where attribute.isRequired && attributes[attribute.name] == nil {
      throw .missingAttribute(uid, attribute.name)
    }
    for field in attributes.fields { try check(attribute: field, of: uid, type) }
  }

  private func check(attribute field: Record.Field, of uid: EntityUID, _ type: EntityTypeDefinition) throws(ConformanceError) {
    guard let attribute = type.attributes[field.key] else { throw .unexpectedAttribute(uid, field.key) }
    if let mismatch = attribute.type.mismatch(with: field.value) { throw .attributeType(uid, field.key, mismatch) }
    try checkUIDs(in: field.value)
  }

  func check(parents: Set<EntityUID>, of uid: EntityUID) throws(ConformanceError) {
    for parent in parents { try check(parent: parent, of: uid) }
  }

  private func check(parent: EntityUID, of uid: EntityUID) throws(ConformanceError) {
    try check(parent)
    guard canBe(uid.type, below: parent.type) else { throw .ancestorType(uid, parent.type) }
  }

  func check(tags: Record, of uid: EntityUID, _ type: EntityTypeDefinition) throws(ConformanceError) {
    for tag in tags.fields { try check(tag: tag, of: uid, type) }
  }

  private func check(tag: Record.Field, of uid: EntityUID, _ type: EntityTypeDefinition) throws(ConformanceError) {
    guard let tags = type.tags else { throw .unexpectedTag(uid, tag.key) }
    if let mismatch = tags.mismatch(with: tag.value) { throw .tagType(uid, tag.key, mismatch) }
    try checkUIDs(in: tag.value)
  }

  private func checkAction(_ entity: Entity, ancestors: Set<EntityUID>) throws(ConformanceError) {
    guard action(entity.uid) != nil else { throw undeclared(entity.uid) }
    guard entity.attributes.isEmpty, entity.tags.isEmpty, ancestors == Set(self.ancestors(ofAction: entity.uid)) else {
      throw .actionMismatch(entity.uid)
    }
  }

  func undeclared(_ action: EntityUID) -> ConformanceError {
    .undeclaredAction(action, suggestion: Spelling.nearest(to: action.description, among: actions.map(\.uid.description)))
  }

  /// Checks a uid wherever it stands: an enumerated type must list its id, an action must be declared.
  func check(_ uid: EntityUID) throws(ConformanceError) {
    if let type = entityType(uid.type), !type.allows(id: uid.id) { throw .invalidEnumeratedID(uid, valid: type.enumeratedIDs ?? []) }
    if uid.type.isAction, action(uid) == nil { throw undeclared(uid) }
  }

  /// Checks every uid inside a value.
  func checkUIDs(in value: Value) throws(ConformanceError) {
    var uids: [EntityUID] = []
    value.forEachUID { uids.append($0) }
    for uid in uids { try check(uid) }
  }
}
