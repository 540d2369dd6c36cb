import JSON
import TestSupport
import Testing

@testable import Cedar

@Suite struct FormatterTests {
  private func format(_ text: String, width: Int = 80, indent: Int = 2, keepsEveryComment: Bool = true) throws -> String {
    try PolicyFormatter.format(text, options: .init(width: width, indent: indent, keepsEveryComment: keepsEveryComment))
  }

  @Test func theSharedCasesComeOutByteForByte() throws {
    guard let file = TestData.sharedFile("corpus/cedar/diff-share.jsonl.gz") else { return }
    var ran = 0
    for line in try TestData.lines(of: file) where line.hasPrefix(#"{"op":"format""#) {
      let value = try JSONParser.parse(line)
      guard value["op"]?.string == "format", let text = value["policies"]?.string, let expected = value["expect"]?["text"]?.string else {
        continue
      }
      let got = try? format(
        text, width: Int(value["width"]?.integer ?? 80), indent: Int(value["indent"]?.integer ?? 2), keepsEveryComment: false)
      ran += 1
      if got != expected { Issue.record("\(value["id"]?.string ?? "?")\n\(text)\n--- expected\n\(expected)\n--- got\n\(got ?? "nil")") }
    }
    TestData.report("format", ran: ran)
    #expect(ran > 900)
  }

  @Test func aShortPolicyStandsOnTwoLines() throws {
    #expect(
      try format("permit(principal,action,resource)when{ context.a==1&&true }  unless{false};")
        == "permit (principal, action, resource)\nwhen { context.a == 1 && true }\nunless { false };\n")
  }

  @Test func aScopeWithConstraintsTakesALineAnElement() throws {
    #expect(
      try format(#"@id( "x" )@note forbid(principal is N :: T in ?principal,action in[Action::"a",Action::"b",],resource==R::"r",);"#)
        == """
        @id("x")
        @note
        forbid (
          principal is N::T in ?principal,
          action in [Action::"a", Action::"b"],
          resource == R::"r"
        );

        """)
  }

  @Test func longChainsBreakAtEveryOperatorAndNestInTheirParentheses() throws {
    let text =
      "permit(principal,action,resource)when{principal.department==resource.department&&(context.a||context.b.contains(principal.name))||1+2==3};"
    #expect(
      try format(text, width: 40, indent: 4) == """
        permit (principal, action, resource)
        when
        {
            principal.department == resource.department &&
            (context.a ||
             context.b
                 .contains
                 (
                     principal.name
                 )) ||
            1 + 2 == 3
        };

        """)
  }

  @Test func recordsSetsCallsAndConditionalsBreakTheirOwnWay() throws {
    let text =
      #"permit(principal,action,resource)when{{"a":1,b:[principal,resource,context.something]}=="#
      + #"(if context has a.b then ip("1.2.3.4").isInRange(ip("1.0.0.0/8")) else{})};"#
    #expect(
      try format(text, width: 30) == """
        permit
        (principal, action, resource)
        when
        {
          {
            "a": 1,
            b: [principal,
             resource,
             context.something]
          } == (if
             context has a.b
           then
             ip(
                 "1.2.3.4"
               )
               .isInRange
               (
                 ip("1.0.0.0/8")
               )
           else
             {})
        };

        """)
  }

  @Test func numbersArePrintedAsRead() throws {
    #expect(try format("permit(principal,action,resource)when{007==0&& -000==00};").contains("7 == 0 && -0 == 0"))
  }

  @Test func everyCommentStaysWithItsToken() throws {
    let text = """
      // first
      @id("a") // note
      // before
      permit( // open
        principal, // who
        action, // what
        resource // on
      ) // close
      when { // brace
        // lead
        context.a // a
        && // and
        context.b // b
      } // end
      ; // semicolon
      // last
      """
    let once = try format(text)
    for comment in text.matches(of: /\/\/ \w+/) { #expect(once.contains(comment.output), "\(comment.output)") }
    #expect(try format(once) == once)
  }

  @Test func commentsAtATrailingCommaAreKeptUnlessTheReferencesLossIsAskedFor() throws {
    let text = "permit(principal,action in [Action::\"a\", // one\n // two\n],resource);"
    let lossy = try format(text, keepsEveryComment: false)
    #expect(!lossy.contains("// one") && lossy.contains("// two"))
    let kept = try format(text)
    #expect(kept.contains("// one") && kept.contains("// two"))
    let scope = try format("permit(principal,action,resource, // a\n // b\n) // c\n;")
    #expect(scope.contains("// a") && scope.contains("// b") && scope.contains("// c"))
  }

  @Test func stringsWithLineFeedsAndSlashesAreLeftAlone() throws {
    let text = "permit(principal,action,resource)when{\"a\n\n\n  b // c\" == \"//\"};"
    #expect(try format(text).contains("\"a\n\n\n  b // c\" == \"//\""))
  }

  @Test func widthIsCountedInTerminalColumns() throws {
    // 34 wide characters are 68 columns, and the rest of the line 12.
    let text = "permit(principal,action,resource)when{\"" + String(repeating: "漢", count: 34) + "\"};"
    #expect(try format(text, width: 80).contains("when { \""))
    #expect(try format(text, width: 79).contains("when\n{ \""))
  }

  @Test func absurdWidthsAndIndentsAreTakenAsTheNearestSensibleOnes() throws {
    var options = PolicyFormatter.Options()
    (options.width, options.indent) = (.max, .max)
    #expect(try PolicyFormatter.format("permit(principal is A,action,resource);", options: options).contains("permit ("))
    (options.width, options.indent) = (.min, .min)
    #expect(
      try PolicyFormatter.format("permit(principal,action,resource);", options: options) == "permit\n(principal, action, resource);\n")
  }

  @Test func onlyCommentsAndNothingAreFormattedToo() throws {
    #expect(try format("") == "\n")
    #expect(try format("  // a \n\n//b") == "\n// a\n//b\n")
  }

  @Test func aBrokenTextIsRefusedWithItsMistakes() {
    #expect(throws: ParseErrors.self) { try format("permit(principal, action, resource) when { 1 = 2 };") }
    #expect(throws: ParseErrors.self) { try format("permit(principal, action, resource)") }
  }

  @Test func longAndDeepTextsTakeLinearTime() throws {
    let chain = "permit(principal,action,resource)when{" + [String](repeating: "context.a", count: 20_000).joined(separator: "&&") + "};"
    #expect(try format(chain).utf8.count > 20_000 * 10)
    let deep =
      "permit(principal,action,resource)when{" + String(repeating: "(", count: 400) + "1" + String(repeating: ")", count: 400) + "};"
    #expect(try format(deep, width: 1_000_000).utf8.count < 900)
    let members = "permit(principal,action,resource)when{context" + String(repeating: ".abc", count: 300) + "};"
    #expect(try format(members).contains(".abc\n"))
  }

  @Test(arguments: [0, 1, 20, 80, 1000])
  func formattingTwiceChangesNothingWhereNoCommentsAre(width: Int) throws {
    guard let file = TestData.sharedFile("corpus/cedar/corpus-share.jsonl.gz") else { return }
    var ran = 0
    for line in try TestData.lines(of: file).prefix(300) {
      guard let text = try JSONParser.parse(line)["policies"]?.string, !text.contains("//"), let once = try? format(text, width: width)
      else { continue }
      ran += 1
      #expect(try format(once, width: width) == once)
    }
    TestData.report("format twice, width \(width)", ran: ran)
    #expect(ran > 50)
  }
}
