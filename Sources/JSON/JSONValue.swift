internal import Bytes

/// A JSON value, RFC 8259, with the place in the text it came from.
///
/// Objects keep the order of their members. Integers that fit are exact; every other number keeps its text, because
/// no two programs agree on what a double makes of it.
public struct JSONValue: Sendable {
  /// What kind of value, and which.
  public enum Kind: Sendable {
    case null
    case bool(Bool)
    /// A number without fraction or exponent that fits 64 bits. `-0` is a `.number`.
    case integer(Int64)
    /// Any other number, as written.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([Member])
  }

  /// One member of an object.
  public struct Member: Sendable {
    /// The name, escapes resolved.
    public var name: String
    /// Where the name stands in the text, quotes included.
    public var nameSpan: Range<Int>
    /// The value.
    public var value: JSONValue

    /// A member; `nameSpan` is empty for values made by programs.
    public init(name: String, nameSpan: Range<Int> = 0..<0, value: JSONValue) {
      self.name = name
      self.nameSpan = nameSpan
      self.value = value
    }
  }

  /// The value.
  public var kind: Kind
  /// Byte offsets in the text the value was read from; empty for values made by programs.
  public var span: Range<Int>

  /// A value; `span` is empty for values made by programs.
  public init(_ kind: Kind, span: Range<Int> = 0..<0) {
    self.kind = kind
    self.span = span
  }
}

extension JSONValue {
  /// The member of that name if this is an object that has one.
  public subscript(name: String) -> JSONValue? {
    guard case .object(let members) = kind else { return nil }
    return members.first { exactlyEquals($0.name, name) }?.value
  }

  /// The string, if this is one.
  public var string: String? { if case .string(let value) = kind { value } else { nil } }
  /// The integer, if this is one that fits 64 bits.
  public var integer: Int64? { if case .integer(let value) = kind { value } else { nil } }
  /// The Boolean, if this is one.
  public var bool: Bool? { if case .bool(let value) = kind { value } else { nil } }
  /// The elements, if this is an array.
  public var array: [JSONValue]? { if case .array(let value) = kind { value } else { nil } }
  /// The members in order, if this is an object.
  public var object: [Member]? { if case .object(let value) = kind { value } else { nil } }
  /// Whether this is `null`.
  public var isNull: Bool { if case .null = kind { true } else { false } }

  /// What a person calls this kind of value, for messages: `a string`, `an object`.
  public var kindName: String {
    switch kind {
    case .null: "null"
    case .bool: "a Boolean"
    case .integer, .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }

  /// A string value made by a program.
  public static func string(_ value: String) -> JSONValue { JSONValue(.string(value)) }
  /// An integer value made by a program.
  public static func integer(_ value: Int64) -> JSONValue { JSONValue(.integer(value)) }
  /// A Boolean value made by a program.
  public static func bool(_ value: Bool) -> JSONValue { JSONValue(.bool(value)) }
  /// An array made by a program.
  public static func array(_ value: [JSONValue]) -> JSONValue { JSONValue(.array(value)) }
  /// An object made by a program, members in the order given.
  public static func object(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
    JSONValue(.object(members.map { Member(name: $0.key, value: $0.value) }))
  }
}

/// Two values are equal if they stand for the same JSON: spans do not count, the order of members does not count.
extension JSONValue: Equatable {
  /// Equality of meaning; numbers that are not exact integers compare as written.
  public static func == (a: JSONValue, b: JSONValue) -> Bool {
    switch (a.kind, b.kind) {
    case (.null, .null): return true
    case (.bool(let x), .bool(let y)): return x == y
    case (.integer(let x), .integer(let y)): return x == y
    case (.number(let x), .number(let y)): return x == y
    case (.string(let x), .string(let y)): return exactlyEquals(x, y)
    case (.array(let x), .array(let y)): return x == y
    case (.object(let x), .object(let y)):
      guard x.count == y.count else { return false }
      let byName = Dictionary(y.map { (ExactString($0.name), $0.value) }, uniquingKeysWith: { _, last in last })
      return x.allSatisfy { byName[ExactString($0.name)] == $0.value }
    default: return false
    }
  }
}
