public import AWS
internal import Bytes
internal import HTTP
public import Net

/// Asks Verified Permissions, from one loop and without blocking it: a kept-alive connection, bounded tries, a bounded queue.
///
/// Whatever comes back that is not exactly an answer is a failure. Nothing here makes an allow.
public final class VerifiedPermissionsClient {
  /// How questions are asked.
  public struct Limits: Sendable, Equatable {
    /// To connect, TLS included.
    public var connectMillis: UInt64
    /// One try.
    public var attemptMillis: UInt64
    /// All tries and the wait for one's turn.
    public var totalMillis: UInt64
    /// Tries.
    public var attempts: Int
    /// Questions at the same time.
    public var concurrency: Int
    /// Questions that wait for their turn.
    public var queue: Int

    /// Limits.
    public init(connectMillis: UInt64, attemptMillis: UInt64, totalMillis: UInt64, attempts: Int, concurrency: Int, queue: Int) {
      self.connectMillis = connectMillis
      self.attemptMillis = attemptMillis
      self.totalMillis = totalMillis
      self.attempts = attempts
      self.concurrency = concurrency
      self.queue = queue
    }
  }

  /// What came of a question.
  public enum Outcome: Sendable {
    /// An answer.
    case answered(AuthorizationAnswer)
    /// None that can be believed.
    case failed(String)
    /// None in time.
    case timedOut(String)
  }

  private final class Question {
    let call: AuthorizationCall
    let body: [UInt8]
    let endsAt: UInt64
    let completion: (Outcome) -> Void
    var tries = 0
    var lastRetry: Retryable?
    var isDone = false
    var holdsPlace = false

    init(_ call: AuthorizationCall, _ body: [UInt8], endsAt: UInt64, _ completion: @escaping (Outcome) -> Void) {
      self.call = call
      self.body = body
      self.endsAt = endsAt
      self.completion = completion
    }
  }

  private let loop: EventLoop
  private let client: HTTPClient
  private let url: HTTPURL
  private let limits: Limits
  private var signer: RequestSigner
  private var quota = RetryQuota()
  private var breaker = CircuitBreaker()
  private var skew = ClockSkew()
  private var recent = RecentRequestIDs()
  private var waiting: [Question] = []
  private var inFlight = 0
  /// What signs; questions wait while there is nothing.
  public var credentials: CredentialKeeper.State = .unfetched { didSet { proceed() } }

  /// A client of a service at a URL.
  public init(_ loop: EventLoop, resolver: Resolver, tls: TLSContext, at url: HTTPURL, region: String, limits: Limits) {
    self.loop = loop
    self.url = url
    self.limits = limits
    signer = RequestSigner(service: AWSService.verifiedPermissions.rawValue, region: region)
    var bounds = HTTPClient.Limits()
    bounds.connectMillis = limits.connectMillis
    bounds.totalMillis = limits.attemptMillis
    bounds.idlePerPlace = limits.concurrency
    bounds.idle = limits.concurrency
    bounds.bodyBytes = 1 << 20
    // Shorter than the service's own limit: a reused connection is rarely a dead one.
    bounds.idleMillis = 20_000
    client = HTTPClient(loop, resolver: resolver, tls: tls, rule: .noLinkLocal, limits: bounds)
  }

  /// Asks. The completion is called once, never from within this call, and within the total time.
  public func ask(_ call: AuthorizationCall, body: [UInt8], _ completion: @escaping (Outcome) -> Void) {
    let question = Question(call, body, endsAt: loop.now + limits.totalMillis, completion)
    loop.after(limits.totalMillis) { [self] in
      finish(question, .timedOut("there was no answer within \(limits.totalMillis) ms"))
    }
    guard inFlight + waiting.count < limits.concurrency + limits.queue else {
      return loop.later { [self] in finish(question, .failed("too many questions wait for their turn")) }
    }
    waiting.append(question)
    loop.later { [self] in proceed() }
  }

  /// Asks nothing more, and gives up what is kept alive.
  public func retire() { client.closeIdle() }

  // MARK: - Turns

  private func proceed() {
    while inFlight < limits.concurrency, let question = waiting.first {
      if question.isDone {
        waiting.removeFirst()
        continue
      }
      switch credentials {
      // They are being fetched: within its time a question waits for them.
      case .unfetched: return
      case .unavailable(let why):
        waiting.removeFirst()
        finish(question, .failed("no credentials: \(why)"))
      case .known:
        waiting.removeFirst()
        question.holdsPlace = true
        inFlight += 1
        attempt(question)
      }
    }
  }

