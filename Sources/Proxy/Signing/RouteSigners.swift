internal import AWS
internal import AWSClient
internal import Net
internal import Pipeline
internal import Telemetry

/// The credentials that sign requests of routes, on the control loop: the proxy's own are kept fresh, callers' sessions are asked for
/// when a request waits for one.
final class RouteSigners {
  private enum Signer {
    case own(CredentialKeeper)
    case callers(PoolSessions)
  }

  private let loop: EventLoop
  private let plans: [SigningPlan]
  private let generation: UInt64
  private let serverLog: ServerLog
  private var signers: [Signer] = []
  // What the load before held for the same profile, while there is nothing newer.
  private var inherited: [Int: Credentials] = [:]
  private var complainedAt: UInt64?

  /// Signers of plans; sessions of the load before serve on where they come from the same place. `tell` hears what workers are to know.
  init(
    _ loop: EventLoop, resolver: Resolver, plans: [SigningPlan], generation: UInt64, after before: RouteSigners?, serverLog: ServerLog,
    tell: @escaping (SigningQuestion, SigningAnswer) -> Void
  ) {
    self.loop = loop
    self.plans = plans
    self.generation = generation
    self.serverLog = serverLog
    for (index, plan) in plans.enumerated() {
      if case .identityPool(let pool) = plan.source, plan.settings.isCallers {
        signers.append(.callers(before?.sessions(like: plan) ?? PoolSessions(loop, resolver: resolver, plan, pool: pool)))
        continue
      }
      inherited[index] = before?.credentials(like: plan)
      let fetch = CredentialFetch(loop, resolver: resolver, tls: plan.tls, setting: plan.setting)
      signers.append(
        .own(
          CredentialKeeper(loop, source: plan.source, fetch: fetch) { [weak self] state in
            guard let self, let answer = answer(state, index) else { return }
            if case .own(let keeper) = signers[index], let problem = keeper.failure { complain(problem, plan) }
            tell(SigningQuestion(signing: index, generation: generation, login: nil), answer)
          }))
    }
  }

  /// Begins to fetch the proxy's own.
  func start() { for case .own(let keeper) in signers { keeper.start() } }

  /// Fetches nothing of the proxy's own any more.
  func close() { for case .own(let keeper) in signers { keeper.close() } }

  /// Answers a request that waits.
  func want(_ question: SigningQuestion, _ completion: @escaping (SigningAnswer) -> Void) {
    // A question of another load may be about another pool by now: its token is for nobody else's eyes.
    guard question.generation == generation, signers.indices.contains(question.signing) else { return }
    switch signers[question.signing] {
    case .callers(let sessions):
      guard let login = question.login else { return }
      sessions.session(of: login) { [self] answer in
        switch answer.outcome {
        case .known: break
        case .unavailable(let why), .refused(let why): complain(why, plans[question.signing])
        }
        completion(answer)
      }
    case .own(let keeper):
      if let answer = answer(keeper.state, question.signing) { return completion(answer) }
      keeper.credentials { [self] result in
        switch result {
        case .success(let credentials): completion(answer(credentials, question.signing))
        case .failure(let error): completion(failure(error.description, question.signing))
        }
      }
    }
  }

  /// What is not well, by the service it concerns.
  var problems: [(service: String, problem: String?)] {
    zip(plans, signers).compactMap { plan, signer in
      guard case .own(let keeper) = signer else { return nil }
      return (plan.settings.service, keeper.problem)
    }
  }

  private func answer(_ state: CredentialKeeper.State, _ index: Int) -> SigningAnswer? {
    switch state {
    case .known(let credentials):
      inherited[index] = nil
      return answer(credentials, index)
    case .unavailable(let why): return failure(why, index)
    case .unfetched:
      guard let held = inherited[index], held.expiresAt ?? .max > loop.wallSeconds else { return nil }
      return answer(held, index)
    }
  }

  private func failure(_ why: String, _ index: Int) -> SigningAnswer {
    if let held = inherited[index], held.expiresAt ?? .max > loop.wallSeconds { return answer(held, index) }
    return SigningAnswer(
      .unavailable(why), askedAt: LoopClock.monotonicNanos(), until: loop.wallSeconds + Defaults.credentialsFailedSeconds)
  }

  private func answer(_ credentials: Credentials, _ index: Int) -> SigningAnswer {
    let plan = plans[index]
    // The keeper tells of newer ones before these end.
    return SigningAnswer(
      .known(credentials, region: plan.region, source: plan.source.description), askedAt: LoopClock.monotonicNanos(),
      until: credentials.expiresAt ?? .max)
  }

  private func sessions(like plan: SigningPlan) -> PoolSessions? {
    for case .callers(let sessions) in signers where sessions.plan.asksSamePool(as: plan) && sessions.plan.region == plan.region {
      return sessions
    }
    return nil
  }

  private func credentials(like plan: SigningPlan) -> Credentials? {
    for (other, signer) in zip(plans, signers) where other.settings.signer == plan.settings.signer {
      if case .own(let keeper) = signer, case .known(let credentials) = keeper.state { return credentials }
    }
    return nil
  }

  private func complain(_ why: String, _ plan: SigningPlan) {
    // Once a second at most: what fails for one request fails for all of them.
    guard complainedAt.map({ loop.now >= $0 + 1000 }) ?? true else { return }
    complainedAt = loop.now
    serverLog.warn("credentials_failed", ["sign": .text(plan.settings.service), "why": .text(why)])
  }
}
