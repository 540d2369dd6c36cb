internal import FoundationEssentials
internal import Net
internal import Pipeline
internal import Telemetry

/// The decision log of a running gateway: its sinks, and what sends to collectors.
struct LogOutput {
  let log: DecisionLog
  private let exports: [(export: LogExport, settings: LogSinkSettings, url: HTTPURL)]

  /// Opens the sinks that a configuration names.
  init(_ configuration: Configuration, serverLog: ServerLog) throws(ConfigurationError) {
    var exports: [(export: LogExport, settings: LogSinkSettings, url: HTTPURL)] = []
    var options: [DecisionLog.Options] = []
    do throws(NetError) {
      for sink in configuration.logSinks {
        let destination: DecisionLogDestination
        switch sink.place {
        case .standardOutput: destination = .standardOutput
        case .none: destination = .none
        case .file(let path): destination = .file(path: path, rotation: sink.rotation)
        case .socket(let path): destination = .socket(path: path)
        case .collector(let url):
          let export = try LogExport()
          exports.append((export, sink, try HTTPURL.parse(url)))
          destination = .collector(export)
        }
        options.append(
          DecisionLog.Options(
            destination: destination, format: Self.format(sink), onFull: sink.onFull, capacityLines: sink.queue,
            shape: configuration.logShape))
      }
    } catch {
      throw ConfigurationError(["log.decisions.to: \(error)"])
    }
    do throws(SystemCallError) { log = try DecisionLog(options, serverLog: serverLog) } catch {
      throw ConfigurationError(["the decision log cannot be opened: \(error)"])
    }
    self.exports = exports
  }

  /// Begins to send to collectors, from this loop.
  func attach(to loop: EventLoop, host: String, proxies: HTTPProxies, metrics: Metrics, serverLog: ServerLog) throws(ConfigurationError) {
    do throws(NetError) {
      for (export, settings, url) in exports {
        let client = HTTPClient(
          loop, resolver: try Resolver(loop), tls: url.isSecure ? try TLSContext(clientTrusting: .system) : nil, rule: .noLinkLocal,
          proxies: proxies)
        var sending = OTLPSender.Settings(url, Self.message(settings, host: host))
        sending.fields = settings.fields
        // The log's own queue bounds what waits; where no line may be lost, none is given up.
        sending.capacity = nil
        sending.paceMillis = 200
        if settings.onFull != .drop { sending.giveUpMillis = nil }
        let sender = OTLPSender(loop, client: client, .logs, sending, serverLog: serverLog)
        let counts = sender.counts
        metrics.collect { counts.samples }
        try export.attach(to: loop, sender)
      }
    } catch {
      throw ConfigurationError(["log.decisions.to: \(error)"])
    }
  }

  /// Writes what waits, turning the loop that sends to collectors.
  /// - Returns: How many lines were lost.
  func drain(_ loop: EventLoop, timeoutMillis: Int) -> Int {
    let turning: (() -> Void)? =
      exports.isEmpty
      ? nil
      : {
        // A loop that cannot turn any more sends nothing; then the time runs out.
        do throws(NetError) { try loop.turn(maxWaitMillis: 5) } catch { return }
      }
    let before = log.droppedLines
    guard !log.drain(timeoutMillis: timeoutMillis, turning: turning) else { return 0 }
    return Int(clamping: log.droppedLines - before) + max(log.queuedLines, 0)
  }

  private static func message(_ sink: LogSinkSettings, host: String) -> OTLPMessage {
    OTLPMessage(
      .logs, resource: [("service.name", sink.service), ("service.version", Version.number), ("host.name", host)], version: Version.number)
  }

  private static func format(_ sink: LogSinkSettings) -> DecisionLog.Format {
    if case .collector = sink.place { return .otlp(nil) }
    let isTerminal = sink.place == .standardOutput && Terminal.isInteractive
    switch sink.format {
    case .json: return .json
    case .auto where !isTerminal: return .json
    case .auto, .text: return .text(DecisionText(isTerminal: isTerminal) { ProcessInfo.processInfo.environment[$0] })
    case .ecs: return .ecs(version: Version.number)
    case .ocsf: return .ocsf(version: Version.number)
    case .emf: return .emf
    case .otlp: return .otlp(message(sink, host: GatewayProcess.hostName()))
    }
  }
}
