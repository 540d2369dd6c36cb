internal import JSON
internal import Net
internal import Pipeline

/// `check --online`: whether issuers and services can be reached from here. All are tried at once, each step by step: DNS, TCP or TLS,
/// then discovery and keys of an issuer. Services behind are only connected to.
enum OnlineCheck {
  /// Tries everything; as long as the timeout at most.
  static func run(_ configuration: Configuration, issuers: [Issuer], timeoutMillis: UInt64) throws(ConfigurationError) -> [ProbeStep] {
    do throws(NetError) {
      let loop = try EventLoop()
      let net = try ProbeNet(loop, timeoutMillis: timeoutMillis)
      var waiting = 0
      let finished = {
        waiting -= 1
        if waiting == 0 { loop.stop() }
      }
      var probes: [Probe] = zip(issuers, configuration.issuers).map { issuer, settings in
        IssuerProbe(
          issuer, allowsInsecure: settings.allowsInsecureKeys, trustsDevelopmentKeys: configuration.isDevelopment, net, finished: finished)
      }
      for service in configuration.upstreams {
        for (index, address) in service.addresses.enumerated() {
          let place = service.addresses.count > 1 ? "\(service.name), \(index + 1)" : service.name
          probes.append(try UpstreamProbe(place, address, of: service, net, finished: finished))
        }
      }
      for engine in configuration.engines + [configuration.policySource?.store].compactMap({ $0 }) {
        probes.append(EngineProbe(engine, net, finished: finished))
      }
      for signing in configuration.signings { probes.append(SigningProbe(signing, net, finished: finished)) }
      waiting = probes.count
      let started = probes
      loop.after(timeoutMillis) { for probe in started where !probe.isDone { probe.giveUp(after: timeoutMillis) } }
      // Not before the loop turns: a probe may end at once.
      loop.later { for probe in started { probe.begin() } }
      try loop.run()
      return probes.flatMap(\.steps)
    } catch {
      throw ConfigurationError([error.description])
    }
  }

  /// The steps as a table, and what it comes to.
  static func text(_ steps: [ProbeStep]) -> String {
    let width = (steps.map(\.subject.unicodeScalars.count).max() ?? 0) + 2
    let failed = steps.count { !$0.isGood }
    return steps.map { $0.text(subjectWidth: width) }.joined() + "online: \(steps.count - failed) ok, \(failed) failed\n"
  }
}
