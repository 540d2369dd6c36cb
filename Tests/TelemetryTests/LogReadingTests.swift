import Bytes
import JSON
import TestSupport
import Testing

@testable import Telemetry

/// What a search finds in a text, as the lines' ids.
private func found(_ text: String, _ conditions: [LogFilter.Condition], pieces: Int = .max) -> [String] {
  var search = LogSearch(LogFilter(conditions))
  var ids: [String] = []
  var rest: [UInt8] = []
  let bytes = Array(text.utf8)
  var at = 0
  repeat {
    let next = at + min(pieces, bytes.count - at)
    rest += bytes[at..<next]
    at = next
    let done = rest.withUnsafeBytes { piece in
      search.search(piece, isLast: at == bytes.count) { line in
        ids.append(line.text(.id) ?? "?")
        return true
      }
    }
    rest.removeFirst(done)
  } while at < bytes.count
  return ids
}

/// A day of decisions, some of them observed only, with fields that try to break out.
func sampleDay() -> [DecisionRecord] {
  var records: [DecisionRecord] = []
  func add(_ minute: UInt64, _ change: (inout DecisionRecord) -> Void) {
    var record = sampleRecord()
    record.timeMillis += minute * 60_000
    record.id = DecisionID(milliseconds: record.timeMillis, random: (UInt16(minute), minute))
    change(&record)
    records.append(record)
  }
  func allow(_ record: inout DecisionRecord) {
    (record.decision, record.reason, record.status, record.policies) = (.allow, .policyPermit, 200, ["viewers-read-orders"])
    record.http.method = "GET"
  }
  add(0) { allow(&$0) }
  add(1) { $0.principal = #"User::"demo|alice""# }
  add(2) {
    ($0.reason, $0.status, $0.policies, $0.principal, $0.token, $0.totalMicros) = (.noToken, 401, [], nil, nil, 95)
  }
  add(3) {
    ($0.reason, $0.status, $0.policies, $0.enforced) = (.noPermit, 200, [], false)
    $0.principal = #"User::"demo|malice""#
    $0.http.path = "/invoices/2026/november/7"
    $0.route = "/invoices/{rest...}"
  }
  add(4) { ($0.decision, $0.reason, $0.status, $0.policies, $0.totalMicros) = (.error, .jwksUnavailable, 503, [], 2_000_123) }
  add(5) {
    allow(&$0)
    $0.http.path = "/\u{1b}[31m\n{\"type\":\"decision\"}\u{202e}ü"
    $0.policies = ["a,\"b", "viewers-read-orders"]
  }
  add(1000) {
    allow(&$0)
    $0.would = .init(decision: .deny, reason: .policyForbid, policies: ["in-the-shadow"], errors: 0)
  }
  return records
}

private let day = sampleDay().map(jsonLine).joined()

@Suite struct LogReadingTests {
  private let ids = sampleDay().map(\.id.description)

  @Test func theFieldsOfTheTableAreThoseOfTheLineInItsOrder() throws {
    #expect(LogField.names.count <= 64)
    var record = sampleRecord()
    record.detail = "d"
    record.upstreamError = "reset"
    record.lookupMicros = 7
    record.isAudited = true
    record.wasExplained = true
    record.token?.keysAreStale = true
    record.difference = .init(by: .onPolicyError, engine: "local", decision: .allow)
    record.weight = 10
    record.streamOf = record.id
    record.redacted = ["/client/ip"]
    record.input = .object(["context": .object([:])])
    record.policies = (0..<100).map { "p\($0)" }
    record.would = .init(decision: .deny, reason: .policyForbid, policies: record.policies, errors: 0)
    let json = try JSONParser.parse(Array(jsonLine(record).utf8))
    let names = (json.object ?? []).flatMap { member in
      member.name == "input" ? [member.name] : (member.value.object.map { $0.map { "\(member.name).\($0.name)" } } ?? [member.name])
    }
    #expect(names == LogField.names)
  }

  @Test func thePublishedSchemaIsWhatItWas() {
    #expect(Golden.difference(DecisionSchema.text, from: "decision-schema.json") == nil)
  }

  @Test func everyConditionFindsItsDecisionsAndNoOthers() throws {
    func field(_ name: String) throws -> LogField { try #require(LogField(name)) }
    let cases: [([LogFilter.Condition], [Int])] = [
      ([], [0, 1, 2, 3, 4, 5, 6]),
      ([.isOne(.decision, of: ["deny"])], [1, 2, 3]),
      ([.isOne(.decision, of: ["deny", "error"])], [1, 2, 3, 4]),
      ([.wouldDeny], [3, 6]),
      ([.isOne(try field("would.decision"), of: ["deny"])], [6]),
      ([.isOne(.reason, of: ["no_token"])], [2]),
      ([.principal(["alice"])], [1]),
      ([.principal(["demo|alice"])], [1]),
      ([.principal([#"User::"demo|alice""#])], [1]),
      ([.principal(["lice"])], []),
      ([.policy(["viewers-read-orders"])], [0, 5, 6]),
      ([.policy(["a,\"b"])], [5]),
      ([.policy(["viewers"])], []),
      ([.matches(.path, ["/invoices/*"])], [3]),
      ([.matches(.path, ["*/7"])], [3]),
      ([.matches(.path, ["*ü"])], [5]),
      ([.matches(try field("ip"), ["203.0.113.*"])], [0, 1, 2, 3, 4, 5, 6]),
      ([.matches(try field("client.ip"), ["203.0.113"])], []),
      ([.isOne(.status, of: ["401", "503"])], [2, 4]),
      ([.slow(micros: 1_000_000)], [4]),
      ([.since("2026-11-23T09:03:00.000Z"), .until("2026-11-23T09:05:31.412Z")], [2, 3]),
      ([.isOne(.decision, of: ["allow"]), .isOne(.method, of: ["DELETE"])], []),
    ]
    for (conditions, wanted) in cases {
      for pieces in [Int.max, 1000, 7] {
        #expect(found(day, conditions, pieces: pieces) == wanted.map { ids[$0] }, "\(conditions) in pieces of \(pieces)")
      }
    }
  }

  @Test func aLineThatAnotherProgramPassedOnIsFoundToo() throws {
    // In another order, with spaces, nothing after the last line, and lines that are none.
    let json = try JSONParser.parse(Array(jsonLine(sampleDay()[1]).utf8))
    let members = (json.object ?? []).reversed().map { "\"\($0.name)\" : \($0.value.text)" }
    let text = "starting up\n\n{\"type\":\"summary\",\"dropped\":3}\n[1]\n{ \(members.joined(separator: " , ")) }"
    #expect(found(text, [.principal(["alice"]), .isOne(.reason, of: ["policy_forbid"])]) == [ids[1]])
    #expect(found(text, []) == [ids[1]])
  }

  @Test func noLineStopsTheSearch() {
    // Every cut and every changed byte of a line: no trap, and the line behind it is found.
    let line = Array(jsonLine(sampleDay()[5]).utf8.dropLast())
    let next = jsonLine(sampleDay()[0])
    for cut in 0..<line.count {
      let broken = String(decoding: line[..<cut], as: UTF8.self) + "\n" + next
      #expect(found(broken, []).last == ids[0])
      var changed = line
      changed[cut] = [UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "{"), UInt8(ascii: "]"), 0, 0xff][cut % 6]
      #expect(found(String(decoding: changed, as: UTF8.self) + "\n" + next, [.isOne(.status, of: ["200"])]).last == ids[0])
    }
  }

  @Test func aPatternMeansWhatItSays() {
    func matches(_ text: String, _ pattern: String) -> Bool { LogFilter.Condition.matches(Array(text.utf8), Array(pattern.utf8)) }
    for (text, pattern) in [("", ""), ("", "*"), ("abc", "a*c"), ("abc", "***"), ("aXbXc", "a*b*c"), ("abab", "*ab"), ("a*", "a*")] {
      #expect(matches(text, pattern), "\(text) \(pattern)")
    }
    for (text, pattern) in [("a", ""), ("abc", "a*b"), ("abc", "bc"), ("", "a"), ("abcd", "*abc")] {
      #expect(!matches(text, pattern), "\(text) \(pattern)")
    }
    // Linear and not exponential: this would not end otherwise.
    #expect(!matches(String(repeating: "a", count: 10_000), String(repeating: "a*", count: 50) + "b"))
  }

  @Test func rowsAndGroupsFitATerminal() throws {
    var text = ""
    let styles: [(String, TextStyle)] = [
      ("80 columns", TextStyle(DecisionText(), width: 80)), ("80 columns, colour", TextStyle(DecisionText(isColored: true), width: 80)),
      ("80 columns, ASCII", TextStyle(DecisionText(isASCII: true), width: 80)), ("120 columns", TextStyle(DecisionText(), width: 120)),
      ("a pipe", TextStyle(DecisionText())),
    ]
    for (name, style) in styles {
      text += "# \(name)\n"
      var layout = LogLayout(style)
      var groups = LogGroups(by: [.route, .reason])
      var many = LogGroups(by: [.id, .principal, .path])
      var search = LogSearch(LogFilter())
      _ = Array(day.utf8).withUnsafeBytes { piece in
        search.search(piece, isLast: true) { line in
          text += layout.rows(for: line)
          groups.add(line)
          many.add(line)
          return true
        }
      }
      text += "\n" + groups.table(top: 20, style) + "\n" + many.table(top: 2, style) + "\n"
    }
    #expect(Golden.difference(text, from: "logs.txt") == nil)
    for line in text.split(separator: "\n# 120 columns")[0].split(separator: "\n") where !line.contains("\u{1b}") {
      #expect(DisplayWidth.columns(String(line)) <= 80, "\(line)")
    }
  }

  @Test func groupsAreCountedTheirLastDecisionIsNamed() {
    var groups = LogGroups(by: [.decision])
    var search = LogSearch(LogFilter())
    _ = Array(day.utf8).withUnsafeBytes { piece in
      search.search(piece, isLast: true) { line in
        groups.add(line)
        return true
      }
    }
    #expect(
      groups.json(top: 2) == """
        {"count":3,"decision":"allow","last":"2026-11-24T01:41:31.412Z","example":"\(ids[6])"}
        {"count":3,"decision":"deny","last":"2026-11-23T09:04:31.412Z","example":"\(ids[3])"}

        """)
    #expect(groups.total == 7)
  }
}
