/// A date as HTTP writes it, RFC 9110 §5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
public enum HTTPDate {
  private static let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
  private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
  // 9999-12-31T23:59:59Z: a year of five digits has no HTTP date.
  private static let last: Int64 = 253_402_300_799

  /// The text of a moment.
  ///
  /// - Parameter seconds: since 1970-01-01T00:00:00Z, without leap seconds; what lies before that or after the year 9999
  ///   is the nearest moment within.
  public static func text(_ seconds: Int64) -> String {
    let moment = min(max(seconds, 0), last)
    let (day, second) = moment.quotientAndRemainder(dividingBy: 86_400)
    // Civil date from days, by eras of 400 years that begin on 1 March: the leap day is then the last of its year.
    let shifted = day + 719_468
    let (era, dayOfEra) = shifted.quotientAndRemainder(dividingBy: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    let dayOfMonth = dayOfYear - (153 * marchMonth + 2) / 5 + 1
    let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let date = "\(days[Int(day % 7)]), \(two(dayOfMonth)) \(months[Int(month - 1)]) \(two(year / 100))\(two(year % 100))"
    return "\(date) \(two(second / 3_600)):\(two(second / 60 % 60)):\(two(second % 60)) GMT"
  }

  private static func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : String(number) }
}
