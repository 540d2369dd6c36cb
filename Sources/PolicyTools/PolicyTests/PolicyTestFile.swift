public import Bytes
internal import Cedar
internal import JSON

/// A file of policy tests: who sends which request, and what the answer should be. In JSON5.
///
///     {
///       principals: { alice: { issuer: 'main', claims: { sub: 'alice', 'cognito:groups': ['viewer'] } }, nobody: null },
///       defaults: { ip: '10.1.2.3', now: '2026-11-23T09:00:00Z' },
///       tests: [
///         { name: 'viewers read', as: 'alice', request: 'GET /orders/42', expect: 'allow', by: ['viewers-read'] },
///         { name: 'no token', as: 'nobody', request: 'GET /orders/42', expect: 'deny', reason: 'no_token' },
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
    let expected: String
    /// The determining policies, exactly; nil for any.
    let by: [String]?
    let reason: String?
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
    for item in cases { if let name = item.principal?.issuer, !names.contains(where: { exactlyEquals($0, name) }) { names.append(name) } }
    return names
  }

  /// The clients that claims name.
  public var clients: [String] { cases.compactMap { $0.principal?.claims["client_id"]?.string } }

  /// Reads a file; see `problems` for what could not be read.
  public init(_ source: SourceText) {
    self.source = source
    do throws(JSONError) {
      var reader = Reader(source)
      reader.read(try JSONParser.parse(source.bytes, limits: .init(depth: 64, bytes: 16 << 20, syntax: .json5)))
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
    guard check(test, "a test", ["name", "as", "request", "headers", "body", "entities", "ip", "now", "expect", "by", "reason"]) else {
      return
    }
    let name = text(test["name"], "name") ?? "test \(index + 1)"
    let names = list(test["as"], "as")
    let requests = list(test["request"], "request")
    guard !names.isEmpty, !requests.isEmpty, let expect = test["expect"] else {
      return fail(test, "a test says as, request and expect")
    }
    let isMatrix = test["as"]?.array != nil || test["request"]?.array != nil || expect.object != nil
    if isMatrix, test["by"] != nil || test["reason"] != nil {
      return fail(test["by"] ?? test["reason"] ?? test, "by and reason belong to a test of one request")
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
        cases.append(
          PolicyTestFile.Case(
            name: isMatrix ? "\(name): \(who.text) \(request.text)" : name, span: test.span, principal: known, method: words[0],
            target: words[1],
            headers: (test["headers"]?.object ?? []).map { ($0.name, $0.value.string ?? "") }, body: source(of: test["body"]),
            entities: source(of: test["entities"]) ?? entities, ip: text(test["ip"], "ip") ?? ip, time: now(test["now"]) ?? time,
            expected: expected, by: test["by"]?.array?.compactMap(\.string),
            reason: text(test["reason"], "reason")))
      }
    }
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
