internal import Admin
internal import Bytes
internal import FoundationEssentials
internal import Glibc
internal import JOSE
internal import JSON
internal import Net
internal import Pipeline
internal import Proxy
internal import Telemetry

/// A running gateway with its operations listener, on the main thread's loop, until a signal ends it.
final class GatewayProcess {
  private let loop: EventLoop
  private let serverLog: ServerLog
  private let log: LogOutput
  private let gateway: Gateway
  private let traces: Traces?
  private let ops: OpsServer
  private let supervisor: Supervisor
  private let supervision: Supervision
  private let load: Load
  // What clients speak; it does not change.
  private let scheme: String
  private let numbers: Locked<LoadNumbers>
  private var watch: FolderWatch?
  private var follower: StoreFollower?
  // What was read last, whether it could be put in force or not: only something else is worth another attempt.
  private var tried = ""
  private var revocations = RevocationFile.none
  // What was revoked while a load that had read an older list was being built.
  private var revokedMeanwhile: RevocationFile?
  private var control: ControlServer?
  private var generation: UInt64 = 1
  private var isReloading = false
  // Whoever asked while a reload was under way: what they changed may have come too late for it, so another follows.
  private var reloadNext: [(ConfigurationError?) -> Void] = []
  private var status = ExitStatus.success
  private var isLeaving = false

  /// Where it listens, once it does.
  private(set) var proxyAddress: SocketAddress?
  /// Where its operations listener is.
  var opsAddress: SocketAddress { ops.address }

  /// Starts everything; nothing is left running if it throws.
  init(
    _ loaded: Loaded, load: @escaping Load, extras: RunSettings.Extras, loop: EventLoop, serverLog: ServerLog, log: LogOutput,
    followed: FollowedStore? = nil
  ) throws(ConfigurationError) {
    self.loop = loop
    self.serverLog = serverLog
    self.log = log
    self.load = load
    scheme = loaded.configuration.tls == nil ? "http" : "https"
    let configuration = loaded.configuration
    let snapshot = try SnapshotBuilder.build(configuration, policies: loaded.files, generation: 1)
    let metrics = Metrics()
    metrics.collect(from: log.log)
    let numbers = Locked(LoadNumbers(configuration, snapshot))
    self.numbers = numbers
    metrics.collect { numbers.withLock { $0.samples } }
    if let source = configuration.policySource, let followed {
      follower = try StoreFollower(loop, source, followed, metrics: metrics, serverLog: serverLog)
    }
    let supervisor = extras.supervisor
    self.supervisor = supervisor
    supervision = Supervision(supervisor, loop: loop, serverLog: serverLog)
    let listen = try Self.place(configuration.listen, of: "listen", supervisor)
    let opsListen = try Self.place(configuration.opsListen, of: "ops.listen", supervisor)
    var environment = Gateway.Environment(
      log: log.log, metrics: metrics, serverLog: serverLog, instance: Self.hostName(), clockOffsetMillis: extras.clockOffsetMillis)
    environment.stateFolder = StateDirectory.prepare() ? StateDirectory.path : nil
    environment.proxies = try Self.proxies()
    environment.aws = AWSFiles.read
    try log.attach(
      to: loop, host: environment.instance, proxies: environment.proxies, metrics: metrics, serverLog: serverLog)
    traces = try Traces.start(
      configuration, host: environment.instance, loop: loop, proxies: environment.proxies, metrics: metrics, serverLog: serverLog)
    environment.tracing = traces?.tracing
    gateway = try Gateway(
      configuration, snapshot: snapshot, revocations: loaded.revocations.list, listen: listen, environment: environment, loop: loop)
    let gateway = gateway
    do throws(NetError) {
      ops = try OpsServer(
        loop, at: opsListen, metrics: metrics, assertionKeys: { gateway.assertionKeys },
        checks: gateway.answer, enforcement: { numbers.withLock { $0.enforcement } })
    } catch {
      throw ConfigurationError(["ops.listen: \(error)"])
    }
    for socket in supervisor.sockets where ListenPlace.socket(socket) != listen && ListenPlace.socket(socket) != opsListen {
      // Whoever connects to it would wait for ever.
      serverLog.warn(
        "unused_socket", ["name": .text(socket.name), "meaning": "it was handed over, and nothing listens on it; it is closed"])
    }
    tellModes(configuration, snapshot)
  }

