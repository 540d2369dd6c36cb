import Bytes
import CedarSchema
import Foundation
import JSON
import Pipeline
import Telemetry
import TestSupport
import Testing

@testable import PolicyTools

@Suite struct PolicyTestsTests {
  private static let policies = """
    @id("viewers-read") permit(principal in UserGroup::"main|viewer", action in Action::"read", resource in Path::"/orders")
    when { context.http.host != "internal" && context.client.ip.isLoopback() };
    @id("admins") permit(principal in UserGroup::"main|admin", action, resource);
    @id("frozen") forbid(principal, action in Action::"write", resource) when { context.time > datetime("2027-01-01") } unless { false };
    permit(principal == User::"robot", action, resource) when { context.missing };
    """

  private static func tests(_ policies: String = policies) throws -> (tests: PolicyTests, stage: PolicyTestStage) {
    var configuration = Configuration(upstream: "http://127.0.0.1:1")
    var issuer = IssuerConfiguration(name: "main", kind: .oidc(issuer: "https://main.invalid"))
    issuer.clientIDs = ["app"]
    issuer.idPrefix = "main"
    configuration.issuers = [issuer]
    let files = PolicyFiles(policies: [SourceText(name: "policies/a.cedar", policies)], schema: nil, entities: nil, hash: "sha256:1")
    let snapshot = try SnapshotBuilder.build(configuration, policies: files, generation: 1)
    let bundle = PolicyBundle(.init(policies: files.policies), options: .init(knownEntities: Mapping().actionEntities))
    return (PolicyTests(bundle), try PolicyTestStage(snapshot))
  }

  private static let file = """
    {
      principals: {
        alice: { claims: { sub: 'alice', groups: ['viewer'] } },
        carol: { claims: { sub: 'carol', groups: ['admin'] }, use: 'id' },
        nobody: null,
      },
      defaults: { now: '2026-11-23T09:00:00Z' },
      tests: [
        { name: 'viewers read', as: 'alice', request: 'GET /orders/42', expect: 'allow', by: ['viewers-read'] },
        { name: 'but not from elsewhere', as: 'alice', request: 'GET /orders/42', ip: '203.0.113.9', expect: 'deny', status: 403 },
        { name: 'nor on the inside', as: 'alice', request: 'GET /orders/42', headers: { host: 'internal' }, expect: 'deny', by: [] },
        { name: 'no token', as: 'nobody', request: 'GET /orders/42', expect: 'deny', status: 401, reason: 'no_token' },
        { name: 'no dots', as: 'carol', request: 'GET /orders/../x', expect: 'deny', status: 400, reason: 'path_ambiguous' },
        { name: 'the service learns who it is, and from nobody else', as: 'alice', request: 'GET /orders/42',
          headers: { 'x-stockade-subject': 'eve', 'X-Kept': 'yes' }, expect: 'allow',
          forwards: { 'X-Stockade-Subject': 'alice', 'X-STOCKADE-GROUPS': 'viewer', 'X-Kept': 'yes', 'X-Other': null } },
        { name: 'a clock of its own', as: 'carol', request: 'PUT /orders/42', now: '2027-06-01T00:00:00Z', expect: 'deny', by: 'frozen' },
        { name: 'many', as: ['alice', 'carol'], request: ['GET /orders', 'PUT /orders'], expect: { alice: 'allow deny', carol: 'allow allow' } },
        { name: 'in Cedar words', request: { principal: 'User::"robot"', action: 'Action::"GET"', resource: 'Path::"/"', context: {} },
          expect: 'deny', errors: 1 },
        { name: 'with entities', request: { principal: 'User::"x"', action: 'Action::"GET"', resource: 'Path::"/"', context: {} },
          entities: [{ uid: { type: 'User', id: 'x' }, attrs: {}, parents: [{ type: 'UserGroup', id: 'main|admin' }] }],
          expect: 'allow', by: ['admins'], errors: 0 },
      ],
    }
    """

  private static let failing = """
    {
      principals: { alice: { claims: { sub: 'alice', groups: ['viewer'] } } },
      tests: [
        { name: 'wrong decision', as: 'alice', request: 'GET /orders/42', expect: 'deny' },
        { name: 'wrong policy', as: 'alice', request: 'GET /orders/42', expect: 'allow', by: ['admins'] },
        { name: 'wrong reason', as: 'alice', request: 'PUT /orders/42', expect: 'deny', reason: 'policy_forbid' },
        { name: 'wrong status', as: 'alice', request: 'PUT /orders/42', expect: 'deny', status: 401 },
        { name: 'no status', as: 'alice', request: 'GET /orders/42', expect: 'allow', status: 200 },
        { name: 'wrong field', as: 'alice', request: 'GET /orders/42', expect: 'allow', forwards: { 'X-Stockade-Subject': 'bob' } },
        { name: 'a field too many', as: 'alice', request: 'GET /orders/42', expect: 'allow', forwards: { authorization: null } },
        { name: 'a field too few', as: 'alice', request: 'GET /orders/42', expect: 'allow', forwards: { 'X-Other': 'x' } },
        { name: 'wrong errors', request: { principal: 'User::"robot"', action: 'Action::"GET"', resource: 'Path::"/"' }, expect: 'deny', errors: 0 },
        { name: 'no entity', request: { principal: 'robot', action: 'Action::"GET"', resource: 'Path::"/"' }, expect: 'deny' },
        { name: '<&"\\u0007\\u001b[31m>', as: 'alice', request: 'GET /x', expect: 'allow' },
      ],
    }
    """

