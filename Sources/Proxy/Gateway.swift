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
  private var retired: [RetiredSnapshot] = []
  private var revocations: RevocationList
  private var servicePlan: ServicePlan
  private let client: HTTPClient
  private let resolver: Resolver
  private var credentials: EngineCredentials?
  private var signers: RouteSigners?
  private let environment: Environment
  private let mailbox: Mailbox<ControlMessage>
  private let workers: [Mailbox<WorkerMessage>]
  private var threads: [RunningThread] = []
  private var keyRing: KeyRing?
  private var introspector: Introspector?
  private var loadBalancerKeys: LoadBalancerKeys?
  private var assertions: AssertionRing?
  private var healthChecks: HealthChecks?
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
    let count = Self.workerCount(configuration, listen)
    let plan = Self.plan(configuration, snapshot, revocations, environment, workers: count, &problems)
    guard let plan, problems.isEmpty else { throw ConfigurationError(problems) }
    servicePlan = plan
    do throws(NetError) {
      let resolver = try Resolver(loop, limits: Self.resolverLimits(configuration), lookup: Self.lookup(configuration))
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
    for (service, problem) in signers?.problems ?? [] { checks.append(Check(name: "sign:\(service)", problem: problem)) }
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
      if workers.count > 1, !configuration.sharesPort, case .address(let address) = listen {
        try Listener(loop, at: address) { _, _ in }.close()
      }
      let assertions = try makeAssertionRing()
      self.assertions = assertions
      introspector = makeIntrospector()
      loadBalancerKeys = makeLoadBalancerKeys()
      let ring = makeKeyRing(after: nil)
      keyRing = ring
      let credentials = makeCredentials(plan)
      self.credentials = credentials
      let signers = makeSigners(plan, after: nil)
      self.signers = signers
      for index in workers.indices {
        let setup = WorkerSetup(
          index: index, listen: listen, sharesPlace: workers.count > 1, sharesPort: configuration.sharesPort,
          lookup: Self.lookup(configuration), resolverLimits: Self.resolverLimits(configuration), plan: plan, log: environment.log,
          metrics: environment.metrics, tracing: environment.tracing,
          control: mailbox, mailbox: workers[index], cacheKey: Self.randomKey(),
          assertionKeys: assertions?.keys, nonces: nonces, usedProofs: usedProofs,
          instance: environment.instance, clockOffsetMillis: environment.clockOffsetMillis)
        threads.append(try startThread(name: "worker-\(index)", stackBytes: 4 << 20) { runWorker(setup) })
      }
      let limit = Double(workers.count * plan.limits.connections)
      environment.metrics.collect { [.init(.connectionsLimit, [MetricLabel("state", "client")], value: limit)] }
      ring.start()
      credentials.start()
      startHealthChecks(plan)
      signers.start()
    } catch {
      endWorkers()
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

  private func makeSigners(_ plan: ServicePlan, after before: RouteSigners?) -> RouteSigners {
    RouteSigners(
      loop, resolver: resolver, plans: plan.signings, generation: plan.snapshot.generation, after: before, serverLog: environment.serverLog
    ) { [unowned self] question, answer in
      for worker in workers { worker.post(.signing(question, answer)) }
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
      ("workers", "\(self.configuration.workers)", "\(configuration.workers)"),
      ("log", Self.places(self.configuration), Self.places(configuration)),
      ("tls", self.configuration.tls == nil ? "off" : "on", configuration.tls == nil ? "off" : "on"),
      ("share_port", "\(self.configuration.sharesPort)", "\(configuration.sharesPort)"),
      ("dns.server", self.configuration.nameServer ?? "the system's", configuration.nameServer ?? "the system's"),
      ("dns.refresh", "\(self.configuration.dnsRefreshMillis)ms", "\(configuration.dnsRefreshMillis)ms"),
    ] where now != then {
      problems.append("\(name) cannot change while running (it is \(now)); restart for \(then)")
    }
    if self.configuration.traces != configuration.traces { problems.append("traces cannot change while running; restart for the new ones") }
    guard problems.isEmpty,
      let plan = Self.plan(
        configuration, snapshot, revocations, environment, workers: workers.count, after: servicePlan, &problems)
    else {
      return completion(.failure(ConfigurationError(problems)))
    }
    servicePlan = plan
    let before = self.snapshot.assertion
    self.configuration = configuration
    retire(self.snapshot)
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
    let oldSigners = signers
    let newSigners = makeSigners(plan, after: oldSigners)
    signers = newSigners
    for worker in workers { worker.post(.adopt(plan, ring.known, made.known)) }
    signing?.close()
    oldSigners?.close()
    ring.start()
    made.start()
    startHealthChecks(plan)
    newSigners.start()
  }

  /// Revokes tokens at once, whatever else is or is not in order.
  public func revoke(_ list: RevocationList) {
    revocations = list
    for worker in workers { worker.post(.revoke(list)) }
  }

  private func retire(_ snapshot: Snapshot) {
    retired.append(RetiredSnapshot(snapshot))
    if retired.count == 1 { loop.after(Self.retirementMillis) { [unowned self] in letGo() } }
  }

  private func letGo() {
    for index in retired.indices.reversed() where retired[index].letGo() { retired.remove(at: index) }
    if !retired.isEmpty { loop.after(Self.retirementMillis) { [unowned self] in letGo() } }
  }

  private static let retirementMillis: UInt64 = 500

  private func adopted(_ worker: Int, problem: String?) {
    guard var adopting else { return }
    if let problem { environment.serverLog.error("adopt_failed", ["worker": .integer(worker), "why": .text(problem)]) }
    adopting.waiting.remove(worker)
    self.adopting = adopting.waiting.isEmpty ? nil : adopting
    if adopting.waiting.isEmpty { adopting.completion(.success(())) }
  }

  private func startHealthChecks(_ plan: ServicePlan) {
    let generation = plan.snapshot.generation
    let checks = HealthChecks(
      loop, plan, resolver: resolver, after: healthChecks, serverLog: environment.serverLog, metrics: controlShard
    ) { [unowned self] upstream, address, isDown in
      for worker in workers { worker.post(.health(upstream: upstream, address: address, isDown: isDown, generation: generation)) }
    }
    healthChecks = checks
    checks.start()
  }

  private static func places(_ configuration: Configuration) -> String { configuration.logSinks.map(\.text).joined(separator: ", ") }

  private static func workerCount(_ configuration: Configuration, _ listen: ListenPlace) -> Int {
    let wanted = configuration.workers > 0 ? configuration.workers : systemProcessorCount()
    return listen.isShareable ? min(max(wanted, 1), 64) : 1
  }

  private static func randomKey() -> (UInt64, UInt64) { (UInt64.random(in: 0 ... .max), UInt64.random(in: 0 ... .max)) }

  // MARK: - What the workers say

  private func received(_ message: ControlMessage) {
    switch message {
    case .wantKeys(let issuer): keyRing?.want(issuer)
    case .wantLoadBalancerKey(let question): loadBalancerKeys?.want(question)
    case .wantIntrospection(let question): introspector?.ask(question)
    case .wantCredentials(let question, let worker):
      signers?.want(question) { [workers] answer in workers[worker].post(.signing(question, answer)) }
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
      endWorkers()
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
      case .upstreamEjected: environment.serverLog.warn("upstream_ejected", ["why": .text(why)])
      case .circuitOpened: environment.serverLog.warn("circuit_open", ["why": .text(why)])
      case .limitReached: environment.serverLog.warn("limit_reached", ["why": .text(why)])
      case .handshakeFailed: environment.serverLog.warn("handshake_failed", ["why": .text(why)])
      case .otherProtocol: environment.serverLog.warn("other_protocol", ["why": .text(why)])
      case .descriptorsFew: environment.serverLog.error("descriptors_exhausted", ["why": .text(why)])
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
    endWorkers()
    left(inTime)
  }

  // No thread outlives the gateway, whichever way it ends.
  private func endWorkers() {
    for worker in workers { worker.post(.stop) }
    for thread in threads { thread.join() }
    threads = []
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
