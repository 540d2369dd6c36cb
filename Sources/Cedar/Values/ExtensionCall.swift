extension ExtensionFunction {
  /// What the function makes of its arguments, the receiver of a method first. Of something unknown it makes something
  /// unknown; no function takes such an argument, so that it is looked for only after a failure.
  public func apply(_ arguments: [Value]) throws(EvaluationError) -> Value {
    do throws(EvaluationError) {
      return try result(arguments)
    } catch {
      guard arguments.contains(where: \.holdsUnknown) else { throw error }
      return .unknown(Unknown(rawValue, arguments))
    }
  }

  private func result(_ arguments: [Value]) throws(EvaluationError) -> Value {
    // The reference reads one argument of `unknown` and passes over others.
    guard arguments.count == arity || self == .unknown && !arguments.isEmpty else {
      throw EvaluationError(
        .arity, "wrong number of arguments provided to extension function `\(rawValue)`: expected \(arity), got \(arguments.count)")
    }
    let first = arguments[0]
    switch self {
    case .ip, .decimal, .datetime, .duration: return try construct(Self.string(first))
    case .lessThan: return .bool(try Self.decimal(first).scaled < Self.decimal(arguments[1]).scaled)
    case .lessThanOrEqual: return .bool(try Self.decimal(first).scaled <= Self.decimal(arguments[1]).scaled)
    case .greaterThan: return .bool(try Self.decimal(first).scaled > Self.decimal(arguments[1]).scaled)
    case .greaterThanOrEqual: return .bool(try Self.decimal(first).scaled >= Self.decimal(arguments[1]).scaled)
    case .isIpv4: return .bool(try !Self.ip(first).isIPv6)
    case .isIpv6: return .bool(try Self.ip(first).isIPv6)
    case .isLoopback: return .bool(try Self.ip(first).isLoopback)
    case .isMulticast: return .bool(try Self.ip(first).isMulticast)
    case .isInRange: return .bool(try Self.ip(first).isInRange(Self.ip(arguments[1])))
    case .offset:
      guard let moved = try Self.datetime(first).offset(by: Self.duration(arguments[1])) else { throw overflow }
      return .datetime(moved)
    case .durationSince:
      guard let span = try Self.datetime(first).duration(since: Self.datetime(arguments[1])) else { throw overflow }
      return .duration(span)
    case .toDate:
      guard let date = try Self.datetime(first).date else { throw overflow }
      return .datetime(date)
    case .toTime: return .duration(try Self.datetime(first).timeOfDay)
    case .toMilliseconds: return .long(try Self.duration(first).milliseconds)
    case .toSeconds: return .long(try Self.duration(first).milliseconds / 1000)
    case .toMinutes: return .long(try Self.duration(first).milliseconds / 60_000)
    case .toHours: return .long(try Self.duration(first).milliseconds / 3_600_000)
    case .toDays: return .long(try Self.duration(first).milliseconds / 86_400_000)
    case .unknown: return .unknown(Unknown(rawValue, [.string(try Self.string(first))]))
    }
  }

  /// The extension value that a constructor makes of a string.
  public func construct(_ text: String) throws(EvaluationError) -> Value {
    do throws(ExtensionError) {
      switch self {
      case .ip: return .ip(try IPAddress(text))
      case .decimal: return .decimal(try Decimal(text))
      case .datetime: return .datetime(try Datetime(text))
      default: return .duration(try Duration(text))
      }
    } catch {
      throw EvaluationError(.extensionFailed, error.description)
    }
  }

  var overflow: EvaluationError {
    EvaluationError(.extensionFailed, "error while evaluating `\(rawValue)` extension function: the result does not fit 64 bits")
  }

  static func mismatch(_ expected: String, _ value: Value) -> EvaluationError {
    EvaluationError(.type, "type error: expected \(expected), got \(value.typeName)")
  }

  private static func string(_ value: Value) throws(EvaluationError) -> String {
    guard case .string(let text) = value else { throw mismatch("string", value) }
    return text
  }

  private static func decimal(_ value: Value) throws(EvaluationError) -> Decimal {
    guard case .decimal(let number) = value else { throw mismatch("decimal", value) }
    return number
  }

  private static func ip(_ value: Value) throws(EvaluationError) -> IPAddress {
    guard case .ip(let address) = value else { throw mismatch("ipaddr", value) }
    return address
  }

  private static func datetime(_ value: Value) throws(EvaluationError) -> Datetime {
    guard case .datetime(let instant) = value else { throw mismatch("datetime", value) }
    return instant
  }

  private static func duration(_ value: Value) throws(EvaluationError) -> Duration {
    guard case .duration(let span) = value else { throw mismatch("duration", value) }
    return span
  }
}

extension Datetime {
  static let dayMilliseconds: Int64 = 86_400_000

  /// The instant a duration later; nil beyond 64 bits.
  public func offset(by duration: Duration) -> Datetime? {
    let (sum, overflow) = milliseconds.addingReportingOverflow(duration.milliseconds)
    return overflow ? nil : Datetime(milliseconds: sum)
  }

  /// How long after another instant this one is; nil beyond 64 bits.
  public func duration(since other: Datetime) -> Duration? {
    let (difference, overflow) = milliseconds.subtractingReportingOverflow(other.milliseconds)
    return overflow ? nil : Duration(milliseconds: difference)
  }

  /// The midnight this instant's day begins with; nil beyond 64 bits.
  public var date: Datetime? {
    let (start, overflow) = milliseconds.subtractingReportingOverflow(timeOfDay.milliseconds)
    return overflow ? nil : Datetime(milliseconds: start)
  }

  /// How long after its day's midnight this instant is, 0 … 86,399,999 ms.
  public var timeOfDay: Duration {
    let remainder = milliseconds % Self.dayMilliseconds
    return Duration(milliseconds: remainder < 0 ? remainder + Self.dayMilliseconds : remainder)
  }
}
