import AWS
import Bytes
import Cedar
import JSON
import TestSupport
import Testing

@Suite struct AuthorizationCallTests {
  private func uid(_ type: String, _ id: String) -> EntityUID { EntityUID(type: EntityType(unchecked: type), id: id) }

  private func call(_ principal: String = "alice") throws -> AuthorizationCall {
    let context = Record(lastWins: [
      .init("ip", .ip(try IPAddress("10.0.0.0/8"))), .init("n", .long(-5)), .init("set", .set(ValueSet([.string("a"), .bool(true)]))),
      .init("when", .datetime(Datetime(milliseconds: -1))), .init("for", .duration(Duration(milliseconds: 90))),
      .init("d", .decimal(Decimal(scaled: 15_000))), .init("r", .record(.empty)), .init("e", .entity(uid("User", "ü\"\n"))),
    ])
    let alice = Entity(uid: uid("User", principal), attributes: Record(lastWins: [.init("age", .long(25))]), parents: [uid("Group", "g")])
    return AuthorizationCall(
      policyStore: "PS1", principal: .named(uid("User", principal)), action: uid("NS::Action", "read"), resource: uid("Doc", "1"),
      context: context, entities: [alice, Entity(uid: uid("Group", "g"), tags: Record(lastWins: [.init("t", .bool(false))]))])
  }

