internal import Bytes

/// Parts of what a record says.
public enum LogText {
  /// The id of a uid's text: `demo|alice` of `User::"demo|alice"`.
  public static func id(of uid: String) -> String {
    guard let quote = uid.utf8.firstIndex(of: ASCII.quote), uid.utf8.last == ASCII.quote else { return uid }
    let start = uid.utf8.index(after: quote)
    let end = uid.utf8.index(before: uid.utf8.endIndex)
    guard start <= end else { return uid }
    return String(uid[start..<end])
  }

  /// The last characters of a decision's name: enough to tell one from the next, and accepted where a name is asked for.
  public static func shortID(_ id: String) -> String { String(id.suffix(8)) }

  /// A number with its thousands apart: `4 211`.
  public static func counted(_ number: Int) -> String {
    var text = ""
    for (index, digit) in String(number).enumerated() {
      let left = String(number).count - index
      if index > 0, left % 3 == 0 { text += " " }
      text.append(digit)
    }
    return text
  }

  /// A time as the log writes it; milliseconds since 1970, none before.
  public static func time(millis: Int64) -> String {
    var line = LineBuffer()
    var timestamp = Timestamp()
    line.write { timestamp.append(UInt64(max(0, millis)), to: &$0) }
    return String(decoding: line.bytes, as: UTF8.self)
  }
}