  private static let runTests = """
    [
      {"name": "reason is part of", "request": {"principal": "User::\\"u\\"", "action": "Action::\\"GET\\"", "resource": "Path::\\"/orders\\"", "context": {"http": {"host": "h"}, "client": {"ip": {"__extn": {"fn": "ip", "arg": "127.0.0.1"}}}}},
       "entities": [{"uid": {"type": "User", "id": "u"}, "attrs": {}, "parents": [{"type": "UserGroup", "id": "main|admin"}]}],
       "decision": "allow", "reason": [], "num_errors": 0},
      {"request": {"principal": "User::\\"robot\\"", "action": "Action::\\"GET\\"", "resource": "Path::\\"/orders\\"", "context": {"missing": true}},
       "entities": "e.json", "decision": "allow", "reason": ["policy3"], "num_errors": 0},
      {"name": "expects too much", "request": {"principal": "User::\\"robot\\"", "action": "Action::\\"GET\\"", "resource": "Path::\\"/orders\\"", "context": {"missing": true}},
       "entities": [], "decision": "allow", "reason": ["policy3", "admins"], "num_errors": 0}
    ]
    """

  private func testFile(_ name: String, _ text: String) -> PolicyTestFile {
    let file = PolicyTestFile(SourceText(name: "policies/tests/\(name)", text)) { name in
      name == "e.json" ? SourceText(name: name, "[]") : nil
    }
    #expect(file.problems == "")
    return file
  }

  @Test func everythingThatCanBeExpectedIsHeld() throws {
    var (tests, stage) = try Self.tests()
    tests.run(testFile("a.test.json5", Self.file), on: stage)
    #expect(tests.failed == 0 && tests.passed == 13, "\(tests.report())")
    tests.run(testFile("failing.json5", Self.failing), on: stage)
    tests.run(testFile("cedar.json", Self.runTests), on: stage)
    #expect(tests.passed == 15 && tests.failed == 12)
    var text = ""
    for (name, style) in [
      ("80 columns", narrow), ("colour", TextStyle(DecisionText(isColored: true), width: 80)),
      ("a pipe", TextStyle(DecisionText(isASCII: true))),
    ] {
      text += "# \(name)\n" + tests.report(style) + tests.coverage.report(style, listsAll: false) + tests.summary + "\n"
    }
    #expect(Golden.difference(text, from: "test-report.txt") == nil)
    for line in text.split(separator: "\n# colour")[0].split(separator: "\n") {
      #expect(DisplayWidth.columns(String(line)) <= 80, "\(line)")
    }
    #expect(Golden.difference(tests.json, from: "test-report.json") == nil)
    #expect(Golden.difference(tests.junit, from: "test-report.xml") == nil)
    #expect(throws: Never.self) { try JSONParser.parse(tests.json.utf8.dropLast()) }
  }

  @Test func coverageIsCountedAndComparedInWholeNumbers() throws {
    var (tests, stage) = try Self.tests()
    #expect(tests.coverage.policies.covered == 0 && tests.coverage.policies.total == 4)
    // Two operands of the first policy, one each of the third and the fourth; a constant is none.
    #expect(tests.coverage.conditions.total == 4)
    tests.run(testFile("a.test.json5", Self.file), on: stage)
    #expect(tests.coverage.policies.covered == 3 && tests.coverage.conditions.covered == 3)
    #expect(tests.coverage.policies.reaches(75) && !tests.coverage.policies.reaches(76))
    let nearly = PolicyCoverage.Share(covered: 9_999, total: 10_000)
    #expect(!nearly.reaches(100) && nearly.reaches(99))
    #expect(PolicyCoverage.Share(covered: 0, total: 0).reaches(100))
  }

  @Test func aFilterIsAPartOfTheNameAfterTheFile() throws {
    for (pattern, count) in [("viewers", 1), ("many: alice", 2), ("a.test*PUT", 2), ("nothing", 0), ("", 13)] {
      var (tests, stage) = try Self.tests()
      tests.run(testFile("a.test.json5", Self.file), on: stage, matching: pattern)
      #expect(tests.passed + tests.failed == count, "\(pattern)")
    }
  }

  @Test func mistakesOfATestFileAreDrawn() {
    var text = ""
    for test in [
      "{ tests: [] }", "[]", "[{}]", #"[{"request": {}, "decision": "allow", "entities": "../e.json", "reason": [], "num_errors": 0}]"#,
      "{ principals: { a: null }, tests: [{ as: 'a', request: 'GET /', expect: 'deny', reason: 'no_tokn' }] }",
      "{ principals: { a: null }, tests: [{ as: 'a', request: 'GET /', expect: 'deny', status: '401' }] }",
      "{ principals: { a: null }, tests: [{ as: 'a', request: 'GET /', expect: 'deny', forwards: { 'X-A': 'b' } }] }",
      "{ principals: { a: null }, tests: [{ as: 'a', request: 'GET /', expect: 'allow', forwards: { 'X-A': 1 } }] }",
      "{ principals: { a: null }, tests: [{ as: ['a'], request: 'GET /', expect: 'deny', status: 401 }] }",
      "{ tests: [{ request: { principal: 'x', who: 'y' }, expect: 'deny' }] }",
      "{ tests: [{ request: { principal: 'x' }, expect: 'perhaps' }] }", "{ tests: [{ request: { principal: 'x' } }] }",
    ] {
      text += PolicyTestFile(SourceText(name: "t.json5", test)).problems + "\n"
    }
    #expect(Golden.difference(text, from: "test-file-mistakes.txt") == nil)
  }
}
