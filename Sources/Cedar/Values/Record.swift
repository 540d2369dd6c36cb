internal import Bytes

/// A record: string keys, each once, with values; the order of the keys has no meaning.
public struct Record: Hashable, Sendable, CustomStringConvertible {
  /// One attribute.
  public struct Field: Hashable, Sendable {
    /// The key.
    public let key: String
    /// The value.
    public let value: Value

    /// An attribute.
    public init(_ key: String, _ value: Value) {
      self.key = key
      self.value = value
    }

    /// Byte equality of keys, Cedar equality of values.
    public static func == (a: Field, b: Field) -> Bool { exactlyEquals(a.key, b.key) && a.value == b.value }
    /// Hashes both.
    public func hash(into hasher: inout Hasher) {
      Text.hash(key, into: &hasher)
      value.hash(into: &hasher)
    }
  }

  /// The attributes in byte order of their keys.
  public let fields: [Field]

  /// The record without attributes.
  public static let empty = Record(sorted: [])

  /// A record, or nil if a key occurs twice.
  public init?(_ fields: some Sequence<Field>) {
    var sorted = Array(fields)
    sorted.sort { Text.precedes($0.key, $1.key) }
    for (a, b) in zip(sorted, sorted.dropFirst()) where exactlyEquals(a.key, b.key) { return nil }
    self.fields = sorted
  }

  /// A record; of several values for a key the last counts.
  public init(lastWins fields: some Sequence<Field>) {
    let given = Array(fields)
    guard given.count > Self.fewFields else {
      self.fields = Self.inserted(given)
      return
    }
    var byKey: [ExactString: Value] = [:]
    for field in given { byKey[ExactString(field.key)] = field.value }
    self.fields = byKey.map { Field($0.key.string, $0.value) }.sorted { Text.precedes($0.key, $1.key) }
  }

  // A few are put in order faster than they are hashed.
  private static func inserted(_ fields: [Field]) -> [Field] {
    var sorted: [Field] = []
    sorted.reserveCapacity(fields.count)
    for field in fields {
      var place = sorted.count
      while place > 0, Text.precedes(field.key, sorted[place - 1].key) { place -= 1 }
      if place > 0, exactlyEquals(sorted[place - 1].key, field.key) {
        sorted[place - 1] = field
      } else {
        sorted.insert(field, at: place)
      }
    }
    return sorted
  }

  private static let fewFields = 16

  private init(sorted: [Field]) { fields = sorted }

  /// How many attributes.
  public var count: Int { fields.count }
  /// Whether there is none.
  public var isEmpty: Bool { fields.isEmpty }

  /// The value of a key, or nil.
  public subscript(key: String) -> Value? {
    var low = 0
    var high = fields.count
    while low < high {
      let middle = (low + high) / 2
      let order = Text.compare(fields[middle].key, key)
      if order == 0 { return fields[middle].value }
      if order < 0 { low = middle + 1 } else { high = middle }
    }
    return nil
  }

  func compared(to other: Record) -> Int {
    for (a, b) in zip(fields, other.fields) {
      let keys = Text.compare(a.key, b.key)
      if keys != 0 { return keys }
      let values = Value.compare(a.value, b.value)
      if values != 0 { return values }
    }
    return fields.count - other.fields.count
  }

  /// The record as Cedar text: every key quoted, as the reference prints records.
  public var description: String {
    "{" + fields.map { "\(Text.quoted($0.key)): \($0.value)" }.joined(separator: ", ") + "}"
  }
}
