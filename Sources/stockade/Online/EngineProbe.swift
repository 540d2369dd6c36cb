internal import AWS
internal import AWSClient
internal import Net
internal import Pipeline
internal import Proxy

extension Probe {
  /// Tries to get credentials the way `run` does, and says where they come from. What they are is never said.
  func fetch(
    _ source: CredentialSource, _ setting: CredentialFetch.Setting, setBy help: String, then: @escaping () -> Void
  ) {
    start("credentials", source.description)
    let fetch = CredentialFetch(net.loop, resolver: net.resolver, tls: net.tls, setting: setting)
    fetch.fetch(source) { [self] result in
      guard !isDone else { return }
      switch result {
      case .failure(let error):
        fail(error.description, help: "what is asked follows from the environment and the AWS profile, or is set by \(help)")
      case .success(let credentials):
        let left = credentials.expiresAt.map { "; they end in \($0 - net.loop.wallSeconds) s" } ?? ""
        succeed("\(source.description)\(left)")
        then()
      }
    }
  }
}

/// The credentials of an engine elsewhere, and whether the service can be connected to.
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
    fetch(plan.source, plan.setting, setBy: "profile or identity_pool") { [self] in
      approach(plan.url, rule: .noLinkLocal) { [self] in finish() }
    }
  }
}

/// The credentials that sign requests of routes: our own, or whether the service can be connected to that gives callers theirs.
final class SigningProbe: Probe {
  private let signing: UpstreamSigning

  init(_ signing: UpstreamSigning, _ net: ProbeNet, finished: @escaping () -> Void) {
    self.signing = signing
    super.init("sign \(signing.service)", net, finished: finished)
  }

  override func begin() {
    start("credentials", signing.service)
    var problems: [String] = []
    guard let plan = SigningPlan.make(signing, AWSFiles.read(), tls: net.tls, &problems) else {
      return fail(problems.joined(separator: "; "))
    }
    // Whoever asks brings the token that a session is given for: here is none.
    guard case .identityPool(let pool) = plan.source else {
      return fetch(plan.source, plan.setting, setBy: "sign.profile") { [self] in finish() }
    }
    guard let url = plan.setting.place(of: .cognitoIdentity, in: pool.region ?? plan.region) else {
      return fail("\(plan.source.description): its region has no Cognito identity service that is known")
    }
    approach(url, rule: .noLinkLocal) { [self] in finish() }
  }
}
