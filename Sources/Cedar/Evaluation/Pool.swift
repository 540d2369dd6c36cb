/// A growing buffer of trivial elements that nobody else refers to: no reference counts, no bounds checks in release.
///
/// The owner frees it; indices come from the same owner and never from outside.
struct Pool<Element: BitwiseCopyable> {
  private(set) var base: UnsafeMutablePointer<Element>
  private(set) var count = 0
  private var capacity: Int

  init(capacity: Int = 0) {
    self.capacity = max(capacity, 4)
    base = .allocate(capacity: self.capacity)
  }

  func deallocate() { base.deallocate() }

  @inline(__always) subscript(index: Int) -> Element {
    get {
      assert(index >= 0 && index < count)
      return base[index]
    }
    nonmutating set {
      assert(index >= 0 && index < count)
      base[index] = newValue
    }
  }

  @inline(__always) subscript(index: Int32) -> Element {
    get { self[Int(index)] }
    nonmutating set { self[Int(index)] = newValue }
  }

  @inline(__always) mutating func append(_ element: Element) {
    if count == capacity { grow(to: count + 1) }
    base[count] = element
    count += 1
  }

  mutating func append(_ elements: UnsafeBufferPointer<Element>) {
    guard let source = elements.baseAddress else { return }
    if count + elements.count > capacity { grow(to: count + elements.count) }
    (base + count).update(from: source, count: elements.count)
    count += elements.count
  }

  mutating func append(repeating element: Element, count more: Int) {
    if count + more > capacity { grow(to: count + more) }
    (base + count).update(repeating: element, count: more)
    count += more
  }

  @inline(__always) mutating func removeAll() { count = 0 }
  mutating func truncate(to newCount: Int) { count = min(count, newCount) }

  /// Gives back memory that only an unusual use needed.
  mutating func shrink(to limit: Int) {
    guard capacity > limit, count <= limit else { return }
    let smaller = UnsafeMutablePointer<Element>.allocate(capacity: limit)
    smaller.update(from: base, count: count)
    base.deallocate()
    base = smaller
    capacity = limit
  }

  /// Gives back what is held in reserve.
  mutating func trim() { shrink(to: max(count, 4)) }

  /// The same elements in memory of their own.
  func copy() -> Pool {
    var copied = Pool(capacity: count)
    copied.append(UnsafeBufferPointer(start: base, count: count))
    return copied
  }

  private mutating func grow(to needed: Int) {
    let larger = max(needed, capacity * 2)
    let moved = UnsafeMutablePointer<Element>.allocate(capacity: larger)
    moved.update(from: base, count: count)
    base.deallocate()
    base = moved
    capacity = larger
  }
}

/// An open-addressing index from hashes to the numbers of entries that are kept elsewhere.
struct HashIndex {
  // Entry numbers plus one; 0 is free. The hash's high bits are kept beside to skip most comparisons.
  private var slots: UnsafeMutablePointer<UInt64>
  private var mask: Int
  private(set) var count = 0

  init(capacity: Int = 16) {
    var size = 16
    while size < capacity * 2 { size *= 2 }
    slots = .allocate(capacity: size)
    slots.initialize(repeating: 0, count: size)
    mask = size - 1
  }

  func deallocate() { slots.deallocate() }

  /// The same index in memory of its own.
  func copy() -> HashIndex {
    var copied = self
    copied.slots = .allocate(capacity: mask + 1)
    copied.slots.update(from: slots, count: mask + 1)
    return copied
  }

  /// The entry with that hash for which `matches` holds.
  @inline(__always) func find(_ hash: UInt64, _ matches: (Int32) -> Bool) -> Int32? {
    var at = Int(truncatingIfNeeded: HashIndex.spread(hash)) & mask
    let tag = hash & 0xffff_ffff_0000_0000
    while true {
      let slot = slots[at]
      if slot == 0 { return nil }
      if slot & 0xffff_ffff_0000_0000 == tag {
        let entry = Int32(truncatingIfNeeded: slot & 0xffff_ffff) &- 1
        if matches(entry) { return entry }
      }
      at = (at + 1) & mask
    }
  }

  mutating func insert(_ hash: UInt64, _ entry: Int32) {
    if (count + 1) * 2 > mask + 1 { grow() }
    place(hash & 0xffff_ffff_0000_0000 | UInt64(UInt32(bitPattern: entry &+ 1)))
    count += 1
  }

  private func place(_ slot: UInt64) {
    var at = Int(truncatingIfNeeded: HashIndex.spread(slot)) & mask
    while slots[at] != 0 { at = (at + 1) & mask }
    slots[at] = slot
  }

  mutating func removeAll() {
    guard count > 0 else { return }
    if mask >= 4096 {
      slots.deallocate()
      self = HashIndex()
    } else {
      slots.update(repeating: 0, count: mask + 1)
      count = 0
    }
  }

  private mutating func grow() {
    let old = slots
    let size = mask + 1
    mask = size * 2 - 1
    slots = .allocate(capacity: size * 2)
    slots.initialize(repeating: 0, count: size * 2)
    for index in 0..<size where old[index] != 0 { place(old[index]) }
    old.deallocate()
  }

  /// Where a hash or slot belongs: a function of the half that is kept, so that growing needs no hash again.
  @inline(__always) static func spread(_ slot: UInt64) -> UInt64 { (slot >> 32) &* 0x9e37_79b9_7f4a_7c15 >> 20 }
}

extension UnsafeMutableBufferPointer {
  /// Puts few elements in order without the memory that sorting many takes; most come almost in order.
  @inline(__always) func sortFew(_ precedes: (Element, Element) -> Bool) {
    guard count <= 32 else {
      var all = self
      return all.sort(by: precedes)
    }
    var index = 1
    while index < count {
      let element = self[index]
      var hole = index
      while hole > 0, precedes(element, self[hole - 1]) {
        self[hole] = self[hole - 1]
        hole -= 1
      }
      self[hole] = element
      index += 1
    }
  }
}