  private func attempt(_ question: Question) {
    guard !question.isDone else { return }
    guard case .known(let keys) = credentials else { return finish(question, .failed("the credentials have ended")) }
    guard breaker.allows(at: loop.now) else {
      return finish(question, .failed("the service did not answer before; it is asked again soon"))
    }
    question.tries += 1
    var fields = signer.fields(
      to: url, contentType: Self.contentType, target: "VerifiedPermissions.\(question.call.operation)", body: question.body, by: keys,
      at: loop.wallSeconds + skew.offset)
    // An encoding would be one more thing between the answer and us.
    fields.append("Accept-Encoding", "identity")
    client.send(HTTPClient.Request(.post, url, fields: fields, body: question.body)) { [self] result in
      switch result {
      case .failure(let error):
        breaker.failed(at: loop.now)
        again(question, .transient, isTimeout: Self.isTimeout(error), error.description)
      case .success(let response): received(response, question)
      }
    }
  }

  private static func isTimeout(_ error: NetError) -> Bool { if case .timedOut = error { true } else { false } }

  private func received(_ response: HTTPClient.Response, _ question: Question) {
    let named = response.field("x-amzn-ErrorType")
    guard response.status == .ok, named == nil else {
      let error = ServiceError.read(status: response.status.code, header: named, body: response.body)
      let retryable = Retryable(status: error.status, code: error.code)
      if retryable == .transient { breaker.failed(at: loop.now) } else { breaker.succeeded() }
      if skew.learn(code: error.code, message: error.message, date: response.field("Date"), at: loop.wallSeconds),
        question.tries < limits.attempts
      {
        return attempt(question)
      }
      return again(
        question, retryable, isTimeout: false, error.description, after: response.field("x-amz-retry-after").flatMap { Int64($0) })
    }
    breaker.succeeded()
    do throws(WireError) {
      try check(response)
      let answer = try AuthorizationAnswer.read(response.body, answering: question.call)
      quota.succeeded(after: question.lastRetry)
      finish(question, .answered(answer))
    } catch {
      finish(question, .failed("the service's answer cannot be believed: \(error)"))
    }
  }

  /// What must be true of an answer before its body is looked at.
  private func check(_ response: HTTPClient.Response) throws(WireError) {
    guard let type = response.field("Content-Type"), exactlyEquals(type, Self.contentType) else {
      throw WireError("its content type is not \(Self.contentType)")
    }
    guard !response.head.fields.has(.contentEncoding) else { throw WireError("it is encoded, which was not asked for") }
    guard let id = response.field("x-amzn-RequestId"), RecentRequestIDs.isPlausible(id) else { throw WireError("it has no request id") }
    // One that was seen before is an answer to an earlier question that somebody sends again.
    guard recent.isNew(id) else { throw WireError("it has the request id of an earlier answer") }
  }

  private func again(_ question: Question, _ retryable: Retryable?, isTimeout: Bool, _ why: String, after: Int64? = nil) {
    guard !question.isDone else { return }
    func giveUp() { finish(question, isTimeout ? .timedOut(why) : .failed(why)) }
    guard let retryable, question.tries < limits.attempts, quota.take(retryable) else { return giveUp() }
    question.lastRetry = retryable
    let pause = RetryDelay.millis(
      retry: question.tries - 1, retryable, chance: Double.random(in: 0...1), retryAfterMillis: after)
    // A try that could not end in time is not begun.
    guard loop.now + UInt64(pause) < question.endsAt else { return giveUp() }
    loop.after(UInt64(max(pause, 1))) { [self] in attempt(question) }
  }

  private func finish(_ question: Question, _ outcome: Outcome) {
    guard !question.isDone else { return }
    question.isDone = true
    if question.holdsPlace { inFlight -= 1 }
    question.completion(outcome)
    proceed()
  }

  private static let contentType = "application/x-amz-json-1.0"
}

/// The ids of the latest answers.
struct RecentRequestIDs {
  private var ring: [String] = []
  private var known: Set<ExactString> = []
  private var next = 0

  /// Notes an id; false if it is among the latest.
  mutating func isNew(_ id: String) -> Bool {
    guard known.insert(ExactString(id)).inserted else { return false }
    if ring.count < Self.count {
      ring.append(id)
    } else {
      known.remove(ExactString(ring[next]))
      ring[next] = id
      next = (next + 1) % Self.count
    }
    return true
  }

  /// Whether a text can be a request's id.
  static func isPlausible(_ id: String) -> Bool {
    (8...128).contains(id.utf8.count) && id.utf8.allSatisfy { ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "-") }
  }

  private static let count = 1024
}
