import Cedar
import Foundation
import TestSupport
import Testing

@Suite struct PolicyParserTests {
  private func accepts(_ text: String) -> Bool {
    do {
      _ = try PolicyParser.parse(text)
      return true
    } catch { return false }
  }

  private func errors(_ text: String) -> [ParseError] {
    do {
      _ = try PolicyParser.parse(text)
      return []
    } catch { return error.errors }
  }

  private func condition(_ text: String) -> String { "permit(principal, action, resource) when { \(text) };" }

  @Test(arguments: [
    "", "// nothing", "permit(principal,action,resource,);", "@a @b(\"\") forbid(principal, action, resource);",
    "permit(principal is A::B in ?principal, action in [], resource == (R::\"x\"));",
    "permit(principal == principal::\"x\", action == N::Action::\"a\", resource) unless { true } when { context.permit };",
    "permit(principal,action,resource) when { {a: 1, \"b c\": [1, if true then 2 else 3,]}[\"b c\"].contains(--1) };",
    "permit(principal,action,resource) when { -9223372036854775808 < 9223372036854775807 };",
    "permit(principal,action,resource) when { context has a.b.c && context has \"if\" && !!!!true };",
    "permit(principal\u{a0},\u{2003}action,resource);",
  ]) func `accepts the text`(_ text: String) { #expect(errors(text) == []) }

  @Test(arguments: [
    ("permit(principal,action,resource)", "unexpected end of input"), ("permit(principal,action,resource);;", "unexpected token `;`"),
    ("permit(principal,action);", "missing the `resource` variable"),
    ("Permit(principal,action,resource);", "invalid policy effect: Permit"),
    ("permit(principal,action,resource) where { true };", "invalid policy condition: where"),
    ("permit(principal == \"a\",action,resource);", "found literal `\"a\"`"),
    ("permit(principal == ?resource,action,resource);", "?resource instead of ?principal"),
    ("permit(principal,action == Foo::\"a\",resource);", "type `Action` but got `Foo::\"a\"`"),
    ("permit(principal,action,resource) when { };", "cannot be empty"),
    ("@a(\"1\") @a(\"2\") permit(principal,action,resource);", "duplicate annotation"),
    ("permit(principal,action,resource) when { 9223372036854775808 == 1 };", "too large"),
    ("permit(principal,action,resource) when { -(9223372036854775808) == 1 };", "too large"),
    ("permit(principal,action,resource) when { \"\\*\" == \"\" };", "not a valid escape"),
    ("permit(principal,action,resource) when { \"\\u{D800}\" == \"\" };", "not a valid escape"),
    ("permit(principal,action,resource) when { \"a\r\n\" == \"\" };", "not a valid escape"),
    ("permit(principal,action,resource) when { [1].size() };", "`size` is not a valid method"),
    ("permit(principal,action,resource) when { [1].contains() };", "requires exactly 1 argument, but got 0"),
    ("permit(principal,action,resource) when { {a: 1, \"a\": 2} == 1 };", "duplicate key"),
    ("permit(principal,action,resource) when { principal is __cedar::X };", "reserved"),
    ("permit(principal,action,resource) when { true && if true then true else false };", "unexpected token"),
    ("permit(principal,action,resource) when { !-1 };", "unexpected token `-`"),
    ("permit(principal,action,resource) when { -----1 == 1 };", "too many occurrences"),
    ("permit(principal,action,resource) when { 1 < 2 < 3 };", "multiple relational operators"),
    ("permit(principal,action,resource) when { user.name == 1 };", "`user` has no fields or methods"),
    ("permit(principal,action,resource) when { context[\"a\" + \"b\"] };", "invalid string literal"),
    ("permit(principal,action,resource) when { 'a' == 1 };", "invalid token"),
    ("permit(principal\u{feff},action,resource);", "invalid token"),
  ]) func `refuses the text`(_ text: String, saying message: String) {
    let errors = errors(text)
    #expect(errors.contains { $0.message.contains(message) }, "\(errors)")
  }

  @Test func `reports the mistakes of all statements at once, in the order of their places`() {
    let text = """
      permit(principal, action, resource) when { user.a };
      permit(principal, action, resource) when { };
      forbid(principal, action, resource) when { 1 + };
      permit(principal == "x", action, resource) when { "a".foo() };
      permit(principal, action, resource);
      """
    let found = errors(text)
    #expect(found.count == 5)
    #expect(found.map(\.span.start) == found.map(\.span.start).sorted())
  }

  @Test func `an error marks the piece that is wrong`() {
    let text = condition("context.path like \"C:\\Users\"")
    let span = errors(text)[0].span
    #expect(Array(text.utf8)[span.start..<span.end].elementsEqual("\"C:\\Users\"".utf8))
  }

  @Test func `names a word that may have been meant`() {
    #expect(errors(condition("principle.a == 1"))[0].help?.contains("`principal`") == true)
    #expect(errors(condition("context.tags.containz(1)"))[0].help?.contains("`contains`") == true)
    #expect(errors("permitt(principal, action, resource);")[0].help?.contains("`permit`") == true)
  }

  @Test(arguments: ["(", "[", "!(", "-(", "{a: ", "if true then 1 else (", "[1, (", "context.f(", "context["])
  func `takes nesting without bound with an error and not with a crash`(_ opening: String) {
    let text = condition(String(repeating: opening, count: 100_000) + "1")
    #expect(!errors(text).isEmpty)
  }

  @Test func `takes 400 levels of parentheses, of calls and of unary operators`() {
    #expect(accepts(condition(String(repeating: "(", count: 400) + "true" + String(repeating: ")", count: 400))))
    #expect(accepts(condition(String(repeating: "!(", count: 400) + "true" + String(repeating: ")", count: 400))))
    #expect(accepts(condition(String(repeating: "[", count: 400) + "1" + String(repeating: "]", count: 400) + " == 1")))
    #expect(accepts(condition("context" + String(repeating: ".a", count: 400))))
    #expect(!accepts(condition("context" + String(repeating: ".a", count: 5000))))
    #expect(!accepts(condition("context has a" + String(repeating: ".a", count: 5000))))
  }

  @Test(arguments: [" && ", " || "]) func `takes long chains of`(_ sign: String) throws {
    let policies = try PolicyParser.parse(condition(Array(repeating: "true", count: 20_000).joined(separator: sign)))
    #expect(policies[0].expressions.depth(of: policies[0].conditions[0].body) == 2)
    let response = try Authorizer(policies: PolicySet(policies)).isAuthorized(
      Request(
        principal: PolicyParser.parseEntityUID("U::\"a\""), action: PolicyParser.parseEntityUID("Action::\"a\""),
        resource: PolicyParser.parseEntityUID("R::\"a\"")))
    #expect(response.decision == .allow)
  }

  @Test func `takes long sums, and evaluates them`() throws {
    let (tree, root) = try PolicyParser.parseExpression(Array(repeating: "1", count: 20_000).joined(separator: " + "))
    let uid = try PolicyParser.parseEntityUID("U::\"a\"")
    let value = try Evaluation.value(
      of: root, in: tree, for: Request(principal: uid, action: uid, resource: uid), entities: Entities())
    #expect(value == .long(20_000))
  }

  @Test func `a text that is no policy gives a thousand mistakes and not a million`() {
    #expect(errors(String(repeating: "#", count: 100_000)).count == ParseErrors.limit)
    #expect(errors(String(repeating: "permit;", count: 10_000)).count == ParseErrors.limit)
    #expect(errors(String(repeating: "permit(principal, action, resource) when { a };", count: 3000)).count == ParseErrors.limit)
  }

  @Test(arguments: ["{a: 1}", "{", "{}", "{a: B::{"]) func `an entity with a record is no type of a variable`(_ record: String) {
    #expect(errors("permit(principal: A::\(record), action, resource);") != [])
  }

  @Test func `agrees with the verified table of policy texts`() throws {
    guard let file = TestData.sharedFile("spec/cedar-language.md") else { return }
    let text = String(decoding: try Data(contentsOf: file), as: UTF8.self)
    guard let start = text.range(of: "# Appendix A"), let end = text.range(of: "# Appendix B") else { return }
    var count = 0
    for line in text[start.upperBound..<end.lowerBound].split(separator: "\n") where line.hasPrefix("- `` ") {
      let rest = line.dropFirst(5)
      guard let close = rest.range(of: " `` ", options: .backwards) else { continue }
      var policy = String(rest[..<close.lowerBound]).replacing("⏎", with: "\n").replacing("\\|", with: "|")
      policy = policy.replacing("…", with: "permit(principal,action,resource) when")
      #expect(accepts(policy) == rest[close.upperBound...].hasPrefix("ok"), "\(policy)")
      count += 1
    }
    #expect(count > 150)
    TestData.report("spec appendix A", ran: count)
  }
}
