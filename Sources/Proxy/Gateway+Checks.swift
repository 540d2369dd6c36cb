internal import Net

extension Gateway {
  /// One thing that must be well, or is not.
  public struct Check: Sendable {
    /// What: `listener`, `keys:main`, `worker:0`.
    public let name: String
    /// What is wrong with it; nil if nothing is.
    public let problem: String?
  }

  /// What an orchestrator asks.
  public enum Probe: Sendable {
    /// Does it still work, or is it better started anew?
    case alive
    /// Shall it get requests now?
    case ready
    /// Has it begun to take requests, ever?
    case started
  }

  /// Calls back with everything that an answer depends on; never from within. A worker that is stuck is waited for a little.
  public func check(_ probe: Probe, _ completion: @escaping ([Check]) -> Void) {
    switch probe {
    case .started: loop.later { [self] in completion(startChecks) }
    case .alive: checkWorkers(completion)
    case .ready: checkWorkers { [self] workers in completion(checks + workers) }
    }
  }

  private func checkWorkers(_ completion: @escaping ([Check]) -> Void) {
    let count = workerCount
    rollCall.answers(withinMillis: Self.workerPatienceMillis) { silent in
      completion(
        (0..<count).map { worker in
          Check(name: "worker:\(worker)", problem: silent[worker].map { "has not answered for \($0 / 1000) s" })
        })
    }
  }

  // Policies and configuration are in order, or there would be no gateway.
  private var startChecks: [Check] {
    let listening = listeningCount
    return [
      Check(name: "configuration", problem: nil), Check(name: "policies", problem: nil),
      Check(
        name: "listener", problem: hasStarted ? nil : "starting: \(listening) of \(workerCount) workers listen"),
    ]
  }

  /// Within what a kubelet's probe usually waits (3 s in our own manifests), so that it gets the reason and not silence.
  static let workerPatienceMillis: UInt64 = 2_000
}
