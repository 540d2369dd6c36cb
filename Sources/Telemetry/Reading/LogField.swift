internal import Bytes

/// A field of decision lines by its number: what a log is searched, shown and grouped by.
public struct LogField: Hashable, Sendable {
  let number: Int

  init(number: Int) { self.number = number }

  /// The field called so: `http.method`, or `method` for short.
  public init?(_ name: String) {
    let exact = Self.names.firstIndex { exactlyEquals($0, name) }
    guard let number = exact ?? Self.names.firstIndex(where: { Self.short($0).map { exactlyEquals($0, name) } ?? false }) else {
      return nil
    }
    self.number = number
  }

  /// Its full name.
  public var name: String { Self.names[number] }

  /// What a person may write for one, for messages.
  public static var known: [String] { names.map { short($0) ?? $0 } }

  // `method` of `http.method`; nil for a name without a dot.
  private static func short(_ name: String) -> String? {
    name.utf8.lastIndex(of: UInt8(ascii: ".")).map { String(name[name.utf8.index(after: $0)...]) }
  }

  static let names = DecisionField.leaves.map(\.name)

  private static func field(_ name: String) -> LogField { LogField(name) ?? LogField(number: 0) }

  static let type = field("type")
  static let time = field("time")
  static let id = field("id")
  static let decision = field("decision")
  static let enforced = field("enforced")
  static let reason = field("reason")
  static let status = field("status")
  static let policies = field("policies")
  static let principal = field("principal")
  static let route = field("route")
  static let method = field("http.method")
  static let path = field("http.path")
  static let wouldDecision = field("would.decision")
  static let differenceCause = field("difference.by")
  static let differenceEngine = field("difference.engine")
  static let differenceDecision = field("difference.decision")
  static let totalMicros = field("total_us")
}

/// A set of fields.
struct LogFieldSet: Sendable {
  // One bit a field: a test holds that there are no more than 64.
  var bits: UInt64 = 0

  mutating func insert(_ field: LogField) { bits |= 1 << UInt64(field.number) }
  static let all = LogFieldSet(bits: .max)
}
