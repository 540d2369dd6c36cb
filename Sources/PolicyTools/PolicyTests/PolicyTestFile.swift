public import Bytes
internal import Cedar
internal import JSON
internal import Telemetry

/// A file of policy tests: who sends which request, and what the answer should be. In JSON5; or a file for the reference's
/// `cedar run-tests`, as it is.
///
///     {
///       principals: { alice: { issuer: 'main', claims: { sub: 'alice', 'cognito:groups': ['viewer'] } }, nobody: null },
///       defaults: { ip: '10.1.2.3', now: '2026-11-23T09:00:00Z' },
///       tests: [
///         { name: 'viewers read', as: 'alice', request: 'GET /orders/42', expect: 'allow', by: ['viewers-read'] },
///         { name: 'no token', as: 'nobody', request: 'GET /orders/42', expect: 'deny', reason: 'no_token' },
///         { name: 'who it is', as: 'alice', request: 'GET /orders/42', expect: 'allow', forwards: { 'X-Stockade-Subject': 'alice' } },
///         { request: { principal: 'User::"x"', action: 'Action::"GET"', resource: 'Path::"/"', context: {} }, expect: 'deny', errors: 0 },
///         { name: 'her own', as: 'alice', request: 'PUT /orders/7', body: { amount: 5 },
///           entities: [ { uid: { type: 'Order', id: '7' }, attrs: { owner: { type: 'User', id: 'main|alice' } }, parents: [] } ], expect: 'allow' },
///         { name: 'many', as: ['alice', 'bob'], request: ['GET /a', 'PUT /a'], expect: { alice: 'allow deny', bob: 'deny deny' } },
///       ],
///     }
public struct PolicyTestFile: Sendable {
  /// Whose token a request carries.
  struct Principal: Sendable {
    let issuer: String
    let claims: JSONValue
    let isIDToken: Bool
  }

  /// One request and what is expected of it.
  struct Case: Sendable {
    let name: String
    let span: Range<Int>
    let question: Question
    let expected: String
    /// The determining policies; nil for any.
    var by: [String]?
    /// Whether others may have determined the decision too.
    var allowsMore = false
    var reason: String?
    var status: Int64?
    /// Fields that the service must get, or must not: nil.
    var forwards: [(name: String, value: String?)] = []
    /// How many policies must fail.
    var errors: Int64?
  }

  /// What is asked.
  enum Question: Sendable {
    case http(HTTPQuestion)
    /// Cedar's own words, with entities beside those of the folder, or instead of them.
    case cedar(request: JSONValue, entities: JSONValue?, entitiesAlone: Bool)
  }

  /// A request as a client sends it.
  struct HTTPQuestion: Sendable {
    let principal: Principal?
    let method: String
    let target: String
    let headers: [(name: String, value: String)]
    /// The body, as it is sent; nil for none.
    let body: [UInt8]?
    /// What a look-up of entities is answered with; nil for 404.
    let entities: [UInt8]?
    let ip: String
    let time: Int64
  }

  /// The configuration that the requests go through, as a path beside the file, if the tests are for one.
  public private(set) var configuration: String?
  /// The text.
  public let source: SourceText
  private(set) var cases: [Case] = []
  /// What is wrong with the file, drawn.
  public private(set) var problems = ""

  /// The names of issuers that principals have.
  public var issuers: [String] {
    var names: [String] = []
    for item in principals { if let name = item?.issuer, !names.contains(where: { exactlyEquals($0, name) }) { names.append(name) } }
    return names
  }

  /// The clients that claims name.
  public var clients: [String] { principals.compactMap { $0?.claims["client_id"]?.string } }

  private var principals: [Principal?] {
    cases.map { if case .http(let question) = $0.question { question.principal } else { nil } }
  }

