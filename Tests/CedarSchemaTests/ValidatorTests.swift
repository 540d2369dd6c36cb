import Cedar
import CedarSchema
import TestSupport
import Testing

@Suite struct ValidatorTests {
  static let schema = """
    entity Clerk in [Team] {
      name: String, level?: Long, boss?: Clerk, desk: { floor: Long, side?: String }, skills: Set<String>, from: ipaddr, since: datetime,
      pay: decimal, rank: Rank, works: Bool,
    } tags String;
    entity Team in [Team];
    entity Order in [Shop] { owner: Clerk, total: Long, notes?: { text?: String } } tags Set<Long>;
    entity Shop;
    entity Rank enum ["junior", "senior"];
    entity Stray;
    action trade;
    action view, change in [trade] appliesTo { principal: [Clerk], resource: [Order], context: { till: Long, ip?: ipaddr, by?: Clerk } };
    action close appliesTo { principal: [Clerk, Team], resource: [Shop, Order] };
    """

  /// Kinds of the errors that a policy with this condition has for `view`.
  private func kinds(_ condition: String, _ mode: ValidationMode = .strict) throws -> [String] {
    try result("permit(principal, action == Action::\"view\", resource) when { \(condition) };", mode).errors.map(\.kind.rawValue)
  }

  private func result(_ text: String, _ mode: ValidationMode = .strict, level: Int? = nil) throws -> ValidationResult {
    let set = try PolicySet(PolicyParser.parse(text))
    return Validator(try Schema(Self.schema), mode: mode, level: level).validate(set)
  }

