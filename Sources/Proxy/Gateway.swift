internal import Crypto
internal import HTTP
public import JOSE
public import JSON
public import Net
public import Pipeline
public import Telemetry

/// The proxy as a whole, seen from the control loop: starts the workers, feeds them keys, and lets them go in good order.
public final class Gateway {
  /// What the gateway needs beside its configuration and first snapshot.
  public struct Environment {
    /// The decision log.
    public var log: DecisionLog
    /// The numbers.
    public var metrics: Metrics
    /// Traces; nil where they are off.
    public var tracing: Tracing?
    /// Messages for the operator.
    public var serverLog: ServerLog
    /// The host or pod, for records.
    public var instance: String
    /// Reads the environment and files that say how AWS is reached, again at every load.
    public var aws: () -> AWSSurroundings = { .none }
    /// Added to the wall clock, in milliseconds: for tests that expire tokens without waiting.
    public var clockOffsetMillis: Int64
    /// The folder for what outlives the process; nil for none.
    public var stateFolder: String?
    /// Through which proxies key sets are fetched.
    public var proxies = HTTPProxies()

    /// An environment.
    public init(
      log: DecisionLog, metrics: Metrics, serverLog: ServerLog, instance: String, aws: @escaping () -> AWSSurroundings = { .none },
      clockOffsetMillis: Int64 = 0
    ) {
      self.log = log
      self.metrics = metrics
      self.serverLog = serverLog
      self.instance = instance
      self.aws = aws
      self.clockOffsetMillis = clockOffsetMillis
    }
  }

  let loop: EventLoop
  private var configuration: Configuration
  private var snapshot: Snapshot
  private var revocations: RevocationList
  private let client: HTTPClient
  private let resolver: Resolver
  private var credentials: EngineCredentials?
  private let environment: Environment
  private let mailbox: Mailbox<ControlMessage>
  private let workers: [Mailbox<WorkerMessage>]
  private var threads: [RunningThread] = []
  private var keyRing: KeyRing?
  private var introspector: Introspector?
  private var loadBalancerKeys: LoadBalancerKeys?
  private var assertions: AssertionRing?
  private let nonces = DPoPNonce(key: RandomBytes.make(32))
  private let usedProofs = Locked(DPoPReplayGuard())
  private let lookups: EntityLookups
  private let controlShard: MetricsShard
  private var addresses: [Int: SocketAddress] = [:]
  private var drained: Set<Int> = []
  private var started: ((Result<SocketAddress, ConfigurationError>) -> Void)?
  private var left: ((Bool) -> Void)?
  private var cutOff: TimerID?
  private var adopting: (waiting: Set<Int>, completion: (Result<Void, ConfigurationError>) -> Void)?
  private var isDraining = false
  let rollCall: RollCall
  /// Whether every worker has listened at some time.
  private(set) var hasStarted = false

  /// Checks what can be checked without starting anything, and starts. `listen` is what the configuration's `listen` comes to.
  public init(
    _ configuration: Configuration, snapshot: Snapshot, revocations: RevocationList, listen: ListenPlace, environment: Environment,
    loop: EventLoop
  ) throws(ConfigurationError) {
    self.loop = loop
    self.configuration = configuration
    self.snapshot = snapshot
    self.revocations = revocations
    self.environment = environment
    loop.wallOffsetMillis = environment.clockOffsetMillis
    var problems: [String] = []
    let plan = Self.plan(configuration, snapshot, revocations, environment.aws(), &problems)
    guard let plan, problems.isEmpty else { throw ConfigurationError(problems) }
    do throws(NetError) {
      let resolver = try Resolver(loop)
      self.resolver = resolver
      let tls = try TLSContext(clientTrusting: .system)
      client = HTTPClient(loop, resolver: resolver, tls: tls, rule: .noLinkLocal, proxies: environment.proxies)
      controlShard = environment.metrics.shard()
      let lookups = EntityLookups(
        loop,
        client: HTTPClient(
          loop, resolver: resolver, tls: tls, rule: .noLinkLocal, limits: EntityLookups.limits),
        generation: snapshot.generation, serverLog: environment.serverLog, metrics: controlShard)
      self.lookups = lookups
      let count = Self.workerCount(configuration, listen)
      mailbox = try Mailbox()
      var workers: [Mailbox<WorkerMessage>] = []
      for _ in 0..<count { workers.append(try Mailbox()) }
      self.workers = workers
      rollCall = RollCall(loop, workers)
      lookups.tell = { message, worker in workers[worker].post(message) }
    } catch {
      throw ConfigurationError([error.description])
    }
    try start(plan, listen: listen)
  }

