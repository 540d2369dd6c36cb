internal import Bytes
public import HTTP
public import Telemetry

/// One place that decisions go to, as an operator says it.
public struct LogSinkSettings: Sendable, Equatable {
  /// How lines look.
  public enum Format: String, Sendable, CaseIterable {
    /// Our own.
    case json
    /// For people.
    case text
    /// Whatever suits the place.
    case auto
    /// Elastic Common Schema.
    case ecs
    /// Open Cybersecurity Schema Framework.
    case ocsf
    /// CloudWatch's embedded metric format.
    case emf
    /// OpenTelemetry.
    case otlp
  }

  /// Where they go.
  public enum Place: Sendable, Equatable {
    /// Standard output.
    case standardOutput
    /// Nowhere.
    case none
    /// A file.
    case file(String)
    /// A unix socket.
    case socket(String)
    /// A collector, by its address for logs.
    case collector(String)
  }

  /// Where lines go.
  public var place = Place.standardOutput
  /// How they look.
  public var format = Format.auto
  /// What happens to a request when there is no room.
  public var onFull = DecisionLog.FullPolicy.drop
  /// How many lines may wait.
  public var queue = 8192
  /// When a file is begun anew; nil for never.
  public var rotation: LogRotation?
  /// Fields for a collector.
  public var fields = FieldBlock()
  /// `service.name`.
  public var service = "stockade"

  /// Standard output.
  public init() {}

  /// The place as it is written in a configuration.
  public var text: String {
    switch place {
    case .standardOutput: "stdout"
    case .none: "none"
    case .file(let path): path
    case .socket(let path): "unix:\(path)"
    case .collector(let url): url
    }
  }

  /// Whether lines hold what `stockade logs`, `why` and `replay` read.
  public var isNative: Bool { format == .json || format == .emf || format == .auto && !isCollector }

  private var isCollector: Bool { if case .collector = place { true } else { false } }
}

extension LogSinkSettings {
  /// Reads the settings of every sink.
  static func all(_ decisions: Setting, _ report: inout ConfigurationReport, _ surroundings: Surroundings) -> [LogSinkSettings] {
    var sinks = [LogSinkSettings(decisions, &report, surroundings)]
    for (_, setting) in decisions["also"]?.members ?? [] {
      let sink = LogSinkSettings(setting, &report, surroundings)
      guard setting["to"] != nil else {
        report.add(setting, "does not say where to", help: "write { to: 'decisions.ecs', format: 'ecs' }")
        continue
      }
      if sink.place == .none || sinks.contains(where: { $0.place == sink.place }) {
        report.add(
          setting["to"], sink.place == .none ? "no more than nothing can go to none" : "decisions go to \(sink.text) already",
          help: "leave it out, or name another place")
      }
      sinks.append(sink)
    }
    if sinks.count > mostSinks { report.add(decisions["also"], "decisions go to \(mostSinks) places at most") }
    return sinks
  }

  private init(_ setting: Setting, _ report: inout ConfigurationReport, _ surroundings: Surroundings) {
    format = setting.text("format").flatMap(Format.init) ?? .auto
    onFull = setting.text("on_full").flatMap(DecisionLog.FullPolicy.init) ?? .drop
    if let count = setting["queue"]?.integer { queue = Int(clamping: count) }
    service = setting.text("service") ?? service
    readPlace(setting, &report, surroundings)
    if let size = setting["max_size"], let bytes = size.integer {
      rotation = LogRotation(maximumBytes: Int(clamping: bytes), keep: Int(clamping: setting["keep"]?.integer ?? 5))
      if case .file = place {
      } else {
        report.add(size, "only a file can be begun anew, and decisions go to \(text)", help: "leave it out")
      }
    }
    for (name, header) in setting["headers"]?.members ?? [] {
      if !fields.append(name, header.text ?? "") {
        report.add(header, "\"\(name)\" and its value are not a field of HTTP", help: "a name, and a value of printable ASCII")
      }
    }
    if !fields.isEmpty, !isCollector { report.add(setting["headers"], "only a collector is sent fields", help: "leave them out") }
    if isCollector, format != .auto, format != .otlp {
      report.add(
        setting["format"], "a collector takes OpenTelemetry's records, and no \(format.rawValue)",
        help: "leave it out, or write format: 'otlp'")
    }
  }

  private mutating func readPlace(_ setting: Setting, _ report: inout ConfigurationReport, _ surroundings: Surroundings) {
    guard let to = setting["to"], let text = to.text else { return }
    switch text {
    case "stdout": place = .standardOutput
    case "none": place = .none
    case "": report.add(to, "names no place", help: "write stdout, none, a file, unix:PATH or the URL of a collector")
    default:
      if text.utf8.starts(with: "unix:".utf8) {
        let path = String(decoding: text.utf8.dropFirst(5), as: UTF8.self)
        place = .socket(path)
        // One byte of the 108 that an address has ends it.
        if path.utf8.first != UInt8(ascii: "/") || path.utf8.count > 107 || path.utf8.contains(0) {
          report.add(to, "\"\(path)\" is not the path of a socket", help: "an absolute path of at most 107 bytes must follow unix:")
        }
      } else if ["http://", "https://"].contains(where: { text.utf8.starts(with: $0.utf8) }) {
        let hasPath = text.utf8.drop { $0 != UInt8(ascii: ":") }.dropFirst(3).contains(UInt8(ascii: "/"))
        place = .collector(
          !hasPath
            ? text + OTLPSignal.logs.path : text.utf8.last == UInt8(ascii: "/") ? String(text.dropLast()) + OTLPSignal.logs.path : text)
        if let problem = surroundings.problemOfAddress(text, .keys(mayBePlain: true)) {
          report.add(to, problem.message, help: problem.help)
        }
      } else {
        place = .file(text)
      }
    }
  }

  private static let mostSinks = 8
}
