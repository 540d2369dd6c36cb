import Bytes
import Cedar
import Foundation
import TestSupport
import Testing

/// The mistakes that authors make, and what we tell them: each message is reviewed like code, in a golden file.
@Suite struct ParseMistakesTests {
  // One for each kind of mistake in the reference's list, in its order.
  private static let mistakes: [(String, String)] = [
    ("one `=`", "permit(principal, action, resource)\nwhen { resource.owner = principal };"),
    ("no `;` between policies", "permit(principal, action, resource)\nwhen { true }\nforbid(principal, action, resource);"),
    ("an id without its type", #"permit(principal == "bob", action, resource);"#),
    ("single quotes", "permit(principal == User::'bob', action, resource);"),
    ("an unclosed string", #"permit(principal == User::"bob, action, resource);"#),
    ("two comparisons in a row", "permit(principal, action, resource) when { 0 < context.n < 5 };"),
    ("a method of another language", #"permit(principal, action, resource) when { resource.labels.include("x") };"#),
    ("a set of principals", #"permit(principal in [Team::"a", Team::"b"], action, resource);"#),
    ("an action that is none", #"permit(principal, action == User::"read", resource);"#),
    ("a quoted type", #"permit(principal is "User", action, resource);"#),
    ("a variable that does not exist", #"permit(principal, action, resource) when { user.name == "bob" };"#),
    ("a scope of two elements", "permit(principal, action) when { true };"),
    ("a slot in a condition", "permit(principal == ?principal, action, resource) when { resource.owner == ?principal };"),
    ("a backslash that escapes nothing", #"permit(principal, action, resource) when { context.path like "D:\Work\*" };"#),
    ("an empty condition", "permit(principal, action, resource) when { };"),
    ("a number too large", "permit(principal, action, resource) when { context.n < 9223372036854775808 };"),
    ("`and` for `&&`", "permit(principal, action, resource) when { context.a and context.b };"),
    ("an effect in upper case", "Permit(principal, action, resource);"),
    ("an annotation twice", #"@id("a") @id("b") permit(principal, action, resource);"#),
    ("a division", #"permit(principal, action, resource) when { decimal("1.0") / 2 == 3 };"#),
    // Beyond that list.
    ("no `;` at the end", "permit(principal, action, resource)"),
    ("a brace left open", "permit(principal, action, resource) when { context.a == 1 ;"),
    (
      "several mistakes at once",
      "permit(principal, action, resource) when { context.a = 1 };\nforbid(principal, action, resource) when { x.y };\nPermit(principal, action, resource);"
    ),
    ("a misspelled variable", "permit(principal, action, resource) when { contxt.a };"),
    ("an upper-case operator", "permit(principal, action, resource) when { principal IN resource };"),
    ("a wide character before the place", #"permit(principal, action, resource) when { "漢字" == context.a and true };"#),
  ]

  private static func mistakes(of text: String) -> [ParseError] {
    do throws(ParseErrors) {
      _ = try PolicyParser.parse(text)
      return []
    } catch {
      return error.errors
    }
  }

  /// Found by fuzzing: an empty scope made the first condition's range of nodes run backwards.
  @Test(arguments: ["permit() when { true };", "permit()when{1}unless{2 has a.b};permit()unless{[]};", "permit();"])
  func aPolicyWithoutAScopeIsAMistakeAndNoTrap(text: String) {
    #expect(Self.mistakes(of: text).contains { $0.message.contains("missing the `principal` variable") })
  }

  @Test func messagesNameAFixAndComeOutAsReviewed() {
    var text = ""
    for (title, policies) in Self.mistakes {
      let errors = Self.mistakes(of: policies)
      #expect(!errors.isEmpty, "\(title)")
      #expect(errors.allSatisfy { $0.help != nil || $0.label != nil }, "\(title): no fix named")
      text += "## \(title)\n" + errors.map(\.diagnostic).rendered(in: SourceText(name: "p.cedar", policies)) + "\n"
    }
    let difference = Golden.difference(text, from: "ParseMistakes.txt")
    #expect(difference == nil, "\(difference ?? "")")
  }

  /// The reference draws a frame with the lines and an underline; its columns are what ours must lie within.
  @Test func placesAreThoseOfTheReferenceOrTighter() throws {
    guard let file = TestData.sharedFile("spec/cedar-language.md") else { return }
    let lines = String(decoding: try Data(contentsOf: file), as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    guard let appendix = lines.firstIndex(where: { $0.hasPrefix("# Appendix E") }) else {
      Issue.record("no appendix E")
      return
    }
    var ran = 0
    var title = ""
    var shown: [Int: String] = [:]
    var marks: [(line: Int, columns: Range<Int>)] = []
    func check() throws {
      guard let last = shown.keys.max(), !marks.isEmpty else { return }
      // Lines that the frame leaves out are those before the first it shows.
      let text = (1...last).map { shown[$0] ?? "permit(principal, action, resource)" }.joined(separator: "\n")
      let source = SourceText(name: "p", text)
      let errors = Self.mistakes(of: text)
      #expect(!errors.isEmpty, "\(title)")
      for error in errors {
        let start = source.position(of: error.span.start)
        let isInside = marks.contains { mark in
          mark.line == start.line && mark.columns.contains(start.column - 1)
            && error.span.end - error.span.start <= max(mark.columns.count, source.range(ofLine: start.line).count - start.column + 1)
        }
        #expect(isInside, "\(title): \(start) \(error.span.length) outside \(marks)")
      }
      ran += 1
    }
    for line in lines[appendix...] {
      if line.hasPrefix("### ") {
        try check()
        if line.contains("V1.") { break }
        title = String(line)
        (shown, marks) = ([:], [])
      } else if let match = line.wholeMatch(of: /\s*(\d+) \| (.*)/), let number = Int(match.1) {
        shown[number] = String(match.2)
      } else if let match = line.wholeMatch(of: /\s+: ( *)(\^[\^|]*|\|)/), let last = shown.keys.max() {
        // A lone bar is the end of a pointer to one character.
        marks.append((last, match.1.utf8.count..<match.1.utf8.count + match.2.utf8.count))
      }
    }
    TestData.report("parse mistakes", ran: ran)
    #expect(ran == 20)
  }
}
