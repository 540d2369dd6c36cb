internal import HTTP
internal import Net
internal import Pipeline
internal import Telemetry

/// Asks each address of the services that want it, from the control loop, whether it is well; workers are told when that changes.
///
/// An address is asked once in an interval, not once by each worker, and all workers hear the same. It counts as well until it has
/// failed so many times in a row.
final class HealthChecks {
  private final class Target {
    let upstream: Int
    let address: Int
    let url: HTTPURL
    let check: UpstreamSettings.HealthCheck
    let name: String
    let gauge: MetricsShard.Counter
    let client: HTTPClient
    var isDown = false
    // How often in a row it was otherwise than it counts as.
    var against = 0
    var call: HTTPCall?
    var timer: TimerID?

    init(
      _ upstream: Int, _ address: Int, _ url: HTTPURL, _ check: UpstreamSettings.HealthCheck, _ name: String, _ gauge: MetricsShard.Counter,
      _ client: HTTPClient
    ) {
      self.client = client
      self.upstream = upstream
      self.address = address
      self.url = url
      self.check = check
      self.name = name
      self.gauge = gauge
    }
  }

  private let loop: EventLoop
  private let serverLog: ServerLog
  private let metrics: MetricsShard
  private let tell: (_ upstream: Int, _ address: Int, _ isDown: Bool) -> Void
  private var targets: [Target] = []

  /// Checks of a load; what is known of equal ones of the load before is known on.
  init(
    _ loop: EventLoop, _ plan: ServicePlan, resolver: Resolver, after before: HealthChecks?, serverLog: ServerLog,
    metrics: MetricsShard, tell: @escaping (_ upstream: Int, _ address: Int, _ isDown: Bool) -> Void
  ) {
    self.loop = loop
    self.serverLog = serverLog
    self.metrics = metrics
    self.tell = tell
    before?.stop()
    var limits = HTTPClient.Limits()
    limits.idle = 0
    limits.idlePerPlace = 0
    for (upstream, (plan, tls)) in zip(plan.upstreams, plan.upstreamTLS).enumerated() {
      guard let check = plan.settings.health else { continue }
      // As requests go there.
      let client = HTTPClient(loop, resolver: resolver, tls: tls, limits: limits, tlsName: plan.settings.tls?.serverName)
      for (address, url) in plan.urls.enumerated() {
        let gauge = metrics.counter(
          .upstreamUp, MetricLabel("upstream", plan.settings.name), MetricLabel("address", plan.settings.addresses[address]))
        let target = Target(upstream, address, url.with(target: check.path), check, plan.settings.name, gauge, client)
        target.isDown = before?.targets.first { $0.url == target.url && $0.check == check }?.isDown ?? false
        targets.append(target)
      }
    }
  }

  /// Tells what is known, and begins to ask.
  func start() {
    for target in targets {
      metrics.set(target.gauge, target.isDown ? 0 : 1)
      if target.isDown { tell(target.upstream, target.address, true) }
      ask(target)
    }
    metrics.publish()
  }

  private func stop() {
    for target in targets {
      target.call?.cancel()
      if let timer = target.timer { loop.cancel(timer) }
      metrics.set(target.gauge, 0)
    }
  }

  private func ask(_ target: Target) {
    let client = target.client
    client.limits.connectMillis = target.check.timeoutMillis
    client.limits.totalMillis = target.check.timeoutMillis
    target.call = client.send(HTTPClient.Request(.get, target.url)) { [weak self] result in
      guard let self else { return }
      target.call = nil
      switch result {
      case .success(let response):
        found(target, wrong: (200...299).contains(response.status.code) ? nil : "it answered \(response.status.code)")
      case .failure(let error): found(target, wrong: error.description)
      }
      target.timer = loop.after(target.check.intervalMillis) { [weak self] in self?.ask(target) }
    }
  }

  private func found(_ target: Target, wrong: String?) {
    guard (wrong != nil) != target.isDown else {
      target.against = 0
      return
    }
    target.against += 1
    guard target.against >= (target.isDown ? target.check.successes : target.check.failures) else { return }
    target.against = 0
    target.isDown.toggle()
    metrics.set(target.gauge, target.isDown ? 0 : 1)
    metrics.publish()
    tell(target.upstream, target.address, target.isDown)
    if let wrong {
      serverLog.warn("upstream_down", ["upstream": .text(target.name), "address": .text(target.url.description), "why": .text(wrong)])
    } else {
      serverLog.info("upstream_up", ["upstream": .text(target.name), "address": .text(target.url.description)])
    }
  }
}
