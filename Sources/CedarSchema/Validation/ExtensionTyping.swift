internal import Cedar

extension ExtensionFunction {
  /// The types of the arguments, the receiver first, and of the result (Cedar reference, "extension types").
  var signature: (arguments: [CedarType], result: CedarType) {
    let decimal = CedarType.extension(.decimal)
    let ip = CedarType.extension(.ipaddr)
    let datetime = CedarType.extension(.datetime)
    let duration = CedarType.extension(.duration)
    return switch self {
    case .ip: ([.string], ip)
    case .decimal: ([.string], decimal)
    case .datetime: ([.string], datetime)
    case .duration: ([.string], duration)
    case .lessThan, .lessThanOrEqual, .greaterThan, .greaterThanOrEqual: ([decimal, decimal], .bool)
    case .isIpv4, .isIpv6, .isLoopback, .isMulticast: ([ip], .bool)
    case .isInRange: ([ip, ip], .bool)
    case .offset: ([datetime, duration], datetime)
    case .durationSince: ([datetime, datetime], duration)
    case .toDate: ([datetime], datetime)
    case .toTime: ([datetime], duration)
    case .toMilliseconds, .toSeconds, .toMinutes, .toHours, .toDays: ([duration], .long)
    case .unknown: ([.string], .never)
    }
  }

  /// Why a literal argument of a constructor is no value of the type; nil if it is one.
  func complaint(about text: String) -> (message: String, help: String)? {
    let literal = Value.string(text).description
    do throws(ExtensionError) {
      switch self {
      case .ip: _ = try IPAddress(text)
      case .decimal: _ = try Decimal(text)
      case .datetime: _ = try Datetime(text)
      case .duration: _ = try Duration(text)
      default: break
      }
      return nil
    } catch {
      switch self {
      case .ip:
        return (
          "failed to parse as IP address: `\(literal)`",
          "valid IP strings are IPv4/IPv6 addresses or CIDR ranges like `127.0.0.1`, `127.0.0.1/24`, or `ffee::/64`"
        )
      case .decimal:
        return (
          "failed to parse as a decimal value: `\(literal)`", "valid decimal strings look like `12.34`: one to four digits behind the point"
        )
      case .datetime:
        return (
          "failed to parse as a datetime value: `\(literal)`",
          "valid datetime strings look like `2024-10-15`, `2024-10-15T11:35:00Z` or `2024-10-15T11:35:00.000+0100`"
        )
      default:
        return (
          "failed to parse as a duration value: `\(literal)`",
          "valid duration strings look like `1d2h3m4s5ms` or a part of it, in this order"
        )
      }
    }
  }
}