  /// Calls back once, when all workers listen (with the bound address) or one could not.
  public func whenStarted(_ completion: @escaping (Result<SocketAddress, ConfigurationError>) -> Void) { started = completion }

  /// Everything that must be well, with what is not.
  public var checks: [Check] {
    var checks = [Check(name: "listener", problem: isDraining ? "shutting down" : addresses.count == workers.count ? nil : "starting")]
    if let keyRing {
      for (index, name) in keyRing.issuerNames.enumerated() {
        checks.append(Check(name: "keys:\(name)", problem: keyRing.problem(of: index)))
      }
    }
    for (store, problem) in credentials?.problems ?? [] { checks.append(Check(name: "engine:\(store)", problem: problem)) }
    return checks
  }

  /// Calls back when every worker has answered a message, which shows that its loop turns; while one does not, nobody is called.
  public func whenWorkersAnswer(_ completion: @escaping () -> Void) {
    rollCall.whenAllAnswer(completion)
  }

  var workerCount: Int { workers.count }
  var listeningCount: Int { addresses.count }

  // MARK: - Starting

  private func start(_ plan: ServicePlan, listen: ListenPlace) throws(ConfigurationError) {
    do throws(NetError) {
      try mailbox.attach(to: loop) { [unowned self] in received($0) }
      // Workers share the port, and so could a process that has nothing to do with this one: half of the requests would go there.
      if workers.count > 1, case .address(let address) = listen { try Listener(loop, at: address) { _, _ in }.close() }
      let assertions = try makeAssertionRing()
      self.assertions = assertions
      introspector = makeIntrospector()
      loadBalancerKeys = makeLoadBalancerKeys()
      let ring = makeKeyRing(after: nil)
      keyRing = ring
      let credentials = makeCredentials(plan)
      self.credentials = credentials
      for index in workers.indices {
        let setup = WorkerSetup(
          index: index, listen: listen, sharesPlace: workers.count > 1, plan: plan, log: environment.log, metrics: environment.metrics,
          tracing: environment.tracing,
          control: mailbox, mailbox: workers[index], cacheKey: Self.randomKey(),
          assertionKeys: assertions?.keys, nonces: nonces, usedProofs: usedProofs,
          instance: environment.instance, clockOffsetMillis: environment.clockOffsetMillis)
        threads.append(try startThread(name: "worker-\(index)", stackBytes: 4 << 20) { runWorker(setup) })
      }
      let limit = Double(workers.count * Defaults.clientConnections)
      environment.metrics.collect { [.init(.connectionsLimit, [MetricLabel("state", "client")], value: limit)] }
      ring.start()
      credentials.start()
    } catch {
      throw ConfigurationError([error.description])
    }
  }

  private func makeCredentials(_ plan: ServicePlan) -> EngineCredentials {
    let generation = plan.snapshot.generation
    return EngineCredentials(loop, resolver: resolver, plans: plan.engines, serverLog: environment.serverLog) {
      [unowned self] state, engine in
      for worker in workers { worker.post(.credentials(state, engine: engine, generation: generation)) }
    }
  }

  /// The public keys of our assertions, for the service behind; nil if there are none.
  public var assertionKeys: (document: JSONValue, cacheSeconds: Int64)? {
    assertions.map { ($0.keys.document, $0.keys.cacheSeconds) }
  }

  private func makeLoadBalancerKeys() -> LoadBalancerKeys {
    LoadBalancerKeys(loop, client: client, snapshot: snapshot, serverLog: environment.serverLog) { [unowned self] question, answer in
      for worker in workers { worker.post(.loadBalancerKey(question, answer)) }
    }
  }

  private func makeIntrospector() -> Introspector {
    Introspector(loop, client: client, snapshot: snapshot, serverLog: environment.serverLog) { [unowned self] question, answer in
      for worker in workers { worker.post(.introspected(question, answer)) }
    }
  }

  private func makeAssertionRing() throws(NetError) -> AssertionRing? {
    guard let settings = snapshot.assertion else { return nil }
    do throws(KeyError) {
      return try AssertionRing(loop, settings, serverLog: environment.serverLog) { [unowned self] keys in
        for worker in workers { worker.post(.sign(keys)) }
      }
    } catch {
      throw .invalidRequest("there is no key for identity assertions: \(error)")
    }
  }

