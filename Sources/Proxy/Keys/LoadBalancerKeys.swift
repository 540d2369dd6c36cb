internal import Bytes
internal import HTTP
internal import JOSE
internal import Net
internal import Pipeline
internal import Telemetry

/// Fetches the keys of load balancers, each by its name, and tells the workers: on the control loop, one at a time an issuer and
/// some a second at most. Only what came from the load balancer's own network asks for one.
final class LoadBalancerKeys {
  private let loop: EventLoop
  private let client: HTTPClient
  private let snapshot: Snapshot
  private let serverLog: ServerLog
  private let publish: (LoadBalancerKeyQuestion, LoadBalancerKeyAnswer) -> Void
  private var queue: [LoadBalancerKeyQuestion] = []
  private var call: HTTPCall?
  private var timer: TimerID?
  private var beganAt: UInt64?

  init(
    _ loop: EventLoop, client: HTTPClient, snapshot: Snapshot, serverLog: ServerLog,
    publish: @escaping (LoadBalancerKeyQuestion, LoadBalancerKeyAnswer) -> Void
  ) {
    self.loop = loop
    self.client = client
    self.snapshot = snapshot
    self.serverLog = serverLog
    self.publish = publish
  }

  /// Fetches nothing any more: another load has taken over.
  func close() {
    call?.cancel()
    call = nil
    if let timer { loop.cancel(timer) }
    timer = nil
    queue = []
  }

  /// Whoever waits hears what became of it.
  func want(_ question: LoadBalancerKeyQuestion) {
    guard question.generation == snapshot.generation, !queue.contains(question) else { return }
    guard queue.count < Self.mostWaiting else {
      return publish(question, .init(key: nil, problem: "too many names of keys at once", until: loop.wallSeconds &+ 1))
    }
    queue.append(question)
    goOn()
  }

  private func goOn() {
    guard call == nil, timer == nil, let question = queue.first else { return }
    if let beganAt, loop.now < beganAt &+ Self.intervalMillis {
      timer = loop.after(beganAt &+ Self.intervalMillis - loop.now) { [unowned self] in
        timer = nil
        goOn()
      }
      return
    }
    beganAt = loop.now
    guard snapshot.issuers.issuers.indices.contains(question.issuer),
      let base = snapshot.issuers.issuers[question.issuer].loadBalancer?.keysURL
    else { return finish(question, .failure(.closed)) }
    let url: HTTPURL
    // The name is a UUID: it cannot lead elsewhere.
    do throws(NetError) { url = try HTTPURL.parse((base.hasSuffix("/") ? base : base + "/") + question.kid.string) } catch {
      return finish(question, .failure(error))
    }
    call = client.send(HTTPClient.Request(.get, url)) { [unowned self] result in
      call = nil
      finish(question, result)
    }
  }

  private func finish(_ question: LoadBalancerKeyQuestion, _ result: Result<HTTPClient.Response, NetError>) {
    let now = loop.wallSeconds
    let answer: LoadBalancerKeyAnswer
    switch result {
    case .failure(let error): answer = .init(key: nil, problem: error.description, until: now &+ 1)
    case .success(let response) where response.status == .ok:
      let key = LoadBalancerKey.read(response.body)
      answer = .init(
        key: key, problem: key == nil ? "what is there is not a P-256 key in PEM" : nil,
        until: now &+ (key == nil ? 1 : Defaults.keysRefreshSeconds))
    // S3 says 403 for what is not there.
    case .success(let response) where response.status == .notFound || response.status == .forbidden:
      answer = .init(key: nil, problem: nil, until: now &+ Self.missingSeconds)
    case .success(let response): answer = .init(key: nil, problem: "the place of its keys answered \(response.status)", until: now &+ 1)
    }
    if let problem = answer.problem { serverLog.warn("load_balancer_key_failed", ["why": .text(problem)]) }
    queue.removeAll { $0 == question }
    publish(question, answer)
    goOn()
  }

  private static let intervalMillis: UInt64 = 250
  private static let mostWaiting = 16
  private static let missingSeconds: Int64 = 5
}
