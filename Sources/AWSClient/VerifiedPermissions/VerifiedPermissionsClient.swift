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
    /// Whether questions that wait at the same moment may travel together.
    public var batches: Bool

    /// Limits.
    public init(
      connectMillis: UInt64, attemptMillis: UInt64, totalMillis: UInt64, attempts: Int, concurrency: Int, queue: Int, batches: Bool = false
    ) {
      self.connectMillis = connectMillis
      self.attemptMillis = attemptMillis
      self.totalMillis = totalMillis
      self.attempts = attempts
      self.concurrency = concurrency
      self.queue = queue
      self.batches = batches
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
    var timer: TimerID?
    var isDone = false

    init(_ call: AuthorizationCall, _ body: [UInt8], endsAt: UInt64, _ completion: @escaping (Outcome) -> Void) {
      self.call = call
      self.body = body
      self.endsAt = endsAt
      self.completion = completion
    }
  }

  /// One question on its way, or several that travel together.
  private final class Flight {
    let questions: [Question]
    let body: [UInt8]
    let operation: String
    var tries = 0
    var lastRetry: Retryable?
    var isOver = false

    init(_ questions: [Question], _ body: [UInt8], _ operation: String) {
      self.questions = questions
      self.body = body
      self.operation = operation
    }

    /// Whether nobody waits for it any more.
    var isAbandoned: Bool { questions.allSatisfy { $0.isDone } }
    /// When the last of those who wait gives up.
    var endsAt: UInt64 { questions.filter { !$0.isDone }.map { $0.endsAt }.max() ?? 0 }
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
    signer = RequestSigner(service: AWSService.verifiedPermissions.rawValue, region: region, unsigned: Self.plainAnswers)
    var bounds = HTTPClient.Limits()
    bounds.connectMillis = limits.connectMillis
    bounds.totalMillis = limits.attemptMillis
    bounds.idlePerPlace = limits.concurrency
    bounds.idle = limits.concurrency
    // A TLS handshake costs the loop several times what a question does: a burst of them would hold up every other request.
    bounds.connecting = 8
    bounds.bodyBytes = 1 << 20
    // Shorter than the service's own limit: a reused connection is rarely a dead one.
    bounds.idleMillis = 20_000
    client = HTTPClient(loop, resolver: resolver, tls: tls, rule: .noLinkLocal, limits: bounds)
  }

  /// Asks. The completion is called once, never from within this call, and within the total time.
  public func ask(_ call: AuthorizationCall, body: [UInt8], _ completion: @escaping (Outcome) -> Void) {
    let question = Question(call, body, endsAt: loop.now + limits.totalMillis, completion)
    question.timer = loop.after(limits.totalMillis) { [self] in
      question.timer = nil
      finish(question, .timedOut("there was no answer within \(limits.totalMillis) ms"))
    }
    guard waiting.count < limits.queue + limits.concurrency - min(inFlight, limits.concurrency) else {
      return loop.later { [self] in finish(question, .failed("too many questions wait for their turn")) }
    }
    waiting.append(question)
    // Not at once: those that come in the same turn may travel together.
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
        inFlight += 1
        attempt(nextFlight(question))
      }
    }
  }

  /// Takes the first question, and with it those that may go along, if questions travel together.
  private func nextFlight(_ first: Question) -> Flight {
    waiting.removeFirst()
    let alone = Flight([first], first.body, "VerifiedPermissions.\(first.call.operation)")
    guard limits.batches, !waiting.isEmpty else { return alone }
    var batch = QuestionBatch(first.call)
    var taken = [first]
    waiting.removeAll { question in
      guard !question.isDone, batch.take(question.call) else { return false }
      taken.append(question)
      return true
    }
    guard taken.count > 1 else { return alone }
    do throws(WireError) {
      return Flight(taken, try AuthorizationCall.batchBody(taken.map { $0.call }), "VerifiedPermissions.Batch\(first.call.operation)")
    } catch {
      // Together they are too large; the others have their turn next.
      waiting.insert(contentsOf: taken.dropFirst(), at: 0)
      return alone
    }
  }

  private func attempt(_ flight: Flight) {
    guard !flight.isAbandoned else { return end(flight) }
    guard case .known(let keys) = credentials else { return end(flight, .failed("the credentials have ended")) }
    guard breaker.allows(at: loop.now) else {
      return end(flight, .failed("the service did not answer before; it is asked again soon"))
    }
    flight.tries += 1
    let fields = signer.fields(
      to: url, contentType: Self.contentType, target: flight.operation, body: flight.body, by: keys, at: loop.wallSeconds + skew.offset)
    client.send(HTTPClient.Request(.post, url, fields: fields, body: flight.body)) { [self] result in
      switch result {
      case .failure(let error):
        breaker.failed(at: loop.now)
        again(flight, .transient, isTimeout: Self.isTimeout(error), error.description)
      case .success(let response): received(response, flight)
      }
    }
  }

  private static func isTimeout(_ error: NetError) -> Bool { if case .timedOut = error { true } else { false } }

  private func received(_ response: HTTPClient.Response, _ flight: Flight) {
    let named = response.field("x-amzn-ErrorType")
    guard response.status == .ok, named == nil else {
      let error = ServiceError.read(status: response.status.code, header: named, body: response.body)
      let retryable = Retryable(status: error.status, code: error.code)
      if retryable == .transient { breaker.failed(at: loop.now) } else { breaker.succeeded() }
      let isSkewed = skew.learn(code: error.code, message: error.message, date: response.field("Date"), at: loop.wallSeconds)
      if isSkewed, flight.tries < limits.attempts { return attempt(flight) }
      return again(flight, retryable, isTimeout: false, error.description, after: response.field("x-amz-retry-after").flatMap { Int64($0) })
    }
    breaker.succeeded()
    do throws(WireError) {
      try check(response)
      let answers: [AuthorizationAnswer]
      if flight.questions.count == 1 {
        answers = [try AuthorizationAnswer.read(response.body, answering: flight.questions[0].call)]
      } else {
        answers = try AuthorizationAnswer.readBatch(response.body, answering: flight.questions.map { $0.call })
      }
      quota.succeeded(after: flight.lastRetry)
      for (question, answer) in zip(flight.questions, answers) { finish(question, .answered(answer)) }
      end(flight)
    } catch {
      end(flight, .failed("the service's answer cannot be believed: \(error)"))
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

  // An encoding would be one more thing between the answer and us.
  private static let plainAnswers: FieldBlock = {
    var block = FieldBlock()
    block.append("Accept-Encoding", "identity")
    return block
  }()

  private func again(_ flight: Flight, _ retryable: Retryable?, isTimeout: Bool, _ why: String, after: Int64? = nil) {
    guard !flight.isAbandoned else { return end(flight) }
    func giveUp() { end(flight, isTimeout ? .timedOut(why) : .failed(why)) }
    guard let retryable, flight.tries < limits.attempts, quota.take(retryable) else { return giveUp() }
    flight.lastRetry = retryable
    let pause = RetryDelay.millis(retry: flight.tries - 1, retryable, chance: Double.random(in: 0...1), retryAfterMillis: after)
    // A try that could hardly end in time is not begun.
    guard loop.now + UInt64(pause) + limits.attemptMillis / 4 < flight.endsAt else { return giveUp() }
    loop.after(UInt64(max(pause, 1))) { [self] in attempt(flight) }
  }

  /// A flight is over, with this outcome for all who still wait for it; its place is free.
  private func end(_ flight: Flight, _ outcome: Outcome = .failed("nobody waits")) {
    guard !flight.isOver else { return }
    flight.isOver = true
    inFlight -= 1
    for question in flight.questions { finish(question, outcome) }
    proceed()
  }

  private func finish(_ question: Question, _ outcome: Outcome) {
    guard !question.isDone else { return }
    question.isDone = true
    if let timer = question.timer { loop.cancel(timer) }
    question.timer = nil
    question.completion(outcome)
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