  /// Reads a file; see `problems` for what could not be read.
  /// - Parameter beside: Reads a file that a test names, by its path from the folder of this one.
  public init(_ source: SourceText, beside: (String) -> SourceText? = { _ in nil }) {
    self.source = source
    do throws(JSONError) {
      var reader = Reader(source)
      let root = try JSONParser.parse(source.bytes, limits: .init(depth: 64, bytes: 16 << 20, syntax: .json5))
      if root.array != nil { reader.readRunTests(root, beside) } else { reader.read(root) }
      cases = reader.cases
      configuration = reader.configuration
      problems = reader.problems.rendered(in: source)
    } catch {
      problems = Diagnostic(.error, "\(error)", at: error.offset..<error.offset + max(error.length, 1)).rendered(in: source)
    }
  }
}

/// Takes a test file apart.
private struct Reader {
  private let source: SourceText
  private(set) var cases: [PolicyTestFile.Case] = []
  private(set) var problems: [Diagnostic] = []
  private(set) var configuration: String?
  private var entities: [UInt8]?
  private var principals: [ExactString: PolicyTestFile.Principal?] = [:]
  private var ip = "127.0.0.1"
  private var time: Int64 = 1_767_268_800

  init(_ source: SourceText) { self.source = source }

  mutating func read(_ root: JSONValue) {
    guard check(root, "the file", ["$schema", "configuration", "principals", "defaults", "tests"]) else { return }
    configuration = text(root["configuration"], "configuration")
    if let defaults = root["defaults"], check(defaults, "defaults", ["ip", "now", "entities"]) {
      entities = source(of: defaults["entities"])
      ip = text(defaults["ip"], "ip") ?? ip
      time = now(defaults["now"]) ?? time
    }
    for member in root["principals"]?.object ?? [] { principals[ExactString(member.name)] = principal(member.value) }
    guard let tests = root["tests"]?.array, !tests.isEmpty else {
      // A file that tests nothing is a mistake, and not a success.
      return fail(
        root["tests"] ?? root, "there are no tests", help: "write tests: [ { name: …, as: …, request: 'GET /', expect: 'allow' } ]")
    }
    for (index, test) in tests.enumerated() { read(test: test, index) }
  }

  private mutating func principal(_ value: JSONValue) -> PolicyTestFile.Principal? {
    guard !value.isNull, check(value, "a principal", ["issuer", "claims", "use"]) else { return nil }
    guard let claims = value["claims"], claims.object != nil else {
      fail(value, "a principal has claims", help: "write { issuer: 'main', claims: { sub: 'alice' } }, or null for nobody")
      return nil
    }
    let use = text(value["use"], "use") ?? "access"
    if use != "access", use != "id" { fail(value["use"] ?? value, "a token is for access or id") }
    return PolicyTestFile.Principal(issuer: text(value["issuer"], "issuer") ?? "main", claims: claims, isIDToken: use == "id")
  }

