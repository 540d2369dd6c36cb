internal import HTTP
internal import Net

/// Asks elsewhere for facts that the page waits for, and tells the workers: on the control loop, each question once at a time.
///
/// Strangers can cause questions, so it is bounded how many are asked at a time, how often, and how many wait for their turn.
final class Inquiries<Question: Hashable> {
  struct Bounds {
    /// How many are asked at a time.
    var calls: Int
    /// How many wait for their turn.
    var waiting: Int
    /// The least time from the beginning of one to the beginning of the next.
    var intervalMillis: UInt64 = 0
  }

  /// What came of a question.
  enum Outcome {
    case response(HTTPClient.Response)
    case failed(NetError)
    /// Too many questions wait.
    case crowded
  }

  private let loop: EventLoop
  private let client: HTTPClient
  private let bounds: Bounds
  private let request: (Question) throws(NetError) -> HTTPClient.Request
  private let finished: (Question, Outcome, UInt64) -> Void
  private var calls: [Question: HTTPCall] = [:]
  private var queue: [Question] = []
  private var queued: Set<Question> = []
  private var next: (at: UInt64, timer: TimerID?) = (0, nil)

  /// `request` says how a question is asked; `finished` hears what came of it, and when it was asked in monotonic nanoseconds.
  init(
    _ loop: EventLoop, client: HTTPClient, _ bounds: Bounds, request: @escaping (Question) throws(NetError) -> HTTPClient.Request,
    finished: @escaping (Question, Outcome, UInt64) -> Void
  ) {
    self.loop = loop
    self.client = client
    self.bounds = bounds
    self.request = request
    self.finished = finished
  }

  /// Asks nothing any more: another load has taken over.
  func close() {
    for call in calls.values { call.cancel() }
    calls = [:]
    queue = []
    queued = []
    if let timer = next.timer { loop.cancel(timer) }
    next.timer = nil
  }

  /// Whoever waits hears what came of it.
  func ask(_ question: Question) {
    guard calls[question] == nil, !queued.contains(question) else { return }
    guard queue.count < bounds.waiting else { return finished(question, .crowded, LoopClock.monotonicNanos()) }
    queue.append(question)
    queued.insert(question)
    goOn()
  }

  private func goOn() {
    while calls.count < bounds.calls, next.timer == nil, !queue.isEmpty {
      guard next.at <= loop.now else {
        next.timer = loop.after(next.at - loop.now) { [unowned self] in
          next.timer = nil
          goOn()
        }
        return
      }
      next.at = loop.now &+ bounds.intervalMillis
      let question = queue.removeFirst()
      queued.remove(question)
      begin(question)
    }
  }

  private func begin(_ question: Question) {
    let askedAt = LoopClock.monotonicNanos()
    do throws(NetError) {
      calls[question] = client.send(try request(question)) { [unowned self] result in
        calls[question] = nil
        switch result {
        case .success(let response): finished(question, .response(response), askedAt)
        case .failure(let error): finished(question, .failed(error), askedAt)
        }
        goOn()
      }
    } catch {
      finished(question, .failed(error), askedAt)
    }
  }
}
