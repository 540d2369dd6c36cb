internal import Bytes

/// An instant, in milliseconds since 1970-01-01T00:00:00Z (Cedar reference, "datetime").
public struct Datetime: Hashable, Sendable, CustomStringConvertible {
  /// Milliseconds since the epoch.
  public let milliseconds: Int64
  /// The text it was constructed from, kept for printing; not part of equality.
  public let spelling: String?

  /// An instant.
  public init(milliseconds: Int64) {
    self.milliseconds = milliseconds
    spelling = nil
  }

  /// Reads `YYYY-MM-DD` or `YYYY-MM-DDThh:mm:ss[.SSS](Z|±hhmm)`, exactly these shapes.
  public init(_ text: String) throws(ExtensionError) {
    guard let value = Self.parse(Array(text.utf8)) else {
      throw ExtensionError(
        .datetime, "`\(Text.escaped(text))` is not a well-formed datetime: write `2024-01-31` or `2024-01-31T23:59:59.000Z`")
    }
    milliseconds = value
    spelling = text
  }

  private static func parse(_ bytes: [UInt8]) -> Int64? {
    var at = 0
    func number(_ digits: Int) -> Int64? {
      guard at + digits <= bytes.count else { return nil }
      var value: Int64 = 0
      for _ in 0..<digits {
        guard ASCII.isDigit(bytes[at]) else { return nil }
        value = value * 10 + Int64(bytes[at] - 0x30)
        at += 1
      }
      return value
    }
    func take(_ byte: Character) -> Bool {
      guard at < bytes.count, bytes[at] == byte.asciiValue else { return false }
      at += 1
      return true
    }
    guard let year = number(4), take("-"), let month = number(2), take("-"), let day = number(2) else { return nil }
    guard (1...12).contains(month), day >= 1, day <= daysIn(month: month, year: year) else { return nil }
    let midnight = daysFromEpoch(year: year, month: month, day: day) * 86_400_000
    if at == bytes.count { return midnight }
    guard take("T"), let hour = number(2), take(":"), let minute = number(2), take(":"), let second = number(2) else { return nil }
    guard hour <= 23, minute <= 59, second <= 59 else { return nil }
    var value = midnight + ((hour * 60 + minute) * 60 + second) * 1000
    if take(".") {
      guard let fraction = number(3) else { return nil }
      value += fraction
    }
    if take("Z") { return at == bytes.count ? value : nil }
    let ahead = take("+")
    guard ahead || take("-"), let offsetHour = number(2), let offsetMinute = number(2), at == bytes.count else { return nil }
    guard offsetHour <= 23, offsetMinute <= 59 else { return nil }
    let offset = (offsetHour * 60 + offsetMinute) * 60_000
    return ahead ? value - offset : value + offset
  }

  private static func daysIn(month: Int64, year: Int64) -> Int64 {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  // Days since 1970-01-01 in the proleptic Gregorian calendar, years counted from March.
  private static func daysFromEpoch(year: Int64, month: Int64, day: Int64) -> Int64 {
    let y = month <= 2 ? year - 1 : year
    let era = (y >= 0 ? y : y - 399) / 400
    let yearOfEra = y - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }

  /// Equality of the instants.
  public static func == (a: Datetime, b: Datetime) -> Bool { a.milliseconds == b.milliseconds }
  /// Hashes the instant.
  public func hash(into hasher: inout Hasher) { hasher.combine(milliseconds) }

  /// As Cedar text: as constructed, or as an offset from the epoch.
  public var description: String {
    if let spelling { return "datetime(\(Text.quoted(spelling)))" }
    return "(datetime(\"1970-01-01\")).offset(duration(\"\(milliseconds)ms\"))"
  }
}
