/// Did-you-mean: the nearest of the names that would have been right.
enum Suggestion {
  /// The name with the smallest Levenshtein distance, the first of equals; nil if none is within the bound.
  ///
  /// Names longer than 128 characters and candidates beyond the thousandth are not looked at: a hint must not be the
  /// slowest part of an error.
  static func nearest(to word: String, among candidates: some Sequence<String>, within bound: Int? = nil) -> String? {
    let key = Array(word.unicodeScalars)
    guard !key.isEmpty, key.count <= 128 else { return nil }
    var best: (distance: Int, name: String)?
    for candidate in candidates.prefix(1000) {
      let scalars = Array(candidate.unicodeScalars)
      guard scalars.count <= 128 else { continue }
      let limit = min(best?.distance ?? Int.max, bound.map { $0 + 1 } ?? Int.max)
      guard abs(scalars.count - key.count) < limit else { continue }
      let distance = distance(key, scalars)
      if distance < limit { best = (distance, candidate) }
    }
    return best?.name
  }

  private static func distance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
    var previous = Array(0...b.count)
    var current = previous
    for (i, x) in a.enumerated() {
      current[0] = i + 1
      for (j, y) in b.enumerated() {
        current[j + 1] = x == y ? previous[j] : 1 + min(previous[j], previous[j + 1], current[j])
      }
      swap(&previous, &current)
    }
    return previous[b.count]
  }
}
