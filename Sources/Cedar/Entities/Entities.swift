/// Entities with their hierarchy, closed under "parent of" and without cycles.
public struct Entities: Sendable {
  /// The entities by name.
  public private(set) var byUID: [EntityUID: Entity] = [:]
  private var closure: [EntityUID: Set<EntityUID>] = [:]

  /// No entities.
  public init() {}

  /// Entities as given. Two of one name must be equal; cycles are refused.
  public init(_ entities: some Sequence<Entity>) throws(EntitiesError) {
    for entity in entities {
      if let other = byUID[entity.uid], other != entity { throw .duplicate(entity.uid) }
      byUID[entity.uid] = entity
    }
    closure = try Self.close(byUID)
  }

  /// How many entities.
  public var count: Int { byUID.count }

  /// The entity of that name.
  public subscript(uid: EntityUID) -> Entity? { byUID[uid] }

  /// All ancestors of a name, transitively; empty for one that is no entity here.
  public func ancestors(of uid: EntityUID) -> Set<EntityUID> { closure[uid] ?? [] }

  private static func close(_ entities: [EntityUID: Entity]) throws(EntitiesError) -> [EntityUID: Set<EntityUID>] {
    var closure: [EntityUID: Set<EntityUID>] = [:]
    closure.reserveCapacity(entities.count)
    var open: Set<EntityUID> = []
    for start in entities.keys where closure[start] == nil {
      // Depth first with a stack of its own: hierarchies come from outside and may be deep.
      var stack = [start]
      while let uid = stack.last {
        guard closure[uid] == nil, let entity = entities[uid] else {
          stack.removeLast()
          continue
        }
        if open.insert(uid).inserted {
          for parent in entity.parents {
            if open.contains(parent) { throw .cycle(parent) }
            if closure[parent] == nil, entities[parent] != nil { stack.append(parent) }
          }
        } else {
          var ancestors = entity.parents
          for parent in entity.parents { if let more = closure[parent] { ancestors.formUnion(more) } }
          closure[uid] = ancestors
          open.remove(uid)
          stack.removeLast()
        }
      }
    }
    return closure
  }
}

/// Why entities are no hierarchy.
public enum EntitiesError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Two different entities of one name.
  case duplicate(EntityUID)
  /// An entity that is its own ancestor.
  case cycle(EntityUID)

  /// One line for a person.
  public var description: String {
    switch self {
    case .duplicate(let uid): "duplicate entity entry `\(uid)`"
    case .cycle(let uid): "the hierarchy has a cycle containing `\(uid)`"
    }
  }
}