  /// Calls back when requests are accepted; if they cannot be, says why and ends the process's loop.
  func whenReady(_ completion: @escaping (SocketAddress) -> Void) {
    gateway.whenStarted { [self] result in
      switch result {
      case .success(let address):
        proxyAddress = address
        // Every worker has its own descriptor by now.
        supervisor.closeSockets()
        completion(address)
        supervision.ready(condition)
        supervision.beginWatchdog(gateway)
      case .failure(let error):
        Terminal.error(ConfigurationFile.shown(error, ending: "Nothing was started."))
        status = .failure
        loop.stop()
      }
    }
  }

  /// Turns the loop until a signal has been obeyed; then writes what waits for the log.
  func run(_ foreground: Foreground) -> ExitStatus {
    foreground.signalled = { [self] signal in
      guard signal == .hangUp else { return leave(signal) }
      // Log rotation sends the same signal, and both are harmless to do once too often.
      log.log.reopen()
      reload(because: "SIGHUP")
    }
    do throws(NetError) {
      try loop.run()
    } catch {
      serverLog.error("loop_failed", ["why": .text(error.description)])
      status = .failure
    }
    let lost = log.drain(loop, timeoutMillis: 5_000)
    if lost > 0 { serverLog.warn("decisions_lost", ["count": .integer(lost)]) }
    return status
  }

  private func leave(_ signal: ProcessSignal) {
    // A second signal does not wait for anything.
    guard !isLeaving else { return loop.stop() }
    isLeaving = true
    serverLog.info("drain", ["signal": .text("\(signal)")])
    supervision.stopping()
    gateway.drain { [self] inTime in
      if !inTime { serverLog.warn("drain_cut_off", ["why": "requests were still in flight when the time was over"]) }
      ops.close()
      control?.close()
      guard let traces else { return loop.stop() }
      traces.export.drain(withinMillis: Traces.drainMillis) { [self] in loop.stop() }
    }
  }

  private func tellModes(_ configuration: Configuration, _ snapshot: Snapshot) {
    if snapshot.mode == .observe { serverLog.warn("observe_mode", ["meaning": "decisions are logged and NOT enforced"]) }
    let routes = snapshot.observedRoutes
    if !routes.isEmpty {
      serverLog.warn(
        "observed_routes",
        [
          "count": .integer(routes.count), "routes": .text(routes.map(\.text).joined(separator: ", ")),
          "meaning": "decisions on these routes are logged and NOT enforced",
        ])
    }
    if let shadow = snapshot.shadow {
      serverLog.warn(
        "shadow_policies",
        [
          "count": .integer(shadow.policyCount), "policies": .text(shadow.policyIDs.joined(separator: ", ")),
          "meaning": "these policies are evaluated and logged and NOT enforced",
        ])
    }
    if configuration.isDevelopment {
      serverLog.warn("development_mode", ["meaning": "a development issuer is trusted: anyone can sign in"])
    }
  }

  /// The proxies that the environment names, for fetching keys.
  private static func proxies() throws(ConfigurationError) -> HTTPProxies {
    let variables = ProcessInfo.processInfo.environment
    do throws(NetError) { return try HTTPProxies { variables[$0] } } catch {
      throw ConfigurationError(["the environment's proxy: \(error)"])
    }
  }

  static func hostName() -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard gethostname(&buffer, buffer.count - 1) == 0 else { return "" }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

/// The main thread's loop, with signals as events: made before any other thread, so that no thread is killed by one.
final class Foreground {
  let loop: EventLoop
  /// What a signal does; nothing before this is set.
  var signalled: ((ProcessSignal) -> Void)?

  init() throws(ConfigurationError) {
    do throws(NetError) {
      Signals.ignoreBrokenPipes()
      Signals.raiseDescriptorLimit()
      loop = try EventLoop()
      try Signals(loop, [.terminate, .interrupt, .hangUp]) { [unowned self] in signalled?($0) }
    } catch {
      throw ConfigurationError([error.description])
    }
  }
}

extension GatewayProcess {
  /// `stockade run`: from a configuration to an exit status.
  static func run(
    _ load: @escaping Load, extras: RunSettings.Extras, followed: FollowedStore
  ) throws(ConfigurationError) -> ExitStatus {
    let loaded = try Reading.steady(load).get()
    let configuration = loaded.configuration
    for warning in configuration.warnings { Terminal.error("warning: \(warning)\n") }
    if let file = loaded.file { Terminal.error("stockade: configuration from \(file)\n") }
    let foreground = try Foreground()
    let serverLog = ServerLog()
    let log = try LogOutput(configuration, serverLog: serverLog)
    let process = try GatewayProcess(
      loaded, load: load, extras: extras, loop: foreground.loop, serverLog: serverLog, log: log, followed: followed)
    process.whenReady { address in
      let ops = process.opsAddress
      serverLog.info(
        "listening",
        [
          "proxy": .text("\(process.scheme)://\(address)"), "ops": .text("http://\(ops)"), "upstream": .text(configuration.upstream),
          "policies": .text(loaded.files.hash), "mode": .text(configuration.mode.rawValue),
        ])
      process.beginWatching(loaded)
      process.openControlSocket()
      process.follow()
      if let path = extras.readyFile { process.writeReadyFile(path, proxy: address, ops: ops) }
    }
    return process.run(foreground)
  }

