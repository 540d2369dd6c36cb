/// "Did you mean": the nearest of some known words.
public enum Spelling {
  /// The known word nearest to `word`, if it is near enough to be a slip of the fingers: at most a third of the letters
  /// changed, dropped, added or swapped. Ties go to the first in the list.
  public static func nearest(to word: String, among known: some Sequence<String>) -> String? {
    let letters = Array(word.unicodeScalars.prefix(longest))
    guard !letters.isEmpty else { return nil }
    var best: (word: String, distance: Int)?
    for candidate in known {
      let other = Array(candidate.unicodeScalars.prefix(longest))
      let limit = max(1, max(letters.count, other.count) / 3)
      let distance = distance(letters, other)
      if distance <= limit, distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    return best?.word
  }

  // Words beyond this length are compared by their beginning: the table below is quadratic.
  private static let longest = 64

  // Damerau's distance with adjacent transpositions; case differences cost nothing.
  private static func distance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
    func folded(_ scalar: Unicode.Scalar) -> UInt32 {
      (0x41...0x5a).contains(scalar.value) ? scalar.value + 0x20 : scalar.value
    }
    var beforeLast = [Int](repeating: 0, count: b.count + 1)
    var last = Array(0...b.count)
    for i in 0..<a.count {
      var row = [i + 1]
      for j in 0..<b.count {
        let same = folded(a[i]) == folded(b[j])
        var cost = min(last[j + 1] + 1, row[j] + 1, last[j] + (same ? 0 : 1))
        if i > 0, j > 0, folded(a[i]) == folded(b[j - 1]), folded(a[i - 1]) == folded(b[j]) {
          cost = min(cost, beforeLast[j - 1] + 1)
        }
        row.append(cost)
      }
      beforeLast = last
      last = row
    }
    return last[b.count]
  }
}
