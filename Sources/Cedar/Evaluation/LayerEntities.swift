/// Entities and what is known of their hierarchy.
extension Layer {
  @inline(__always) private func localSlot(_ uid: Int32) -> Int32? {
    if Int(uid) < dense.count {
      let slot = dense[uid]
      return slot < 0 ? nil : slot
    }
    guard slotIndex.count > 0 else { return nil }
    let hash = Mix.hash(UInt64(UInt32(bitPattern: uid)), seed)
    return slotIndex.find(hash) { slots[$0].uid == uid }
  }

  /// The entity of that number in the topmost layer that has one.
  @inline(__always) func slot(_ uid: Int32) -> Slot? {
    var layer: Layer? = self
    while let here = layer {
      if let slot = here.localSlot(uid) { return here.slots[slot] }
      layer = here.below
    }
    return nil
  }

  /// Adds an entity to this layer; there is none of that number in it.
  func add(uid: Int32, attributes: Int32, tags: Int32, ancestors sorted: [Int32]) {
    add(uid: uid, attributes: attributes, tags: tags, ancestors: addAncestors(sorted))
  }

  /// Adds an entity below another, or below none.
  func add(uid: Int32, attributes: Int32, tags: Int32, below parent: Int32?) {
    let start = ancestors.count
    if let parent { addLineage(of: parent) }
    add(uid: uid, attributes: attributes, tags: tags, ancestors: settleAncestors(from: start))
  }

  /// Adds the only entity of this layer, closing its ancestors over the layers below; false if it would be its own.
  func add(uid: Int32, attributes: Int32, tags: Int32, parents: Set<EntityUID>) -> Bool {
    let start = ancestors.count
    for parent in parents { addLineage(of: self.uid(parent)) }
    below?.forEachAncestor(uid) { at.pointee.ancestors.append($0) }
    let run = settleAncestors(from: start)
    guard !contains(uid, run) else { return false }
    add(uid: uid, attributes: attributes, tags: tags, ancestors: run)
    return true
  }

  private func add(uid: Int32, attributes: Int32, tags: Int32, ancestors run: Run) {
    let number = Int32(truncatingIfNeeded: slots.count)
    at.pointee.slots.append(Slot(uid: uid, attributes: attributes, tags: tags, ancestors: run))
    at.pointee.slotIndex.insert(Mix.hash(UInt64(UInt32(bitPattern: uid)), seed), number)
  }

  private func addLineage(of uid: Int32) {
    at.pointee.ancestors.append(uid)
    forEachAncestor(uid) { at.pointee.ancestors.append($0) }
  }

  /// Puts what was added in ascending order, each once.
  private func settleAncestors(from start: Int) -> Run {
    let added = UnsafeMutableBufferPointer(start: ancestors.base + start, count: ancestors.count - start)
    added.sortFew { $0 < $1 }
    var count = 0
    for ancestor in added where count == 0 || added[count - 1] != ancestor {
      added[count] = ancestor
      count += 1
    }
    at.pointee.ancestors.truncate(to: start + count)
    return Run(start: Int32(truncatingIfNeeded: start), count: Int32(truncatingIfNeeded: count))
  }

  /// Takes in a static entity, whose ancestors come later; there is none of that number yet.
  func place(uid: Int32, attributes: Int32, tags: Int32) {
    if dense.count < uid + 1 { at.pointee.dense.append(repeating: -1, count: Int(uid) + 1 - dense.count) }
    dense[uid] = Int32(truncatingIfNeeded: slots.count)
    at.pointee.slots.append(Slot(uid: uid, attributes: attributes, tags: tags, ancestors: Run(start: 0, count: 0)))
  }

  /// The place of a static entity.
  @inline(__always) func placeOf(uid: Int32) -> Int32? { Int(uid) < dense.count && dense[uid] >= 0 ? dense[uid] : nil }

  /// Adds ancestors that static entities can share, in ascending order.
  func addAncestors(_ sorted: [Int32]) -> Run {
    let run = Run(start: Int32(truncatingIfNeeded: ancestors.count), count: Int32(truncatingIfNeeded: sorted.count))
    sorted.withUnsafeBufferPointer { at.pointee.ancestors.append($0) }
    return run
  }

