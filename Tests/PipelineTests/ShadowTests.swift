import AWS
import Bytes
import Cedar
import CedarSchema
import Telemetry
import TestSupport
import Testing

@testable import Pipeline

/// Policies in the shadow: asked, told of, and deciding nothing.
@Suite struct ShadowTests {
  private static let inForce = """
    @id("read") permit (principal, action in Action::"read", resource);
    @id("closed") forbid (principal, action, resource in Path::"/closed");

    """

  private func record(_ shadows: String, _ request: String, onPolicyError: Authorization.OnPolicyError = .deny) throws -> DecisionRecord {
    let desk = try Desk(policies: Self.inForce + shadows, onPolicyError: onPolicyError)
    var exchange = try desk.exchange(request, token: try desk.token("alice"))
    _ = desk.verdict(&exchange)
    return exchange.record(status: 0, wallMillis: 0, observed: false)
  }

  private func would(_ record: DecisionRecord) -> String {
    guard let would = record.would else { return "-" }
    return "\(would.decision) \(would.reason.rawValue) [\(would.policies.joined(separator: " "))] \(would.errors)"
  }

  @Test func aForbidInTheShadowRefusesNothingAndIsNamedAsWhatWould() throws {
    let record = try record("@id(\"new\") @mode(\"shadow\") forbid (principal, action, resource in Path::\"/a\");", "GET /a/b")
    #expect(record.decision == .allow && record.policies == ["read"] && record.enforced && record.errors == 0)
    #expect(would(record) == "deny policy_forbid [new] 0")
  }

  @Test func aPermitInTheShadowPermitsNothingAndIsNamedAsWhatWould() throws {
    let shadow = "@id(\"new\") @mode(\"shadow\") permit (principal, action, resource);"
    let denied = try record(shadow, "POST /a")
    #expect(denied.decision == .deny && denied.reason == .noPermit && denied.policies.isEmpty)
    #expect(would(denied) == "allow policy_permit [new] 0")
    // It would be one more reason, and no more than that.
    #expect(would(try record(shadow, "GET /a")) == "allow policy_permit [new read] 0")
    // A forbid that is in force wins over it, so it would change nothing.
    #expect(would(try record(shadow, "GET /closed")) == "-")
  }

  @Test func whatChangesNothingIsNotTold() throws {
    #expect(would(try record("@mode(\"shadow\") forbid (principal, action, resource in Path::\"/elsewhere\");", "GET /a")) == "-")
    #expect(would(try record("", "GET /a")) == "-")
    #expect(would(try record("@mode(\"enforce\") forbid (principal, action, resource in Path::\"/b\");", "GET /a")) == "-")
  }

  @Test func aPolicyInTheShadowThatFailsFailsForTheRecordAlone() throws {
    let shadow = "@id(\"new\") @mode(\"shadow\") forbid (principal, action, resource) when { context.nothing };"
    let denying = try record(shadow, "GET /a")
    #expect(denying.decision == .allow && denying.errors == 0)
    #expect(would(denying) == "deny policy_error [read] 1", "on_policy_error holds for what would be, too")
    #expect(would(try record(shadow, "GET /a", onPolicyError: .skip)) == "allow policy_permit [read] 1")
  }

  @Test func aLinkIsInTheShadowOfItsTemplate() throws {
    let text = """
      { "staticPolicies": { "p": { "effect": "permit", "principal": {"op": "All"}, "action": {"op": "All"}, "resource": {"op": "All"}, "conditions": [] } },
        "templates": { "t": { "effect": "forbid", "annotations": {"mode": "shadow"}, "principal": {"op": "==", "slot": "?principal"},
                              "action": {"op": "All"}, "resource": {"op": "All"}, "conditions": [] } },
        "templateLinks": [ { "newId": "l", "templateId": "t", "values": { "?principal": {"type": "User", "id": "x"} } } ] }
      """
    let bundle = PolicyBundle(.init(policies: [SourceText(name: "a.cedar.json", text)]))
    #expect(bundle.isSound && bundle.shadowed == ["l"])
    #expect(bundle.policiesInForce.ids == ["p"] && bundle.policiesInShadow.ids == ["l"])
  }

  /// The record of a request that a service decides, with policies in the shadow in files here.
  private func record(_ shadows: String, answer: AuthorizationAnswer, onPolicyError: String = "deny") throws -> DecisionRecord {
    let configuration = "engine: { verified_permissions: { policy_store: 'PS' } }, on_policy_error: '\(onPolicyError)',"
    let desk = try Desk(policies: Self.inForce + shadows, configuration: configuration)
    var exchange = try desk.exchange("GET /a", token: try desk.token("alice"))
    guard case .wait(.decision) = exchange.decide(desk.facts) else { throw ShadowMistake.notAsked }
    exchange.decisionArrived(.answered(answer))
    _ = desk.verdict(&exchange)
    return exchange.record(status: 0, wallMillis: 0, observed: false)
  }
  private enum ShadowMistake: Error { case notAsked }

