import Bytes
import Testing

@Suite struct DiagnosticTests {
  private func drawn(_ text: String, _ span: Range<Int>, label: String? = nil, help: String? = nil) -> String {
    Diagnostic(.error, "bad", at: span, label: label, help: help).rendered(in: SourceText(name: "p.cedar", text))
  }

  @Test func aReportNamesThePlaceShowsTheLineAndUnderlinesIt() {
    #expect(
      drawn("one\nwhen { context.scope };\n", 19..<24, label: "here", help: "did you mean `scopes`?") == """
        p.cedar:2:16: error: bad
          2 | when { context.scope };
            |                ^^^^^ here
          help: did you mean `scopes`?

        """)
  }

  @Test func anEmptySpanStillShowsACaretAlsoAtTheEndOfTheText() {
    #expect(drawn("abc", 3..<3) == "p.cedar:1:4: error: bad\n  1 | abc\n    |    ^\n")
    #expect(drawn("", 0..<0) == "p.cedar:1:1: error: bad\n  1 | \n    | ^\n")
    #expect(drawn("abc\n", 4..<4) == "p.cedar:2:1: error: bad\n  2 | \n    | ^\n")
  }

  @Test func spansOutsideTheTextAreMovedIntoIt() {
    #expect(drawn("abc", 90..<99) == "p.cedar:1:4: error: bad\n  1 | abc\n    |    ^\n")
    #expect(drawn("abc", -5..<1) == "p.cedar:1:1: error: bad\n  1 | abc\n    | ^\n")
  }

  @Test func columnsCountScalarsAndTheUnderlineCountsWhatATerminalShows() {
    // Two wide characters before the place, one combining mark in it.
    let text = "中文 e\u{301}x"
    #expect(drawn(text, 7..<11) == "p.cedar:1:4: error: bad\n  1 | 中文 e\u{301}x\n    |      ^^\n")
    // A span that starts inside a character covers the character.
    #expect(drawn("é=", 1..<2) == "p.cedar:1:1: error: bad\n  1 | é=\n    | ^\n")
  }

  @Test func tabsKeepTheUnderlineInPlaceAndLineEndsAreNotShown() {
    #expect(drawn("\tab\r\n", 2..<3) == "p.cedar:1:3: error: bad\n  1 |     ab\n    |      ^\n")
    #expect(drawn("a\tb", 2..<3) == "p.cedar:1:3: error: bad\n  1 | a   b\n    |     ^\n")
  }

  @Test func aSpanOverLinesShowsItsFirstAndLastLine() {
    #expect(
      drawn("permit(\n  a,\n  b\n) x", 0..<18) == """
        p.cedar:1:1: error: bad
          1 | permit(
            | ^^^^^^^
        ...
          4 | ) x
            | ^

        """)
  }

  @Test func nothingOfTheSourceReachesTheTerminalAsACommand() {
    let out = drawn("a\u{1b}[31m\u{202e}b", 0..<1)
    #expect(out == "p.cedar:1:1: error: bad\n  1 | a\u{fffd}[31m\u{fffd}b\n    | ^\n")
    let message = Diagnostic(.error, "saw `\u{1b}\n\u{2066}`").rendered(in: SourceText(name: "p", ""))
    #expect(message == "p: error: saw `\\u{1b}\\n\\u{2066}`\n")
    #expect(drawn("x\u{ff}", 0..<1).contains("^"))
    #expect(Diagnostic(.error, "m", at: 0..<1).rendered(in: SourceText(name: "p", bytes: [0xff, 0xc3])).contains("\u{fffd}"))
  }

  /// Found by reading: a byte that continues no character, first on a line after white space.
  @Test func noTextAndNoSpanIsATrap() {
    let source = SourceText(name: "p", bytes: Array("a\n  ".utf8) + [0x80])
    #expect(Diagnostic(.error, "m", at: 0..<3).rendered(in: source).contains("2 |   \u{fffd}"))
    var state: UInt64 = 7
    func random(_ limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % limit
    }
    let alphabet: [UInt8] = [0x80, 0xe2, 0x82, 0xac, 0x0a, 0x0d, 0x20, 0x09, 0x61, 0xff, 0xf0, 0x9f]
    for _ in 0..<3000 {
      let bytes = (0..<random(30)).map { _ in alphabet[random(alphabet.count)] }
      let start = random(34) - 2
      let text = Diagnostic(.error, "m", at: start..<start + random(20)).rendered(in: SourceText(name: "p", bytes: bytes))
      #expect(text.contains("^"))
    }
    let long = [UInt8](repeating: 0x80, count: 5000)
    #expect(Diagnostic(.error, "m", at: 2000..<4000).rendered(in: SourceText(name: "p", bytes: [0x0a] + long)).contains("^"))
  }

  @Test func aMinifiedLineIsShownAroundThePlaceOnly() {
    let text = String(repeating: "a", count: 100_000) + "X" + String(repeating: "b", count: 100_000)
    let lines = drawn(text, 100_000..<100_001).split(separator: "\n")
    #expect(lines.count == 3)
    #expect(lines.allSatisfy { $0.utf8.count < 300 })
    #expect(lines[1].contains("aX"))
    let caret = lines[2].firstIndex(of: "^").map { lines[2].distance(from: lines[2].startIndex, to: $0) }
    let mark = lines[1].firstIndex(of: "X").map { lines[1].distance(from: lines[1].startIndex, to: $0) }
    #expect(caret == mark)
  }

  @Test func reportsOverOneTextComeInTheOrderOfTheirPlaces() {
    let source = SourceText(name: "p", "ab\ncd")
    let all = [Diagnostic(.error, "late", at: 3..<4), Diagnostic(.warning, "early", at: 0..<1), Diagnostic(.error, "whole")]
    #expect(
      all.rendered(in: source).split(separator: "\n").filter { $0.hasPrefix("p") } == [
        "p: error: whole", "p:1:1: warning: early", "p:2:1: error: late",
      ])
  }
}

@Suite struct DisplayWidthTests {
  @Test(arguments: [
    ("", 0), ("abc", 3), ("é", 1), ("e\u{301}", 1), ("中", 2), ("👩", 2), ("👩\u{200d}🔬", 2), ("👍🏻", 2), ("❤\u{fe0f}", 2), ("❤", 1),
    ("\u{ad}", 0),
    ("한", 2), ("\u{1112}\u{1161}\u{11ab}", 2), ("\u{200b}", 0), ("ｆ", 2), ("1\u{fe0f}\u{20e3}", 2), ("🇩🇪", 2), ("لا", 1), ("\u{10ffff}", 1),
  ])
  func countsColumns(text: String, columns: Int) {
    #expect(DisplayWidth.columns(text) == columns)
  }
}
