internal import Bytes

/// A Cedar value: what expressions evaluate to and attributes hold (Cedar reference, "Data types").
///
/// Equality is Cedar's `==`: total, never an error, different kinds are unequal, sets compare as sets, extension values
/// by what they stand for and not by how they were written.
public enum Value: Hashable, Sendable {
  case bool(Bool)
  case long(Int64)
  case string(String)
  case entity(EntityUID)
  case set(ValueSet)
  case record(Record)
  case decimal(Decimal)
  case ip(IPAddress)
  case datetime(Datetime)
  case duration(Duration)
  /// No value yet; equal to another only if it is written the same.
  case unknown(Unknown)

  /// The kind of value as messages name it: `bool`, `long`, `string`, `(entity of type ...)`, `set`, `record`, `decimal`, ...
  public var typeName: String {
    switch self {
    case .bool: "bool"
    case .long: "long"
    case .string: "string"
    case .entity(let uid): "(entity of type `\(uid.type)`)"
    case .set: "set"
    case .record: "record"
    case .decimal: "decimal"
    case .ip: "ipaddr"
    case .datetime: "datetime"
    case .duration: "duration"
    case .unknown: "unknown"
    }
  }

  /// Cedar's `==`.
  public static func == (a: Value, b: Value) -> Bool { compare(a, b) == 0 }

  /// Hashes what equality compares.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(rank)
    switch self {
    case .bool(let value): hasher.combine(value)
    case .long(let value): hasher.combine(value)
    case .string(let value): Text.hash(value, into: &hasher)
    case .entity(let value): value.hash(into: &hasher)
    case .set(let value): value.hash(into: &hasher)
    case .record(let value): value.hash(into: &hasher)
    case .decimal(let value): value.hash(into: &hasher)
    case .ip(let value): value.hash(into: &hasher)
    case .datetime(let value): value.hash(into: &hasher)
    case .duration(let value): value.hash(into: &hasher)
    case .unknown(let value): Text.hash(value.description, into: &hasher)
    }
  }

  /// A total order that agrees with `==`; it has no meaning in Cedar and serves sets and stable output.
  public static func compare(_ a: Value, _ b: Value) -> Int {
    switch (a, b) {
    case (.bool(let x), .bool(let y)): return x == y ? 0 : x ? 1 : -1
    case (.long(let x), .long(let y)): return order(x, y)
    case (.string(let x), .string(let y)): return Text.compare(x, y)
    case (.entity(let x), .entity(let y)):
      let types = Text.compare(x.type.text, y.type.text)
      return types != 0 ? types : Text.compare(x.id, y.id)
    case (.set(let x), .set(let y)): return x.compared(to: y)
    case (.record(let x), .record(let y)): return x.compared(to: y)
    case (.decimal(let x), .decimal(let y)): return order(x.scaled, y.scaled)
    case (.ip(let x), .ip(let y)): return x.compared(to: y)
    case (.datetime(let x), .datetime(let y)): return order(x.milliseconds, y.milliseconds)
    case (.duration(let x), .duration(let y)): return order(x.milliseconds, y.milliseconds)
    case (.unknown(let x), .unknown(let y)): return Text.compare(x.description, y.description)
    default: return order(Int64(a.rank), Int64(b.rank))
    }
  }

  private static func order(_ x: Int64, _ y: Int64) -> Int { x == y ? 0 : x < y ? -1 : 1 }

  private var rank: UInt8 {
    switch self {
    case .bool: 0
    case .long: 1
    case .string: 2
    case .entity: 3
    case .set: 4
    case .record: 5
    case .decimal: 6
    case .ip: 7
    case .datetime: 8
    case .duration: 9
    case .unknown: 10
    }
  }
}

extension Value: CustomStringConvertible {
  /// The value as Cedar text.
  public var description: String {
    switch self {
    case .bool(let value): value ? "true" : "false"
    case .long(let value): String(value)
    case .string(let value): Text.quoted(value)
    case .entity(let value): value.description
    case .set(let value): value.description
    case .record(let value): value.description
    case .decimal(let value): value.description
    case .ip(let value): value.description
    case .datetime(let value): value.description
    case .duration(let value): value.description
    case .unknown(let value): value.description
    }
  }
}
