import Bytes
import JSON
import TestSupport
import Testing

@testable import Telemetry

/// A record as the documentation shows it.
func sampleRecord() -> DecisionRecord {
  var record = DecisionRecord(
    timeMillis: 1_795_424_491_412, id: DecisionID(milliseconds: 1_795_424_491_412, random: (0xbeef, 0x0123_4567_89ab_cdef)),
    decision: .deny,
    enforced: true, reason: .policyForbid)
  record.status = 403
  record.policies = ["no-delete-from-outside"]
  record.policySet = "sha256:9f2c5a7be1d0"
  record.generation = 1
  record.principal = #"User::"main|d350c4cb-5d80-4dcc-bab1-1e6fab3288ec""#
  record.action = #"Action::"DELETE""#
  record.resource = #"Path::"/orders/42""#
  record.route = "/orders/{id}"
  record.http = .init(
    method: "DELETE", host: "api.example.com", path: "/orders/42", version: "1.1", requestBytes: 0, userAgent: "curl/8.5.0")
  record.client = .init(ip: "203.0.113.9", forwarded: false)
  record.token = .init(
    issuer: "main", use: "access", algorithm: "RS256", keyID: "a1B2", clientID: "4h57example", expiresInSeconds: 3411, jtiHash: "5f1d2c")
  record.engine = "local"
  record.authorizeMicros = 41
  record.totalMicros = 812
  record.traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
  record.spanID = "00f067aa0ba902b7"
  record.instance = "orders-7d9f-abc"
  return record
}

func jsonLine(_ record: DecisionRecord) -> String {
  var line = LineBuffer()
  var encoder = DecisionLine()
  line.write { encoder.append(record, to: &$0) }
  return String(decoding: line.bytes, as: UTF8.self)
}

@Suite struct DecisionRecordTests {
  @Test func theFullRecordAndTheEmptyOneHaveTheDocumentedForm() {
    let empty = DecisionRecord(
      timeMillis: 0, id: DecisionID(milliseconds: 0, random: (0, 0)), decision: .error, enforced: false, reason: .requestInvalid)
    var shadowed = sampleRecord()
    shadowed.would = .init(decision: .allow, reason: .policyPermit, policies: ["new", "other"], errors: 1)
    #expect(Golden.difference(jsonLine(sampleRecord()) + jsonLine(empty) + jsonLine(shadowed), from: "decision-lines.txt") == nil)
  }

  @Test func everyReasonIsInTheTableThatIsDocumented() {
    let table = DecisionReason.allCases.map { "\($0.rawValue)\t\($0.meaning)\n" }.joined()
    #expect(Golden.difference(table, from: "reasons.txt") == nil)
  }

  @Test func aReasonIsStoredAsItsPosition() {
    for (position, reason) in DecisionReason.allCases.enumerated() {
      var record = sampleRecord()
      record.reason = reason
      #expect(jsonLine(record).contains("\"reason\":\"\(reason.rawValue)\""), "case \(position)")
    }
  }

  @Test(arguments: [
    "\n", "\r\n{\"type\":\"decision\"}", "\u{0}", "\u{1b}[31m", "\u{7f}", "\u{85}", "\u{9b}31m", "\u{2028}", "\u{2029}", "\u{202e}txt.exe",
    "\"}", "\\",
    "ä", "€", "🦄", "\u{feff}", String(repeating: "é", count: 2000), String(repeating: "x", count: 255) + "é",
    String(repeating: "\u{1}", count: 5000),
  ])
  func noClientCanEndOrDisguiseALine(_ evil: String) throws {
    var record = sampleRecord()
    record.http = .init(method: evil, host: evil, path: evil, version: evil, userAgent: evil)
    record.principal = evil
    record.action = evil
    record.resource = evil
    record.route = evil
    record.detail = evil
    record.policies = [evil, evil]
    record.would = .init(decision: .deny, reason: .policyForbid, policies: [evil, evil], errors: 0)
    record.token = .init(issuer: evil, use: evil, algorithm: evil, keyID: evil, clientID: evil, jtiHash: evil)
    let line = jsonLine(record)
    #expect(line.utf8.filter { $0 == 0x0a }.count == 1 && line.utf8.last == 0x0a)
    for scalar in line.unicodeScalars.dropLast() {
      let isHarmless = scalar.value >= 0x20 && !(0x7f...0x9f ~= scalar.value) && !(0x2028...0x202e ~= scalar.value)
      #expect(isHarmless, "U+\(String(scalar.value, radix: 16))")
    }
    let value = try JSONParser.parse(Array(line.utf8.dropLast()))
    guard case .string(let path)? = value["http"]?["path"]?.kind else {
      Issue.record("no path")
      return
    }
    #expect(evil.utf8.count > 2048 || exactlyEquals(path, evil))

    var style = DecisionText()
    let readable = style.line(for: record)
    for scalar in readable.unicodeScalars {
      let isHarmless = scalar.value >= 0x20 && !(0x7f...0x9f ~= scalar.value) && !(0x2028...0x202e ~= scalar.value)
      #expect(isHarmless, "U+\(String(scalar.value, radix: 16))")
    }
  }

