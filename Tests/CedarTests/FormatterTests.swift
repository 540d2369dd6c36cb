import Foundation
import JSON
import TestSupport
import Testing

@testable import Cedar

@Suite struct FormatterTests {
  private func format(_ text: String, width: Int = 80, indent: Int = 2, keepsEveryComment: Bool = false) throws -> String {
    let source = Array(text.utf8)
    let options = PolicyFormatter.Options(width: width, indent: indent, keepsEveryComment: keepsEveryComment)
    return String(
      decoding: try PolicyFormatter.format(source: source, tokens: Lexer.tokens(source).tokens, options: options), as: UTF8.self)
  }

  @Test func theSharedCasesComeOutByteForByte() throws {
    guard let file = TestData.sharedFile("corpus/cedar/diff-share.jsonl.gz") else { return }
    var ran = 0
    for line in try TestData.lines(of: file) {
      let value = try JSONParser.parse(line)
      guard value["op"]?.string == "format", let text = value["policies"]?.string, let expected = value["expect"]?["text"]?.string else {
        continue
      }
      let got = try? format(text, width: Int(value["width"]?.integer ?? 80), indent: Int(value["indent"]?.integer ?? 2))
      ran += 1
      if got != expected { Issue.record("\(value["id"]?.string ?? "?")\n\(text)\n--- expected\n\(expected)\n--- got\n\(got ?? "nil")") }
    }
    TestData.report("format", ran: ran)
    #expect(ran > 900)
  }
}
