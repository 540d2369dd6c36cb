internal import AWS
internal import AWSClient
internal import Net
internal import Pipeline
internal import Telemetry

/// Keeps the credentials of engines elsewhere fresh, on the control loop, and tells the workers.
final class EngineCredentials {
  private var keepers: [CredentialKeeper] = []
  private let plans: [EnginePlan]

  /// Keepers for engines; `tell` hears of every change.
  init(
    _ loop: EventLoop, resolver: Resolver, plans: [EnginePlan], serverLog: ServerLog, tell: @escaping (CredentialKeeper.State, Int) -> Void
  ) {
    self.plans = plans
    for (index, plan) in plans.enumerated() {
      let fetch = CredentialFetch(loop, resolver: resolver, tls: plan.tls, setting: plan.setting)
      keepers.append(
        CredentialKeeper(loop, source: plan.source, fetch: fetch) { [weak self] state in
          if let problem = self?.keepers[index].failure {
            serverLog.warn("credentials_failed", ["engine": .text(plan.engine.policyStore), "why": .text(problem)])
          }
          tell(state, index)
        })
    }
  }

  /// Begins to fetch.
  func start() { for keeper in keepers { keeper.start() } }

  /// Fetches nothing any more.
  func close() { for keeper in keepers { keeper.close() } }

  /// What is known for every engine.
  var known: [CredentialKeeper.State] { keepers.map(\.state) }

  /// What is not well, by the store it concerns.
  var problems: [(store: String, problem: String?)] { zip(plans, keepers).map { ($0.engine.policyStore, $1.problem) } }
}
