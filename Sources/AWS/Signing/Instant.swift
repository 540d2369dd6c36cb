/// Moments as AWS writes them, in UTC and without leap seconds.
public enum Instant {
  /// `20150830T123600Z`, the form that signatures use; moments outside the years 1970 to 9999 are moved to the nearest within.
  public static func basic(_ seconds: Int64) -> String {
    let (date, time) = parts(seconds)
    return "\(four(date.year))\(two(date.month))\(two(date.day))T\(two(time / 3600))\(two(time / 60 % 60))\(two(time % 60))Z"
  }

  /// `2026-06-03T13:09:47.752255Z`, the form of timestamps in the Verified Permissions API.
  public static func iso8601(micros: Int64) -> String {
    let micros = max(micros, 0)
    let (date, time) = parts(micros / 1_000_000)
    let digits = String(micros % 1_000_000)
    let fraction = String(repeating: "0", count: 6 - digits.utf8.count) + digits
    let day = "\(four(date.year))-\(two(date.month))-\(two(date.day))"
    return "\(day)T\(two(time / 3600)):\(two(time / 60 % 60)):\(two(time % 60)).\(fraction)Z"
  }

  /// Seconds since 1970 of an ISO 8601 moment with `Z` or an offset, fractions dropped; nil for anything else.
  public static func seconds(iso8601 text: String) -> Int64? {
    let bytes = Array(text.utf8)
    guard bytes.count >= 20, bytes[4] == dash, bytes[7] == dash, bytes[10] | 0x20 == UInt8(ascii: "t"), bytes[13] == colon,
      bytes[16] == colon, let year = number(bytes[0..<4]), let month = number(bytes[5..<7]), let day = number(bytes[8..<10]),
      let hour = number(bytes[11..<13]), let minute = number(bytes[14..<16]), let second = number(bytes[17..<19]),
      let midnight = midnight(year, month, day), hour < 24, minute < 60, second < 61
    else { return nil }
    var rest = bytes[19...]
    if rest.first == UInt8(ascii: ".") {
      rest = rest.dropFirst()
      let digits = rest.prefix { $0 &- 0x30 < 10 }
      guard !digits.isEmpty else { return nil }
      rest = rest.dropFirst(digits.count)
    }
    guard let offset = offset(rest) else { return nil }
    return midnight + hour * 3600 + minute * 60 + second - offset
  }

  /// Seconds since 1970 of an HTTP date in its one current form (RFC 9110 §5.6.7), `Sun, 06 Nov 1994 08:49:37 GMT`; nil for anything else.
  public static func seconds(httpDate text: String) -> Int64? {
    let words = text.split(separator: " ")
    guard words.count == 6, words[5] == "GMT", words[4].utf8.count == 8, let day = number(Array(words[1].utf8)[...]),
      let monthIndex = months.firstIndex(of: words[2]), let year = number(Array(words[3].utf8)[...])
    else { return nil }
    let time = Array(words[4].utf8)
    guard time[2] == colon, time[5] == colon, let hour = number(time[0..<2]), let minute = number(time[3..<5]),
      let second = number(time[6..<8]), hour < 24, minute < 60, second < 61, let midnight = midnight(year, Int64(monthIndex) + 1, day)
    else { return nil }
    return midnight + hour * 3600 + minute * 60 + second
  }

  private static let dash = UInt8(ascii: "-")
  private static let colon = UInt8(ascii: ":")
  private static let months: [Substring] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
  // 9999-12-31T23:59:59Z.
  private static let last: Int64 = 253_402_300_799

  // Civil date from days, by eras of 400 years that begin on 1 March: the leap day is then the last of its year.
  private static func parts(_ seconds: Int64) -> (date: (year: Int64, month: Int64, day: Int64), time: Int64) {
    let (day, time) = min(max(seconds, 0), last).quotientAndRemainder(dividingBy: 86_400)
    let (era, dayOfEra) = (day + 719_468).quotientAndRemainder(dividingBy: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    return ((yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * marchMonth + 2) / 5 + 1), time)
  }

  private static func midnight(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64? {
    guard (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day) else { return nil }
    let shiftedYear = month <= 2 ? year - 1 : year
    let era = shiftedYear / 400
    let yearOfEra = shiftedYear - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    // The 31st of a short month would silently be another day.
    let back = parts(days * 86_400).date
    return back == (year, month, day) ? days * 86_400 : nil
  }

  // `Z`, `+02:00` or `+0200`.
  private static func offset(_ text: ArraySlice<UInt8>) -> Int64? {
    guard let sign = text.first else { return nil }
    if text.count == 1, sign | 0x20 == UInt8(ascii: "z") { return 0 }
    guard sign == UInt8(ascii: "+") || sign == dash else { return nil }
    let digits = text.dropFirst().filter { $0 != colon }
    guard digits.count == 4, let hours = number(digits[0..<2]), let minutes = number(digits[2..<4]), hours < 24, minutes < 60 else {
      return nil
    }
    return (sign == dash ? -1 : 1) * (hours * 3600 + minutes * 60)
  }

  private static func number(_ digits: ArraySlice<UInt8>) -> Int64? {
    guard (1...4).contains(digits.count), digits.allSatisfy({ $0 &- 0x30 < 10 }) else { return nil }
    return digits.reduce(0) { $0 * 10 + Int64($1 &- 0x30) }
  }

  private static func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : String(number) }
  private static func four(_ year: Int64) -> String { two(year / 100) + two(year % 100) }
}
