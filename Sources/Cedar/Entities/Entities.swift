/// Entities with their hierarchy, which has no cycles.
///
/// They are held as numbers; `Entity` values are made when they are asked for.
public struct Entities: Sendable, Equatable {
  let store: EntityStore

  /// No entities.
  public init() { store = Self.none }

  private static let none: EntityStore = {
    let store = EntityStore()
    store.layer.seal()
    return store
  }()

  /// Entities as given. Two of one name must be equal; cycles are refused.
  public init(_ entities: some Sequence<Entity>) throws(EntitiesError) {
    let builder = EntitiesBuilder()
    for entity in entities { try builder.add(entity) }
    self = try builder.finish()
  }

  fileprivate init(_ store: EntityStore) { self.store = store }

  /// How many entities.
  public var count: Int { store.count }

  /// The entity of that name.
  public subscript(uid: EntityUID) -> Entity? { store.place(of: uid).map { store.entity(at: $0) } }

  /// The entities, each made anew.
  public var all: [Entity] { (0..<count).map { store.entity(at: Int32(truncatingIfNeeded: $0)) } }

  /// The names of the entities.
  public var uids: [EntityUID] { (0..<count).map { store.uid(at: $0) } }

  /// All ancestors of a name, transitively; empty for one that is no entity here.
  public func ancestors(of uid: EntityUID) -> Set<EntityUID> {
    guard let number = store.layer.findUID(uid) else { return [] }
    var ancestors: Set<EntityUID> = []
    store.layer.forEachAncestor(number) { ancestors.insert(store.layer.value(ofUID: $0)) }
    return ancestors
  }

  /// Whether both hold equal entities.
  public static func == (a: Entities, b: Entities) -> Bool {
    a.store === b.store || (a.count == b.count && a.all.allSatisfy { b[$0.uid] == $0 })
  }
}

/// Collects entities one by one, so that a large set need never be held as values.
public final class EntitiesBuilder {
  private let store = EntityStore()

  /// Nothing yet.
  public init() {}

  /// Whether there is an entity of that name.
  public func contains(_ uid: EntityUID) -> Bool { store.place(of: uid) != nil }

  /// Adds an entity; one of that name must equal it.
  public func add(_ entity: Entity) throws(EntitiesError) { try store.add(entity) }

  /// The entities, whose hierarchy is closed here; to be called once.
  public func finish() throws(EntitiesError) -> Entities {
    try store.close()
    return Entities(store)
  }
}

/// Why entities are no hierarchy.
public enum EntitiesError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Two different entities of one name.
  case duplicate(EntityUID)
  /// An entity that is its own ancestor.
  case cycle(EntityUID)
  /// More ancestors in all than are held.
  case tooManyAncestors(limit: Int)

  /// One line for a person.
  public var description: String {
    switch self {
    case .duplicate(let uid): "duplicate entity entry `\(uid)`"
    case .cycle(let uid): "the hierarchy has a cycle containing `\(uid)`"
    case .tooManyAncestors(let limit):
      "the hierarchy is too deep and wide: its entities have more than \(limit) ancestors in all; keep groups flatter"
    }
  }
}
