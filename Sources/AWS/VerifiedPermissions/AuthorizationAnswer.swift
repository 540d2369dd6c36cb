internal import Bytes
public import Cedar
internal import JSON

/// What Verified Permissions answers to a question.
///
/// Read without mercy: an answer that is not exactly of the documented shape is none, and nothing of it is believed.
public struct AuthorizationAnswer: Sendable, Equatable {
  /// The answer.
  public var decision: Decision
  /// The policies that made it.
  public var determining: [PolicyID]
  /// What the service says about policies that could not be evaluated.
  public var errors: [String]
  /// Whom the service took the token to name; nil where no token went along.
  public var principal: EntityUID?

  /// An answer.
  public init(decision: Decision, determining: [PolicyID], errors: [String], principal: EntityUID? = nil) {
    self.decision = decision
    self.determining = determining
    self.errors = errors
    self.principal = principal
  }

  /// Reads the answer to one question.
  public static func read(_ body: [UInt8], answering call: AuthorizationCall) throws(WireError) -> AuthorizationAnswer {
    let json = try object(body)
    var answer = try read(json)
    answer.principal = try principal(json, answering: call)
    return answer
  }

  /// Reads the answers to a batch, in the order of its questions.
  public static func readBatch(_ body: [UInt8], answering calls: [AuthorizationCall]) throws(WireError) -> [AuthorizationAnswer] {
    guard let first = calls.first else { throw WireError("an empty batch has no answers") }
    let json = try object(body)
    let principal = try principal(json, answering: first)
    guard let results = json["results"]?.array, results.count == calls.count else {
      throw WireError("the service did not answer every question of the batch")
    }
    var answers: [AuthorizationAnswer] = []
    for (result, call) in zip(results, calls) {
      guard let request = result["request"], try isEcho(request, of: call) else {
        throw WireError("the service answered another question than was asked")
      }
      var answer = try read(result)
      answer.principal = principal
      answers.append(answer)
    }
    return answers
  }

  private static func object(_ body: [UInt8]) throws(WireError) -> JSONValue {
    let json: JSONValue
    do throws(JSONError) { json = try JSONParser.parse(body, limits: .init(depth: 32, bytes: 4 << 20)) } catch {
      throw WireError("the answer is no JSON: \(error)")
    }
    guard json.object != nil else { throw WireError("the answer is \(json.kindName) and no object") }
    guard json["__type"] == nil else { throw WireError("the answer says that it is an error") }
    return json
  }

  private static func read(_ json: JSONValue) throws(WireError) -> AuthorizationAnswer {
    let decision: Decision
    switch json["decision"]?.string {
    case "ALLOW": decision = .allow
    case "DENY": decision = .deny
    default: throw WireError("the answer has no decision")
    }
    guard let policies = json["determiningPolicies"]?.array, let failures = json["errors"]?.array else {
      throw WireError("the answer lacks determiningPolicies or errors")
    }
    var answer = AuthorizationAnswer(decision: decision, determining: [], errors: [])
    for policy in policies {
      guard let id = policy["policyId"]?.string, !id.isEmpty else { throw WireError("a determining policy of the answer has no id") }
      answer.determining.append(PolicyID(id))
    }
    for failure in failures {
      guard let text = failure["errorDescription"]?.string else { throw WireError("an error of the answer has no description") }
      answer.errors.append(text)
    }
    // Cedar allows by a permit that applies, never by nothing.
    guard decision == .deny || !answer.determining.isEmpty else { throw WireError("the answer allows without a policy that does") }
    answer.determining.sort()
    return answer
  }

  private static func principal(_ json: JSONValue, answering call: AuthorizationCall) throws(WireError) -> EntityUID? {
    guard case .token = call.principal, let member = json["principal"], !member.isNull else { return nil }
    do throws(FieldError) { return try AttributeValue.uid(member, at: "principal") } catch {
      throw WireError("the principal of the answer cannot be read: \(error.message)")
    }
  }

  // The request of a result says which question it answers; compared are the members that tell our questions apart.
  private static func isEcho(_ json: JSONValue, of call: AuthorizationCall) throws(WireError) -> Bool {
    do throws(FieldError) {
      guard let action = json["action"], let resource = json["resource"] else { return false }
      guard try AttributeValue.action(action, at: "action") == call.action,
        try AttributeValue.uid(resource, at: "resource") == call.resource
      else { return false }
      guard case .named(let uid) = call.principal else { return true }
      guard let principal = json["principal"] else { return false }
      return try AttributeValue.uid(principal, at: "principal") == uid
    } catch {
      throw WireError("the request of an answer cannot be read: \(error.message)")
    }
  }
}
