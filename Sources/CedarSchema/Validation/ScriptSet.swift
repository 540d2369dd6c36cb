/// The scripts that a text may be in, writing systems that mix scripts included (Unicode UTS 39, section 5.1).
struct ScriptSet {
  private var words: (UInt64, UInt64, UInt64)

  /// All scripts: what common characters such as digits are in.
  static let all = ScriptSet(words: (.max, .max, .max))

  private init(words: (UInt64, UInt64, UInt64)) { self.words = words }

  /// The scripts of a scalar; none for one that is not assigned.
  init(_ scalar: Unicode.Scalar) {
    let run = Self.position(of: scalar.value, in: UnicodeSecurityTables.starts)
    let mask = Int(UnicodeSecurityTables.sets[run]) * 3
    words = (UnicodeSecurityTables.masks[mask], UnicodeSecurityTables.masks[mask + 1], UnicodeSecurityTables.masks[mask + 2])
  }

  /// Whether no script is left.
  var isEmpty: Bool { words.0 | words.1 | words.2 == 0 }

  private mutating func formIntersection(_ other: ScriptSet) {
    words = (words.0 & other.words.0, words.1 & other.words.1, words.2 & other.words.2)
  }

  /// Whether some script has all characters of a text.
  static func isSingleScript(_ text: String) -> Bool {
    var set = ScriptSet.all
    for scalar in text.unicodeScalars where !set.isEmpty { set.formIntersection(ScriptSet(scalar)) }
    return !set.isEmpty
  }

  /// Whether a scalar is in the General Security Profile for identifiers (UTS 39, section 3.1).
  static func isAllowedInIdentifiers(_ scalar: Unicode.Scalar) -> Bool {
    let edges = UnicodeSecurityTables.allowed
    guard let first = edges.first, scalar.value >= first else { return false }
    let edge = position(of: scalar.value, in: edges)
    // Even positions open a range, odd ones are its last scalar.
    return edge % 2 == 0 || edges[edge] == scalar.value
  }

  /// The index of the last element that is not greater; the first for none.
  private static func position(of value: UInt32, in sorted: [UInt32]) -> Int {
    var low = 0
    var high = sorted.count
    while low < high {
      let middle = (low + high) / 2
      if sorted[middle] <= value { low = middle + 1 } else { high = middle }
    }
    return max(low - 1, 0)
  }
}
