/// Entities with their hierarchy, which has no cycles.
public struct Entities: Sendable {
  /// The entities by name.
  public private(set) var byUID: [EntityUID: Entity] = [:]

  /// No entities.
  public init() {}

  /// Entities as given. Two of one name must be equal; cycles are refused.
  public init(_ entities: some Sequence<Entity>) throws(EntitiesError) {
    byUID.reserveCapacity(entities.underestimatedCount)
    for entity in entities {
      if let other = byUID.updateValue(entity, forKey: entity.uid), other != entity { throw .duplicate(entity.uid) }
    }
    try refuseCycles()
  }

  /// How many entities.
  public var count: Int { byUID.count }

  /// The entity of that name.
  public subscript(uid: EntityUID) -> Entity? { byUID[uid] }

  /// All ancestors of a name, transitively; empty for one that is no entity here.
  public func ancestors(of uid: EntityUID) -> Set<EntityUID> {
    var reached: Set<EntityUID> = []
    var queue = [uid]
    while let next = queue.popLast() {
      for parent in byUID[next]?.parents ?? [] where reached.insert(parent).inserted { queue.append(parent) }
    }
    return reached
  }

  /// Only what has parents and is a parent can be on a cycle; most entities of a large store are one of the two.
  private func refuseCycles() throws(EntitiesError) {
    var inner: [EntityUID: Set<EntityUID>] = [:]
    for entity in byUID.values {
      for parent in entity.parents where inner[parent] == nil {
        if let above = byUID[parent]?.parents, !above.isEmpty { inner[parent] = above }
      }
    }
    var isDone: Set<EntityUID> = []
    var isOpen: Set<EntityUID> = []
    for start in inner.keys where !isDone.contains(start) {
      // Depth first with a stack of its own: hierarchies come from outside and may be deep.
      var stack = [start]
      while let uid = stack.last {
        guard !isDone.contains(uid), let parents = inner[uid] else {
          stack.removeLast()
          continue
        }
        if isOpen.insert(uid).inserted {
          for parent in parents {
            if isOpen.contains(parent) { throw .cycle(parent) }
            if !isDone.contains(parent), inner[parent] != nil { stack.append(parent) }
          }
        } else {
          isDone.insert(uid)
          isOpen.remove(uid)
          stack.removeLast()
        }
      }
    }
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