  // A development issuer's keys die with it.
  private var snapshots: KeySnapshots? { configuration.isDevelopment ? nil : environment.stateFolder.map { KeySnapshots(folder: $0) } }

  private func makeKeyRing(after before: KeyRing?) -> KeyRing {
    let issuers = Array(zip(snapshot.issuers.issuers, configuration.issuers))
    return KeyRing(
      loop, client: client, issuers: issuers, after: before, trustsDevelopmentKeys: configuration.isDevelopment,
      snapshots: snapshots, serverLog: environment.serverLog, metrics: controlShard
    ) { [unowned self] keys, issuer in
      for worker in workers { worker.post(.keys(keys, issuer: issuer)) }
    }
  }

  // What a configuration asks of the workers, or what is wrong with its addresses.
  private static func plan(
    _ configuration: Configuration, _ snapshot: Snapshot, _ revocations: RevocationList, _ aws: AWSSurroundings, _ problems: inout [String]
  ) -> ServicePlan? {
    let upstream = url(configuration.upstream, what: "the upstream", &problems)
    let others = configuration.routeUpstreams.compactMap { url($0, what: "a route's upstream", &problems) }
    for base in configuration.entitySources { _ = url(base, what: "a route's entities", &problems) }
    checkKeyURLs(configuration, snapshot, &problems)
    guard let upstream, problems.isEmpty else { return nil }
    let upstreams = [upstream] + others
    do throws(NetError) {
      let tls = upstreams.contains(where: \.isSecure) ? try TLSContext(clientTrusting: .system) : nil
      var engines: [EnginePlan] = []
      for engine in configuration.engines {
        if let plan = EnginePlan.make(engine, aws, tls: try TLSContext(clientTrusting: .system), &problems) { engines.append(plan) }
      }
      guard problems.isEmpty else { return nil }
      return ServicePlan(
        snapshot: snapshot, revocations: revocations, upstreams: upstreams, upstreamTLS: tls, upstreamLimits: configuration.upstreamLimits,
        engines: engines, expectsProxyHeader: configuration.expectsProxyHeader)
    } catch {
      problems.append(error.description)
      return nil
    }
  }

  // MARK: - Reloading

  /// Puts another configuration and snapshot in force, whole, for every worker; or changes nothing and says why.
  ///
  /// Calls back when every worker serves by it. One reload at a time.
  public func adopt(
    _ configuration: Configuration, _ snapshot: Snapshot, _ revocations: RevocationList,
    _ completion: @escaping (Result<Void, ConfigurationError>) -> Void
  ) {
    guard adopting == nil, !isDraining else { return completion(.failure(ConfigurationError(["another reload is under way"]))) }
    var problems: [String] = []
    for (name, now, then) in [
      ("listen", self.configuration.listen, configuration.listen), ("ops_listen", self.configuration.opsListen, configuration.opsListen),
      ("workers", "\(self.configuration.workers)", "\(configuration.workers)"), ("log", self.configuration.log, configuration.log),
    ] where now != then {
      problems.append("\(name) cannot change while running (it is \(now)); restart for \(then)")
    }
    if self.configuration.traces != configuration.traces { problems.append("traces cannot change while running; restart for the new ones") }
    guard problems.isEmpty, let plan = Self.plan(configuration, snapshot, revocations, environment.aws(), &problems) else {
      return completion(.failure(ConfigurationError(problems)))
    }
    let before = self.snapshot.assertion
    self.configuration = configuration
    self.snapshot = snapshot
    self.revocations = revocations
    if before != snapshot.assertion {
      assertions?.close()
      do throws(NetError) { assertions = try makeAssertionRing() } catch {
        return completion(.failure(ConfigurationError([error.description])))
      }
      for worker in workers { worker.post(.sign(assertions?.keys)) }
    }
    introspector?.close()
    introspector = makeIntrospector()
    loadBalancerKeys?.close()
    loadBalancerKeys = makeLoadBalancerKeys()
    let ring = makeKeyRing(after: keyRing)
    keyRing = ring
    lookups.adopt(snapshot.generation)
    adopting = (Set(workers.indices), completion)
    let signing = credentials
    let made = makeCredentials(plan)
    credentials = made
    for worker in workers { worker.post(.adopt(plan, ring.known, made.known)) }
    signing?.close()
    ring.start()
    made.start()
  }

