internal import Bytes
internal import HTTP
internal import JOSE
internal import Net
internal import Pipeline
internal import Telemetry

/// Fetches the keys of load balancers, each by its name, and tells the workers. Only what came from the load balancer's own network asks
/// for one.
final class LoadBalancerKeys {
  private let loop: EventLoop
  private let snapshot: Snapshot
  private let serverLog: ServerLog
  private let publish: (LoadBalancerKeyQuestion, LoadBalancerKeyAnswer) -> Void
  private var inquiries: Inquiries<LoadBalancerKeyQuestion>?

  init(
    _ loop: EventLoop, client: HTTPClient, snapshot: Snapshot, serverLog: ServerLog,
    publish: @escaping (LoadBalancerKeyQuestion, LoadBalancerKeyAnswer) -> Void
  ) {
    self.loop = loop
    self.snapshot = snapshot
    self.serverLog = serverLog
    self.publish = publish
    inquiries = Inquiries(
      loop, client: client, .init(calls: 1, waiting: 16, intervalMillis: 250),
      request: { [unowned self] question throws(NetError) in try request(question) },
      finished: { [unowned self] question, outcome, _ in finish(question, outcome) })
  }

  /// Fetches nothing any more: another load has taken over.
  func close() { inquiries?.close() }

  /// Whoever waits hears what became of it.
  func want(_ question: LoadBalancerKeyQuestion) {
    guard question.generation == snapshot.generation else { return }
    inquiries?.ask(question)
  }

  private func request(_ question: LoadBalancerKeyQuestion) throws(NetError) -> HTTPClient.Request {
    let issuers = snapshot.issuers.issuers
    guard issuers.indices.contains(question.issuer), let base = issuers[question.issuer].loadBalancer?.keysURL else { throw .closed }
    // The name is a UUID: it cannot lead elsewhere.
    return HTTPClient.Request(.get, try HTTPURL.parse((base.hasSuffix("/") ? base : base + "/") + question.kid.string))
  }

  private func finish(_ question: LoadBalancerKeyQuestion, _ outcome: Inquiries<LoadBalancerKeyQuestion>.Outcome) {
    let now = loop.wallSeconds
    let answer: LoadBalancerKeyAnswer
    switch outcome {
    case .failed(let error): answer = .init(key: nil, problem: error.description, until: now &+ 1)
    case .crowded: answer = .init(key: nil, problem: "too many names of keys at once", until: now &+ 1)
    case .response(let response) where response.status == .ok:
      let key = LoadBalancerKey.read(response.body)
      answer = .init(
        key: key, problem: key == nil ? "what is there is not a P-256 key in PEM" : nil,
        until: now &+ (key == nil ? 1 : Defaults.keysRefreshSeconds))
    // S3 says 403 for what is not there.
    case .response(let response) where response.status == .notFound || response.status == .forbidden:
      answer = .init(key: nil, problem: nil, until: now &+ Self.missingSeconds)
    case .response(let response): answer = .init(key: nil, problem: "the place of its keys answered \(response.status)", until: now &+ 1)
    }
    if let problem = answer.problem { serverLog.warn("load_balancer_key_failed", ["why": .text(problem)]) }
    publish(question, answer)
  }

  private static let missingSeconds: Int64 = 5
}