  func setAncestors(ofPlace place: Int, _ run: Run) { slots.base[place].ancestors = run }

  /// Ends a layer of static entities.
  func seal() {
    at.pointee.hasDescendants.append(repeating: false, count: uids.count)
    at.pointee.dense.append(repeating: -1, count: uids.count - dense.count)
    for index in 0..<ancestors.count { hasDescendants[ancestors[index]] = true }
    trim()
  }

  /// Whether something in this layer or below may have the uid as an ancestor.
  func mayHaveDescendants(_ uid: Int32) -> Bool {
    if Int(uid) < hasDescendants.count { return hasDescendants[uid] }
    guard let below else { return false }
    return ancestors.count > 0 || below.mayHaveDescendants(uid)
  }

  /// Whether something in this layer or below has the uid as an ancestor.
  func hasDescendants(of uid: Int32) -> Bool {
    if Int(uid) < hasDescendants.count { return hasDescendants[uid] }
    // What static entities do not name has none among them.
    guard let below else { return false }
    for index in 0..<ancestors.count where ancestors[index] == uid { return true }
    return below.hasDescendants(of: uid)
  }

  /// Notes an entity of this layer through which entities below reach ancestors.
  func addBridge(_ uid: Int32) { at.pointee.bridges.append(uid) }

  /// Calls `body` with every ancestor of an entity, some perhaps twice.
  func forEachAncestor(_ uid: Int32, _ body: (Int32) -> Void) {
    if let slot = localSlot(uid) {
      let run = slots[slot].ancestors
      for index in 0..<run.count { body(ancestors[run.start &+ index]) }
      return
    }
    below?.forEachAncestor(uid, body)
    guard let below else { return }
    for index in 0..<bridges.count where below.isAncestor(bridges[index], of: uid) { forEachAncestor(bridges[index], body) }
  }

  /// Whether one entity is a proper ancestor of another.
  func isAncestor(_ ancestor: Int32, of uid: Int32) -> Bool {
    var layer: Layer? = self
    while let here = layer {
      if let slot = here.localSlot(uid) { return here.contains(ancestor, here.slots[slot].ancestors) }
      if here.bridges.count > 0, let below = here.below {
        if below.isAncestor(ancestor, of: uid) { return true }
        for index in 0..<here.bridges.count {
          let bridge = here.bridges[index]
          if below.isAncestor(bridge, of: uid), here.isAncestor(ancestor, of: bridge) { return true }
        }
        return false
      }
      layer = here.below
    }
    return false
  }

  /// All ancestors of an entity in ascending order, valid while no entity is added; nil where layers must be asked one by one.
  func ancestorList(of uid: Int32) -> UnsafeBufferPointer<Int32>? {
    var layer: Layer? = self
    while let here = layer {
      if let slot = here.localSlot(uid) { return here.list(here.slots[slot].ancestors) }
      if here.bridges.count > 0 { return nil }
      layer = here.below
    }
    return UnsafeBufferPointer(start: nil, count: 0)
  }

  @inline(__always) private func list(_ run: Run) -> UnsafeBufferPointer<Int32> {
    UnsafeBufferPointer(start: ancestors.base + Int(run.start), count: Int(run.count))
  }

  @inline(__always) private func contains(_ wanted: Int32, _ run: Run) -> Bool { Self.contains(wanted, list(run)) }

  /// Whether a list of ancestors has one.
  @inline(__always) static func contains(_ wanted: Int32, _ list: UnsafeBufferPointer<Int32>) -> Bool {
    guard let base = list.baseAddress else { return false }
    let count = list.count
    if count <= 8 {
      var index = 0
      while index < count {
        if base[index] == wanted { return true }
        index += 1
      }
      return false
    }
    // Halves without branches that could be guessed wrong; the place may still be the first that is no smaller.
    var at = base
    var rest = count
    while rest > 1 {
      let half = rest / 2
      at = at[half] <= wanted ? at + half : at
      rest -= half
    }
    return at.pointee == wanted
  }
}
