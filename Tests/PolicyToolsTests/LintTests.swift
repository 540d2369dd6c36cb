import Bytes
import Cedar
import CedarSchema
import TestSupport
import Testing

@testable import PolicyTools

@Suite struct LintTests {
  private static let schema = """
    entity UserGroup;
    entity User in [UserGroup];
    entity Path in [Path] { path: String };
    action read, write;
    action GET in [read] appliesTo { principal: User, resource: Path, context: { http: { path: String } } };
    action PUT, DELETE in [write] appliesTo { principal: User, resource: Path, context: { http: { path: String } } };
    action PURGE appliesTo { principal: User, resource: Path };
    """

  private func check(_ policies: String, schema: String? = schema, allowed: Set<Lint> = []) -> ToolOutcome {
    let bundle = PolicyBundle(
      .init(
        policies: [SourceText(name: "policies/a.cedar", policies)],
        schema: schema.map { SourceText(name: "policies/schema.cedarschema", $0) }))
    return Check.run(bundle, folder: "policies/", denyWarnings: true, allowed: allowed)
  }

  private func kinds(_ policies: String, schema: String? = nil) -> [String] {
    let text = check(policies, schema: schema).output
    return Lint.allCases.map(\.rawValue).filter { text.contains("[\($0)]") }
  }

  @Test func everyLintIsExplainedAndSaysHowItIsSilenced() {
    let odd = """
      @id("all") permit(principal in UserGroup::"g", action in Action::"read", resource);
      @id("part") permit(principal in UserGroup::"g", action == Action::"GET", resource in Path::"/x") when { resource.path == "a" };
      @id("never") permit(principal in UserGroup::"h", action == Action::"DELETE", resource);
      @id("none") forbid(principal, action in Action::"write", resource);
      @id("inside") permit(principal is User, action == Action::"GET", resource)
      when { context.http.path like "/orders*" && resource.path like "*.pdf" && resource.path like "/a/*" };
      @id("any") permit(principal, action == Action::"GET", resource);
      @id("typo") @onwer("team") forbid(principal, action == Action::"PUT", resource) when { principal in UserGroup::"x" };
      """
    // With a schema the validator says itself that no principal is a group.
    let groups = """
      @id("group") permit(principal == UserGroup::"g", action == Action::"GET", resource);
      @id("group too") permit(principal, action == Action::"PUT", resource) when { UserGroup::"g" == principal };
      """
    let text = check(odd).output + check(groups, schema: nil).output
    #expect(check(odd).status == .invalid)
    #expect(Golden.difference(text, from: "lints.txt") == nil)
    for lint in Lint.allCases { #expect(text.contains("[\(lint.rawValue)]"), "\(lint)") }
    #expect(check(odd, allowed: Set(Lint.allCases)).status == .success)
  }

  @Test func aPolicyMaySilenceALint() {
    #expect(kinds("permit(principal, action, resource);") == ["any-principal"])
    #expect(kinds(#"@allow_lint("any-principal") permit(principal, action, resource);"#) == [])
    #expect(kinds(#"@allow_lint("shadowed any-principal") permit(principal, action, resource);"#) == [])
    #expect(kinds(#"@allow_lint("any-princpal") permit(principal, action, resource);"#) == ["any-principal", "annotation"])
  }

  @Test func whatIsMeantIsNotReported() {
    for fine in [
      #"permit(principal in UserGroup::"g", action, resource);"#,
      #"permit(principal, action, resource) when { context.token.scope.contains("x") };"#,
      #"permit(principal, action, resource) when { context has token && context.token has scope };"#,
      #"permit(principal, action, resource) when { principal has email };"#,
      #"permit(principal == User::"u", action, resource);"#,
      // A forbid with a condition overrides sometimes; one on another action never.
      #"permit(principal == User::"u", action, resource); forbid(principal, action, resource) when { principal in G::"g" };"#,
      #"permit(principal == User::"u", action, resource); forbid(principal, action == Action::"PUT", resource);"#,
      #"permit(principal == User::"u", action, resource) when { resource.name like "*x" };"#,
      #"@owner("me") @audit @my_own("x") permit(principal == User::"u", action, resource);"#,
      // One member of a group is not the group.
      #"permit(principal == User::"u", action == Action::"a", resource); permit(principal == User::"u", action in Action::"a", resource) when { resource.x };"#,
    ] {
      #expect(kinds(fine) == [], "\(fine)")
    }
  }

  @Test func ofTwoThatCoverEachOtherTheLaterIsNeedless() {
    let twice =
      #"@id("one") permit(principal == User::"u", action, resource); @id("two") permit(principal == User::"u", action, resource);"#
    let text = check(twice, schema: nil).output
    #expect(text.contains("two is covered by one") && !text.contains("one is covered"))
  }

  @Test func annotationsOfOursAreChecked() {
    var text = ""
    for annotation in [
      #"@status("200")"#, #"@status"#, #"@status("401")"#, #"@deny_message("")"#, #"@owner"#, #"@audit("yes")"#,
    ] {
      text += check("\(annotation) forbid(principal, action, resource);", schema: nil).output
    }
    text += check(#"@status("404") permit(principal, action, resource);"#, schema: nil).output
    #expect(Golden.difference(text, from: "annotations.txt") == nil)
    #expect(
      check(#"@status("404") @deny_message("No.") @owner("o") @audit forbid(principal, action, resource);"#, schema: nil).status == .success
    )
  }

  @Test func theVocabularyIsThatOfTheDocumentation() {
    let table =
      PolicyVocabulary.words.map { "@\($0.key)\t\($0.meaning)\n" }.joined()
      + Lint.allCases.map { "\($0.rawValue)\t\($0.explanation)\n" }.joined()
    #expect(Golden.difference(table, from: "vocabulary.txt") == nil)
  }
}