  @Test func aQuestionIsWrittenAsTheModelSays() throws {
    let body = String(decoding: try call().body(), as: UTF8.self)
    #expect(Golden.difference(body + "\n", from: "is-authorized.json") == nil)
    let token = AuthorizationCall(
      policyStore: "policy-store-alias/shop", principal: .token(.init(Secret("a.b.c"), isAccessToken: true)), action: uid("Action", "read"),
      resource: uid("Doc", "1"))
    #expect(
      String(decoding: try token.body(), as: UTF8.self)
        == #"{"policyStoreId":"policy-store-alias/shop","accessToken":"a.b.c","action":{"actionType":"Action","actionId":"read"},"resource":{"entityType":"Doc","entityId":"1"}}"#
    )
    #expect(token.operation == "IsAuthorizedWithToken")
  }

  @Test func whatIsWrittenIsReadAsTheSameValue() throws {
    let call = try call()
    let json = try JSONParser.parse(try call.body())
    let context = try AttributeValue.record(try #require(json["context"]?["contextMap"]), at: "context")
    #expect(context == call.context)
    let first = try #require(json["entities"]?["entityList"]?.array?.first)
    #expect(try AttributeValue.record(try #require(first["attributes"]), at: "x") == call.entities[0].attributes)
    for millis: Int64 in [0, -62_167_219_200_000, 253_402_300_799_999, 951_782_399_001, -1] {
      var out = JSONWriter()
      try AttributeValue.write(.datetime(Datetime(milliseconds: millis)), to: &out)
      #expect(try AttributeValue.read(try JSONParser.parse(out.bytes), at: "x") == .datetime(Datetime(milliseconds: millis)), "\(out.text)")
    }
  }

  @Test(arguments: [
    "{}", #"{"string":"a","long":1}"#, #"{"ip":"10.0.0.1"}"#, #"{"long":1.5}"#, #"{"long":9223372036854775808}"#, #"{"decimal":"1.23456"}"#,
    #"{"ipaddr":"10.0.0.256"}"#, #"{"entityIdentifier":{"entityType":"A b","entityId":"x"}}"#, #"{"entityIdentifier":{"entityType":"A"}}"#,
    #"{"set":{}}"#, #"{"record":[]}"#, "5", "null",
  ]) func whatTheModelDoesNotKnowIsAMistakeWithItsPlace(_ text: String) throws {
    let json = try JSONParser.parse(text)
    #expect(throws: FieldError.self) { try AttributeValue.read(json, at: "context") }
  }

  @Test func valuesNestedTooDeeplyAreAMistake() throws {
    let text = String(repeating: #"{"set":["#, count: 250) + #"{"long":1}"# + String(repeating: "]}", count: 250)
    let json = try JSONParser.parse(text, limits: .init(depth: 1000))
    #expect(throws: FieldError.self) { try AttributeValue.read(json, at: "context") }
  }

  // MARK: - Answers

  private let allow = #"{"decision":"ALLOW","determiningPolicies":[{"policyId":"b"},{"policyId":"a"}],"errors":[{"errorDescription":"e"}]}"#

  @Test func anAnswerIsRead() throws {
    let answer = try AuthorizationAnswer.read(Array(allow.utf8), answering: try call())
    #expect(answer == AuthorizationAnswer(decision: .allow, determining: ["a", "b"], errors: ["e"]))
  }

  /// Nothing but the documented shape is an answer, and least of all an allow.
  @Test(arguments: [
    "", "null", "[]", "ALLOW", #""ALLOW""#, "{}", #"{"decision":"ALLOW"}"#, #"{"decision":"Allow","determiningPolicies":[],"errors":[]}"#,
    #"{"decision":"ALLOW","determiningPolicies":[],"errors":[]}"#,
    #"{"decision":true,"determiningPolicies":[{"policyId":"a"}],"errors":[]}"#,
    #"{"decision":"ALLOW","determiningPolicies":[{"policyId":"a"}]}"#,
    #"{"decision":"ALLOW","determiningPolicies":[{"policyId":""}],"errors":[]}"#,
    #"{"decision":"ALLOW","determiningPolicies":["a"],"errors":[]}"#, #"{"decision":"ALLOW","determiningPolicies":{},"errors":[]}"#,
    #"{"decision":"DENY","decision":"ALLOW","determiningPolicies":[{"policyId":"a"}],"errors":[]}"#,
    #"{"__type":"X","decision":"ALLOW","determiningPolicies":[{"policyId":"a"}],"errors":[]}"#,
    #"{"decision":"ALLOW","determiningPolicies":[{"policyId":"a"}],"errors":[{}]}"#,
    #"{"decision":"ALLOW","determiningPolicies":[{"policyId":"a"}],"errors":[]} {}"#,
    #"[{"decision":"ALLOW","determiningPolicies":[{"policyId":"a"}],"errors":[]}]"#,
    #"{"results":[{"decision":"ALLOW","determiningPolicies":[{"policyId":"a"}],"errors":[]}]}"#,
  ]) func noOtherAnswerIsBelieved(_ text: String) throws {
    let call = try call()
    #expect(throws: WireError.self) { try AuthorizationAnswer.read(Array(text.utf8), answering: call) }
  }

  @Test func everyPrefixOfAnAnswerIsNone() throws {
    let call = try call()
    let whole = Array(allow.utf8)
    for count in 0..<whole.count {
      #expect(throws: WireError.self) { try AuthorizationAnswer.read(Array(whole[..<count]), answering: call) }
    }
  }

  @Test func theAnswersOfABatchBelongToItsQuestions() throws {
    let calls = [try call("alice"), try call("bob")]
    let body = String(decoding: try AuthorizationCall.batchBody(calls), as: UTF8.self)
    #expect(Golden.difference(body + "\n", from: "batch-is-authorized.json") == nil)
    func result(_ name: String) -> String {
      #"{"request":{"principal":{"entityType":"User","entityId":"\#(name)"},"action":{"actionType":"NS::Action","actionId":"read"},"resource":{"entityType":"Doc","entityId":"1"}},\#(allow.dropFirst())"#
    }
    let right = #"{"results":[\#(result("alice")),\#(result("bob"))]}"#
    #expect(try AuthorizationAnswer.readBatch(Array(right.utf8), answering: calls).count == 2)
    for wrong in [
      #"{"results":[\#(result("bob")),\#(result("alice"))]}"#, #"{"results":[\#(result("alice"))]}"#, #"{"results":[]}"#,
      #"{"results":[\#(result("alice")),\#(allow)]}"#,
    ] {
      #expect(throws: WireError.self) { try AuthorizationAnswer.readBatch(Array(wrong.utf8), answering: calls) }
    }
  }

  @Test func aBatchTakesWhatTheServiceTakesTogether() {
    func call(_ principal: String, _ resource: String, store: String = "PS", attributes: Int64? = nil) -> AuthorizationCall {
      let entity = Entity(
        uid: uid("Doc", resource), attributes: attributes.map { Record(lastWins: [.init("n", .long($0))]) } ?? .empty)
      return AuthorizationCall(
        policyStore: store, principal: .named(uid("User", principal)), action: uid("Action", "read"), resource: uid("Doc", resource),
        entities: [entity])
    }
    func token(_ text: String, _ resource: String) -> AuthorizationCall {
      AuthorizationCall(
        policyStore: "PS", principal: .token(.init(Secret(text), isAccessToken: true)), action: uid("Action", "read"),
        resource: uid("Doc", resource))
    }
    func takes(_ calls: [AuthorizationCall]) -> [Bool] {
      var batch = QuestionBatch(calls[0])
      return calls.dropFirst().map { batch.take($0) }
    }
    // One principal with any resources, or any principals with one resource; never a mix.
    #expect(takes([call("a", "1"), call("a", "2"), call("b", "1"), call("a", "3")]) == [true, false, true])
    #expect(takes([call("a", "1"), call("b", "1"), call("a", "2"), call("c", "1")]) == [true, false, true])
    #expect(takes([call("a", "1"), call("a", "1"), call("b", "1")]) == [true, true])
    #expect(takes([call("a", "1"), call("a", "1", store: "other")]) == [false])
    // What is said of an entity must be one thing.
    #expect(takes([call("a", "1", attributes: 1), call("b", "1", attributes: 2), call("b", "1", attributes: 1)]) == [false, true])
    #expect(takes([token("t", "1"), token("t", "2"), token("u", "1"), call("a", "1")]) == [true, false, false])
    #expect(takes((0..<35).map { call("a", "\($0)") }).count { $0 } == 29)
  }

  @Test func errorsOfTheServiceAreRead() {
    func read(_ body: String, header: String? = nil) -> ServiceError {
      ServiceError.read(status: 400, header: header, body: Array(body.utf8))
    }
    let whole = #"{"__type":"com.amazonaws.verifiedpermissions#ValidationException:http://x","Message":"m"}"#
    #expect(read(whole) == ServiceError(status: 400, code: "ValidationException", message: "m"))
    #expect(read("<html>", header: "ThrottlingException:x").code == "ThrottlingException")
    #expect(read("").code == nil)
    #expect(read(#"{"decision":"ALLOW"}"#).code == nil)
  }
}