  @Test func longStringsAreCutBetweenCharactersAndSaySo() throws {
    var record = sampleRecord()
    // 2047 bytes, then a character of two: it does not fit into 2048.
    record.http.path = String(repeating: "x", count: 2047) + "é/rest"
    record.http.userAgent = String(repeating: "u", count: 300)
    record.policies = (0..<100).map { "policy\($0)" }
    let value = try JSONParser.parse(Array(jsonLine(record).utf8.dropLast()))
    #expect(value["http"]?["path"]?.string == String(repeating: "x", count: 2047) + "…")
    #expect(value["http"]?["user_agent"]?.string == String(repeating: "u", count: 256) + "…")
    #expect(value["policies"]?.array?.count == 64)
    #expect(value["policies_more"]?.integer == 36)
  }

  @Test func aLineOfTypicalSizeStaysUnderOneKibibyte() {
    #expect(jsonLine(sampleRecord()).utf8.count <= 1024)
  }
}

@Suite struct DecisionIDTests {
  @Test func theTextIsCrockfordsBase32OfAllBits() {
    #expect(DecisionID(milliseconds: 0, random: (0, 0)).description == "00000000000000000000000000")
    #expect(DecisionID(milliseconds: (1 << 48) - 1, random: (.max, .max)).description == "7ZZZZZZZZZZZZZZZZZZZZZZZZZ")
    // The example of the ULID specification's readme: 1469918176385 is 01ARYZ6S41.
    #expect(DecisionID(milliseconds: 1_469_918_176_385, random: (0, 0)).description.hasPrefix("01ARYZ6S41"))
    #expect(DecisionID(milliseconds: 0, random: (0, 33)).description.hasSuffix("11"))
  }

  @Test func identifiersOfOneWorkerDoNotRepeatAndSortByTime() {
    var generator = DecisionIDGenerator()
    var seen: Set<DecisionID> = []
    var last = ""
    for millisecond: UInt64 in 0..<10_000 {
      let id = generator.next(milliseconds: 1_700_000_000_000 + millisecond)
      #expect(seen.insert(id).inserted)
      #expect(last < id.description)
      last = id.description
    }
  }

  @Test func aBufferTooShortGetsNothing() {
    withUnsafeTemporaryAllocation(byteCount: 25, alignment: 1) { buffer in
      buffer.initializeMemory(as: UInt8.self, repeating: 7)
      DecisionID(milliseconds: 1, random: (2, 3)).write(to: buffer)
      #expect(buffer.allSatisfy { $0 == 7 })
    }
  }
}

@Suite struct DecisionTextTests {
  @Test func readableLinesLookAsDocumented() {
    var allowed = sampleRecord()
    allowed.decision = .allow
    allowed.reason = .policyPermit
    allowed.status = 200
    allowed.policies = ["viewers-read-orders"]
    allowed.principal = #"User::"demo|alice""#
    allowed.http.method = "GET"
    var anonymous = sampleRecord()
    anonymous.principal = nil
    anonymous.reason = .noToken
    anonymous.status = 401
    anonymous.policies = []
    var observed = sampleRecord()
    observed.enforced = false
    observed.status = 200
    var unread = sampleRecord()
    unread.http = .init()
    unread.decision = .error
    unread.reason = .jwksUnavailable
    unread.status = 0
    unread.totalMicros = nil
    var long = sampleRecord()
    long.http.path = "/" + String(repeating: "ü", count: 200)
    var shadowed = sampleRecord()
    shadowed.decision = .allow
    shadowed.reason = .policyPermit
    shadowed.status = 200
    shadowed.policies = ["viewers-read"]
    shadowed.would = .init(decision: .deny, reason: .policyForbid, policies: ["not-at-night"], errors: 0)
    var text = ""
    for (name, style) in [("plain", DecisionText()), ("colour", DecisionText(isColored: true)), ("ASCII", DecisionText(isASCII: true))] {
      var style = style
      text += "# \(name)\n"
      for record in [allowed, sampleRecord(), anonymous, observed, unread, long, shadowed] { text += style.line(for: record) + "\n" }
    }
    #expect(Golden.difference(text, from: "readable-lines.txt") == nil)
  }

  @Test func colourAndGlyphsFollowTheEnvironment() {
    func style(_ isTerminal: Bool, _ environment: [String: String]) -> DecisionText {
      DecisionText(isTerminal: isTerminal) { environment[$0] }
    }
    #expect(style(true, ["LANG": "C.UTF-8"]).isColored)
    #expect(!style(false, ["LANG": "C.UTF-8"]).isColored)
    #expect(!style(true, ["NO_COLOR": "1"]).isColored)
    #expect(style(true, ["NO_COLOR": ""]).isColored)
    #expect(!style(true, ["TERM": "dumb"]).isColored)
    #expect(style(false, ["FORCE_COLOR": "1"]).isColored)
    #expect(!style(false, ["FORCE_COLOR": "1", "NO_COLOR": "1"]).isColored)
    #expect(!style(true, ["LANG": "en_US.UTF-8"]).isASCII)
    #expect(!style(true, ["LC_ALL": "de_DE.utf8", "LANG": "C"]).isASCII)
    #expect(style(true, ["LC_ALL": "C", "LANG": "en_US.UTF-8"]).isASCII)
    #expect(style(true, [:]).isASCII)
  }
}