  private mutating func read(test: JSONValue, _ index: Int) {
    let name = text(test["name"], "name") ?? "test \(index + 1)"
    if test["request"]?.object != nil { return read(cedarTest: test, name) }
    let known = ["name", "as", "request", "headers", "body", "entities", "ip", "now", "expect", "by", "reason", "status", "forwards"]
    guard check(test, "a test", known) else { return }
    let names = list(test["as"], "as")
    let requests = list(test["request"], "request")
    guard !names.isEmpty, !requests.isEmpty, let expect = test["expect"] else {
      return fail(test, "a test says as, request and expect")
    }
    let isMatrix = test["as"]?.array != nil || test["request"]?.array != nil || expect.object != nil
    if isMatrix, let single = test["by"] ?? test["reason"] ?? test["status"] ?? test["forwards"] {
      return fail(single, "by, reason, status and forwards belong to a test of one request")
    }
    for who in names {
      guard let known = principals[ExactString(who.text)] else {
        let near = Spelling.nearest(to: who.text, among: principals.keys.map(\.string).sorted()).map { "did you mean \($0)?" }
        fail(who.json, "\"\(who.text)\" is none of the principals", help: near)
        continue
      }
      guard let answers = answers(expect, who.text, count: requests.count) else { continue }
      for (request, expected) in zip(requests, answers) {
        let words = request.text.utf8.split(separator: ASCII.space).map { String(decoding: $0, as: UTF8.self) }
        guard words.count == 2 else {
          fail(request.json, "\"\(request.text)\" is not a method and a path", help: "write 'GET /orders/42'")
          continue
        }
        let question = PolicyTestFile.HTTPQuestion(
          principal: known, method: words[0], target: words[1],
          headers: (test["headers"]?.object ?? []).map { ($0.name, $0.value.string ?? "") }, body: source(of: test["body"]),
          entities: source(of: test["entities"]) ?? entities, ip: text(test["ip"], "ip") ?? ip,
          time: now(test["now"]) ?? time)
        var item = PolicyTestFile.Case(
          name: isMatrix ? "\(name): \(who.text) \(request.text)" : name, span: test.span, question: .http(question), expected: expected)
        item.by = test["by"].map { list($0, "by").map(\.text) }
        item.reason = reason(test["reason"])
        item.status = number(test["status"], "status")
        item.forwards = forwards(test["forwards"], expected)
        cases.append(item)
      }
    }
  }

  private mutating func read(cedarTest test: JSONValue, _ name: String) {
    guard check(test, "a test of a Cedar request", ["name", "request", "entities", "expect", "by", "errors"]) else { return }
    guard let request = test["request"], check(request, "a Cedar request", ["principal", "action", "resource", "context"]) else { return }
    guard let expect = test["expect"], let answer = text(expect, "expect") else { return fail(test, "a test says request and expect") }
    guard answer == "allow" || answer == "deny" else { return fail(expect, "\"\(answer)\" is no answer", help: "write allow or deny") }
    var item = PolicyTestFile.Case(
      name: name, span: test.span, question: .cedar(request: request, entities: test["entities"], entitiesAlone: false), expected: answer)
    item.by = test["by"].map { list($0, "by").map(\.text) }
    item.errors = number(test["errors"], "errors")
    cases.append(item)
  }

  /// The reference's own format: a list of requests, each with entities of its own and nothing else.
  mutating func readRunTests(_ root: JSONValue, _ beside: (String) -> SourceText?) {
    for (index, test) in (root.array ?? []).enumerated() {
      let name = text(test["name"], "name") ?? "test \(index + 1)"
      guard let request = test["request"], let decision = text(test["decision"], "decision"), decision == "allow" || decision == "deny",
        let given = test["entities"], test["reason"]?.array != nil, let errors = number(test["num_errors"], "num_errors")
      else {
        fail(test, "a test of cedar run-tests has request, entities, decision (allow or deny), reason and num_errors")
        continue
      }
      guard let entities = given.string == nil ? given : self.entities(named: given, beside) else { continue }
      var item = PolicyTestFile.Case(
        name: name, span: test.span, question: .cedar(request: request, entities: entities, entitiesAlone: true), expected: decision)
      item.by = list(test["reason"], "reason").map(\.text)
      item.allowsMore = true
      item.errors = errors
      cases.append(item)
    }
    if root.array?.isEmpty ?? true { fail(root, "there are no tests") }
  }

  private mutating func entities(named place: JSONValue, _ beside: (String) -> SourceText?) -> JSONValue? {
    let path = place.string ?? ""
    // Outside of its folder a test reads nothing.
    guard !path.hasPrefix("/"), !path.split(separator: "/").contains(".."), let file = beside(path) else {
      fail(place, "the entities \(path) cannot be read; they lie beside the test")
      return nil
    }
    do throws(JSONError) { return try JSONParser.parse(file.bytes) } catch {
      fail(place, "\(path): \(error)")
      return nil
    }
  }

