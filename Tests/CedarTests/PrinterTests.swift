import JSON
import TestSupport
import Testing

@testable import Cedar

@Suite struct PrinterTests {
  @Test(arguments: [
    "principal.a", #"principal["a b"].c["if"]["__cedar"]"#, "-5", "-(5)", "-(-5)", "(-5).foo", "-(principal.a)", "!principal.a", "!(!true)",
    "1 - -3",
    "9223372036854775807 + -9223372036854775808", "true && (false && true)", "(true || false) && true", "true && false || true",
    "1 + 2 - 3", "1 - (2 - 3)",
    "(1 + 2) * 3", "1 + 2 * 3", "1 * (2 * 3)", "(1 == 2) == false", "if true then 1 else if false then 2 else 3",
    "(if true then 1 else 2) + 1",
    "[1, [], {}]", #"{a: 1, "if": if true then 1 else 2}"#, "principal has a.b.c", #"principal has "a b""#, #"principal like "a\*b*\n\"""#,
    "principal is N::T in resource", "principal is T", #"N::U::"a\n\u{7}\'".b"#, "principal in [action, resource]",
    #"ip("1.1.1.1").isInRange(ip("::/0"))"#,
    #"[1].contains(2) && [].isEmpty() && principal.hasTag("t")"#, #"decimal("1.0").lessThan(context.x)"#, "(principal in resource) is T",
    "(1 + 2).foo", "ip().isIpv4()",
  ])
  func printsWithNoMoreParenthesesThanNeeded(text: String) throws {
    let (tree, root) = try PolicyParser.parseExpression(text)
    let printed = try PolicyPrinter.text(of: root, in: tree)
    #expect(printed == text)
  }

  @Test func aPolicyIsLaidOutLikeTheReferencePrintsIt() throws {
    let policy = try PolicyParser.parse(
      #"@id("x\"y") @if permit(principal is U in G::"g",action==Action::"a",resource in ?resource,)when{true}unless{1==2};"#)[0]
    #expect(
      try PolicyPrinter.text(of: policy) == """
        @id("x\\"y")
        @if
        permit(
          principal is U in G::"g",
          action == Action::"a",
          resource in ?resource
        ) when {
          true
        } unless {
          1 == 2
        };
        """)
  }

  @Test func whatIsPrintedReadsBackTheSame() throws {
    guard let file = TestData.sharedFile("corpus/cedar/diff-share.jsonl.gz") else { return }
    var ran = 0
    func json(_ policies: [Policy]) throws -> String {
      var writer = JSONWriter()
      try PolicyJSON.write(PolicySet(policies), to: &writer)
      return writer.text
    }
    let operations = ["to_json", "format", "parse_policies"].map { #"{"op":"\#($0)""# }
    for line in try TestData.lines(of: file) where operations.contains(where: line.hasPrefix) {
      let value = try JSONParser.parse(line)
      guard let text = value["policies"]?.string, let policies = try? PolicyParser.parse(text) else { continue }
      ran += 1
      let printed = try policies.map { try PolicyPrinter.text(of: $0) }.joined(separator: "\n")
      let again = try? PolicyParser.parse(printed)
      guard let again, try json(again) == json(policies) else {
        Issue.record("\(text)\n--- printed\n\(printed)")
        continue
      }
    }
    TestData.report("printer round trip", ran: ran)
    #expect(ran > 2500)
  }
}
