import Bytes
import Cedar
import CedarSchema
import JSON
import PolicyTools
import TestSupport
import Testing

@Suite struct PolicyToolsTests {
  private static let policies = """
    @id("viewers-read")
    permit(principal in Group::"viewer", action in Action::"read", resource);

    @id("editors-write")
    permit(principal in Group::"editor", action in [Action::"read", Action::"write"], resource)
    when { context.mfa && resource.owner == principal };

    @id("no-delete-from-outside")
    forbid(principal, action == Action::"delete", resource)
    unless { context.ip.isInRange(ip("10.0.0.0/8")) || context.ip.isLoopback() };
    """

  private static let schema = """
    entity Group;
    entity User in [Group];
    entity Order = { owner: User };
    action read, write;
    action view in [read] appliesTo { principal: User, resource: Order, context: { mfa: Bool, ip: ipaddr } };
    action delete in [write] appliesTo { principal: User, resource: Order, context: { mfa: Bool, ip: ipaddr } };
    """

  private static let entities = """
    [{"uid": {"type": "User", "id": "alice"}, "attrs": {}, "parents": [{"type": "Group", "id": "editor"}]},
     {"uid": {"type": "Order", "id": "42"}, "attrs": {"owner": {"type": "User", "id": "alice"}}, "parents": []}]
    """

  private func bundle(
    _ policies: String = policies, schema: String? = schema, entities: String? = entities, more: [SourceText] = []
  ) -> PolicyBundle {
    PolicyBundle(
      .init(
        policies: [SourceText(name: "policies/orders.cedar", policies)] + more,
        schema: schema.map { SourceText(name: "policies/schema.cedarschema", $0) },
        entities: entities.map { SourceText(name: "policies/entities.json", $0) }))
  }

  private func question(_ principal: String, _ action: String, _ resource: String, _ context: String?) -> Question {
    Question(
      principal: SourceText(name: "--principal", principal), action: SourceText(name: "--action", action),
      resource: SourceText(name: "--resource", resource), context: context.map { SourceText(name: "--context", $0) })
  }

  private func golden(_ text: String, _ name: String) {
    let difference = Golden.difference(text, from: name)
    #expect(difference == nil, "\(difference ?? "")")
  }

  // MARK: shadow

  private static let shadows = """
    @id("late") @mode("shadow")
    forbid(principal, action, resource) when { context.mfa };

    @id("everyone-reads") @mode("shadow")
    permit(principal, action in Action::"read", resource);

    """

