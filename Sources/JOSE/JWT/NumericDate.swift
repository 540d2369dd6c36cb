public import JSON

/// A point in time as a token writes it, RFC 7519 §2: seconds since 1970, perhaps with a fraction.
public enum NumericDate {
  /// The first whole second that is not before the date, or nil if the value is no number or does not fit 64 bits.
  ///
  /// Rounding up is exact for all comparisons with a clock of whole seconds: `now < date` and `now >= date` do not change.
  public static func seconds(_ value: JSONValue) -> Int64? {
    switch value.kind {
    case .integer(let seconds): seconds
    case .number(let text): ceiling(text)
    default: nil
    }
  }

  /// The least integer that is not below a JSON number; nil if it does not fit.
  static func ceiling(_ text: String) -> Int64? {
    var digits: [UInt8] = []
    var negative = false
    var point: Int?
    var exponent = 0
    var negativeExponent = false
    var inExponent = false
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "-"): if inExponent { negativeExponent = true } else { negative = true }
      case UInt8(ascii: "+"): break
      case UInt8(ascii: "."): point = digits.count
      case UInt8(ascii: "e"), UInt8(ascii: "E"): inExponent = true
      case 0x30...0x39 where inExponent:
        // Beyond any date already; the cap keeps the sum below from overflowing.
        exponent = min(exponent * 10 + Int(byte - 0x30), 100_000)
      case 0x30...0x39: digits.append(byte - 0x30)
      default: return nil
      }
    }
    // digits[..<whole] stand before the decimal point once the exponent has moved it.
    let whole = (point ?? digits.count) + (negativeExponent ? -exponent : exponent)
    var magnitude: UInt64 = 0
    var index = 0
    while index < whole {
      let digit = index < digits.count ? digits[index] : 0
      // A run of zeros moved far to the left is still zero.
      if magnitude == 0, index >= digits.count { break }
      let (product, tooLarge) = magnitude.multipliedReportingOverflow(by: 10)
      let (sum, carried) = product.addingReportingOverflow(UInt64(digit))
      guard !tooLarge, !carried, sum <= UInt64(Int64.max) else { return nil }
      magnitude = sum
      index += 1
    }
    let hasFraction = digits.dropFirst(max(whole, 0)).contains { $0 != 0 }
    let truncated = negative ? -Int64(magnitude) : Int64(magnitude)
    guard hasFraction, !negative else { return truncated }
    let (next, overflow) = truncated.addingReportingOverflow(1)
    return overflow ? nil : next
  }
}
