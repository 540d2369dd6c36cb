import Bytes
import Cedar
import CedarSchema
import JSON
import Telemetry
import TestSupport
import Testing

@testable import PolicyTools

@Suite struct ReplayTests {
  private func bundle(_ policies: String) -> PolicyBundle {
    PolicyBundle(
      .init(
        policies: [SourceText(name: "policies/a.cedar", policies)], entities: SourceText(name: "policies/entities.json", WhyTests.entities))
    )
  }

  private func tally(_ text: String, _ candidate: String, baseline: String? = nil) -> ReplayTally {
    var tally = ReplayTally()
    let replay = Replay(candidate: bundle(candidate), baseline: baseline.map { bundle($0) })
    var bytes = text
    bytes.withUTF8 { replay.run(UnsafeRawBufferPointer($0), into: &tally) }
    return tally
  }

  private static let viewers =
    #"@id("viewers-read") permit(principal in UserGroup::"demo|viewer", action in Action::"read", resource in Path::"/orders");"#
  private static let everybody = #"@id("everybody") permit(principal, action == Action::"DELETE", resource);"#
  private static let broken = #"@id("broken") forbid(principal, action == Action::"PUT", resource) when { context.missing };"#

  private static func allow(_ method: String, _ path: String, group: String? = "viewer", user: String = "alice", route: String? = nil)
    -> String
  {
    WhyTests.text(
      method, path, user: user, group: group, decision: "allow", reason: "policy_permit", policies: ["viewers-read"], route: route)
  }

