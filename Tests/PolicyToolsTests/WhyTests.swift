import Bytes
import Cedar
import CedarSchema
import JSON
import Telemetry
import TestSupport
import Testing

@testable import PolicyTools

@Suite struct WhyTests {
  static let policies = """
    @id("viewers-read") permit(principal in UserGroup::"demo|viewer", action in Action::"read", resource in Path::"/orders");
    @id("editors-write-orders-and-their-archive")
    permit(principal in UserGroup::"demo|editor", action in [Action::"read", Action::"write"], resource in Path::"/orders")
    when { context.token.scope.contains("orders/write") && context.http.method != "PATCH" };
    @id("own-address") permit(principal, action == Action::"GET", resource == Path::"/me") when { context.client.ip.isLoopback() };
    @id("named") permit(principal is User, action, resource) when { principal has email && principal.email like "*@example.com" };
    @id("no-delete-from-outside") forbid(principal, action == Action::"DELETE", resource)
    unless { context.client.ip.isInRange(ip("10.0.0.0/8")) || context.client.ip.isLoopback() };
    @id("frozen") forbid(principal, action in Action::"write", resource) when { Service::"orders".frozen };
    @id("fails") forbid(principal, action, resource in Path::"/broken") when { context.token.missing == 1 };
    """

  static let entities = """
    [{"uid": {"type": "Service", "id": "orders"}, "attrs": {"frozen": false}, "parents": []},
     {"uid": {"type": "Action", "id": "GET"}, "attrs": {}, "parents": [{"type": "Action", "id": "read"}]},
     {"uid": {"type": "Action", "id": "PUT"}, "attrs": {}, "parents": [{"type": "Action", "id": "write"}]},
     {"uid": {"type": "Action", "id": "DELETE"}, "attrs": {}, "parents": [{"type": "Action", "id": "write"}]}]
    """

  static let bundle = PolicyBundle(
    .init(
      policies: [SourceText(name: "policies/orders.cedar", policies)], entities: SourceText(name: "policies/entities.json", entities)))

  /// A record as the proxy writes it.
  static func line(
    _ method: String, _ path: String, group: String? = "viewer", ip: String = "203.0.113.9", scope: String = "orders/read",
    decision: String = "deny", reason: String = "no_permit", policies: [String] = [], withInput: Bool = true, route: String? = nil
  ) throws -> RecordedDecision {
    let text = text(
      method, path, group: group, ip: ip, scope: scope, decision: decision, reason: reason, policies: policies, withInput: withInput,
      route: route)
    return try #require(RecordedDecision(try JSONParser.parse(text)))
  }