  @Test func whatIsInTheShadowIsNamedByCheckAndDecidesNothing() {
    let bundle = bundle(more: [SourceText(name: "policies/new.cedar", Self.shadows)])
    let context = #"{"mfa": true, "ip": {"fn": "ip", "arg": "10.1.2.3"}}"#
    var text = Check.run(bundle, folder: "policies/").output
    for action in ["view", "delete"] {
      guard case .success(let request) = question(#"User::"alice""#, "Action::\"\(action)\"", #"Order::"42""#, context).request(for: bundle)
      else {
        Issue.record("no request")
        return
      }
      let authorized = Authorize.run(bundle, request)
      #expect(authorized.status == .success)
      text += "\n" + authorized.output + authorized.messages + "\n" + Explain.run(bundle, request).output
    }
    golden(text, "shadow.txt")
  }

  // MARK: check

  @Test func aSoundFolderIsSummedUpOnOneLine() {
    let outcome = Check.run(bundle(), folder: "policies/")
    #expect(outcome.output == "policies/        3 policies, schema ok, 6 entities\n")
    #expect(outcome.status == .success)
  }

  @Test func allMistakesOfAllFilesAreDrawnAtOnce() {
    let outcome = Check.run(
      bundle(
        "permit(principal, action, resource) when { context.mfaa };\npermit(principal is Usr, action, resource);",
        schema: Self.schema.replacing("tags", with: "tags"),
        entities: Self.entities.replacing(#""owner""#, with: #""ownr""#),
        more: [
          SourceText(name: "policies/broken.cedar", "permit(principal, action, resource) when { 1 = 2 };\npermit(principal, action)"),
          SourceText(name: "policies/again.cedar", "@id(\"orders.cedar#0\")\nforbid(principal, action, resource);"),
        ]), folder: "policies/")
    golden(outcome.output, "check-mistakes.txt")
    #expect(outcome.status == .invalid)
  }

  @Test func aBrokenSchemaIsReportedAloneAndNotBlamedOnTheEntities() {
    let outcome = Check.run(bundle(schema: "entity User in [Grup]; entity A = { b: Strin };"), folder: "policies/")
    golden(outcome.output, "check-schema.txt")
    #expect(outcome.status == .invalid)
  }

  @Test func warningsFailOnlyWhenAsked() {
    let impossible = "permit(principal, action == Action::\"view\", resource) when { principal == resource };"
    #expect(Check.run(bundle(impossible), folder: "p/").status == .success)
    let outcome = Check.run(bundle(impossible), folder: "p/", denyWarnings: true)
    #expect(outcome.status == .invalid)
    #expect(outcome.output.contains("1 warning\n") && outcome.output.contains("help: look for two parts"))
  }

  @Test func policiesAreNamedByTheirIDElseByFileAndPlace() {
    let set = bundle("permit(principal,action,resource);\n@id(\"x\")permit(principal,action,resource);", schema: nil, entities: nil)
      .policies
    #expect(set.policies.map(\.id) == ["orders.cedar#0", "x"])
  }

  @Test func policySetsInJSONBringTemplatesAndLinks() {
    let json = """
      {"staticPolicies": {}, "templates": {"t": {"effect": "permit", "principal": {"op": "==", "slot": "?principal"}, "action": {"op": "All"},
      "resource": {"op": "All"}, "conditions": []}}, "templateLinks": [{"templateId": "t", "newId": "l", "values": {"?principal": {"type": "User", "id": "alice"}}}]}
      """
    let bundle = bundle("", schema: nil, entities: nil, more: [SourceText(name: "p/set.cedar.json", json)])
    #expect(bundle.isSound)
    #expect(Check.run(bundle, folder: "p/").output == "p/               0 policies, 1 template, 1 link, no schema\n")
    #expect(bundle.place(of: "l") == "set.cedar.json")
    guard case .success(let request) = question("User::\"alice\"", "Action::\"x\"", "R::\"r\"", nil).request(for: bundle) else {
      Issue.record("no request")
      return
    }
    #expect(Authorize.run(bundle, request).output == "ALLOW  permitted by l  (set.cedar.json)\n")
  }

  // MARK: format and translate

  @Test func formattingTellsWhichFilesDiffer() {
    let good = SourceText(name: "a.cedar", "permit (principal, action, resource);\n")
    let loose = SourceText(name: "b.cedar", "permit(principal,action,resource);")
    let broken = SourceText(name: "c.cedar", "permit(principal,action);")
    let (files, outcome) = Format.run([good, loose], checkOnly: true)
    #expect(files.map(\.isChanged) == [false, true])
    #expect(files[1].formatted == "permit (principal, action, resource);\n")
    #expect(outcome.status == .differs && outcome.messages == "b.cedar: not formatted\n")
    #expect(Format.run([good, loose]).outcome == ToolOutcome())
    let (all, failed) = Format.run([loose, broken])
    #expect(failed.status == .invalid && failed.messages.hasPrefix("c.cedar:1:24: error: this policy is missing"))
    #expect(all[1].formatted == nil && all[0].formatted != nil)
  }

  @Test func policiesTranslateToJSONAndBack() {
    let json = Translate.run(
      SourceText(name: "p.cedar", "@id(\"a\")permit(principal is User,action,resource)when{context.a like \"x*\"};"), .policiesToJSON)
    golden(json.output, "translated.json")
    let back = Translate.run(SourceText(name: "p.json", json.output), .policiesToCedar)
    #expect(
      back.output == "@id(\"a\")\npermit (\n  principal is User,\n  action,\n  resource\n)\nwhen { context.a like \"x*\" };\n")
    #expect(back.status == .success && back.messages.isEmpty)
  }

  @Test func schemasTranslateToJSONAndBack() {
    let json = Translate.run(SourceText(name: "s.cedarschema", Self.schema), .schemaToJSON)
    #expect(json.status == .success)
    let back = Translate.run(SourceText(name: "s.json", json.output), .schemaToCedar)
    #expect(back.status == .success)
    let again = Translate.run(SourceText(name: "s.cedarschema", back.output), .schemaToJSON)
    // References to groups come back with their type spelled out; from there on nothing changes.
    #expect(Translate.run(SourceText(name: "s.json", again.output), .schemaToCedar).output == back.output)
  }

  @Test(arguments: Translate.Direction.allCases)
  func translationsOfNonsenseAreDrawnMistakes(direction: Translate.Direction) {
    let outcome = Translate.run(SourceText(name: "x", "{]"), direction)
    #expect(outcome.status == .invalid && outcome.output.isEmpty && outcome.messages.hasPrefix("x:1:"))
    let bytes = Translate.run(SourceText(name: "x", bytes: [0xff]), direction)
    #expect(bytes.status == .invalid)
  }

  // MARK: authorize and explain

  @Test func authorizeNamesTheDecidingPolicies() throws {
    let inside = #"{"mfa": true, "ip": "10.1.2.3"}"#
    let outside = #"{"mfa": true, "ip": "203.0.113.9"}"#
    let bundle = bundle()
    func run(_ context: String, _ action: String = "delete") throws -> ToolOutcome {
      Authorize.run(bundle, try question("User::\"alice\"", "Action::\"\(action)\"", "Order::\"42\"", context).request(for: bundle).get())
    }
    #expect(try run(inside) == ToolOutcome(output: "ALLOW  permitted by editors-write  (orders.cedar:5)\n"))
    #expect(try run(outside) == ToolOutcome(output: "DENY  forbidden by no-delete-from-outside  (orders.cedar:9)\n", status: .denied))
    #expect(try run(#"{"mfa": false, "ip": "10.1.2.3"}"#).output == "DENY  no policy permits this\n")
  }

  @Test func whatIsWrongWithARequestIsDrawn() {
    let bundle = bundle()
    func messages(_ question: Question) -> String {
      if case .failure(let failure) = question.request(for: bundle) { return failure.messages }
      return ""
    }
    var text = messages(question("User::alice", "Action::\"view\"", "Order::\"42", nil))
    text += messages(question("User::\"alice\"", "Action::\"view\"", "Order::\"42\"", "{\"mfa\": 1, \"ip\": \"10.0.0.1\"}"))
    text += messages(question("User::\"alice\"", "Action::\"view\"", "Order::\"42\"", "{\"mfa\": true}"))
    text += messages(question("Group::\"g\"", "Action::\"view\"", "Order::\"42\"", "{\"mfa\": true, \"ip\": \"10.0.0.1\"}"))
    text += messages(question("User::\"alice\"", "Action::\"view\"", "Order::\"42\"", "{mfa: true}"))
    let file = SourceText(name: "request.json", #"{"principal": "User::alice", "action": {"type": "Action", "id": "view"}}"#)
    if case .failure(let failure) = Question.request(in: file, for: bundle) { text += failure.messages }
    golden(text, "request-mistakes.txt")
  }

  @Test func aRequestFileIsReadWithStringsOrObjects() throws {
    let file = SourceText(
      name: "request.json",
      #"{"principal": "User::\"alice\"", "action": {"type": "Action", "id": "view"}, "resource": "Order::\"42\"", "context": {"mfa": true, "ip": "10.0.0.1"}}"#
    )
    let request = try Question.request(in: file, for: bundle()).get()
    #expect(request.principal.description == "User::\"alice\"" && request.context.count == 2)
  }

  @Test func explainTellsOfEveryPolicyWhy() throws {
    let bundle = bundle()
    var text = ""
    for (action, context) in [
      ("delete", #"{"mfa": true, "ip": "203.0.113.9"}"#), ("delete", #"{"mfa": true, "ip": "10.1.2.3"}"#),
      ("view", #"{"mfa": false, "ip": "10.1.2.3"}"#),
    ] {
      let request = try question("User::\"alice\"", "Action::\"\(action)\"", "Order::\"42\"", context).request(for: bundle).get()
      text += "## \(action) \(context)\n" + Explain.run(bundle, request, facts: .init(principal: "issuer demo")).output + "\n"
    }
    golden(text, "explain.txt")
  }

  @Test func explainShowsFailuresLinksAndWhatCameWithTheRequest() throws {
    let policies = """
      @id("fails") permit(principal, action, resource) when { context.missing == 1 };
      @id("fits") permit(principal in Group::"g", action, resource is Order in Box::"b") when { principal.a.b > 3 && [1, 2].contains(context.n) };
      @id("ids\\n") forbid(principal, action in [], resource);
      """
    let bundle = bundle(policies, schema: nil, entities: nil)
    #expect(bundle.isSound)
    let user = EntityUID(type: EntityType(unchecked: "User"), id: "u")
    let group = EntityUID(type: EntityType(unchecked: "Group"), id: "g")
    let order = EntityUID(type: EntityType(unchecked: "Order"), id: "o")
    let box = EntityUID(type: EntityType(unchecked: "Box"), id: "b")
    let overlay = [
      Entity(uid: user, attributes: Record(lastWins: [.init("a", .record(Record(lastWins: [.init("b", .long(2))])))]), parents: [group]),
      Entity(uid: order, parents: [box]),
    ]
    let request = Request(
      principal: user, action: EntityUID(type: EntityType(unchecked: "Action"), id: "x"), resource: order,
      context: Record(lastWins: [.init("n", .long(1))]))
    golden(Explain.run(bundle, request, overlay: overlay).output, "explain-overlay.txt")
    #expect(Explain.run(bundle, request, overlay: overlay).status == .denied)
  }

  @Test func anAllowThatAFailedForbidMightHavePreventedSaysSo() throws {
    let bundle = bundle(
      "permit(principal, action, resource);\n@id(\"f\") forbid(principal, action, resource) when { context.missing };", schema: nil,
      entities: nil)
    let request = try question("U::\"u\"", "Action::\"a\"", "R::\"r\"", nil).request(for: bundle).get()
    let outcome = Authorize.run(bundle, request)
    #expect(outcome.output == "ALLOW  permitted by orders.cedar#0  (orders.cedar:1)\n" && outcome.status == .success)
    #expect(outcome.messages.contains("policies/orders.cedar:2:53: warning: error while evaluating policy `f`"))
    #expect(
      outcome.messages.hasSuffix("note: f is a forbid that failed; the proxy refuses such a request unless told to skip failed policies\n"))
    #expect(Explain.run(bundle, request).output.contains("note: f is a forbid that failed"))
  }

  @Test func anUnsoundBundleDecidesNothing() throws {
    let bundle = bundle("permit(principal, action, resource) when { 1 = 1 };", schema: nil, entities: nil)
    let request = Request(
      principal: EntityUID(type: EntityType(unchecked: "U"), id: "u"), action: EntityUID(type: EntityType(unchecked: "Action"), id: "a"),
      resource: EntityUID(type: EntityType(unchecked: "R"), id: "r"))
    for outcome in [Authorize.run(bundle, request), Explain.run(bundle, request)] {
      #expect(outcome.status == .invalid && outcome.output.isEmpty && outcome.messages.contains("'=' is not a valid operator"))
    }
  }
}
