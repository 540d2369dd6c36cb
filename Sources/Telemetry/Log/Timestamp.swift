/// RFC 3339 times in UTC with milliseconds, made cheaply: the text of the last second is kept.
struct Timestamp {
  private var second: UInt64 = .max
  private var prefix: [UInt8] = []

  /// Appends `2026-11-23T09:01:31.412Z`.
  mutating func append(_ millis: UInt64, to line: inout LineCursor) {
    adopt(second: millis / 1000)
    line.append(prefix)
    let rest = millis % 1000
    line.append(UInt8(ascii: "."))
    for divisor: UInt64 in [100, 10, 1] { line.append(0x30 &+ UInt8(truncatingIfNeeded: rest / divisor % 10)) }
    line.append(UInt8(ascii: "Z"))
  }

  /// Appends `09:01:31`.
  mutating func appendTimeOfDay(_ millis: UInt64, to line: inout LineCursor) {
    adopt(second: millis / 1000)
    prefix.withUnsafeBytes { line.append(UnsafeRawBufferPointer(rebasing: $0.suffix(8))) }
  }

  private mutating func adopt(second wanted: UInt64) {
    guard wanted != second else { return }
    second = wanted
    prefix.removeAll(keepingCapacity: true)
    let (year, month, day) = Self.date(daysSince1970: wanted / 86_400)
    let time = wanted % 86_400
    appendPadded(year, digits: 4)
    prefix.append(UInt8(ascii: "-"))
    appendPadded(month, digits: 2)
    prefix.append(UInt8(ascii: "-"))
    appendPadded(day, digits: 2)
    prefix.append(UInt8(ascii: "T"))
    appendPadded(time / 3600, digits: 2)
    prefix.append(UInt8(ascii: ":"))
    appendPadded(time / 60 % 60, digits: 2)
    prefix.append(UInt8(ascii: ":"))
    appendPadded(time % 60, digits: 2)
  }

  private mutating func appendPadded(_ value: UInt64, digits: Int) {
    var divisor: UInt64 = 1
    for _ in 1..<digits { divisor *= 10 }
    while divisor > 0 {
      prefix.append(0x30 &+ UInt8(truncatingIfNeeded: value / divisor % 10))
      divisor /= 10
    }
  }

  /// The proleptic Gregorian date of a day, by counting in eras of 400 years from 1 March 0000.
  static func date(daysSince1970 days: UInt64) -> (year: UInt64, month: UInt64, day: UInt64) {
    // Past year 9999 the text would not be RFC 3339 any more; such a clock is wrong anyway.
    let shifted = min(days, 2_932_896) + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
  }
}