  private mutating func forwards(_ value: JSONValue?, _ expected: String) -> [(name: String, value: String?)] {
    guard let value else { return [] }
    guard let members = value.object else {
      fail(value, "forwards: expected an object, found \(value.kindName)", help: "write { 'X-Stockade-Subject': 'alice', 'X-Other': null }")
      return []
    }
    if expected != "allow" { fail(value, "a request that is not allowed is not forwarded") }
    for member in members where member.value.string == nil && !member.value.isNull {
      fail(member.value, "a forwarded field is a string, or null where there must be none")
    }
    return members.map { ($0.name, $0.value.string) }
  }

  private mutating func reason(_ value: JSONValue?) -> String? {
    guard let value, let reason = text(value, "reason") else { return nil }
    if DecisionReason(rawValue: reason) == nil {
      let near = Spelling.nearest(to: reason, among: DecisionReason.allCases.map(\.rawValue)).map { "did you mean \($0)?" }
      fail(value, "there is no reason \"\(reason)\"", help: near)
    }
    return reason
  }

  private mutating func number(_ value: JSONValue?, _ what: String) -> Int64? {
    guard let value else { return nil }
    if value.integer == nil { fail(value, "\(what): expected a number, found \(value.kindName)") }
    return value.integer
  }

  // `'allow'` for all; `{ alice: 'allow deny' }` for each request in order.
  private mutating func answers(_ expect: JSONValue, _ who: String, count: Int) -> [String]? {
    let place = expect.object == nil ? expect : expect[who]
    guard let place, let text = place.string else {
      fail(expect, "says nothing of what \(who) may expect", help: "write 'allow' or 'deny'")
      return nil
    }
    var words = text.utf8.split(separator: ASCII.space).map { String(decoding: $0, as: UTF8.self) }
    if words.count == 1, count > 1, expect.object == nil { words = Array(repeating: words[0], count: count) }
    guard words.count == count else {
      fail(place, "\(words.count) answers for \(count) requests")
      return nil
    }
    for word in words where !["allow", "deny", "error"].contains(word) {
      fail(place, "\"\(word)\" is no answer", help: "write allow, deny, or error for a request that could not be decided")
      return nil
    }
    return words
  }

  private mutating func list(_ value: JSONValue?, _ what: String) -> [(text: String, json: JSONValue)] {
    guard let value else { return [] }
    if let text = value.string { return [(text, value)] }
    guard let elements = value.array else {
      fail(value, "\(what): expected a string or a list of strings, found \(value.kindName)")
      return []
    }
    return elements.compactMap { element in element.string.map { ($0, element) } }
  }

  private func source(of value: JSONValue?) -> [UInt8]? { value.map { Array($0.text.utf8) } }

  private mutating func text(_ value: JSONValue?, _ what: String) -> String? {
    guard let value else { return nil }
    if value.string == nil { fail(value, "\(what): expected a string, found \(value.kindName)") }
    return value.string
  }

  private mutating func now(_ value: JSONValue?) -> Int64? {
    guard let value, let text = text(value, "now") else { return nil }
    do throws(ExtensionError) { return try Datetime(text).milliseconds / 1000 } catch {
      fail(value, "now: \"\(text)\" is not a time", help: "write 2026-11-23T09:00:00Z")
      return nil
    }
  }

  private mutating func check(_ value: JSONValue, _ what: String, _ known: [String]) -> Bool {
    guard let members = value.object else {
      fail(value, "\(what): expected an object, found \(value.kindName)")
      return false
    }
    for member in members where !known.contains(where: { exactlyEquals($0, member.name) }) {
      let near =
        Spelling.nearest(to: member.name, among: known).map { "did you mean \"\($0)\"?" } ?? "known here: \(known.joined(separator: ", "))"
      problems.append(Diagnostic(.error, "unknown name \"\(member.name)\" in \(what)", at: member.nameSpan, help: near))
    }
    return true
  }

  private mutating func fail(_ value: JSONValue, _ message: String, help: String? = nil) {
    problems.append(Diagnostic(.error, message, at: value.span, help: help))
  }
}
