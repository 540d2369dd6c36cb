internal import Bytes
internal import HTTP
internal import JOSE
internal import Net
internal import Pipeline
internal import Telemetry

/// Asks issuers about tokens (RFC 7662) and tells the workers.
final class Introspector {
  private let loop: EventLoop
  private let snapshot: Snapshot
  private let serverLog: ServerLog
  private let publish: (IntrospectionQuestion, IntrospectionAnswer) -> Void
  private var inquiries: Inquiries<IntrospectionQuestion>?
  private var complainedAt: UInt64?

  init(
    _ loop: EventLoop, client: HTTPClient, snapshot: Snapshot, serverLog: ServerLog,
    publish: @escaping (IntrospectionQuestion, IntrospectionAnswer) -> Void
  ) {
    self.loop = loop
    self.snapshot = snapshot
    self.serverLog = serverLog
    self.publish = publish
    inquiries = Inquiries(
      loop, client: client, .init(calls: 128, waiting: Defaults.waitingRequests),
      request: { [unowned self] question throws(NetError) in try request(question) },
      finished: { [unowned self] question, outcome, askedAt in finish(question, outcome, askedAt) })
  }

  /// Asks nothing any more: another load has taken over.
  func close() { inquiries?.close() }

  /// Whoever waits hears the answer.
  func ask(_ question: IntrospectionQuestion) {
    // A question of another load may be about another issuer by now: its token is for nobody else's eyes.
    guard question.generation == snapshot.generation else { return }
    inquiries?.ask(question)
  }

  private func settings(_ question: IntrospectionQuestion) -> IntrospectionSettings? {
    let issuers = snapshot.issuers.issuers
    return issuers.indices.contains(question.issuer) ? issuers[question.issuer].introspection : nil
  }

  private func request(_ question: IntrospectionQuestion) throws(NetError) -> HTTPClient.Request {
    guard let settings = settings(question) else { throw .closed }
    var fields = FieldBlock()
    // RFC 6749 §2.3.1: both are form-encoded first.
    let name = PercentEncoding.encode(settings.clientID.utf8)
    let credentials = name + ":" + PercentEncoding.encode(settings.clientSecret.exposed.utf8)
    fields.append("Authorization", "Basic " + Base64.encode(Array(credentials.utf8)))
    fields.append("Accept", "application/json")
    fields.append("Content-Type", "application/x-www-form-urlencoded")
    let body = "token=" + PercentEncoding.encode(question.token.exposed) + "&token_type_hint=access_token"
    return HTTPClient.Request(.post, try HTTPURL.parse(settings.url), fields: fields, body: Array(body.utf8))
  }

  private func finish(_ question: IntrospectionQuestion, _ outcome: Inquiries<IntrospectionQuestion>.Outcome, _ askedAt: UInt64) {
    guard let settings = settings(question) else { return }
    let now = loop.wallSeconds
    let problem: String
    switch outcome {
    case .failed(let error): problem = error.description
    case .crowded: problem = "too many tokens are to be asked about"
    case .response(let response) where response.status != .ok: problem = "the endpoint answered \(response.status)"
    case .response(let response):
      do throws(IntrospectionResponse.ParseError) {
        let said = try IntrospectionResponse.parse(response.body)
        return publish(
          question,
          IntrospectionAnswer(
            isActive: said.isActive, claims: said.claims, problem: nil, askedAt: askedAt, until: now &+ settings.cacheSeconds))
      } catch {
        problem = error.description
      }
    }
    // A moment for the issuer to come back: without an answer nobody passes.
    publish(question, IntrospectionAnswer(isActive: nil, problem: problem, askedAt: askedAt, until: now &+ 1))
    guard complainedAt.map({ loop.now >= $0 + 1000 }) ?? true else { return }
    complainedAt = loop.now
    serverLog.warn("introspection_failed", ["issuer": .text(snapshot.issuers.issuers[question.issuer].name), "why": .text(problem)])
  }
}