  private static let day =
    [
      allow("GET", "/orders/1"), allow("GET", "/orders/2"), allow("GET", "/orders/3", route: "GET /orders/{id}"), allow("GET", "/orders"),
      WhyTests.text("DELETE", "/orders/1"), WhyTests.text("DELETE", "/orders/1", group: nil), WhyTests.text("PUT", "/orders/1"),
      WhyTests.text("GET", "/", reason: "no_token"), WhyTests.text("GET", "/", withInput: false), WhyTests.text("GET", "/", reason: "whim"),
      WhyTests.text("GET", "/orders/9").replacing(#""errors":0"#, with: #""errors":0,"redacted":["/input/context/token/email"]"#),
      WhyTests.text("GET", "/orders/9").replacing(#"{"entities":["#, with: #"{"entities":[1,"#),
      WhyTests.text("GET", "/orders/9").replacing(#"alice\""#, with: "alice…"),
    ].joined(separator: "\n") + "\n{\"type\":\"summary\",\"dropped\":1}\nnoise\n"

  @Test func policiesThatDecideAlikeChangeNothing() {
    let tally = tally(Self.day, Self.viewers)
    #expect((tally.seen, tally.replayed, tally.unaffected, tally.changed, tally.stuck) == (13, 7, 1, 0, 5))
    #expect(tally.decidedByOthers == 0)
  }

  @Test func changesAreGroupedAndWideningIsMarked() throws {
    let tally = tally(Self.day, Self.everybody)
    #expect((tally.changed, tally.widened) == (6, 2))
    var text = ""
    for (name, style) in [
      ("80 columns", narrow), ("colour", TextStyle(DecisionText(isColored: true), width: 80)),
      ("a pipe", TextStyle(DecisionText(isASCII: true))),
    ] {
      text += "# \(name)\n" + tally.report(style, top: 2) + "\n"
    }
    text +=
      "# against other policies\n" + self.tally(Self.day, Self.viewers + Self.everybody, baseline: Self.viewers).report(narrow, top: 20)
    text += "\n# unchanged\n" + self.tally(Self.day, Self.viewers).report(narrow, top: 20)
    text += "\n# JSON\n" + tally.json()
    #expect(Golden.difference(text, from: "replay.txt") == nil)
    for line in text.split(separator: "\n# colour")[0].split(separator: "\n") {
      #expect(DisplayWidth.columns(String(line)) <= 80, "\(line)")
    }
  }

  @Test func aForbidThatFailsRefusesAsItDoesInTheProxy() {
    let everything = "permit(principal, action, resource);"
    let line = WhyTests.text("PUT", "/orders/1", decision: "deny", reason: "policy_error")
    #expect(tally(line, everything).widened == 1)
    #expect(tally(line, everything + Self.broken).changed == 0)
    var skipping = ReplayTally()
    Array(line.utf8).withUnsafeBytes {
      Replay(candidate: bundle(everything + Self.broken), failedForbidsRefuse: false).run($0, into: &skipping)
    }
    #expect(skipping.widened == 1)
  }

  @Test func partsAddUpToTheWhole() {
    let lines = Self.day.split(separator: "\n").map { $0 + "\n" }
    var sum = ReplayTally()
    for line in lines { sum.add(tally(String(line), Self.everybody)) }
    #expect(sum.json() == tally(Self.day, Self.everybody).json())
  }

  // MARK: learn

  private static let traffic = [
    allow("GET", "/orders/1"), allow("GET", "/orders/2"), allow("GET", "/orders"), allow("GET", "/orders/1", user: "bob"),
    allow("PUT", "/orders/1", group: "editor"), allow("GET", "/me", group: nil, user: "carol"), allow("GET", "/"),
    allow("GET", "/a b\\\"*/ @x/1", group: "x\\n*/ \\\"); permit(principal, action, resource); //"),
    WhyTests.text("DELETE", "/orders/1", enforced: false), WhyTests.text("DELETE", "/orders/2", group: "editor"),
    WhyTests.text("GET", "/orders/7", decision: "allow", reason: "policy_permit", withInput: false),
  ].joined(separator: "\n")

  private func learned(_ text: String, includesObserved: Bool) -> Learn {
    var learn = Learn(includesObserved: includesObserved)
    Array(text.utf8).withUnsafeBytes { learn.run($0) }
    return learn
  }

  @Test func whatIsLearnedIsSoundFormattedAndLosesNothing() throws {
    for includesObserved in [false, true] {
      let learn = learned(Self.traffic, includesObserved: includesObserved)
      let bundle = bundle(learn.policies)
      #expect(bundle.problems.isEmpty, "\(bundle.problems.map(\.rendered))")
      #expect(try PolicyFormatter.format(learn.policies) == learn.policies)
      let tally = tally(Self.traffic, learn.policies)
      #expect(tally.changed == tally.widened)
      // What was only observed is allowed now; what was refused stays refused.
      #expect(tally.widened == (includesObserved ? 1 : 0))
    }
    let text = learned(Self.traffic, includesObserved: true)
    #expect(Golden.difference(text.policies + "\n" + text.gaps, from: "learned.txt") == nil)
  }

  @Test func aHandfulOfGroupsCoversEverybody() {
    func line(_ groups: [String]) -> String {
      let parents = groups.map { #"{"type":"UserGroup","id":"demo|\#($0)"}"# }.joined(separator: ",")
      return Self.allow("GET", "/orders/1").replacing(#"{"type":"UserGroup","id":"demo|viewer"}"#, with: parents)
    }
    let lines = [line(["all", "a"]), line(["all", "b"]), line(["all", "c"]), line(["b", "d"])]
    let policies = learned(lines.joined(separator: "\n"), includesObserved: false).policies
    #expect(policies.contains(#"principal in UserGroup::"demo|all""#) && policies.contains(#"principal in UserGroup::"demo|b""#))
    #expect(policies.split(separator: "permit").count == 3, "\(policies)")
  }

  @Test func manyPrincipalsWithoutAGroupAreNamedByTheirType() {
    let lines = (0..<51).map { Self.allow("GET", "/me", group: nil, user: "u\($0)") }
    let policies = learned(lines.joined(separator: "\n"), includesObserved: false).policies
    #expect(policies.contains("principal is User,") && policies.contains("51 principals without a group"))
    let fewer = learned(lines.dropLast().joined(separator: "\n"), includesObserved: false).policies
    #expect(fewer.contains(#"principal == User::"demo|u7""#) && !fewer.contains("principal is"))
  }
}
