internal import AWS
internal import Cedar

/// What questions to engines elsewhere say of one identity. It is the same in all of them: found and written once a token.
struct RemoteIdentity: Sendable {
  /// An access token's claims, as the API writes them; nil for an ID token.
  let token: [UInt8]?
  /// The principal and what can be reached from it; nil where it cannot be told without the request.
  let entities: Reachable?

  /// What can be reached from the principal.
  struct Reachable: Sendable {
    let entities: [Entity]
    /// The same, as the API writes them.
    let written: AuthorizationCall.WrittenEntities
    /// Everything come by, also what nothing is known of.
    let reached: Set<EntityUID>

    /// Whether entities of a request say nothing of these.
    func isApart(from own: [Entity]) -> Bool { own.allSatisfy { !reached.contains($0.uid) } }
  }

  init(_ principal: EntityUID, _ claimed: [Entity], token: Record?, known: Entities) throws(Stop) {
    self.token = token.flatMap(AuthorizationCall.written)
    let (entities, reached) = try EntitySlice(claimed, known: known).reachable(from: [principal], .empty)
    // One that only a request leads to is found there.
    if claimed.allSatisfy({ reached.contains($0.uid) }), let written = AuthorizationCall.WrittenEntities(entities) {
      self.entities = Reachable(entities: entities, written: written, reached: reached)
    } else {
      self.entities = nil
    }
  }
}

/// The entities that can matter to a question: those of token and request, and the static ones that can be reached from them.
struct EntitySlice {
  private var byUID: [EntityUID: Entity] = [:]
  private let known: Entities
  private var order: [EntityUID] = []

  /// Entities that came with the token and the request, and those that are always there.
  init(_ entities: [Entity], known: Entities) throws(Stop) {
    self.known = known
    for entity in entities { try add(entity) }
    for uid in order {
      if let entity = known[uid] { try add(entity) }
    }
  }

  // As the local engine joins them: parents add up, attributes come from one place alone.
  private mutating func add(_ entity: Entity) throws(Stop) {
    guard var merged = byUID[entity.uid] else {
      byUID[entity.uid] = entity
      order.append(entity.uid)
      return
    }
    let hasContent = !entity.attributes.isEmpty || !entity.tags.isEmpty
    if hasContent {
      guard merged.attributes.isEmpty, merged.tags.isEmpty else {
        throw .refuse(.engineFailed(detail: OverlayError.conflict(entity.uid).description))
      }
      merged.attributes = entity.attributes
      merged.tags = entity.tags
    }
    merged.parents.formUnion(entity.parents)
    byUID[entity.uid] = merged
  }

  /// Everything that can be reached by parents, attributes and tags, in the order of reaching, and all names that were come by.
  /// Actions come from the store's schema.
  ///
  /// - Parameter besides: names that were come by before.
  consuming func reachable(from starts: [EntityUID], _ context: Record, besides: Set<EntityUID> = []) -> (
    entities: [Entity], reached: Set<EntityUID>
  ) {
    var reached = besides
    var queue: [EntityUID] = []
    var found: [Entity] = []
    func reach(_ uid: EntityUID) { if !uid.type.isAction, reached.insert(uid).inserted { queue.append(uid) } }
    func reach(in value: Value) {
      switch value {
      case .entity(let uid): reach(uid)
      case .set(let set): for element in set.elements { reach(in: element) }
      case .record(let record): for field in record.fields { reach(in: field.value) }
      case .bool, .long, .string, .decimal, .ip, .datetime, .duration, .unknown: break
      }
    }
    for uid in starts { reach(uid) }
    reach(in: .record(context))
    var next = 0
    while next < queue.count {
      let uid = queue[next]
      next += 1
      guard let entity = byUID[uid] ?? known[uid] else { continue }
      found.append(entity)
      for parent in entity.parents.sorted() { reach(parent) }
      reach(in: .record(entity.attributes))
      reach(in: .record(entity.tags))
    }
    return (found, reached)
  }
}
