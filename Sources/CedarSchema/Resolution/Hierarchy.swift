/// Who is above whom, transitively: one bit for every pair.
struct Hierarchy: Sendable {
  private let count: Int
  private let words: Int
  private var bits: [UInt64]

  /// The hierarchy over things `0..<parents.count`, each with its direct parents.
  init(parents: [[Int]]) {
    count = parents.count
    words = (parents.count + 63) / 64
    bits = [UInt64](repeating: 0, count: words * parents.count)
    // From everything upwards; a thing is its own ancestor only where a cycle leads back to it.
    var stack: [Int] = []
    for start in parents.indices where !parents[start].isEmpty {
      stack.append(start)
      while let here = stack.popLast() {
        for parent in parents[here] where !isAncestor(parent, of: start) {
          bits[start * words + parent / 64] |= 1 << UInt64(parent % 64)
          stack.append(parent)
        }
      }
    }
  }

  /// Whether the first is above the second.
  func isAncestor(_ ancestor: Int, of descendant: Int) -> Bool {
    bits[descendant * words + ancestor / 64] & 1 << UInt64(ancestor % 64) != 0
  }

  /// Everything above.
  func ancestors(of descendant: Int) -> [Int] {
    var found: [Int] = []
    for word in 0..<words {
      var left = bits[descendant * words + word]
      while left != 0 {
        found.append(word * 64 + left.trailingZeroBitCount)
        left &= left - 1
      }
    }
    return found
  }

  /// Everything below.
  func descendants(of ancestor: Int) -> [Int] { (0..<count).filter { isAncestor(ancestor, of: $0) } }
}