  @Test(
    "Conditions that can never fail",
    arguments: [
      "principal.name == \"a\" && principal.desk.floor > 3", "principal has level && principal.level > 3",
      "principal has desk.side && principal.desk.side like \"a*\"",
      "principal has boss.level && principal.boss.level + 1 < 3", "resource has notes.text && resource.notes.text == \"\"",
      "if principal has level then principal.level == 1 else false",
      "!(principal has level) || (principal has level && principal.level == 1)",
      "principal.hasTag(\"a\") && principal.getTag(\"a\") == \"b\"",
      "principal.hasTag(principal.name) && principal.getTag(principal.name) like \"*\"",
      "principal.skills.contains(\"sell\") && principal.skills.containsAny([\"a\", \"b\"]) && !principal.skills.isEmpty()",
      "ip(\"10.0.0.1\").isInRange(ip(\"10.0.0.0/8\")) && principal.from.isIpv4()", "principal.since < datetime(\"2024-01-01\")",
      "principal.since.durationSince(datetime(\"2024-01-01\")) >= duration(\"1h\") && principal.pay.lessThan(decimal(\"1.0\"))",
      "principal in Team::\"a\" && principal in [Team::\"a\", Team::\"b\"] && resource in Shop::\"s\"", "principal is Clerk in Team::\"a\"",
      "resource.owner == principal && principal.rank == Rank::\"senior\"", "{a: 1, \"b c\": true}[\"b c\"]",
      "context has ip && context.ip.isLoopback()",
      "context.till == 1 && (context has by && context.by.works)", "[1, 2].contains(context.till)", "principal.works", "true",
      "action == Action::\"view\"",
      "(if principal.works then principal else resource.owner).name == \"a\"", "principal == Order::\"o\" || true",
    ])
  func valid(condition: String) throws { #expect(try kinds(condition) == []) }

  @Test(
    "Conditions that could fail, or that no request makes sense of",
    arguments: [
      ("principal.nam == \"a\"", ["UnsafeAttributeAccess"]), ("principal.level > 3", ["UnsafeOptionalAttributeAccess"]),
      ("principal.desk.side == \"a\"", ["UnsafeOptionalAttributeAccess"]),
      ("principal has level || principal.level > 3", ["UnsafeOptionalAttributeAccess"]),
      ("principal has level && resource.owner.level > 3", ["UnsafeOptionalAttributeAccess"]),
      ("principal has boss && principal.boss.level > 3", ["UnsafeOptionalAttributeAccess"]),
      ("principal.getTag(\"a\") == \"b\"", ["UnsafeTagAccess"]),
      ("principal.hasTag(\"b\") && principal.getTag(\"a\") == \"b\"", ["UnsafeTagAccess"]),
      ("principal.name > 3", ["UnexpectedType"]), ("principal.name && true", ["UnexpectedType"]),
      ("1 + principal.name == 2", ["UnexpectedType"]),
      ("principal.name == 3", ["IncompatibleTypes"]), ("[1, \"a\"].contains(1)", ["IncompatibleTypes"]),
      ("principal.skills.contains(1)", ["IncompatibleTypes"]),
      ("(if principal.works then 1 else \"a\") == 1", ["IncompatibleTypes"]), ("[].contains(1)", ["EmptySetForbidden"]),
      ("ip(\"10.0.0.0/33\").isIpv4()", ["FunctionArgumentValidation"]),
      ("decimal(\"1\").lessThan(principal.pay)", ["FunctionArgumentValidation"]),
      ("ip(principal.name).isIpv4()", ["NonLitExtConstructor"]), ("principal.from.isInRange()", ["WrongNumberArguments"]),
      ("principal in \"Team\"", ["UnexpectedType"]), ("principal.rank == Rank::\"boss\"", ["InvalidEnumEntity"]),
      ("principal is Clark", ["UnrecognizedEntityType"]),
      ("principal == Clark::\"a\"", ["UnrecognizedEntityType"]), ("action in Action::\"trad\"", ["UnrecognizedActionId"]),
      ("principal.pay < decimal(\"1.0\")", ["UnexpectedType", "UnexpectedType"]), ("{a: 1}.b == 1", ["UnsafeAttributeAccess"]),
      (
        "context.ip.isIpv4() && principal.nam == 1 && principal.name == 3",
        ["UnsafeOptionalAttributeAccess", "UnsafeAttributeAccess", "IncompatibleTypes"]
      ),
    ])
  func invalid(condition: String, expected: [String]) throws { #expect(try kinds(condition) == expected) }

  @Test(
    "Permissive mode forgives what strict mode forbids and evaluation does not mind",
    arguments: [
      "[].contains(1)", "principal.name == 3", "[principal, resource].contains(principal)", "ip(principal.name).isIpv4()",
      "principal.skills.contains(1)",
      "(if principal.works then principal else resource) == principal", "(if principal.works then {a: 1} else {a: 1, b: 2}).a == 1",
    ])
  func permissive(condition: String) throws {
    #expect(try kinds(condition, .permissive) == [])
    #expect(try !kinds(condition, .strict).isEmpty)
  }

  /// Found by the differential run.
  @Test("An unknown may be of any type, and no tags can be asked of it")
  func unknowns() throws {
    for condition in ["unknown(\"x\") is Clerk", "!(unknown(\"x\") is Clerk in unknown(\"y\"))", "unknown(\"x\") == 1", "unknown(\"x\")"] {
      #expect(try kinds(condition) == [], "\(condition)")
    }
    for condition in ["unknown(\"x\").hasTag(\"a\")", "unknown(\"x\").hasTag(\"a\") || true", "unknown(\"x\").getTag(\"a\") == 1"] {
      #expect(try kinds(condition) == ["InternalInvariantViolation"], "\(condition)")
    }
  }

  @Test("What is decided by the types is not looked into")
  func shortCircuits() throws {
    #expect(try kinds("false && principal.nonsense") == [])
    #expect(try kinds("true || principal.nonsense") == [])
    #expect(try kinds("if principal is Clerk then true else principal.nonsense") == [])
    #expect(try kinds("resource is Shop && resource.nonsense") == [])
    #expect(try kinds("principal.nonsense && false") == ["UnsafeAttributeAccess"])
  }

  @Test("A policy that is false for every request is impossible, one that could apply is not")
  func impossible() throws {
    func warnings(_ text: String) throws -> [String] { try result(text).warnings.map(\.kind.rawValue) }
    #expect(try warnings("permit(principal, action, resource) when { principal == resource };") == ["ImpossiblePolicy"])
    #expect(try warnings("permit(principal, action in Action::\"trade\", resource is Shop);") == ["ImpossiblePolicy"])
    #expect(try warnings("permit(principal, action in Action::\"trade\", resource);") == [])
    #expect(try warnings("permit(principal, action, resource) when { false };") == ["ImpossiblePolicy"])
  }

  @Test("A scope must leave some action applicable")
  func scopes() throws {
    func scope(_ text: String) throws -> [String] { try result(text).errors.map { "\($0.kind.rawValue): \($0.help ?? "")" } }
    #expect(
      try scope("permit(principal == Order::\"o\", action == Action::\"view\", resource);") == [
        "InvalidActionApplication: `Action::\"view\"` applies to principals of type `Clerk` and resources of type `Order`"
      ])
    #expect(try scope("permit(principal, action == Action::\"trade\", resource);").map { $0.prefix(24) } == ["InvalidActionApplication"])
    #expect(
      try scope("permit(principal == Team::\"t\", action == Action::\"view\", resource);") == [
        "InvalidActionApplication: try replacing `==` with `in` in the principal clause"
      ])
    #expect(try scope("permit(principal in Team::\"t\", action, resource in Shop::\"s\");") == [])
    #expect(
      try scope("permit(principal, action in [], resource);").map { $0.prefix(24) }
        == ["InvalidActionApplication", "EmptySetForbidden: to test"].map { $0.prefix(24) })
    #expect(try scope("permit(principal is Clerk in Shop::\"s\", action, resource);").map { $0.prefix(24) } == ["InvalidActionApplication"])
  }

  @Test("Templates are checked for every type that may fill a slot, links for the types that do")
  func templates() throws {
    let text = "permit(principal in ?principal, action == Action::\"view\", resource == ?resource) when { resource.total > 3 };"
    var set = try PolicySet(PolicyParser.parse(text))
    let team = EntityUID(type: EntityType(unchecked: "Team"), id: "t")
    let order = EntityUID(type: EntityType(unchecked: "Order"), id: "o")
    let stray = EntityUID(type: EntityType(unchecked: "Stray"), id: "s")
    let unknown = EntityUID(type: EntityType(unchecked: "Nobody"), id: "n")
    try set.link(TemplateLink(id: "good", template: "policy0", principal: team, resource: order))
    try set.link(TemplateLink(id: "off", template: "policy0", principal: stray, resource: order))
    try set.link(TemplateLink(id: "unknown", template: "policy0", principal: unknown, resource: order))
    let errors = Validator(try Schema(Self.schema)).validate(set).errors
    #expect(
      errors.map { "\($0.policy) \($0.kind.rawValue)" } == [
        "off InvalidActionApplication", "unknown UnrecognizedEntityType", "unknown InvalidActionApplication",
      ])
  }

  @Test(
    "Levels count steps from entity to entity",
    arguments: [
      ("principal == resource.owner", 1), ("resource.owner.name == \"a\"", 2), ("context.till == 1", 0),
      ("context has by && context.by.name == \"a\"", 1),
      ("principal.desk.floor == 1", 1), ("{a: principal}.a.name == \"a\"", 1), ("principal has boss.boss.name", 3),
      ("principal in Team::\"t\"", 1),
      ("principal.hasTag(\"a\") && principal.getTag(\"a\") == \"b\"", 1), ("principal is Clerk", 0),
      ("(if principal.works then principal else resource.owner).name == \"\"", 2),
      ("false && resource.owner.name == \"a\"", 0), ("context has by && context.by has boss.name", 2),
    ])
  func levels(condition: String, needed: Int) throws {
    let text = "permit(principal, action == Action::\"view\", resource) when { \(condition) };"
    #expect(try result(text, level: needed).passed)
    if needed > 0 { #expect(try result(text, level: needed - 1).errors.allSatisfy { $0.kind == .entityDereferenceLevelViolation }) }
    if needed > 0 { #expect(try !result(text, level: needed - 1).passed) }
  }

  @Test("An entity that is written out has no level")
  func literalLevels() throws {
    let errors = try result("permit(principal, action == Action::\"view\", resource) when { Clerk::\"a\".name == \"a\" };", level: 5).errors
    #expect(errors.map(\.message) == ["for policy `policy0`, entity literals cannot be dereferenced at any level"])
  }

  @Test("Texts that do not look like what they are get a warning")
  func confusables() throws {
    func kinds(_ condition: String) throws -> [String] {
      try result("permit(principal, action == Action::\"view\", resource) when { \(condition) };").warnings.map(\.kind.rawValue)
    }
    #expect(try kinds("principal.name == \"hello\"") == [])
    #expect(try kinds("principal.name == \"привет\"") == [])
    #expect(try kinds("principal.name == \"日本語カタカナ\"") == [])
    #expect(try kinds("principal.name == \"pаypal\"") == ["MixedScriptString"])  // the second letter is Cyrillic
    #expect(try kinds("principal.name == \"a\u{202e}b\"") == ["BidiCharsInString"])
    #expect(try kinds("principal == Clerk::\"say\u{200b}user\"") == ["ConfusableIdentifier"])
    #expect(try kinds("principal == Clerk::\"usеr\"") == ["MixedScriptIdentifier"])
  }

  @Test("Every error of every policy is reported at once, with its place")
  func places() throws {
    let text = """
      permit(principal, action == Action::"view", resource) when { principal.nam == "x" };
      permit(principal is Clark, action, resource);
      permit(principal, action == Action::"view", resource) when { principal.name == 3 && resource.totl > 1 };
      """
    let bytes = Array(text.utf8)
    let found = try result(text).errors.map { "\($0.policy): \(String(decoding: bytes[$0.span.start..<$0.span.end], as: UTF8.self))" }
    #expect(
      found == [
        "policy0: principal.nam", "policy1: Clark", "policy1: permit(principal is Clark, action, resource);",
        "policy2: principal.name == 3",
        "policy2: resource.totl",
      ])
  }

  @Test("Long chains and deep nesting are checked in reasonable time and without a crash")
  func bounds() throws {
    let has = (0..<2000).map { "principal has a\($0)" }.joined(separator: " || ")
    #expect(try kinds(has) == [])
    let chain = "principal has level" + String(repeating: " && principal.level > 1", count: 3000)
    #expect(try kinds(chain) == [])
    let deep = String(repeating: "(principal.works && ", count: 400) + "true" + String(repeating: ")", count: 400)
    #expect(try kinds(deep) == [])
    let tests =
      "principal is Clerk in " + String(repeating: "(if true then ", count: 200) + "Team::\"a\""
      + String(repeating: " else Team::\"b\")", count: 200)
    #expect(try kinds(tests) == [])
    // Typed twice at each level this would take two to the power of a hundred steps.
    let nested = String(repeating: "(", count: 100) + "principal" + String(repeating: " is Clerk in Team::\"a\")", count: 100)
    #expect(try !kinds(nested).isEmpty)
  }
}
