internal import Bytes
internal import Cedar
public import CedarSchema
internal import Crypto
internal import HTTP
internal import JOSE
internal import JSON
internal import Pipeline
internal import Telemetry

/// Runs policy tests through the page that decides real requests, with real tokens: signed by a key that is made for the run, known
/// to the run's copy of the issuers, and gone afterwards.
public struct PolicyTests {
  /// What became of one test.
  struct Result: Sendable {
    let file: String
    let line: Int
    let name: String
    let nanos: UInt64
    /// What was otherwise than expected; nil if nothing was.
    let complaint: String?
  }

  private(set) var results: [Result] = []
  /// What the tests reached of the policies.
  public private(set) var coverage: PolicyCoverage

  private let bundle: PolicyBundle
  private let authorizer: Authorizer

  /// Tests of the policies of a bundle.
  public init(_ bundle: PolicyBundle) {
    self.bundle = bundle
    authorizer = Authorizer(policies: bundle.policiesInForce, entities: bundle.entities)
    coverage = PolicyCoverage(bundle)
  }

  /// Runs the tests of a file.
  ///
  /// - Parameters:
  ///   - stage: under what their requests are decided.
  ///   - pattern: which of them: those whose `file:name` has this in it, `*` standing for anything; nil for all.
  ///   - nanos: a clock, for how long each takes.
  public mutating func run(
    _ file: PolicyTestFile, on stage: PolicyTestStage, matching pattern: String? = nil, nanos: () -> UInt64 = { 0 }
  ) {
    for item in file.cases {
      if let pattern, !Self.matches("\(file.source.name):\(item.name)", pattern) { continue }
      let start = nanos()
      let complaint = complaint(about: item, in: file.source, on: stage)
      results.append(
        Result(
          file: file.source.name, line: file.source.position(of: item.span.lowerBound).line, name: item.name, nanos: nanos() &- start,
          complaint: complaint))
    }
  }

  private static func matches(_ text: String, _ pattern: String) -> Bool {
    LogFilter.matches(text, "*\(pattern)*")
  }

  /// How many tests went as expected.
  public var passed: Int { results.count { $0.complaint == nil } }
  /// How many did not.
  public var failed: Int { results.count { $0.complaint != nil } }

  private mutating func complaint(about item: PolicyTestFile.Case, in source: SourceText, on stage: PolicyTestStage) -> String? {
    switch item.question {
    case .http(let question): complaint(about: item, question, on: stage)
    case .cedar(let request, let entities, let isAlone): complaint(about: item, request, entities, isAlone, source)
    }
  }

  // MARK: - Requests of clients

  private mutating func complaint(about item: PolicyTestFile.Case, _ question: PolicyTestFile.HTTPQuestion, on stage: PolicyTestStage)
    -> String?
  {
    guard let address = HTTP.IPAddress(question.ip) else { return "\"\(question.ip)\" is not an IP address" }
    var exchange = Exchange(peer: Peer(address: question.ip, octets: address.octets), under: stage.snapshot)
    var lines = ["\(question.method) \(question.target) HTTP/1.1"]
    if !question.headers.contains(where: { ASCII.equalsIgnoringCase($0.name.utf8, "host".utf8) }) { lines.append("Host: localhost") }
    lines += question.headers.map { "\($0.name): \($0.value)" }
    if let body = question.body {
      let hasType = question.headers.contains { ASCII.equalsIgnoringCase($0.name.utf8, "content-type".utf8) }
      lines += (hasType ? [] : ["Content-Type: application/json"]) + ["Content-Length: \(body.count)"]
    }
    if let principal = question.principal {
      do throws(KeyError) { lines.append("Authorization: Bearer \(try stage.token(of: principal, at: question.time))") } catch {
        return "no token: \(error)"
      }
    }
    let bytes = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    let outcome = bytes.withUnsafeBytes { RequestHeadParser.parse($0, limits: stage.snapshot.mapping.headLimits, into: &exchange.head) }
    exchange.begin(id: DecisionID(milliseconds: 0, random: (0, 0)), at: question.time, under: stage.snapshot)
    var status: Int64?
    var forwarded: [UInt8] = []
    switch outcome {
    case .complete: status = decide(&exchange, question, stage, &forwarded)
    case .refused(let refusal):
      exchange.refused(.syntax(refusal))
      status = Int64(refusal.status.code)
    case .incomplete: return "the request is not whole"
    }
    if let explanation = exchange.explanation {
      coverage.note(explanation.response)
      coverage.note(explanation)
    }
    let record = exchange.record(status: 0, wallMillis: 0, observed: false)
    let got = "\(record.decision.rawValue)\(shown(record.policies)) (\(record.reason.rawValue)\(record.detail.map { ": \($0)" } ?? ""))"
    if let complaint = complaint(about: item, record.decision.rawValue, record.policies, got) { return complaint }
    if let reason = item.reason, !exactlyEquals(record.reason.rawValue, reason) { return "expected the reason \(reason), got \(got)" }
    if let wanted = item.status {
      guard let status else { return "expected the status \(wanted), and the request was forwarded: its status is the service's" }
      if status != wanted { return "expected the status \(wanted), got \(status): \(got)" }
    }
    return item.forwards.lazy.compactMap { Self.complaint(aboutField: $0.name, $0.value, in: forwarded) }.first
  }