  private func writeReadyFile(_ path: String, proxy: SocketAddress, ops: SocketAddress) {
    let text =
      JSONValue.object(["proxy": .string("\(scheme)://\(proxy)"), "ops": .string("http://\(ops)"), "pid": .integer(Int64(getpid()))]).text
      + "\n"
    do {
      try text.write(toFile: path, atomically: true, encoding: .utf8)
    } catch {
      serverLog.error("ready_file_failed", ["path": .text(path), "why": .text("\(error)")])
    }
  }
}

extension GatewayProcess {
  private static func place(_ text: String, of setting: String, _ supervisor: Supervisor) throws(ConfigurationError) -> ListenPlace {
    do throws(ListenPlace.Problem) { return try ListenPlace.parse(text, among: supervisor.sockets) } catch {
      throw ConfigurationError(["\(setting): \(error.message)" + (error.help.map { "; \($0)" } ?? "")])
    }
  }

  /// What is in force, in a line for a person.
  private var condition: String {
    let now = numbers.withLock { $0 }
    let place = proxyAddress.map { " at \($0)" } ?? ""
    return
      "Serving\(place): \(now.mode == Snapshot.Mode.observe.rawValue ? "observing" : "enforcing") \(now.policies) policies, generation \(generation)"
  }

  /// Whether `/readyz` says so.
  var isReady: Bool { gateway.checks.allSatisfy { $0.problem == nil } }
}

// MARK: - Reloading

extension GatewayProcess {
  /// Reads configuration and policies again and puts them in force as a whole; what is wrong changes nothing and is told.
  func reload(because cause: String, _ completion: @escaping (ConfigurationError?) -> Void = { _ in }) {
    guard !isLeaving else { return completion(ConfigurationError(["the process is leaving"])) }
    guard !isReloading else { return reloadNext.append(completion) }
    isReloading = true
    revokedMeanwhile = nil
    supervision.reloading()
    let began = LoopClock.monotonicNanos()
    let reading = Reading.steady(load)
    tried = reading.fingerprint
    do throws(ConfigurationError) {
      let loaded = try reading.get()
      try build(loaded) { [self] built in
        switch built {
        case .failure(let error): ended(cause, error, completion)
        case .success(let snapshot) where !isLeaving:
          var loaded = loaded
          if let newer = revokedMeanwhile, exactlyEquals(newer.path, loaded.revocations.path) { loaded.revocations = newer }
          adopt(loaded, snapshot, because: cause, since: began, completion)
        case .success: ended(cause, ConfigurationError(["the process is leaving"]), completion)
        }
      }
    } catch {
      ended(cause, error, completion)
    }
  }

  /// Builds what is to be in force aside, while requests go on.
  private func build(
    _ loaded: Loaded, _ completion: @escaping (Result<Snapshot, ConfigurationError>) -> Void
  ) throws(ConfigurationError) {
    let (configuration, files, generation) = (loaded.configuration, loaded.files, generation + 1)
    do throws(NetError) {
      try Aside.run(name: "load", on: loop) {
        Result { () throws(ConfigurationError) in
          try SnapshotBuilder.build(configuration, policies: files, generation: generation)
        }
      } completion: {
        completion($0)
      }
    } catch { throw ConfigurationError(["no thread to load by: \(error)"]) }
  }

