internal import JOSE
internal import Net
internal import Pipeline

extension Gateway {
  // What a configuration asks of the workers, or what is wrong with its addresses.
  static func plan(
    _ configuration: Configuration, _ snapshot: Snapshot, _ revocations: RevocationList, _ environment: Environment, workers: Int,
    after before: ServicePlan? = nil, _ problems: inout [String]
  ) -> ServicePlan? {
    let upstreams = configuration.upstreams.map { service in
      UpstreamPlan(settings: service, urls: service.addresses.compactMap { url($0, what: service.name, &problems) })
    }
    if configuration.upstream.isEmpty { problems.append("no service to protect is given") }
    for base in configuration.entitySources { _ = url(base, what: "a route's entities", &problems) }
    checkKeyURLs(configuration, snapshot, &problems)
    guard problems.isEmpty else { return nil }
    let aws = environment.aws()
    do throws(NetError) {
      var upstreamTLS: [TLSContext?] = []
      for upstream in upstreams {
        upstreamTLS.append(upstream.urls.contains(where: \.isSecure) ? try TLSContext(upstream: upstream.settings.tls) : nil)
      }
      // Tickets of the context before are good for as long as nothing has changed that they stand for.
      var tls = before?.tls
      if let settings = configuration.tls, tls?.settings != settings { tls = (settings, try TLSContext(settings)) }
      var engines: [EnginePlan] = []
      for engine in configuration.engines {
        if let plan = EnginePlan.make(engine, aws, tls: try TLSContext(clientTrusting: .system), &problems) { engines.append(plan) }
      }
      var signings: [SigningPlan] = []
      for signing in configuration.signings {
        if let plan = SigningPlan.make(signing, aws, tls: try TLSContext(clientTrusting: .system), &problems) { signings.append(plan) }
      }
      guard problems.isEmpty else { return nil }
      return ServicePlan(
        snapshot: snapshot, revocations: revocations, upstreams: upstreams, upstreamTLS: upstreamTLS, tls: tls,
        limits: limits(configuration, workers: workers, environment.serverLog),
        engines: engines, signings: signings, expectsProxyHeader: configuration.expectsProxyHeader)
    } catch {
      problems.append(error.description)
      return nil
    }
  }

  private static func url(_ text: String, what: String, _ problems: inout [String]) -> HTTPURL? {
    if let problem = problem(of: text, for: .service) {
      problems.append("\(what): \(problem.message)" + (problem.help.map { "; \($0)" } ?? ""))
      return nil
    }
    do throws(NetError) { return try HTTPURL.parse(text) } catch { return nil }
  }

  private static func checkKeyURLs(_ configuration: Configuration, _ snapshot: Snapshot, _ problems: inout [String]) {
    for (issuer, settings) in zip(snapshot.issuers.issuers, configuration.issuers) {
      if let endpoint = issuer.introspection?.url {
        do throws(NetError) {
          let url = try HTTPURL.parse(endpoint)
          if !url.isSecure, !KeyURL.isLoopback(url) {
            problems.append("issuer \(issuer.name): \(endpoint) is plain HTTP, so whoever is on the way would read tokens; use https")
          }
        } catch {
          problems.append("issuer \(issuer.name): \(error)")
        }
      }
      let text: String
      switch issuer.keys {
      case .jwks(let url): text = url
      case .discovery(let issuer): text = issuer
      case .file: continue
      case .noSet:
        guard let balancer = issuer.loadBalancer else { continue }
        text = balancer.keysURL
      }
      guard let problem = problem(of: text, for: .keys(mayBePlain: settings.allowsInsecureKeys)) else { continue }
      problems.append("issuer \(issuer.name): \(problem.message)" + (problem.help.map { "; \($0)" } ?? ""))
    }
  }
}