  @Test func policiesInTheShadowAreAskedHereBesideAnEngineElsewhere() throws {
    let forbid = "@id(\"new\") @mode(\"shadow\") forbid (principal, action, resource in Path::\"/a\");"
    let permit = "@id(\"new\") @mode(\"shadow\") permit (principal, action, resource);"
    let allowed = AuthorizationAnswer(decision: .allow, determining: ["there"], errors: [])
    let denied = AuthorizationAnswer(decision: .deny, determining: [], errors: [])
    let forbidden = AuthorizationAnswer(decision: .deny, determining: ["there"], errors: [])
    let record = try record(forbid, answer: allowed)
    #expect(record.decision == .allow && record.policies == ["there"] && record.engine == "verified_permissions")
    #expect(would(record) == "deny policy_forbid [new] 0")
    #expect(would(try self.record(forbid, answer: forbidden)) == "deny policy_forbid [new there] 0")
    let refused = try self.record(permit, answer: denied)
    #expect(refused.decision == .deny && would(refused) == "allow policy_permit [new] 0")
    #expect(would(try self.record(permit, answer: allowed)) == "allow policy_permit [new there] 0")
    #expect(would(try self.record(permit, answer: forbidden)) == "-")
    #expect(would(try self.record("", answer: allowed)) == "-")
  }

  @Test func whatFailsElsewhereOrInTheShadowIsCountedAndRefusesAsEver() throws {
    let failing = "@id(\"new\") @mode(\"shadow\") forbid (principal, action, resource) when { context.nothing };"
    let permit = "@id(\"new\") @mode(\"shadow\") permit (principal, action, resource);"
    let allowed = AuthorizationAnswer(decision: .allow, determining: ["there"], errors: [])
    let failed = AuthorizationAnswer(decision: .allow, determining: ["there"], errors: ["policy x"])
    #expect(would(try record(failing, answer: allowed)) == "deny policy_error [there] 1")
    #expect(would(try record(failing, answer: allowed, onPolicyError: "skip")) == "allow policy_permit [there] 1")
    #expect(would(try record(permit, answer: failed)) == "deny policy_error [new there] 1")
    #expect(would(try record(permit, answer: failed, onPolicyError: "skip")) == "allow policy_permit [new there] 1")
  }

  @Test func withoutPoliciesInTheShadowThereIsNothingToAsk() throws {
    #expect(try Desk().snapshot.shadow == nil)
    let desk = try Desk(policies: "@id(\"b\") @mode(\"shadow\") forbid (principal, action, resource);\n" + Self.inForce)
    #expect(desk.snapshot.shadow?.policyIDs == ["b"] && desk.snapshot.authorization.policyCount == 2)
  }

  @Test func aModeThatIsNoneIsAMistakeWithItsPlace() {
    var text = ""
    for mode in ["@mode(\"shadwo\")", "@mode(\"observe\")", "@mode"] {
      text += "# \(mode)\n"
      do throws(ConfigurationError) {
        _ = try Desk.files("@id(\"a\")\n\(mode)\npermit (principal, action, resource);\n").authorization(
          onPolicyError: .deny, mapping: Mapping(), ids: .annotation)
        Issue.record("\(mode) is taken")
      } catch {
        text += error.report + "\n"
      }
    }
    #expect(Golden.difference(text, from: "policy-modes.txt") == nil)
  }

  /// The one thing that matters: whatever stands in the shadow, what is enforced is what it would be without.
  @Test func nothingInTheShadowChangesWhatIsEnforced() throws {
    let shadows = [
      "permit (principal, action, resource);", "forbid (principal, action, resource);",
      "forbid (principal, action, resource) when { 1 + true == 2 };",
      "permit (principal, action, resource in Path::\"/closed\");",
      "forbid (principal, action in Action::\"read\", resource) unless { context has x };",
    ].map { "@mode(\"shadow\") " + $0 }
    var told = 0
    for mask in 0..<(1 << shadows.count) {
      let chosen = shadows.indices.filter { mask >> $0 & 1 == 1 }.map { shadows[$0] }.joined(separator: "\n")
      for request in ["GET /a", "POST /a", "GET /closed/1", "DELETE /closed"] {
        let alone = try record("", request)
        let beside = try record(chosen, request)
        #expect(
          beside.decision == alone.decision && beside.reason == alone.reason && beside.policies == alone.policies
            && beside.errors == alone.errors, "\(request) with \(chosen)")
        // What would be is what the same policies in force do.
        let inForce = try record(chosen.replacing("@mode(\"shadow\") ", with: ""), request)
        let expected = beside.would?.decision ?? alone.decision
        #expect(inForce.decision == expected, "\(request) with \(chosen)")
        if beside.would != nil { told += 1 }
      }
    }
    #expect(told > 60)
  }
}
