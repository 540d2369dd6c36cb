/// The entities of a set, numbered: a fraction of what they take as values, and the layer that authorizers lie on or copy.
final class EntityStore: @unchecked Sendable {
  // Everything below is written before `close` ends, when nobody else can see it, and only read afterwards.
  let layer = Layer.make(on: nil)
  /// Entities that numbers alone do not bring back as they were written, by their place.
  private var exact: [Int32: Entity] = [:]
  // Entities with the same parents are one family: its parents in ascending order, and by the place of an entity its family.
  private var families = Pool<Layer.Run>()
  private var parents = Pool<Int32>()
  private var familyIndex = HashIndex()
  private var familyOf = Pool<Int32>()
  private var scratch: [Int32] = []
  private let empty: Int32

  init() { empty = layer.record(.empty) }

  deinit {
    layer.free()
    families.deallocate()
    parents.deallocate()
    familyIndex.deallocate()
    familyOf.deallocate()
  }

  var count: Int { familyOf.count }

  // MARK: Building

  /// Takes an entity in; two of one name must be equal.
  func add(_ entity: Entity) throws(EntitiesError) {
    let number = layer.uid(entity.uid)
    if let place = layer.placeOf(uid: number) {
      guard self.entity(at: place) == entity else { throw .duplicate(entity.uid) }
      exact[place] = entity
      return
    }
    let place = Int32(truncatingIfNeeded: count)
    layer.place(
      uid: number, attributes: entity.attributes.isEmpty ? empty : layer.record(entity.attributes),
      tags: entity.tags.isEmpty ? empty : layer.record(entity.tags))
    familyOf.append(family(of: entity.parents))
    if entity.attributes.isSpelled || entity.tags.isSpelled { exact[place] = entity }
  }

  private func family(of given: Set<EntityUID>) -> Int32 {
    scratch.removeAll(keepingCapacity: true)
    for parent in given { scratch.append(layer.uid(parent)) }
    if scratch.count > 1 { scratch.sort() }
    var hash = Mix.seed
    for number in scratch { hash = Mix.hash(UInt64(UInt32(bitPattern: number)), hash) }
    let found = familyIndex.find(hash) { family in
      let run = families[family]
      guard Int(run.count) == scratch.count else { return false }
      for index in 0..<scratch.count where parents[Int(run.start) + index] != scratch[index] { return false }
      return true
    }
    if let found { return found }
    let family = Int32(truncatingIfNeeded: families.count)
    families.append(Layer.Run(start: Int32(truncatingIfNeeded: parents.count), count: Int32(truncatingIfNeeded: scratch.count)))
    for number in scratch { parents.append(number) }
    familyIndex.insert(hash, family)
    return family
  }

  /// Closes the hierarchy and ends the building.
  func close() throws(EntitiesError) {
    var ancestors = [Layer.Run?](repeating: nil, count: families.count)
    var isOpen = [Bool](repeating: false, count: families.count)
    // Depth first with a stack of its own: hierarchies come from outside and may be deep.
    var stack: [Int32] = []
    for start in 0..<families.count where ancestors[start] == nil {
      stack.append(Int32(truncatingIfNeeded: start))
      while let family = stack.last {
        if ancestors[Int(family)] != nil {
          stack.removeLast()
        } else if isOpen[Int(family)] {
          ancestors[Int(family)] = try gather(family, ancestors)
          stack.removeLast()
        } else {
          isOpen[Int(family)] = true
          try forEachParent(of: family) { (parent) throws(EntitiesError) in
            guard let place = layer.placeOf(uid: parent), ancestors[Int(familyOf[place])] == nil else { return }
            guard !isOpen[Int(familyOf[place])] else { throw .cycle(layer.value(ofUID: parent)) }
            stack.append(familyOf[place])
          }
        }
      }
    }
    for place in 0..<count { if let run = ancestors[Int(familyOf[place])] { layer.setAncestors(ofPlace: place, run) } }
    layer.seal()
    families.trim()
    parents.trim()
    familyOf.trim()
    familyIndex.removeAll()
    scratch = []
  }

  /// The parents of a family with their ancestors, which are known.
  private func gather(_ family: Int32, _ ancestors: [Layer.Run?]) throws(EntitiesError) -> Layer.Run {
    scratch.removeAll(keepingCapacity: true)
    forEachParent(of: family) { parent in
      scratch.append(parent)
      guard let place = layer.placeOf(uid: parent), let above = ancestors[Int(familyOf[place])] else { return }
      for index in 0..<above.count { scratch.append(layer.ancestors[above.start &+ index]) }
    }
    scratch.sort()
    var count = 0
    for index in scratch.indices where count == 0 || scratch[count - 1] != scratch[index] {
      scratch[count] = scratch[index]
      count += 1
    }
    scratch.removeLast(scratch.count - count)
    guard layer.ancestors.count + count <= Self.mostAncestors else { throw .tooManyAncestors(limit: Self.mostAncestors) }
    return layer.addAncestors(scratch)
  }

  private static let mostAncestors = 1 << 28

  private func forEachParent<Failure: Error>(of family: Int32, _ body: (Int32) throws(Failure) -> Void) throws(Failure) {
    let run = families[family]
    for index in 0..<run.count { try body(parents[run.start &+ index]) }
  }

  // MARK: Reading

  func place(of uid: EntityUID) -> Int32? { layer.findUID(uid).flatMap { layer.placeOf(uid: $0) } }

  func uid(at place: Int) -> EntityUID { layer.value(ofUID: layer.slots[place].uid) }

  /// The entity at a place, as it was given.
  func entity(at place: Int32) -> Entity {
    if let entity = exact[place] { return entity }
    let slot = layer.slots[place]
    var above: Set<EntityUID> = []
    forEachParent(of: familyOf[place]) { above.insert(layer.value(ofUID: $0)) }
    return Entity(
      uid: layer.value(ofUID: slot.uid), attributes: layer.value(ofRecord: slot.attributes), parents: above,
      tags: layer.value(ofRecord: slot.tags))
  }
}

extension Record {
  /// Whether it holds what is more than its number says: a value that remembers how it was written, or something unknown.
  fileprivate var isSpelled: Bool { fields.contains { $0.value.isSpelled } }
}

extension Value {
  fileprivate var isSpelled: Bool {
    switch self {
    case .bool, .long, .string, .entity: false
    case .decimal, .ip, .datetime, .duration, .unknown: true
    case .set(let set): set.elements.contains { $0.isSpelled }
    case .record(let record): record.isSpelled
    }
  }
}
