internal import Bytes

/// What stands where a value is missing: `unknown("x")`, or a function of something unknown such as `ip(unknown("x"))`.
///
/// Entities and contexts may hold one, and nothing happens as long as no policy needs it; a condition that does fails
/// (Cedar reference, "partial evaluation": what is left over is no value).
public struct Unknown: Hashable, Sendable {
  /// The function's name.
  public let function: String
  /// Its arguments, the receiver of a method first.
  public let arguments: [Value]

  /// A call that has no value.
  public init(_ function: String, _ arguments: [Value]) {
    self.function = function
    self.arguments = arguments
  }

  /// Whether it is a name for a value, and not a call that may fail once the value is known.
  var isName: Bool {
    guard exactlyEquals(function, ExtensionFunction.unknown.rawValue), arguments.count == 1, case .string = arguments[0] else {
      return false
    }
    return true
  }
}

extension Unknown: CustomStringConvertible {
  /// The call as Cedar text.
  public var description: String {
    if let known = ExtensionFunction(rawValue: function), !known.isFunction, let receiver = arguments.first {
      return "(\(receiver)).\(function)(\(arguments.dropFirst().map(\.description).joined(separator: ", ")))"
    }
    return "\(function)(\(arguments.map(\.description).joined(separator: ", ")))"
  }
}

extension Value {
  /// Whether it is unknown, or something in it is. Recursion is bounded by the reader's depth.
  public var holdsUnknown: Bool {
    switch self {
    case .unknown: true
    case .set(let set): set.elements.contains(where: \.holdsUnknown)
    case .record(let record): record.fields.contains(where: \.value.holdsUnknown)
    default: false
    }
  }
}
