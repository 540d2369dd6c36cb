import JSON
import TestSupport
import Testing

@testable import Cedar

@Suite struct PolicyJSONTests {
  private func json(_ text: String) throws -> String {
    var writer = JSONWriter()
    try PolicyJSON.write(try PolicySet(PolicyParser.parse(text)), to: &writer)
    return writer.text
  }

  private func json(_ set: PolicySet) throws -> String {
    var writer = JSONWriter()
    try PolicyJSON.write(set, to: &writer)
    return writer.text
  }

  private func set(_ body: String, effect: String = "permit") -> String {
    """
    {"templates":{},"staticPolicies":{"p":{"effect":"\(effect)","principal":{"op":"All"},"action":{"op":"All"},"resource":{"op":"All"},\
    "conditions":[{"kind":"when","body":\(body)}]}},"templateLinks":[]}
    """
  }

  private func mistakes(_ text: String) -> [String] {
    do throws(ParseErrors) {
      _ = try PolicyJSON.policySet(from: text.utf8)
      return []
    } catch {
      let bytes = Array(text.utf8)
      return error.errors.map {
        "\(String(decoding: bytes[$0.span.start..<min($0.span.end, bytes.count)], as: UTF8.self)): \($0.description)"
      }
    }
  }

  @Test func aPolicyBecomesTheFormatOfTheReference() throws {
    let text =
      #"@id("a") @bare permit(principal is N::T in N::G::"g", action in [Action::"r", Action::"w"], resource) unless { -5 < -principal.a };"#
    #expect(
      try json(text) == """
        {"templates":{},"staticPolicies":{"policy0":{"effect":"permit","principal":{"op":"is","entity_type":"N::T",\
        "in":{"entity":{"type":"N::G","id":"g"}}},"action":{"op":"in","entities":[{"type":"Action","id":"r"},{"type":"Action","id":"w"}]},\
        "resource":{"op":"All"},"conditions":[{"kind":"unless","body":{"<":{"left":{"Value":-5},"right":{"neg":{"arg":{".":\
        {"left":{"Var":"principal"},"attr":"a"}}}}}}}],"annotations":{"id":"a","bare":null}}},"templateLinks":[]}
        """)
  }

  @Test func chainsNestToTheLeft() throws {
    #expect(
      try json("permit(principal,action,resource) when { true && false && 1 + 2 - 3 == 0 };").contains(
        #"{"&&":{"left":{"&&":{"left":{"Value":true},"right":{"Value":false}}},"right":{"==":{"left":{"-":{"left":{"+":{"left":"#))
  }

  @Test func aPathOfHasIsSpelledOut() throws {
    #expect(
      try json("permit(principal,action,resource) when { context has a.b.c };").contains(
        """
        {"&&":{"left":{"&&":{"left":{"has":{"left":{"Var":"context"},"attr":"a"}},"right":{"has":{"left":{".":{"left":{"Var":"context"},\
        "attr":"a"}},"attr":"b"}}}},"right":{"has":{"left":{".":{"left":{".":{"left":{"Var":"context"},"attr":"a"}},"attr":"b"}},"attr":"c"}}}}
        """))
  }

  @Test func templatesAndLinksAreWritten() throws {
    var policies = try PolicySet(PolicyParser.parse("permit(principal == ?principal, action, resource in ?resource);"))
    try policies.link(
      TemplateLink(
        id: "l", template: "policy0", principal: EntityUID(type: EntityType(unchecked: "U"), id: "u"),
        resource: EntityUID(type: EntityType(unchecked: "R"), id: "r")))
    let text = try json(policies)
    #expect(
      text.hasSuffix(
        #""templateLinks":[{"templateId":"policy0","newId":"l","values":{"?principal":{"type":"U","id":"u"},"?resource":{"type":"R","id":"r"}}}]}"#
      ))
    #expect(try json(PolicyJSON.policySet(from: text.utf8)) == text)
  }

  @Test(arguments: [
    #"{"Value":{"__extn":{"fn":"ip","arg":"1.1.1.1"}}}"#, #"{"Value":{"__extn":{"fn":"ip","args":["1.1.1.1"]}}}"#,
    #"{"Value":[1,[],{"a":{}}]}"#,
    #"{"Value":{"__extn":{"fn":"nope","args":[]}}}"#, #"{"Value":{"__entity":{"type":"U","id":"u"}}}"#,
    #"{"Value":{"__entity":{"type":"U"}}}"#,
    #"{"has":{"left":{"Var":"context"},"attr":["a"]}}"#, #"{"has":{"left":{"Var":"context"},"attr":["a","if"]}}"#,
    #"{"like":{"left":{"Value":"a"},"pattern":["Wildcard",{"Literal":"ab*"},{"Literal":""}]}}"#,
    #"{"like":{"left":{"Value":"a"},"pattern":[{"Literal":"ab"},{"Literal":""}]}}"#, #"{"like":{"left":{"Value":"a"},"pattern":[]}}"#,
    #"{"Set":[{"Set":[]},{"Record":{"":{"Value":-9223372036854775808}}}]}"#, #"{"isInRange":[]}"#, #"{"unknown":[{"Value":"x"}]}"#,
    #"{"&&":{"left":{"Value":true},"right":{"&&":{"left":{"Value":true},"right":{"Value":true}}}}}"#,
    #"{"-":{"left":{"*":{"left":{"+":{"left":{"Value":1},"right":{"Value":2}}},"right":{"Value":3}}},"right":{"Value":4}}}"#,
    #"{"is":{"left":{"Var":"principal"},"entity_type":"A::B","in":{"Var":"resource"}}}"#,
    #"{"getTag":{"left":{"Var":"principal"},"right":{"Value":"t"}}}"#,
    #"{"if-then-else":{"if":{"!":{"arg":{"Value":true}}},"then":{"isEmpty":{"arg":{"Set":[]}}},"else":{"neg":{"arg":{"Value":1}}}}}"#,
  ])
  func whatIsReadIsWrittenAsItWas(body: String) throws {
    #expect(try json(PolicyJSON.policySet(from: set(body).utf8)) == set(body))
  }

  @Test(arguments: [
    (#"{}"#, "an empty object is not an expression"), (#"{"Value":1,"Var":"principal"}"#, "an expression has one member, found 2"),
    (#"{"Value":null}"#, "null is not a value"), (#"{"Value":1.0}"#, "`1.0` is not an integer of 64 bits"),
    (#"{"Value":-0}"#, "`-0` is not"),
    (#"{"Value":9223372036854775808}"#, "is not an integer"), (#"{"Value":{"__expr":"1"}}"#, "`__expr` is no longer supported"),
    (#"{"Var":"principle"}"#, "`principle` is not a variable"), (#"{"Slot":"?principal"}"#, "found a template slot in a condition"),
    (#"{"/":{"left":{"Value":1},"right":{"Value":1}}}"#, "`/` is not an operator or function"),
    (#"{"isInrange":[]}"#, "did you mean `isInRange`?"), (#"{"&&":[{"Value":true},{"Value":true}]}"#, "to be an object, got an array"),
    (#"{"&&":{"left":{"Value":true}}}"#, "missing field `right`"), (#"{"!":{"left":{"Value":true}}}"#, "unknown field `left`"),
    (#"{".":{"left":{"Value":true},"attr":1}}"#, "expected `attr` to be a string, got a number"),
    (#"{"has":{"left":{"Value":true},"attr":[]}}"#, "got an empty array"),
    (#"{"is":{"left":{"Value":true},"entity_type":"A :: B"}}"#, "is not a name"),
    (#"{"is":{"left":{"Value":true},"entity_type":"__cedar::A"}}"#, "`__cedar`, which is reserved"),
    (#"{"Record":{"a":{"Value":1},"a":{"Value":1}}}"#, "duplicate name"),
    (#"{"like":{"left":{"Value":1},"pattern":["*"]}}"#, #"expected "Wildcard""#),
    (#"{"ip":{"Value":"1"}}"#, "expected the arguments of `ip` to be an array"),
    (#"{"Value":{"__extn":{"fn":"a b","arg":1}}}"#, "not the name of a function"),
    (#"{"\#u{212A}":[]}"#, "is not an operator"),
  ])
  func refusesExpressions(body: String, why: String) {
    let found = mistakes(set(body))
    #expect(found.contains { $0.contains(why) }, "\(found)")
  }

  @Test func mistakesPointAtTheirPlaceAndComeAllAtOnce() {
    let text = """
      {"staticPolicies":{"a":{"effect":"allow","principal":{"op":"=="},"action":{"op":"==","entity":{"type":"User","id":"x"}},
      "resource":{"op":"==","slot":"?principal"},"conditions":[{"kind":"if","body":{"Var":"x"}}],"annotations":{"a b":1}, "extra":2}},
      "templates":{"t":{"effect":"permit","principal":{"op":"in","slot":"?principal"},"action":{"op":"all"},"resource":{"op":"All","x":1},
      "conditions":[]}},"templateLinks":[]}
      """
    // Once the fields are wrong, what is in them is not looked at.
    #expect(
      mistakes(text) == [
        #""extra": unknown field `extra` in a policy (the fields are `effect`, `principal`, `action`, `resource`, `conditions`, `annotations`)"#
      ])
    #expect(
      mistakes(text.replacing(#", "extra":2"#, with: "")) == [
        #""allow": invalid policy effect: `allow` (effect must be either `permit` or `forbid`)"#,
        #"{"op":"=="}: missing field `entity` or `slot`"#,
        #"{"type":"User","id":"x"}: expected an entity uid with type `Action` but got `User::"x"` (action entities must have type `Action`, optionally in a namespace)"#,
        #""?principal": `?principal` cannot stand here (the slot of this position is `?resource`)"#,
        #""if": `if` is not a kind of condition (write `when` or `unless`)"#,
        #""x": `x` is not a variable (the variables are `principal`, `action`, `resource` and `context`)"#,
        #""a b": `a b` is not a valid annotation key (keys are words: letters, digits and `_`)"#,
      ])
  }

  @Test(arguments: [
    (#"{"staticPolicies":{},"templates":{}}"#, "missing field `templateLinks`"),
    (#"{"staticPolicies":{},"templates":{},"templateLinks":[],"static_policies":{}}"#, "did you mean `staticPolicies`?"),
    (#"{"staticPolicies":{},"templates":{},"templateLinks":[{"templateId":"t","newId":"l","values":{}}]}"#, "there is no template `t`"),
    (#"{"staticPolicies":{},"templates":{},"templateLinks":[{"templateId":"t","newId":"l","values":{"?x":{}}}]}"#, "`?x` is not a slot"),
    (#"{"staticPolicies":[],"templates":{},"templateLinks":[]}"#, "expected `staticPolicies` to be an object"),
    ("[]", "expected a policy set to be an object"),
    ("{", "unexpected end of the text"),
  ])
  func refusesSets(text: String, why: String) {
    let found = mistakes(text)
    #expect(found.contains { $0.contains(why) }, "\(found)")
  }

  @Test func aBarePolicyIsTakenWhereItIsAskedFor() throws {
    let bare = #"{"effect":"permit","principal":{"op":"All"},"action":{"op":"All"},"resource":{"op":"All"},"conditions":[]}"#
    #expect(try PolicyJSON.policySetOrPolicy(from: bare.utf8).policies.map(\.id) == ["policy0"])
    #expect(throws: ParseErrors.self) { try PolicyJSON.policySet(from: bare.utf8) }
  }

  @Test func nothingIsTooLongOrTooDeepToBeWrittenOrRefused() throws {
    let long =
      "permit(principal,action,resource) when { " + [String](repeating: "context.a == 1", count: 20_000).joined(separator: " && ") + " };"
    #expect(try json(long).utf8.count > 20_000 * 20)
    let deep =
      "permit(principal,action,resource) when { " + String(repeating: "!(", count: 200) + "true" + String(repeating: ")", count: 200)
      + " };"
    #expect(try json(deep).hasSuffix("}]}},\"templateLinks\":[]}"))
    let path = (0..<30).map { "k\($0)" }.joined(separator: ".")
    let nested = (0..<12).reduce("context") { inner, _ in "(\(inner)) has \(path)" }
    #expect(throws: OutputTooLarge.self) { try json("permit(principal,action,resource) when { \(nested) };") }
    let value = try JSONParser.parse(
      set(String(repeating: #"{"!":{"arg":"#, count: 600) + #"{"Value":1}"# + String(repeating: "}}", count: 600)),
      limits: .init(depth: 10_000))
    #expect(throws: ParseErrors.self) { try PolicyJSON.policySet(from: value) }
  }
}