  /// Revokes tokens at once, whatever else is or is not in order.
  public func revoke(_ list: RevocationList) {
    revocations = list
    for worker in workers { worker.post(.revoke(list)) }
  }

  private func adopted(_ worker: Int, problem: String?) {
    guard var adopting else { return }
    if let problem { environment.serverLog.error("adopt_failed", ["worker": .integer(worker), "why": .text(problem)]) }
    adopting.waiting.remove(worker)
    self.adopting = adopting.waiting.isEmpty ? nil : adopting
    if adopting.waiting.isEmpty { adopting.completion(.success(())) }
  }

  private static func workerCount(_ configuration: Configuration, _ listen: ListenPlace) -> Int {
    let wanted = configuration.workers > 0 ? configuration.workers : systemProcessorCount()
    return listen.isShareable ? min(max(wanted, 1), 64) : 1
  }

  private static func randomKey() -> (UInt64, UInt64) { (UInt64.random(in: 0 ... .max), UInt64.random(in: 0 ... .max)) }

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

  // MARK: - What the workers say

  private func received(_ message: ControlMessage) {
    switch message {
    case .wantKeys(let issuer): keyRing?.want(issuer)
    case .wantLoadBalancerKey(let question): loadBalancerKeys?.want(question)
    case .wantIntrospection(let question): introspector?.ask(question)
    case .wantEntities(let lookup, let worker): lookups.want(lookup, for: worker)
    case .listening(let worker, let address):
      addresses[worker] = address
      guard addresses.count == workers.count else { break }
      hasStarted = true
      let started = started
      self.started = nil
      started?(.success(address))
    case .startFailed(_, let why):
      let started = started
      self.started = nil
      started?(.failure(ConfigurationError([why])))
    case .adopted(let worker, _): adopted(worker, problem: nil)
    case .adoptionFailed(let worker, let why): adopted(worker, problem: why)
    case .answered(let worker): rollCall.answered(worker)
    case .drained(let worker):
      drained.insert(worker)
      if drained.count == workers.count { leave(inTime: true) }
    case .differs(let decision, let decider, let own, let other, let difference):
      environment.serverLog.warn(
        "engines_differ",
        [
          "decision": .text(decision), "decider": .text(decider), "by": .text(difference.rawValue),
          "decided": .text(own.passes ? "allow" : "deny"),
          "other": .text(other.passes ? "allow" : "deny"),
        ])
    case .failed(let event, let why):
      switch event {
      case .acceptFailed: environment.serverLog.error("accept_failed", ["why": .text(why)])
      case .engineFailed: environment.serverLog.warn("engine_failed", ["why": .text(why)])
      case .proxyHeaderRefused: environment.serverLog.warn("proxy_header_refused", ["why": .text(why)])
      case .upstreamUnreachable: environment.serverLog.warn("upstream_unreachable", ["why": .text(why)])
      }
    }
  }

  // MARK: - Leaving

  /// Leaves in good order: readiness fails at once; after the configured delay nothing new is accepted and responses close their
  /// connections; what is in flight may finish within the configured time. Calls back with whether it did.
  public func drain(_ completion: @escaping (_ inTime: Bool) -> Void) {
    guard !isDraining else { return leave(inTime: false) }
    isDraining = true
    left = completion
    loop.after(max(configuration.drainDelayMillis, 1)) { [unowned self] in
      for worker in workers { worker.post(.drain) }
      cutOff = loop.after(configuration.drainTimeoutMillis) { [unowned self] in leave(inTime: false) }
    }
  }

  private func leave(inTime: Bool) {
    guard let left else { return }
    self.left = nil
    if let cutOff { loop.cancel(cutOff) }
    if !inTime { for worker in workers { worker.post(.cutOff) } }
    for worker in workers { worker.post(.stop) }
    for thread in threads { thread.join() }
    threads = []
    left(inTime)
  }
}

/// A worker's thread, from its first line to its last.
private func runWorker(_ setup: WorkerSetup) {
  do throws(NetError) {
    let loop = try EventLoop()
    let worker = try Worker(setup, loop: loop)
    if let address = worker.address { setup.control.post(.listening(worker: setup.index, address)) }
    try loop.run()
    withExtendedLifetime(worker) {}
  } catch {
    setup.control.post(.startFailed(worker: setup.index, error.description))
  }
}
