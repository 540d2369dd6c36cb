/// Names a timer of one loop, until it has fired or was cancelled.
public struct TimerID: Hashable, Sendable {
  let index: Int32
  let generation: UInt32
}

/// Timers by the millisecond on six wheels of 64 slots: setting, cancelling and firing are O(1), and nothing is sorted.
///
/// A timer sits on the wheel of the highest 6-bit digit in which its deadline differs from `elapsed`; when time
/// reaches its slot it moves down a wheel, until it is due. Timers with one deadline fire in the order they were set.
struct TimerWheel {
  private struct Node {
    var next: Int32 = none
    var previous: Int32 = none
    var deadline: UInt64 = 0
    var generation: UInt32 = 0
    // Which list the node is on: level * 64 + slot, `dueList`, or none when it is free.
    var list: Int32 = none
    var body: (() -> Void)?
  }

  private static let none: Int32 = -1
  private static let levels = 6
  private static let dueList = Int32(levels * 64)
  // Six digits of six bits: 2.2 years. Longer waits are shortened to it.
  private static let longestWait: UInt64 = 1 << 35

  private var nodes: [Node] = []
  private var free: Int32 = none
  private var heads = [Int32](repeating: none, count: levels * 64 + 1)
  private var occupied = [UInt64](repeating: 0, count: levels)
  /// The time up to which timers have been moved to the due list.
  private(set) var elapsed: UInt64
  /// How many timers wait.
  private(set) var count = 0

  init(now: UInt64) { elapsed = now }

  /// Sets a timer. One in the past fires at the next advance past `elapsed`.
  mutating func insert(deadline: UInt64, _ body: @escaping () -> Void) -> TimerID {
    let index: Int32
    if free != Self.none {
      index = free
      free = nodes[Int(index)].next
    } else {
      index = Int32(truncatingIfNeeded: nodes.count)
      nodes.append(Node())
    }
    let earliest = elapsed &+ 1
    nodes[Int(index)].deadline = min(max(deadline, earliest), elapsed &+ Self.longestWait)
    nodes[Int(index)].body = body
    place(index)
    count += 1
    return TimerID(index: index, generation: nodes[Int(index)].generation)
  }

  /// Takes a timer away; false if it has fired or was cancelled before.
  @discardableResult mutating func cancel(_ id: TimerID) -> Bool {
    guard id.index >= 0, Int(id.index) < nodes.count, nodes[Int(id.index)].generation == id.generation,
      nodes[Int(id.index)].list != Self.none
    else { return false }
    unlink(id.index)
    _ = release(id.index)
    return true
  }

  /// The next timer whose deadline is not after `now`, taken off the wheel; nil when there is none left.
  mutating func popDue(now: UInt64) -> (() -> Void)? {
    while true {
      let head = heads[Int(Self.dueList)]
      if head != Self.none {
        unlink(head)
        return release(head)
      }
      guard let next = nextExpiry(), next.time <= now else {
        if now > elapsed { elapsed = now }
        return nil
      }
      elapsed = max(elapsed, next.time)
      cascade(list: next.list)
    }
  }

  /// Milliseconds from `now` until something must be looked at: a deadline, or a slot that moves down. Nil: never.
  func wait(from now: UInt64) -> UInt64? {
    if heads[Int(Self.dueList)] != Self.none { return 0 }
    guard let next = nextExpiry() else { return nil }
    return next.time > now ? next.time - now : 0
  }

  private func nextExpiry() -> (time: UInt64, list: Int32)? {
    // A lower wheel's slots all lie before the next slot of a higher one, so the first wheel with a timer has the earliest.
    for level in 0..<Self.levels where occupied[level] != 0 {
      let shift = UInt64(level * 6)
      let current = elapsed >> shift & 63
      let rotated = occupied[level] >> current | (current == 0 ? 0 : occupied[level] << (64 - current))
      let slot = (current &+ UInt64(rotated.trailingZeroBitCount)) & 63
      let range: UInt64 = 1 << (shift + 6)
      var time = elapsed & ~(range - 1) | slot << shift
      // Only the top wheel wraps.
      if time <= elapsed { time &+= range }
      return (time, Int32(level * 64) + Int32(slot))
    }
    return nil
  }

  private mutating func cascade(list: Int32) {
    var index = heads[Int(list)]
    while index != Self.none {
      unlink(index)
      if nodes[Int(index)].deadline <= elapsed { append(index, to: Self.dueList) } else { place(index) }
      index = heads[Int(list)]
    }
  }

  private mutating func place(_ index: Int32) {
    let deadline = nodes[Int(index)].deadline
    let differing = (elapsed ^ deadline) | 63
    let level = min((63 - differing.leadingZeroBitCount) / 6, Self.levels - 1)
    let slot = Int32(deadline >> UInt64(level * 6) & 63)
    append(index, to: Int32(level * 64) + slot)
  }

  // Lists are rings: the head's `previous` is the tail.
  private mutating func append(_ index: Int32, to list: Int32) {
    let head = heads[Int(list)]
    nodes[Int(index)].list = list
    if head == Self.none {
      nodes[Int(index)].next = index
      nodes[Int(index)].previous = index
      heads[Int(list)] = index
      if list != Self.dueList { occupied[Int(list) / 64] |= 1 << UInt64(list % 64) }
    } else {
      let tail = nodes[Int(head)].previous
      nodes[Int(index)].next = head
      nodes[Int(index)].previous = tail
      nodes[Int(tail)].next = index
      nodes[Int(head)].previous = index
    }
  }

  private mutating func unlink(_ index: Int32) {
    let node = nodes[Int(index)]
    if node.next == index {
      heads[Int(node.list)] = Self.none
      if node.list != Self.dueList { occupied[Int(node.list) / 64] &= ~(1 << UInt64(node.list % 64)) }
    } else {
      nodes[Int(node.previous)].next = node.next
      nodes[Int(node.next)].previous = node.previous
      if heads[Int(node.list)] == index { heads[Int(node.list)] = node.next }
    }
    nodes[Int(index)].list = Self.none
  }

  private mutating func release(_ index: Int32) -> (() -> Void)? {
    let body = nodes[Int(index)].body
    nodes[Int(index)].body = nil
    nodes[Int(index)].generation &+= 1
    nodes[Int(index)].next = free
    free = index
    count -= 1
    return body
  }
}
