internal import Bytes

/// How text is shown to a person: colours, glyphs, and how wide.
public struct TextStyle: Sendable {
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

  /// A text in lines that fit, broken at spaces; lines after the first are indented. What has no space is not broken.
  /// - Parameter used: The columns that the first line has already.
  public func wrapped(_ text: String, used: Int, indent: Int) -> String {
    let shown = fitted(text, nil)
    guard let width else { return shown }
    var out = ""
    var column = used
    for (index, word) in shown.split(separator: " ", omittingEmptySubsequences: false).enumerated() {
      let columns = DisplayWidth.columns(String(word))
      if index > 0 {
        if column + 1 + columns > width {
          out += "\n" + String(repeating: " ", count: indent)
          column = indent
        } else {
          out += " "
          column += 1
        }
      }
      out += word
      column += columns
    }
    return out
  }
}
