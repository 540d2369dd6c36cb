internal import Net
internal import Pipeline
internal import Telemetry

/// Traces of a running gateway: what its workers begin them by, and what sends their spans.
struct Traces {
  let tracing: Tracing
  let export: TraceExport

  /// Begins, if the configuration names a collector.
  static func start(
    _ configuration: Configuration, host: String, loop: EventLoop, proxies: HTTPProxies, metrics: Metrics, serverLog: ServerLog
  ) throws(ConfigurationError) -> Traces? {
    guard let settings = configuration.traces else { return nil }
    do throws(NetError) {
      let url = try HTTPURL.parse(settings.url)
      let tracing = try Tracing(settings.sampling, shape: configuration.logShape, capacity: settings.queue)
      let client = HTTPClient(
        loop, resolver: try Resolver(loop), tls: url.isSecure ? try TLSContext(clientTrusting: .system) : nil, rule: .noLinkLocal,
        proxies: proxies)
      var sending = OTLPSender.Settings(
        url, OTLPMessage(.traces, resource: resource(settings, host: host), version: Version.number))
      sending.fields = settings.fields
      sending.timeoutMillis = settings.timeoutMillis
      sending.capacity = settings.queue
      let sender = OTLPSender(loop, client: client, .traces, sending, serverLog: serverLog)
      TraceExport.collect(tracing, sender.counts, into: metrics)
      return Traces(tracing: tracing, export: try TraceExport(loop, tracing, to: sender))
    } catch {
      throw ConfigurationError(["traces.endpoint: \(error)"])
    }
  }

  // OpenTelemetry's conventions for resources; what the operator says goes before what we know ourselves.
  private static func resource(_ settings: TraceSettings, host: String) -> [(name: String, value: String)] {
    let own = [
      ("service.name", settings.service), ("service.version", Version.number), ("host.name", host), ("telemetry.sdk.name", "stockade"),
      ("telemetry.sdk.language", "swift"), ("telemetry.sdk.version", Version.number),
    ]
    let said = settings.attributes.filter { $0.name != "service.name" || settings.service == "stockade" }
    return own.filter { one in !said.contains { $0.name == one.0 } } + said
  }

  /// How long what is left may take at the end.
  static let drainMillis: UInt64 = 3_000
}
