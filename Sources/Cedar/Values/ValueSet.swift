/// A set of values: unordered, duplicates collapsed by Cedar's `==`, any mix of kinds.
public struct ValueSet: Hashable, Sendable, CustomStringConvertible {
  /// The elements, each once, in an order that has no meaning but is the same for equal sets.
  public let elements: [Value]

  /// The set of some values; duplicates collapse.
  public init(_ values: some Sequence<Value>) {
    var sorted = Array(values)
    // Most sets are written in order or are tiny; sorting is the price of equality and lookup without hashing.
    sorted.sort { Value.compare($0, $1) < 0 }
    var unique: [Value] = []
    unique.reserveCapacity(sorted.count)
    for value in sorted {
      if let last = unique.last, Value.compare(last, value) == 0 { continue }
      unique.append(value)
    }
    elements = unique
  }

  /// How many different elements.
  public var count: Int { elements.count }
  /// Whether there is none.
  public var isEmpty: Bool { elements.isEmpty }

  /// Whether a value is an element.
  public func contains(_ value: Value) -> Bool {
    var low = 0
    var high = elements.count
    while low < high {
      let middle = (low + high) / 2
      let order = Value.compare(elements[middle], value)
      if order == 0 { return true }
      if order < 0 { low = middle + 1 } else { high = middle }
    }
    return false
  }

  func compared(to other: ValueSet) -> Int {
    for (a, b) in zip(elements, other.elements) {
      let order = Value.compare(a, b)
      if order != 0 { return order }
    }
    return elements.count - other.elements.count
  }

  /// The set as Cedar text.
  public var description: String { "[" + elements.map(\.description).joined(separator: ", ") + "]" }
}
