internal import Admin
internal import Proxy

extension Gateway {
  /// What the operations listener and the control socket answer to probes.
  func answer(_ probe: OpsServer.Probe, _ completion: @escaping ([OpsServer.Check]) -> Void) {
    let asked: Probe =
      switch probe {
      case .alive: .alive
      case .ready: .ready
      case .started: .started
      }
    check(asked) { checks in completion(checks.map { OpsServer.Check(name: $0.name, problem: $0.problem) }) }
  }
}
