/// The functions and methods of Cedar's extension types (Cedar reference, "Extension types").
public enum ExtensionFunction: String, Sendable, CaseIterable {
  case ip, decimal, datetime, duration
  case lessThan, lessThanOrEqual, greaterThan, greaterThanOrEqual
  case isIpv4, isIpv6, isLoopback, isMulticast, isInRange
  case offset, durationSince, toDate, toTime
  case toMilliseconds, toSeconds, toMinutes, toHours, toDays
  /// Parses everywhere; evaluating it is an error outside partial evaluation.
  case unknown

  /// Whether it is written `name(args)` rather than `receiver.name(args)`.
  public var isFunction: Bool {
    switch self {
    case .ip, .decimal, .datetime, .duration, .unknown: true
    default: false
    }
  }

  /// Whether it makes an extension value from a string.
  public var isConstructor: Bool { isFunction && self != .unknown }

  /// How many arguments it takes, the receiver included.
  public var arity: Int {
    switch self {
    case .lessThan, .lessThanOrEqual, .greaterThan, .greaterThanOrEqual, .isInRange, .offset, .durationSince: 2
    default: 1
    }
  }
}

/// The extension types.
public enum ExtensionType: String, Sendable, CaseIterable {
  case ipaddr, decimal, datetime, duration

  /// The function that makes values of the type from strings.
  public var constructor: ExtensionFunction {
    switch self {
    case .ipaddr: .ip
    case .decimal: .decimal
    case .datetime: .datetime
    case .duration: .duration
    }
  }
}

/// An extension function that failed: a text that is no value of the type, or an overflow inside one.
public struct ExtensionError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The function that failed.
  public let function: ExtensionFunction
  /// Why, in one line.
  public let reason: String

  init(_ function: ExtensionFunction, _ reason: String) {
    self.function = function
    self.reason = reason
  }

  /// One line for a person.
  public var description: String { "error while evaluating `\(function.rawValue)` extension function: \(reason)" }
}
