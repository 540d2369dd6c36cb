internal import Bytes

/// How decisions are shown to a person: colours, glyphs, and how wide.
public struct LogStyle: Sendable {
  let isColored: Bool
  let isASCII: Bool
  /// The columns of the terminal; nil where nothing is cut, as in a pipe.
  public let width: Int?

  /// A style.
  public init(_ style: DecisionText = DecisionText(), width: Int? = nil) {
    isColored = style.isColored
    isASCII = style.isASCII
    self.width = width
  }

  /// What text can be told apart by, beside its words.
  public enum Tone: String, Sendable {
    case good = "32"
    case bad = "31"
    case odd = "33"
    case faint = "2"
    case strong = "1"
  }

  /// A text in a tone, where there is colour.
  public func toned(_ text: String, _ tone: Tone) -> String { isColored ? "\u{1b}[\(tone.rawValue)m\(text)\u{1b}[0m" : text }

  /// A mark by its name: the glyph, or what stands for it where only ASCII can be shown.
  public func mark(_ mark: Mark) -> String { isASCII ? mark.ascii : mark.rawValue }

  /// Marks.
  public enum Mark: String, Sendable {
    case yes = "✓"
    case no = "✗"
    case warning = "⚠"
    case unknown = "?"
    case rule = "─"
    case arrow = "→"

    var ascii: String {
      switch self {
      case .yes: "+"
      case .no: "x"
      case .warning: "!"
      case .unknown: "?"
      case .rule: "-"
      case .arrow: "->"
      }
    }
  }

  /// A text for a column: what a terminal would act on is written out, what is too long is cut at its end or its beginning.
  public func cell(_ text: String, _ columns: Int, keepsEnd: Bool = false, alignsRight: Bool = false) -> String {
    let shown = fitted(text, width == nil ? nil : columns, keepsEnd: keepsEnd)
    let padding = String(repeating: " ", count: max(0, columns - DisplayWidth.columns(shown)))
    return alignsRight ? padding + shown : shown + padding
  }

  /// A text as it can be shown, cut to a number of columns.
  public func fitted(_ text: String, _ columns: Int?, keepsEnd: Bool = false) -> String {
    var shown = Diagnostic.printable(text)
    // The terminal could not show it either.
    if isASCII { shown = String(String.UnicodeScalarView(shown.unicodeScalars.map { $0.isASCII ? $0 : "?" })) }
    guard let columns, DisplayWidth.columns(shown) > columns else { return shown }
    let ellipsis = isASCII ? ".." : "…"
    var kept: [Unicode.Scalar] = []
    var used = DisplayWidth.columns(ellipsis)
    for scalar in keepsEnd ? Array(shown.unicodeScalars.reversed()) : Array(shown.unicodeScalars) {
      used += DisplayWidth.columns(of: scalar)
      guard used <= columns else { break }
      kept.append(scalar)
    }
    let text = String(String.UnicodeScalarView(keepsEnd ? kept.reversed() : kept))
    return keepsEnd ? ellipsis + text : text + ellipsis
  }
}

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