  /// Decides; the status of a refusal, or the head that is forwarded. What the page waits for is what the test says: the body, and
  /// the answer to a look-up, at most once each.
  private func decide(
    _ exchange: inout Exchange, _ question: PolicyTestFile.HTTPQuestion, _ stage: PolicyTestStage, _ forwarded: inout [UInt8]
  ) -> Int64? {
    for _ in 0..<6 {
      switch exchange.decide(stage.facts) {
      case .forward(let permit):
        // Nothing is signed here, so nothing can fail.
        do throws(KeyError) {
          try ForwardedHead(upstreamAuthority: "localhost").append(exchange, with: permit, at: question.time, to: &forwarded)
        } catch {
          forwarded = []
        }
        return nil
      case .answer(let answer): return Int64(answer.status.code)
      case .refuse(let rejection): return Int64((exchange.manner?.status ?? rejection.status).code)
      case .wait(let dependency):
        switch dependency {
        case .body: (question.body ?? []).withUnsafeBytes { exchange.bodyArrived($0) }
        case .entities(let lookup): exchange.entitiesArrived(question.entities.map { lookup.answer($0) } ?? .entities([], size: 0))
        // A test's tokens are alive.
        case .introspection(let asked):
          stage.facts.learn(IntrospectionAnswer(isActive: true, problem: nil, askedAt: .max, until: .max), to: asked, at: question.time)
        case .decision:
          exchange.decisionArrived(.failed("tests ask no service; policies in files decide routes with engine: { local: {} }"))
        // Nothing is sent, so nobody's credentials will do.
        case .credentials(let asked): stage.facts.learn(.ofNobody, to: asked)
        case .keys, .loadBalancerKey: return nil
        }
      }
    }
    return nil
  }

  private func complaint(about item: PolicyTestFile.Case, _ decision: String, _ policies: [String], _ got: String) -> String? {
    guard exactlyEquals(decision, item.expected) else { return "expected \(item.expected), got \(got)" }
    guard let by = item.by else { return nil }
    let (wanted, actual) = (Set(by.map { ExactString($0) }), Set(policies.map { ExactString($0) }))
    guard item.allowsMore ? !wanted.isSubset(of: actual) : wanted != actual else { return nil }
    return "expected \(item.expected) by \(by.isEmpty ? "no policy" : by.joined(separator: ", ")), got \(got)"
  }

  /// ` by admins-all (admin.cedar:3)`.
  private func shown(_ policies: [String]) -> String {
    let named = policies.map { name in bundle.place(of: PolicyID(name)).map { "\(name) (\($0))" } ?? name }
    return named.isEmpty ? "" : " by " + named.joined(separator: ", ")
  }

  private static func complaint(aboutField name: String, _ wanted: String?, in head: [UInt8]) -> String? {
    var values: [String] = []
    for line in String(decoding: head, as: UTF8.self).utf8.split(separator: ASCII.lf) {
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")), ASCII.equalsIgnoringCase(line[..<colon], name.utf8) else { continue }
      let value = line[line.index(after: colon)...].drop { $0 == ASCII.space }
      values.append(String(decoding: value.last == ASCII.cr ? value.dropLast() : value, as: UTF8.self))
    }
    // A token is not shown, were it one that nobody else accepts.
    let isToken = ASCII.equalsIgnoringCase(name.utf8, "authorization".utf8)
    let got =
      values.isEmpty
      ? "the service gets none" : "the service gets " + values.map { isToken ? "a token" : "\"\($0)\"" }.joined(separator: " and ")
    guard let wanted else { return values.isEmpty ? nil : "expected no field \(name), and \(got)" }
    return values.count == 1 && exactlyEquals(values[0], wanted) ? nil : "expected the field \(name) to be \"\(wanted)\", and \(got)"
  }

  // MARK: - Requests in Cedar's words

  private mutating func complaint(
    about item: PolicyTestFile.Case, _ json: JSONValue, _ given: JSONValue?, _ isAlone: Bool, _ source: SourceText
  ) -> String? {
    let request: Request
    switch Question.request(json, in: source, for: bundle) {
    case .success(let found): request = found
    // The first line says what and where; the whole file need not be drawn for it.
    case .failure(let failure): return failure.messages.split(separator: "\n").first.map(String.init) ?? "the request cannot be read"
    }
    let entities: [Entity]
    do throws(ParseErrors) {
      entities = try given.map { (given) throws(ParseErrors) in try EntitiesJSON.entities(given, schema: bundle.schema) } ?? []
    } catch {
      return error.errors.map(\.message).joined(separator: "; ")
    }
    let explanation: Explanation
    do {
      // The reference's tests bring all entities; with a schema its actions are there too.
      let store = isAlone ? try bundle.schema?.store(of: entities) ?? Entities(entities) : nil
      let judge = store.map { Authorizer(policies: bundle.policiesInForce, entities: $0) } ?? authorizer
      explanation = try judge.explain(request, and: isAlone ? [] : entities)
    } catch {
      return "\(error)"
    }
    coverage.note(explanation.response)
    coverage.note(explanation)
    let response = explanation.response
    let policies = response.determining.map { isAlone ? alias(of: $0) : $0.text }
    let failures = response.errors.map { "\($0)" }.joined(separator: "; ")
    let got = "\(response.decision.rawValue)\(shown(response.determining.map(\.text)))\(failures.isEmpty ? "" : " (\(failures))")"
    if let complaint = complaint(about: item, response.decision.rawValue, policies, got) { return complaint }
    if let wanted = item.errors, wanted != response.errors.count {
      return "expected \(counted(Int(clamping: wanted), "policy", "policies")) to fail, and \(response.errors.count) did: \(got)"
    }
    return nil
  }

  // The reference calls a policy without @id by its place in the one text.
  private func alias(of id: PolicyID) -> String {
    guard bundle.sources.policies.count == 1, let policy = bundle.policies.policy(id), policy.annotation("id") == nil,
      let number = id.text.split(separator: "#").last
    else { return id.text }
    return "policy\(number)"
  }
}
