internal import Admin
internal import FoundationEssentials
internal import Glibc
internal import JSON
internal import Net
internal import Pipeline
internal import Proxy
internal import Telemetry

/// A running gateway with its operations listener, on the main thread's loop, until a signal ends it.
final class GatewayProcess {
  private let loop: EventLoop
  private let serverLog: ServerLog
  private let log: DecisionLog
  private let gateway: Gateway
  private let ops: OpsServer
  private var status = ExitStatus.success
  private var isLeaving = false

  /// Where it listens, once it does.
  private(set) var proxyAddress: SocketAddress?
  /// Where its operations listener is.
  var opsAddress: SocketAddress { ops.address }

  /// Starts everything; nothing is left running if it throws.
  init(
    _ configuration: Configuration, files: PolicyFiles, extras: RunSettings.Extras, loop: EventLoop, serverLog: ServerLog,
    log: DecisionLog
  ) throws(ConfigurationError) {
    self.loop = loop
    self.serverLog = serverLog
    self.log = log
    let snapshot = try SnapshotBuilder.build(configuration, policies: files, generation: 1)
    let metrics = Metrics()
    metrics.collect(from: log)
    let fixed = Self.fixedNumbers(configuration, snapshot)
    metrics.collect { fixed }
    let opsAddress: SocketAddress
    do throws(NetError) { opsAddress = try SocketAddress.parse(configuration.opsListen) } catch {
      throw ConfigurationError(["ops-listen: \(error)"])
    }
    gateway = try Gateway(
      configuration, snapshot: snapshot,
      environment: Gateway.Environment(
        log: log, metrics: metrics, serverLog: serverLog, instance: Self.hostName(), clockOffsetMillis: extras.clockOffsetMillis),
      loop: loop)
    let gateway = gateway
    do throws(NetError) {
      ops = try OpsServer(loop, at: opsAddress, metrics: metrics) {
        gateway.checks.map { OpsServer.Check(name: $0.name, problem: $0.problem) }
      }
    } catch {
      throw ConfigurationError(["ops-listen: \(error)"])
    }
    tellModes(configuration, snapshot)
  }

  /// Calls back when requests are accepted; if they cannot be, says why and ends the process's loop.
  func whenReady(_ completion: @escaping (SocketAddress) -> Void) {
    gateway.whenStarted { [self] result in
      switch result {
      case .success(let address):
        proxyAddress = address
        completion(address)
      case .failure(let error):
        Terminal.error(ConfigurationFile.shown(error, ending: "Nothing was started."))
        status = .failure
        loop.stop()
      }
    }
  }

  /// Turns the loop until a signal has been obeyed; then writes what waits for the log.
  func run(_ foreground: Foreground) -> ExitStatus {
    foreground.signalled = { [self] signal in leave(signal) }
    do throws(NetError) {
      try loop.run()
    } catch {
      serverLog.error("loop_failed", ["why": .text(error.description)])
      status = .failure
    }
    if !log.drain(timeoutMillis: 5_000) { serverLog.warn("decisions_lost", ["count": .integer(Int(clamping: log.droppedLines))]) }
    return status
  }

  private func leave(_ signal: ProcessSignal) {
    // A second signal does not wait for anything.
    guard !isLeaving else { return loop.stop() }
    isLeaving = true
    serverLog.info("drain", ["signal": .text("\(signal)")])
    gateway.drain { [self] inTime in
      if !inTime { serverLog.warn("drain_cut_off", ["why": "requests were still in flight when the time was over"]) }
      ops.close()
      loop.stop()
    }
  }

  private func tellModes(_ configuration: Configuration, _ snapshot: Snapshot) {
    if snapshot.mode == .observe { serverLog.warn("observe_mode", ["meaning": "decisions are logged and NOT enforced"]) }
    if configuration.isDevelopment {
      serverLog.warn("development_mode", ["meaning": "a development issuer is trusted: anyone can sign in"])
    }
  }

  private static func fixedNumbers(_ configuration: Configuration, _ snapshot: Snapshot) -> [Metrics.Sample] {
    [
      Metrics.Sample(.build, [MetricLabel("version", Version.number), MetricLabel("swift", Version.swift)], value: 1),
      Metrics.Sample(.generation, value: Double(snapshot.generation)),
      Metrics.Sample(.policies, value: Double(snapshot.authorization.policyCount)),
      Metrics.Sample(.developmentMode, value: configuration.isDevelopment ? 1 : 0),
      Metrics.Sample(.observeMode, value: snapshot.mode == .observe ? 1 : 0),
    ]
  }

  private static func hostName() -> String {
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
      try Signals(loop, [.terminate, .interrupt]) { [unowned self] in signalled?($0) }
    } catch {
      throw ConfigurationError([error.description])
    }
  }
}

extension GatewayProcess {
  /// `stockade run`: from a configuration to an exit status.
  static func run(_ configuration: Configuration, files: PolicyFiles, extras: RunSettings.Extras) throws(ConfigurationError) -> ExitStatus {
    let foreground = try Foreground()
    let serverLog = ServerLog()
    let log = try openLog(configuration, serverLog: serverLog)
    let process = try GatewayProcess(configuration, files: files, extras: extras, loop: foreground.loop, serverLog: serverLog, log: log)
    process.whenReady { address in
      let ops = process.opsAddress
      serverLog.info(
        "listening",
        [
          "proxy": .text("http://\(address)"), "ops": .text("http://\(ops)"), "upstream": .text(configuration.upstream),
          "policies": .text(files.hash), "mode": .text(configuration.mode.rawValue),
        ])
      if let path = extras.readyFile { process.writeReadyFile(path, proxy: address, ops: ops) }
    }
    return process.run(foreground)
  }

  private func writeReadyFile(_ path: String, proxy: SocketAddress, ops: SocketAddress) {
    let text =
      JSONValue.object(["proxy": .string("http://\(proxy)"), "ops": .string("http://\(ops)"), "pid": .integer(Int64(getpid()))]).text + "\n"
    do {
      try text.write(toFile: path, atomically: true, encoding: .utf8)
    } catch {
      serverLog.error("ready_file_failed", ["path": .text(path), "why": .text("\(error)")])
    }
  }

  /// Opens the decision log that `--log` and `--log-format` ask for.
  static func openLog(_ configuration: Configuration, serverLog: ServerLog) throws(ConfigurationError) -> DecisionLog {
    let destination: DecisionLogDestination =
      switch configuration.log {
      case "stdout": .standardOutput
      case "none": .none
      default: .file(path: configuration.log)
      }
    let isTerminal = destination == .standardOutput && Terminal.isInteractive
    let isText = configuration.logFormat == "text" || configuration.logFormat == "auto" && isTerminal
    let format: DecisionLog.Format =
      isText ? .text(DecisionText(isTerminal: isTerminal) { ProcessInfo.processInfo.environment[$0] }) : .json
    do throws(SystemCallError) {
      return try DecisionLog(DecisionLog.Options(destination: destination, format: format), serverLog: serverLog)
    } catch {
      throw ConfigurationError(["the decision log cannot be opened: \(error)"])
    }
  }
}

extension GatewayProcess {
  /// Whether `/readyz` says so.
  var isReady: Bool { gateway.checks.allSatisfy { $0.problem == nil } }
}
