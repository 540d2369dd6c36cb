internal import AWS
internal import AWSClient
internal import Net
internal import Pipeline
internal import Proxy

/// Tries to get the credentials of an engine elsewhere the way `run` does, says where they come from, and whether the service can be
/// connected to. What the credentials are is never said.
final class EngineProbe: Probe {
  private let engine: RemoteEngine

  init(_ engine: RemoteEngine, _ net: ProbeNet, finished: @escaping () -> Void) {
    self.engine = engine
    super.init("engine \(engine.policyStore)", net, finished: finished)
  }

  override func begin() {
    start("credentials", engine.policyStore)
    var problems: [String] = []
    guard let plan = EnginePlan.make(engine, AWSFiles.read(), tls: net.tls, &problems) else {
      return fail(problems.joined(separator: "; "))
    }
    start("credentials", plan.source.description)
    let fetch = CredentialFetch(net.loop, resolver: net.resolver, tls: net.tls, setting: plan.setting)
    fetch.fetch(plan.source) { [self] result in
      guard !isDone else { return }
      switch result {
      case .failure(let error):
        fail(
          error.description, help: "what is asked follows from the environment and the AWS profile, or is set by profile or identity_pool")
      case .success(let credentials):
        let left = credentials.expiresAt.map { "; they end in \($0 - net.loop.wallSeconds) s" } ?? ""
        succeed("\(plan.source.description)\(left)")
        approach(plan.url, rule: .noLinkLocal) { [self] in finish() }
      }
    }
  }
}
