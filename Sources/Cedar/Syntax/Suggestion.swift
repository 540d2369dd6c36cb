/// "Did you mean": the closest of the words that would have been right.
public enum Suggestion {
  /// The candidate with the fewest edits to `word`, if they are few enough to be a slip; the first of equals.
  public static func closest(to word: String, among candidates: some Sequence<String>) -> String? {
    let typed = Array(word.utf8.prefix(64))
    // A third of the word may be wrong, at least one byte: `veiw` and `edit` are no slip of each other.
    let allowed = max(1, min(3, typed.count / 2))
    var best: (word: String, distance: Int)?
    for candidate in candidates {
      let other = Array(candidate.utf8)
      guard other.count <= 64, abs(other.count - typed.count) <= allowed else { continue }
      let distance = distance(typed, other)
      if distance <= allowed, distance < best?.distance ?? Int.max { best = (candidate, distance) }
    }
    return best?.word
  }

  // Edit distance with transpositions (optimal string alignment) over ASCII case-folded bytes.
  private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    func fold(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }
    var beforeLast: [Int] = []
    var last = Array(0...b.count)
    for i in 0..<a.count {
      var row = [i + 1]
      row.reserveCapacity(b.count + 1)
      for j in 0..<b.count {
        let same = fold(a[i]) == fold(b[j])
        var cost = min(last[j] + (same ? 0 : 1), last[j + 1] + 1, row[j] + 1)
        if i > 0, j > 0, fold(a[i]) == fold(b[j - 1]), fold(a[i - 1]) == fold(b[j]) { cost = min(cost, beforeLast[j - 1] + 1) }
        row.append(cost)
      }
      beforeLast = last
      last = row
    }
    return last[b.count]
  }
}
