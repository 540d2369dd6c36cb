import Bytes
import JSON
import TestSupport
import Testing

@testable import Telemetry

@Suite struct DecisionShapeTests {
  private func record() -> DecisionRecord {
    var record = sampleRecord()
    record.input = .object([
      "entities": .array([]),
      "context": .object([
        "client": .object(["ip": .string("203.0.113.9")]), "token": .object(["email": .string("a@b"), "sub": .string("s")]),
      ]),
    ])
    return record
  }

  private func shaped(_ shape: DecisionShape) throws -> JSONValue {
    var record = record()
    shape.apply(to: &record)
    return try JSONParser.parse(Array(jsonLine(record).utf8))
  }

  private static let key = Secret(Array("0123456789abcdef".utf8))

  @Test func aPlainShapeChangesNothing() throws {
    #expect(DecisionShape().isPlain)
    #expect(try shaped(DecisionShape()) == JSONParser.parse(Array(jsonLine(record()).utf8)))
  }

  @Test func aHashedPrincipalIsTheSameEachTimeAndIsNobodyWithoutTheKey() throws {
    let one = try shaped(DecisionShape(principals: .hashed(key: Self.key)))
    let again = try shaped(DecisionShape(principals: .hashed(key: Self.key)))
    let other = try shaped(DecisionShape(principals: .hashed(key: Secret(Array("another key of 16".utf8)))))
    let name = try #require(one["principal"]?.string)
    #expect(name == again["principal"]?.string && name != other["principal"]?.string)
    #expect(name.hasPrefix(#"User::"hmac:"#) && name.utf8.count == #"User::"hmac:"#.utf8.count + 33)
    // What the policies saw says who it is as well.
    #expect(one["input"] == nil && !one.text.contains("d350c4cb"))
    #expect(one["redacted"]?.array?.compactMap(\.string) == ["/principal", "/input"])
  }

  @Test func whatIsOmittedIsGoneAndSaidToBe() throws {
    let line = try shaped(
      DecisionShape(
        principals: .omitted, addresses: .omit,
        drops: ["/http/user_agent", "/token/kid", "/token/jti_hash", "/detail", "/resource"]))
    #expect(line["principal"]?.isNull ?? false)
    #expect(line["client"]?["ip"]?.isNull ?? false)
    #expect(line["http"]?["user_agent"]?.isNull ?? false)
    #expect(line["token"]?["kid"]?.isNull ?? false)
    #expect(line["token"]?["jti_hash"] == nil && line["token"]?["alg"]?.string == "RS256")
    #expect(
      line["redacted"]?.array?.compactMap(\.string) == [
        "/principal", "/input", "/client/ip", "/http/user_agent", "/token/kid", "/token/jti_hash", "/resource",
      ])
  }

  @Test func partsOfWhatThePoliciesSawAreTakenOutAlone() throws {
    let line = try shaped(
      DecisionShape(addresses: .prefix, drops: ["/input/context/token/email", "/input/context/none", "/input/entities/0"]))
    #expect(line["input"]?.text == #"{"entities":[],"context":{"token":{"sub":"s"}}}"#)
    #expect(line["client"]?["ip"]?.string == "203.0.113.0/24")
    #expect(line["redacted"]?.array?.compactMap(\.string) == ["/client/ip", "/input/context/client", "/input/context/token/email"])
  }

  @Test(
    arguments: [
      ("203.0.113.9", "203.0.113.0/24"), ("255.255.255.255", "255.255.255.0/24"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
      ("::ffff:10.1.2.3", "10.1.2.0/24"), ("::1", "::/48"), ("nonsense", nil),
    ] as [(String, String?)])
  func anAddressIsCutToItsNetwork(_ address: String, _ network: String?) {
    #expect(DecisionShape.network(of: address) == network)
  }

  @Test func onlyWhatMayBeMissingCanBeLeftOut() {
    for pointer in ["/id", "/decision", "", "http/path", "/http", "/policies", "/http/user_agen"] {
      #expect(DecisionShape.problem(ofDrop: pointer) != nil, "\(pointer)")
    }
    #expect(DecisionShape.problem(ofDrop: "/http/user_agen")?.help.contains("did you mean /http/user_agent?") ?? false)
    #expect(DecisionShape.problem(ofDrop: "/input/context/token/email") == nil)
  }

  @Test func oneInSomeThatAllowedIsWrittenAndEverythingElseAlways() {
    let shape = DecisionShape(allowedOneIn: 10)
    var kept = 0
    for number: UInt64 in 0..<1000 {
      var record = sampleRecord()
      record.id = DecisionID(milliseconds: 0, random: (0, number))
      for (decision, isEnforced) in [(Decision.deny, true), (.error, true), (.deny, false)] {
        (record.decision, record.enforced) = (decision, isEnforced)
        #expect(shape.keeps(record))
      }
      record.decision = .allow
      if shape.keeps(record) { kept += 1 }
      record.would = .init(decision: .deny, reason: .policyForbid, policies: [], errors: 0)
      #expect(shape.keeps(record))
      record.would = nil
      record.isAudited = true
      #expect(shape.keeps(record))
    }
    #expect(kept == 100)
    var record = sampleRecord()
    shape.apply(to: &record)
    #expect(record.weight == 1)
    record.decision = .allow
    shape.apply(to: &record)
    #expect(jsonLine(record).contains(#","weight":10"#))
  }
}
