internal import Bytes

/// Takes blank lines out of a printed policy, but not those inside string literals.
enum BlankLines {
  /// The text without blank lines and without white space around it.
  static func removed(from text: [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(text.count)
    var start = 0
    var at = 0
    while at < text.count {
      let end: Int
      if text[at] == ASCII.quote, let close = stringEnd(text, at) {
        end = close
      } else if text[at] == UInt8(ascii: "/"), at + 1 < text.count, text[at + 1] == UInt8(ascii: "/") {
        end = text[at...].firstIndex { $0 == ASCII.lf || $0 == ASCII.cr } ?? text.count
      } else {
        at += 1
        continue
      }
      append(text[start..<at], to: &out)
      out.append(contentsOf: text[at..<end])
      start = end
      at = end
    }
    append(text[start...], to: &out)
    let first = out.firstIndex { !isSpace($0) } ?? out.count
    let last = out.lastIndex { !isSpace($0) } ?? first - 1
    return Array(out[first..<last + 1])
  }

  private static func stringEnd(_ text: [UInt8], _ start: Int) -> Int? {
    var at = start + 1
    while at < text.count {
      if text[at] == ASCII.quote { return at + 1 }
      at += text[at] == ASCII.backslash ? 2 : 1
    }
    return nil
  }

  /// Appends a piece between strings and comments. A line feed at its start ends the line that the string or comment
  /// stands in; what follows its last line feed begins the line of the next.
  private static func append(_ piece: ArraySlice<UInt8>, to out: inout [UInt8]) {
    if piece.first == ASCII.lf { out.append(ASCII.lf) }
    var start = piece.startIndex
    while let feed = piece[start...].firstIndex(of: ASCII.lf) {
      let line = piece[start...feed]
      if !line.allSatisfy(isSpace) { out.append(contentsOf: line) }
      start = feed + 1
    }
    out.append(contentsOf: piece[start...])
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == ASCII.space || (0x09...0x0d).contains(byte) }
}
