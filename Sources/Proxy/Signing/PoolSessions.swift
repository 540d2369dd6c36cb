internal import AWS
internal import AWSClient
internal import Bytes
internal import Net
internal import Pipeline

/// Sessions that an identity pool gives callers: asked for once at a time for a token, not too many at once, and kept until shortly
/// before they end.
final class PoolSessions {
  let plan: SigningPlan
  private let loop: EventLoop
  private let pool: CredentialSource.IdentityPool
  private let fetch: CredentialFetch
  private var sessions: [[UInt8]: Credentials] = [:]
  private var order: [[UInt8]] = []
  private var oldest = 0
  private var flights: [[UInt8]: [(SigningAnswer) -> Void]] = [:]
  // Those whose turn has not come, the first of them at `next`.
  private var waiting: [SigningQuestion.Login] = []
  private var next = 0
  private var calls = 0

  init(_ loop: EventLoop, resolver: Resolver, _ plan: SigningPlan, pool: CredentialSource.IdentityPool) {
    self.loop = loop
    self.plan = plan
    self.pool = pool
    fetch = CredentialFetch(loop, resolver: resolver, tls: plan.tls, setting: plan.setting, connections: Defaults.sessionCalls)
  }

  /// Answers with the session of whoever has a token: at once if it is known, else after it was asked for.
  func session(of login: SigningQuestion.Login, _ completion: @escaping (SigningAnswer) -> Void) {
    let now = loop.wallSeconds
    if let known = sessions[login.digest], Self.until(known) > now { return completion(answer(known)) }
    if flights[login.digest] != nil {
      flights[login.digest]?.append(completion)
      return
    }
    flights[login.digest] = [completion]
    if calls < Defaults.sessionCalls { return ask(login) }
    guard waiting.count - next < Defaults.sessionCallsWaiting else {
      return finish(login, .unavailable("too many sessions wait for their turn"))
    }
    waiting.append(login)
  }

  private func ask(_ login: SigningQuestion.Login) {
    calls += 1
    fetch.fetch(pool, logins: [login.provider: login.token.exposed], of: login.owner) { [self] result in
      calls -= 1
      switch result {
      case .success(let session): received(session, login)
      case .failure(let error): failed(error, login)
      }
      askNext()
    }
  }

  private func received(_ session: Credentials, _ login: SigningQuestion.Login) {
    // A session without an end would serve for ever, and one that has ended for nothing.
    guard let end = session.expiresAt, end > loop.wallSeconds else {
      return finish(login, .unavailable("\(plan.source.description): the session that it gives has ended"))
    }
    keep(session, for: login.digest)
    finish(login, known(session), until: Self.until(session))
  }

  private func failed(_ error: CredentialError, _ login: SigningQuestion.Login) {
    if error.isRefusal {
      sessions[login.digest] = nil
      return finish(login, .refused(error.description), until: loop.wallSeconds + Defaults.credentialsRefusedSeconds)
    }
    // What still holds serves while the pool cannot be reached.
    if let held = sessions[login.digest], let end = held.expiresAt, end > loop.wallSeconds + Defaults.credentialsFailedSeconds {
      return finish(login, known(held))
    }
    finish(login, .unavailable(error.description))
  }

  private func askNext() {
    while calls < Defaults.sessionCalls, next < waiting.count {
      next += 1
      ask(waiting[next - 1])
    }
    if next == waiting.count || next > Defaults.sessionCallsWaiting {
      waiting.removeFirst(next)
      next = 0
    }
  }

  private func finish(_ login: SigningQuestion.Login, _ outcome: SigningAnswer.Outcome, until: Int64? = nil) {
    let answer = SigningAnswer(
      outcome, askedAt: LoopClock.monotonicNanos(), until: until ?? loop.wallSeconds + Defaults.credentialsFailedSeconds)
    for completion in flights.removeValue(forKey: login.digest) ?? [] { completion(answer) }
  }

  private func answer(_ session: Credentials) -> SigningAnswer {
    SigningAnswer(known(session), askedAt: LoopClock.monotonicNanos(), until: Self.until(session))
  }

  private func known(_ session: Credentials) -> SigningAnswer.Outcome {
    .known(session, region: plan.region, source: plan.source.description)
  }

  private func keep(_ session: Credentials, for digest: [UInt8]) {
    if sessions.updateValue(session, forKey: digest) == nil { order.append(digest) }
    while sessions.count > Defaults.callerSessions, oldest < order.count {
      sessions[order[oldest]] = nil
      oldest += 1
    }
    if oldest > order.count / 2 {
      order.removeFirst(oldest)
      oldest = 0
    }
  }

  private static func until(_ session: Credentials) -> Int64 { (session.expiresAt ?? 0) - Defaults.sessionEndsEarlySeconds }
}
