internal import Bytes
internal import HTTP
internal import JSON
internal import Net
internal import Pipeline
internal import Telemetry

/// Asks issuers whether tokens are active (RFC 7662) and tells the workers: on the control loop, one question at a time about
/// a token, and not more than some in all.
final class Introspector {
  private let loop: EventLoop
  private let client: HTTPClient
  private let snapshot: Snapshot
  private let serverLog: ServerLog
  private let publish: (IntrospectionQuestion, IntrospectionAnswer) -> Void
  private var calls: [IntrospectionQuestion: HTTPCall] = [:]
  private var queue: [IntrospectionQuestion] = []
  private var queued: Set<IntrospectionQuestion> = []
  private var complainedAt: UInt64?

  init(
    _ loop: EventLoop, client: HTTPClient, snapshot: Snapshot, serverLog: ServerLog,
    publish: @escaping (IntrospectionQuestion, IntrospectionAnswer) -> Void
  ) {
    self.loop = loop
    self.client = client
    self.snapshot = snapshot
    self.serverLog = serverLog
    self.publish = publish
  }

  /// Asks nothing any more: another load has taken over.
  func close() {
    for call in calls.values { call.cancel() }
    calls = [:]
    queue = []
    queued = []
  }

  /// Whoever waits hears the answer.
  func ask(_ question: IntrospectionQuestion) {
    // A question of another load may be about another issuer by now: its token is for nobody else's eyes.
    guard question.generation == snapshot.generation, calls[question] == nil, !queued.contains(question) else { return }
    guard calls.count < Self.mostCalls else {
      queue.append(question)
      queued.insert(question)
      return
    }
    begin(question)
  }

  private func begin(_ question: IntrospectionQuestion) {
    guard snapshot.issuers.issuers.indices.contains(question.issuer),
      let settings = snapshot.issuers.issuers[question.issuer].introspection
    else { return }
    let askedAt = LoopClock.monotonicNanos()
    let url: HTTPURL
    do throws(NetError) { url = try HTTPURL.parse(settings.url) } catch {
      return finish(question, settings, askedAt, .failure(error))
    }
    var fields = FieldBlock()
    // RFC 6749 §2.3.1: both are form-encoded first.
    let credentials = FormText.encode(settings.clientID.utf8) + ":" + FormText.encode(settings.clientSecret.exposed.utf8)
    fields.append("Authorization", "Basic " + Base64.encode(Array(credentials.utf8)))
    fields.append("Accept", "application/json")
    fields.append("Content-Type", "application/x-www-form-urlencoded")
    let body = "token=" + FormText.encode(question.token.exposed) + "&token_type_hint=access_token"
    calls[question] = client.send(HTTPClient.Request(.post, url, fields: fields, body: Array(body.utf8))) { [unowned self] result in
      calls[question] = nil
      finish(question, settings, askedAt, result)
      if !queue.isEmpty {
        let next = queue.removeFirst()
        queued.remove(next)
        begin(next)
      }
    }
  }

  private func finish(
    _ question: IntrospectionQuestion, _ settings: IntrospectionSettings, _ askedAt: UInt64, _ result: Result<HTTPClient.Response, NetError>
  ) {
    let now = loop.wallSeconds
    switch Self.read(result) {
    case .success(let isActive):
      publish(question, IntrospectionAnswer(isActive: isActive, problem: nil, askedAt: askedAt, until: now &+ settings.cacheSeconds))
    case .failure(let problem):
      // A moment for the issuer to come back: without an answer nobody passes.
      publish(question, IntrospectionAnswer(isActive: nil, problem: problem.text, askedAt: askedAt, until: now &+ 1))
      guard complainedAt.map({ loop.now >= $0 + 1000 }) ?? true else { return }
      complainedAt = loop.now
      serverLog.warn(
        "introspection_failed", ["issuer": .text(snapshot.issuers.issuers[question.issuer].name), "why": .text(problem.text)])
    }
  }

  private struct Problem: Error { let text: String }

  private static func read(_ result: Result<HTTPClient.Response, NetError>) -> Result<Bool, Problem> {
    switch result {
    case .failure(let error): return .failure(Problem(text: error.description))
    case .success(let response):
      guard response.status == .ok else { return .failure(Problem(text: "the endpoint answered \(response.status)")) }
      do throws(JSONError) {
        let document = try JSONParser.parse(response.body, limits: .init(depth: 16, bytes: 256 * 1024))
        guard let isActive = document["active"]?.bool else {
          return .failure(Problem(text: "the answer does not say whether it is active"))
        }
        return .success(isActive)
      } catch {
        return .failure(Problem(text: "the answer is not JSON: \(error)"))
      }
    }
  }

  private static let mostCalls = 128
}

/// `application/x-www-form-urlencoded` (URL Standard §5.1), every byte that is not unreserved escaped.
private enum FormText {
  static func encode(_ bytes: some Sequence<UInt8>) -> String {
    var out: [UInt8] = []
    for byte in bytes {
      if ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") {
        out.append(byte)
      } else {
        out.append(UInt8(ascii: "%"))
        for digit in [byte >> 4, byte & 0xf] { out.append(digit < 10 ? 0x30 + digit : 0x37 + digit) }
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
