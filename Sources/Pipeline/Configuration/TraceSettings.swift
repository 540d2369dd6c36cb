internal import Bytes
public import HTTP
public import Telemetry

/// Where spans go, and of which requests.
public struct TraceSettings: Sendable, Equatable {
  /// The collector's address for spans, path included.
  public var url: String
  /// Fields that are sent along.
  public var fields = FieldBlock()
  /// Which requests are recorded.
  public var sampling = TraceSampling()
  /// How long the collector may take to answer, in milliseconds.
  public var timeoutMillis: UInt64 = 10_000
  /// How many spans may wait.
  public var queue = 2048
  /// `service.name`.
  public var service = "stockade"
  /// More attributes of the resource.
  public var attributes: [(name: String, value: String)] = []

  /// Settings for an address.
  public init(url: String) { self.url = url }

  /// Whether both say the same.
  public static func == (one: TraceSettings, other: TraceSettings) -> Bool {
    one.url == other.url && one.fields == other.fields && one.sampling == other.sampling && one.timeoutMillis == other.timeoutMillis
      && one.queue == other.queue && one.service == other.service
      && one.attributes.elementsEqual(other.attributes) { $0.name == $1.name && $0.value == $1.value }
  }
}

extension TraceSettings {
  /// Reads what a configuration says of traces; nil for none.
  static func read(_ root: Setting, _ report: inout ConfigurationReport, _ surroundings: Surroundings) -> TraceSettings? {
    guard let traces = root["traces"], let endpoint = traces["endpoint"], let text = endpoint.text, !text.isEmpty else { return nil }
    guard traces.text("exporter") != "none" else { return nil }
    guard let url = address(text, endpoint.origin) else {
      report.add(endpoint, "\"\(text)\" is not the address of a collector", help: "write http://HOST:4318 or https://HOST/PATH")
      return nil
    }
    if let spoken = surroundings.variables["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] ?? surroundings.variables["OTEL_EXPORTER_OTLP_PROTOCOL"],
      !spoken.isEmpty, !exactlyEquals(spoken, "http/json")
    {
      report.warnings.append("OTEL_EXPORTER_OTLP_PROTOCOL is \(spoken); spans are sent as http/json all the same")
    }
    var settings = TraceSettings(url: url)
    for (name, setting) in traces["headers"]?.members ?? [] {
      if !settings.fields.append(name, setting.text ?? "") {
        report.add(setting, "\"\(name)\" and its value are not a field of HTTP", help: "a name, and a value of printable ASCII")
      }
    }
    let ratio = traces.text("ratio") ?? "1"
    guard let part = Double(ratio), part >= 0, part <= 1 else {
      report.add(traces["ratio"], "\"\(ratio)\" is not a part of the whole", help: "write a number from '0' to '1', such as '0.01'")
      return nil
    }
    settings.sampling = TraceSampling(traces.text("sample").flatMap(TraceSampling.Rule.init) ?? .parentAlwaysOff, ratio: part)
    settings.timeoutMillis = traces["timeout"]?.count ?? settings.timeoutMillis
    settings.queue = Int(clamping: traces["queue"]?.integer ?? 2048)
    settings.service = traces.text("service") ?? settings.service
    settings.attributes = (traces["attributes"]?.members ?? []).map { ($0.name, $0.setting.text ?? "") }
    return settings
  }

  // The general variable holds a base, to which the signal's path is always added (OTLP exporter, "Endpoint URLs for OTLP/HTTP");
  // elsewhere an address without a path can only be one.
  private static func address(_ text: String, _ origin: Setting.Origin) -> String? {
    var rest = text[...]
    guard let scheme = ["http://", "https://"].first(where: { text.utf8.starts(with: $0.utf8) }) else { return nil }
    rest = rest.dropFirst(scheme.count)
    guard !rest.isEmpty, rest.utf8.first != UInt8(ascii: "/"), rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { return nil }
    let path = rest.firstIndex(of: "/").map { rest[$0...] } ?? ""
    let isBase = path.isEmpty || path == "/" || origin == .variable("OTEL_EXPORTER_OTLP_ENDPOINT")
    guard isBase else { return text }
    return (text.hasSuffix("/") ? String(text.dropLast()) : text) + OTLPSignal.traces.path
  }
}