  private func adopt(
    _ loaded: Loaded, _ snapshot: Snapshot, because cause: String, since began: UInt64,
    _ completion: @escaping (ConfigurationError?) -> Void
  ) {
    gateway.adopt(loaded.configuration, snapshot, loaded.revocations.list) { [self] result in
      switch result {
      case .failure(let error): ended(cause, error, completion)
      case .success:
        isReloading = false
        defer { reloadAgain() }
        generation = snapshot.generation
        numbers.withLock { numbers in
          var next = LoadNumbers(loaded.configuration, snapshot)
          next.reloads = numbers.reloads + 1
          next.failures = numbers.failures
          next.lastGoodAt = loop.wallSeconds
          numbers = next
        }
        serverLog.info(
          "reload",
          [
            "cause": .text(cause), "generation": .integer(Int(generation)), "policies": .integer(snapshot.authorization.policyCount),
            "policy_set": .text(loaded.files.hash), "millis": .integer(Int((LoopClock.monotonicNanos() - began) / 1_000_000)),
          ])
        tellModes(loaded.configuration, snapshot)
        for warning in loaded.configuration.warnings { serverLog.warn("configuration", ["warning": .text(warning)]) }
        beginWatching(loaded)
        follower?.reconsider()
        supervision.ready(condition)
        completion(nil)
      }
    }
  }

  private func ended(_ cause: String, _ error: ConfigurationError, _ completion: (ConfigurationError?) -> Void) {
    isReloading = false
    reloadFailed(cause, error, completion)
    reloadAgain()
  }

  /// Begins to look whether the store that policies come from has changed.
  func follow() {
    follower?.start { [self] completion in reload(because: "the policy store changed") { completion($0 == nil) } }
  }

  private func reloadAgain() {
    guard !reloadNext.isEmpty else { return }
    let waiting = reloadNext
    reloadNext = []
    reload(because: "asked meanwhile") { error in
      for completion in waiting { completion(error) }
    }
  }

  private func reloadFailed(_ cause: String, _ error: ConfigurationError, _ completion: (ConfigurationError?) -> Void) {
    numbers.withLock { numbers in
      numbers.failures += 1
      numbers.lastWasGood = false
    }
    serverLog.error(
      "reload_failed",
      ["cause": .text(cause), "generation": .integer(Int(generation)), "kept": true, "problems": .integer(error.problems.count)])
    Terminal.error(ConfigurationFile.shown(error, ending: "Nothing was changed."))
    supervision.ready("\(condition); the last reload failed, its \(error.problems.count) problems are in the log")
    completion(error)
  }

  /// Opens the control socket; without one there are still signals and the watch.
  func openControlSocket() {
    guard StateDirectory.prepare() else {
      serverLog.warn("no_state_directory", ["path": .text(StateDirectory.path), "meaning": "no control socket; use SIGHUP to reload"])
      return
    }
    do throws(NetError) {
      let gateway = gateway
      let numbers = numbers
      control = try ControlServer(
        loop, at: StateDirectory.controlSocket, checks: gateway.answer,
        enforcement: { numbers.withLock { $0.enforcement } }
      ) { [self] done in
        reload(because: "command") { error in
          done(error.map { .failure(ControlServer.ReloadProblem($0.report)) } ?? .success(self.generation))
        }
      }
    } catch {
      serverLog.warn("no_control_socket", ["path": .text(StateDirectory.controlSocket), "why": .text(error.description)])
    }
  }

  /// What is revoked is revoked at once: it waits for no policy to be compiled, and for none to be in order.
  private func revokeFirst() {
    guard !revocations.path.isEmpty else { return }
    do throws(ConfigurationError) {
      let fresh = try RevocationFile.read(revocations.path)
      guard fresh.hash != revocations.hash else { return }
      revocations = fresh
      if isReloading { revokedMeanwhile = fresh }
      gateway.revoke(fresh.list)
      serverLog.info("revocations", ["file": .text(fresh.path), "count": .integer(fresh.list.count)])
    } catch {
      // The reload that follows says what is wrong with it.
      serverLog.error(
        "revocations_kept", ["file": .text(revocations.path), "meaning": "it cannot be read; the list before stays in force"])
    }
  }

  /// Watches what was loaded, so that an edit is in force without a signal.
  func beginWatching(_ loaded: Loaded) {
    tried = loaded.fingerprint
    revocations = loaded.revocations
    if watch == nil {
      watch = FolderWatch(loop) { [self] in
        revokeFirst()
        // Only what is different from what was tried last is loaded: a folder is touched for many reasons.
        guard Reading(load).fingerprint != tried else { return }
        reload(because: "files changed")
      }
    }
    watch?.watch(loaded.folders + [loaded.revocations.folder].filter { !$0.isEmpty })
  }
}
