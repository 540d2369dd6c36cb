internal import Bytes

/// What was looked up by names that the configuration gives, the last one remembered: most decisions are by the same route, policy and
/// engine as the one before, and comparing a name costs a tenth of hashing it.
struct KnownByName<Value> {
  private var values: [String: Value] = [:]
  private var last: (name: String, value: Value)?

  /// How many are known.
  var count: Int { values.count }

  /// What is known by a name; nil if nothing is.
  subscript(name: String) -> Value? {
    mutating get {
      if let last, exactlyEquals(last.name, name) { return last.value }
      guard let value = values[name] else { return nil }
      last = (name, value)
      return value
    }
    set {
      values[name] = newValue
      last = nil
    }
  }
}
