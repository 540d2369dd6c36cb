/// Why entities cannot be laid over others.
public enum OverlayError: Error, Sendable, Equatable, CustomStringConvertible {
  /// An entity that has attributes or tags in both places: neither can be taken for the truth.
  case conflict(EntityUID)
  /// An entity that would become its own ancestor.
  case cycle(EntityUID)

  /// One line for a person.
  public var description: String {
    switch self {
    case .conflict(let uid): "entity `\(uid)` has attributes here and among the static entities; define them in one place"
    case .cycle(let uid): "the hierarchy would have a cycle containing `\(uid)`"
    }
  }
}

extension Layer {
  /// Lays entities over those of the layers below.
  ///
  /// A uid in both keeps the parents of both; attributes and tags come from the one that has any, and it is an error if
  /// both do. Ancestors are closed over what all layers know.
  func overlay(_ entities: some Collection<Entity>) throws(OverlayError) {
    guard !entities.isEmpty else { return }
    if entities.count == 1, let entity = entities.first { return try overlay(one: entity) }
    let empty = record(.empty)
    var merged: [Int32: Merged] = [:]
    for entity in entities {
      let number = uid(entity.uid)
      var here = merged[number] ?? Merged(below: below?.slot(number), empty: empty)
      let hasContent = !entity.attributes.isEmpty || !entity.tags.isEmpty
      if hasContent {
        if here.hasContent { throw .conflict(entity.uid) }
        here.attributes = record(entity.attributes)
        here.tags = record(entity.tags)
        here.hasContent = true
      }
      for parent in entity.parents { here.parents.append(uid(parent)) }
      merged[number] = here
    }
    for number in merged.keys.sorted() {
      guard let entity = merged[number] else { continue }
      let all = try closure(of: number, merged)
      add(
        uid: number, attributes: entity.attributes >= 0 ? entity.attributes : empty, tags: entity.tags >= 0 ? entity.tags : empty,
        ancestors: all)
      if !entity.parents.isEmpty, number < firstUID, below?.mayHaveDescendants(number) ?? false { addBridge(number) }
    }
  }

  /// `overlay` of one entity, as most requests bring at most one: without tables.
  private func overlay(one entity: Entity) throws(OverlayError) {
    let number = uid(entity.uid)
    let empty = record(.empty)
    let known = Merged(below: below?.slot(number), empty: empty)
    var attributes = known.attributes >= 0 ? known.attributes : empty
    var tags = known.tags >= 0 ? known.tags : empty
    if !entity.attributes.isEmpty || !entity.tags.isEmpty {
      if known.hasContent { throw .conflict(entity.uid) }
      attributes = record(entity.attributes)
      tags = record(entity.tags)
    }
    guard add(uid: number, attributes: attributes, tags: tags, parents: entity.parents) else { throw .cycle(entity.uid) }
    if !entity.parents.isEmpty, number < firstUID, below?.mayHaveDescendants(number) ?? false { addBridge(number) }
  }

  private struct Merged {
    var attributes: Int32 = -1
    var tags: Int32 = -1
    var hasContent = false
    var parents: [Int32] = []

    init(below slot: Slot?, empty emptyRecord: Int32) {
      guard let slot, slot.exists else { return }
      attributes = slot.attributes
      tags = slot.tags
      hasContent = slot.attributes != emptyRecord || slot.tags != emptyRecord
    }
  }

  private func closure(of start: Int32, _ merged: [Int32: Merged]) throws(OverlayError) -> [Int32] {
    var reached: Set<Int32> = []
    var queue: [Int32] = []
    func reach(_ uid: Int32) { if reached.insert(uid).inserted { queue.append(uid) } }
    func reachParents(of uid: Int32) {
      if let here = merged[uid] { here.parents.forEach(reach) }
      below?.forEachAncestor(uid, reach)
    }
    reachParents(of: start)
    while let next = queue.popLast() { reachParents(of: next) }
    guard !reached.contains(start) else { throw .cycle(value(ofUID: start)) }
    return reached.sorted()
  }
}