  /// The record's line.
  static func text(
    _ method: String, _ path: String, user: String = "alice", group: String? = "viewer", ip: String = "203.0.113.9",
    scope: String = "orders/read",
    decision: String = "deny", reason: String = "no_permit", policies: [String] = [], withInput: Bool = true, route: String? = nil,
    enforced: Bool = true
  ) -> String {
    var entities: [String] = [
      #"{"uid":{"type":"User","id":"demo|\#(user)"},"attrs":{},"parents":[\#(group.map { #"{"type":"UserGroup","id":"demo|\#($0)"}"# } ?? "")]}"#
    ]
    var parent = ""
    var place = ""
    for name in path.split(separator: "/") {
      let above = parent.isEmpty ? "/" : parent
      place += "/" + name
      entities.append(
        #"{"uid":{"type":"Path","id":"\#(place)"},"attrs":{"path":"\#(place)"},"parents":[{"type":"Path","id":"\#(above)"}]}"#)
      parent = place
    }
    let context =
      #"{"http":{"method":"\#(method)","path":"\#(path)","host":"h"},"client":{"ip":{"__extn":{"fn":"ip","arg":"\#(ip)"}}},"token":{"scope":["\#(scope)"]}}"#
    let input = withInput ? #","input":{"entities":[\#(entities.joined(separator: ","))],"context":\#(context)}"# : ""
    let text = #"""
      {"v":1,"type":"decision","time":"2026-11-23T09:01:31.412Z","id":"01M83T90FM000G000000000001","decision":"\#(decision)","enforced":\#(enforced),
      "reason":"\#(reason)","status":403,"policies":[\#(policies.map { "\"\($0)\"" }.joined(separator: ","))],"policy_set":"sha256:1","errors":0,
      "principal":"User::\"demo|\#(user)\"","action":"Action::\"\#(method)\"","resource":"Path::\"\#(path)\"","route":\#(route.map { "\"\($0)\"" } ?? "null"),
      "http":{"method":"\#(method)","host":"h","path":"\#(path)"},"client":{"ip":"\#(ip)","forwarded":false},
      "token":{"issuer":"demo","use":"access","expires_in_s":3411}\#(input)}
      """#
    return text.split(separator: "\n").joined()
  }

  private func why(_ record: RecordedDecision, policySet: String = "sha256:1", _ style: TextStyle = narrow) -> String {
    let outcome = Why.run(record, Self.bundle, policySet: policySet, style: style)
    return outcome.output + outcome.messages
  }

  @Test func theStoryOfEveryKindOfDecisionIsAsDocumented() throws {
    let cases: [(String, RecordedDecision)] = [
      ("nothing permits", try Self.line("DELETE", "/orders/42", ip: "10.0.0.1")),
      ("a clause forbids", try Self.line("DELETE", "/orders/42", reason: "policy_forbid", policies: ["no-delete-from-outside"])),
      ("allowed", try Self.line("GET", "/orders/42", decision: "allow", reason: "policy_permit", policies: ["viewers-read"])),
      ("a forbid failed", try Self.line("GET", "/broken/1", reason: "policy_error")),
      ("without input", try Self.line("PUT", "/orders/42", withInput: false)),
      ("without input, by a route", try Self.line("GET", "/orders/42", withInput: false, route: "GET /orders/{id}")),
      ("no policy was asked", try Self.line("GET", "/orders/42", reason: "token_expired")),
    ]
    var text = ""
    for (name, record) in cases { text += "# \(name)\n\(why(record))\n" }
    text += "# policies that changed, and decide otherwise\n" + why(try Self.line("GET", "/orders/42"), policySet: "sha256:2") + "\n"
    text += "# in colour\n" + why(cases[1].1, TextStyle(DecisionText(isColored: true), width: 80))
    text += "\n# in ASCII, in a pipe\n" + why(cases[0].1, TextStyle(DecisionText(isASCII: true)))
    #expect(Golden.difference(text, from: "why.txt") == nil)
    for line in text.split(separator: "\n# in ASCII")[0].split(separator: "\n") where !line.contains("\u{1b}") {
      #expect(DisplayWidth.columns(String(line)) <= 80, "\(line)")
    }
  }

  /// Requests of many kinds.
  private static func all() throws -> [(whole: RecordedDecision, part: RecordedDecision)] {
    var all: [(RecordedDecision, RecordedDecision)] = []
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
      for path in ["/orders/42", "/me", "/broken/1", "/"] {
        for group in ["viewer", "editor", nil] {
          for (ip, scope) in [("203.0.113.9", "orders/write"), ("127.0.0.1", "x")] {
            func record(_ withInput: Bool) throws -> RecordedDecision {
              try line(method, path, group: group, ip: ip, scope: scope, withInput: withInput)
            }
            all.append((try record(true), try record(false)))
          }
        }
      }
    }
    return all
  }

  @Test func whatIsToldOfAPolicyIsWhatTheEngineMakesOfIt() throws {
    let bundle = Self.bundle
    let authorizer = Authorizer(policies: bundle.policies, entities: bundle.entities)
    for (record, _) in try Self.all() {
      let (request, entities) = try #require(try record.question())
      let explanation = try authorizer.explain(request, and: entities)
      let known = try KnownRequest(request, overlay: entities, over: bundle.entities, literals: bundle.policies.literals)
      for policy in explanation.policies {
        let assessment = try #require(PolicyAssessor(known: known, policies: bundle.policies).assess(policy.policy, withClauses: true))
        switch policy.outcome {
        case .satisfied: #expect(assessment.verdict == .holds, "\(request) \(policy.policy)")
        case .notSatisfied: #expect(assessment.verdict == .fails, "\(request) \(policy.policy)")
        case .failed(let error): #expect(assessment.verdict == .failed(error.message), "\(request) \(policy.policy)")
        }
      }
    }
  }

  @Test func aRecordThatLacksFactsGuessesNothing() throws {
    let bundle = Self.bundle
    var told = 0
    for (record, part) in try Self.all() {
      let (request, entities) = try #require(try record.question())
      let known = try KnownRequest(request, overlay: entities, over: bundle.entities, literals: bundle.policies.literals)
      let partial = part.partialQuestion(try #require(part.subject))
      let less = try KnownRequest(
        partial.request, overlay: partial.entities, over: bundle.entities, literals: bundle.policies.literals, gaps: partial.gaps)
      #expect(try part.question() == nil)
      for id in bundle.policies.policies.map(\.id) {
        let whole = try #require(PolicyAssessor(known: known, policies: bundle.policies).assess(id, withClauses: true))
        let guess = try #require(PolicyAssessor(known: less, policies: bundle.policies).assess(id, withClauses: true))
        switch guess.verdict {
        case .unknown(let facts): #expect(!facts.isEmpty)
        // Where facts are missing, it can be said that a policy does not apply, and not whether it also would fail.
        case .fails:
          told += 1
          if case .holds = whole.verdict { Issue.record("\(request) \(id): \(whole.verdict) and told to fail") }
        case let verdict:
          told += 1
          #expect(verdict == whole.verdict, "\(request) \(id)")
        }
      }
    }
    // And yet it says most of what can be said.
    #expect(told > 300, "\(told)")
  }

  @Test func whatARecordCannotMeanIsSaidAndNothingTraps() throws {
    let text = #"{"type":"decision","time":"t","id":"i","decision":"deny","reason":"no_permit","input":\#("%")}"#
    for input in ["{}", #"{"entities":1,"context":{}}"#, #"{"entities":[{}],"context":{}}"#, #"{"entities":[],"context":[]}"#] {
      let json = try JSONParser.parse(text.replacing("%", with: input))
      let record = try #require(RecordedDecision(json))
      #expect(why(record).contains("the record does not hold whole names"))
    }
    #expect(RecordedDecision(try JSONParser.parse(#"{"type":"summary"}"#)) == nil)
    let strange = try #require(RecordedDecision(try JSONParser.parse(text.replacing("no_permit", with: "whim").replacing("%", with: "{}"))))
    #expect(why(strange).contains("does not know the reason"))
  }
}
