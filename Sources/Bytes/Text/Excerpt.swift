/// The lines of a source that a report points at, with numbers, and what it points at underlined.
struct Excerpt {
  /// The drawn lines, each with its newline.
  private(set) var text = ""

  init(_ source: SourceText, _ span: Range<Int>, label: String?) {
    let start = source.clamp(span.lowerBound)
    let end = max(start, source.clamp(span.upperBound))
    let first = source.position(of: start).line
    let last = source.position(of: max(start, end - 1)).line
    let digits = max(3, "\(last)".utf8.count + 2)
    draw(source, line: first, start..<end, digits: digits, label: first == last ? label : nil)
    guard last > first else { return }
    if last > first + 1 { text += Self.left("...", digits) + "\n" }
    let line = source.range(ofLine: last)
    let inner = line.first { source.bytes[$0] != ASCII.space && source.bytes[$0] != ASCII.tab } ?? line.lowerBound
    draw(source, line: last, inner..<max(inner, end), digits: digits, label: label)
  }

  private mutating func draw(_ source: SourceText, line: Int, _ span: Range<Int>, digits: Int, label: String?) {
    let range = source.range(ofLine: line)
    let from = min(max(span.lowerBound, range.lowerBound), range.upperBound)
    let to = min(max(span.upperBound, from), range.upperBound)
    // No more of the line is looked at than can be shown: a report about a minified file stays cheap.
    let reach = 4 * Self.widest
    // In a text that is not UTF-8, the start of a scalar may be found on the other side of the place.
    let head = min(from, max(range.lowerBound, source.clamp(max(range.lowerBound, from - reach))))
    let tail = max(to, source.clamp(min(range.upperBound, to + reach)))
    let middle = max(from, source.clamp(min(to, from + reach)))
    var before = Self.drawn(source.bytes[head..<from], from: 0)
    var marked = Self.drawn(source.bytes[from..<middle], from: before.columns)
    var after = Self.drawn(source.bytes[to..<tail], from: before.columns + marked.columns)
    // A minified line is shown around the place only.
    if before.columns + marked.columns + after.columns > Self.widest {
      before.keepLast(Self.widest / 3)
      marked.keepFirst(Self.widest / 3)
      after.keepFirst(Self.widest / 3)
    }
    text += Self.left("\(line)", digits) + " | " + before.text + marked.text + after.text + "\n"
    text += Self.left("", digits) + " | " + String(repeating: " ", count: before.columns)
    text += String(repeating: "^", count: max(1, marked.columns))
    if let label { text += " " + Self.printable(label) }
    text += "\n"
  }

  private static let widest = 180
  private static let tabStop = 4

  private static func left(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.utf8.count)) + text
  }

  /// Text as it can be shown on a terminal, with the columns it takes.
  private struct Drawn {
    var scalars: [Unicode.Scalar] = []
    var columns = 0

    var text: String {
      var view = String.UnicodeScalarView()
      view.append(contentsOf: scalars)
      return String(view)
    }

    mutating func keepFirst(_ limit: Int) {
      guard columns > limit else { return }
      scalars.removeLast(scalars.count - min(limit, scalars.count))
      scalars.append("…")
      columns = DisplayWidth.columns(scalars: scalars)
    }

    mutating func keepLast(_ limit: Int) {
      guard columns > limit else { return }
      scalars.removeFirst(scalars.count - min(limit, scalars.count))
      scalars.insert("…", at: 0)
      columns = DisplayWidth.columns(scalars: scalars)
    }
  }

  private static func drawn(_ bytes: ArraySlice<UInt8>, from column: Int) -> Drawn {
    var out = Drawn()
    var columns = column
    for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
      if scalar == "\t" {
        let fill = tabStop - columns % tabStop
        out.scalars.append(contentsOf: repeatElement(" ", count: fill))
        columns += fill
      } else {
        out.scalars.append(isVisible(scalar) ? scalar : "\u{fffd}")
        columns += DisplayWidth.columns(of: scalar)
      }
    }
    out.columns = DisplayWidth.columns(scalars: out.scalars)
    return out
  }

  /// Text with what a terminal would act on, or would show in another order, written as `\u{…}`.
  static func printable(_ text: String) -> String {
    guard !text.unicodeScalars.allSatisfy(isVisible) else { return text }
    var out = ""
    for scalar in text.unicodeScalars {
      if isVisible(scalar) {
        out.unicodeScalars.append(scalar)
      } else {
        out += scalar == "\n" ? "\\n" : scalar == "\r" ? "\\r" : scalar == "\t" ? "\\t" : "\\u{\(String(scalar.value, radix: 16))}"
      }
    }
    return out
  }

  private static func isVisible(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7f..<0xa0: false
    // Line separators, direction marks, embeddings, overrides and isolates; the byte order mark.
    case 0x061c, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069, 0xfeff: false
    default: true
    }
  }
}
