internal import Bytes
internal import Cedar
internal import FoundationEssentials
internal import Glibc
internal import Net
internal import Pipeline
internal import Telemetry

/// `stockade logs`: decisions found, shown and counted.
let logsCommand = Command(
  name: "logs",
  summary: "find, follow and count decisions in a decision log",
  operand: "[FILE...]",
  flags: LogFlags.filters + [
    Flag("by", "FIELDS", "count decisions that have these fields in common, such as route,reason"),
    Flag("top", "N", "how many groups to show; default 20"),
    Flag("last", "N", "only the last N that are wanted"),
    Flag("follow", nil, "go on with what is written to the last file, over rotations too"),
    Flag("columns", "FIELDS", "only these fields, separated by tabs"),
    Flag("json", nil, "lines as they stand in the log; with --by an object a group"),
    Flag("schema", nil, "print the JSON Schema of the decision log"),
    Flag("config", "FILE", "the configuration that names the log, where no FILE is given"),
  ],
  examples: [
    "stockade logs decisions.ndjson --denied --since 1h",
    "stockade logs decisions.ndjson --would-deny --by route,reason",
    "stockade logs decisions.ndjson --principal alice --columns time,method,path,reason",
    "journalctl -u stockade -o cat | stockade logs - --slow 10ms --by route",
  ]
) { arguments in
  if arguments.has("schema") {
    Terminal.out(DecisionSchema.text)
    return .success
  }
  do throws(Arguments.UsageError) {
    return try LogsRun(arguments).run()
  } catch {
    Terminal.error("stockade: \(error.message)\n")
    return .usage
  }
}

/// Which decisions are wanted, as flags say it.
enum LogFlags {
  static let filters = [
    Flag("allowed", nil, "what was allowed"),
    Flag("denied", nil, "what was denied, or would have been if it were enforced"),
    Flag("errors", nil, "what could not be decided"),
    Flag("would-deny", nil, "what passed only because refusals are observed"),
    Flag(
      "engine-differences", nil,
      "where another engine decided otherwise (compare); --where difference.by=decision: not by on_policy_error alone"),
    Flag("reason", "REASON", "decided for this reason", repeats: true),
    Flag("policy", "NAME", "determined by this policy", repeats: true),
    Flag("principal", "NAME", "of this principal: User::\"demo|alice\", demo|alice or alice", repeats: true),
    Flag("route", "PATTERN", "of these routes; * stands for anything", repeats: true),
    Flag("path", "PATTERN", "of these paths; * stands for anything", repeats: true),
    Flag("method", "METHOD", "with this method", repeats: true),
    Flag("status", "CODE", "answered with this status", repeats: true),
    Flag("where", "FIELD=PATTERN", "with any other field like this: client.ip=10.*", repeats: true),
    Flag("slow", "TIME", "that took at least so long, such as 10ms"),
    Flag("since", "TIME", "from this time on: 10m, 2h or 3d ago, or 2026-11-23T09:00:00Z"),
    Flag("until", "TIME", "before this time"),
  ]

  /// The conditions that the flags make.
  static func filter(_ arguments: Arguments, nowMillis: Int64) throws(Arguments.UsageError) -> LogFilter {
    var conditions: [LogFilter.Condition] = []
    let decisions = [("allowed", "allow"), ("denied", "deny"), ("errors", "error")].filter { arguments.has($0.0) }.map(\.1)
    if !decisions.isEmpty { conditions.append(.isOne(try field("decision"), of: decisions)) }
    if arguments.has("would-deny") { conditions.append(.wouldDeny) }
    let reasons = arguments.all("reason")
    for reason in reasons where DecisionReason(rawValue: reason) == nil {
      let near = Spelling.nearest(to: reason, among: DecisionReason.allCases.map(\.rawValue)).map { "; did you mean \($0)?" } ?? ""
      throw Arguments.UsageError(message: "--reason \(reason): there is no such reason\(near)")
    }
    if !reasons.isEmpty { conditions.append(.isOne(try field("reason"), of: reasons)) }
    if !arguments.all("policy").isEmpty { conditions.append(.policy(arguments.all("policy"))) }
    if !arguments.all("principal").isEmpty { conditions.append(.principal(arguments.all("principal"))) }
    for name in ["route", "path"] where !arguments.all(name).isEmpty { conditions.append(.matches(try field(name), arguments.all(name))) }
    for name in ["method", "status"] where !arguments.all(name).isEmpty {
      conditions.append(.isOne(try field(name), of: arguments.all(name)))
    }
    for text in arguments.all("where") {
      let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 2 else { throw Arguments.UsageError(message: "--where \(text): write FIELD=PATTERN, such as client.ip=10.*") }
      conditions.append(.matches(try field(parts[0]), [parts[1]]))
    }
    if let text = arguments["slow"] {
      guard let millis = Units.millis(text) else { throw Arguments.UsageError(message: "--slow \(text): write a time such as 10ms or 2s") }
      conditions.append(.slow(micros: Int(clamping: millis.multipliedReportingOverflow(by: 1000).partialValue)))
    }
    if let text = arguments["since"] { conditions.append(.since(try time(text, "since", nowMillis))) }
    if let text = arguments["until"] { conditions.append(.until(try time(text, "until", nowMillis))) }
    return LogFilter(conditions, of: arguments.has("engine-differences") ? .differences : .decisions)
  }

  static func field(_ name: String) throws(Arguments.UsageError) -> LogField {
    if let field = LogField(name) { return field }
    let near = Spelling.nearest(to: name, among: LogField.known).map { "; did you mean \($0)?" } ?? ""
    throw Arguments.UsageError(message: "decisions have no field \(name)\(near)")
  }

  static func fields(_ text: String) throws(Arguments.UsageError) -> [LogField] {
    var fields: [LogField] = []
    for name in text.split(separator: ",") { fields.append(try field(String(name))) }
    return fields
  }

  private static func time(_ text: String, _ flag: String, _ nowMillis: Int64) throws(Arguments.UsageError) -> String {
    if let ago = Units.millis(text) { return LogText.time(millis: nowMillis - min(ago, nowMillis)) }
    do throws(ExtensionError) { return LogText.time(millis: try Datetime(text).milliseconds) } catch {
      throw Arguments.UsageError(message: "--\(flag) \(text): write how long ago (10m, 2h, 3d) or a time: 2026-11-23, 2026-11-23T09:00:00Z")
    }
  }

  /// What to say of a log in a format that is not read here.
  static func foreign(_ format: String) -> String {
    "these lines are in the format \(format), which is for other programs; only log.decisions.format json (or emf) is read here"
  }

  /// The files that are named, or what stands for them.
  static func files(_ named: [String], _ arguments: Arguments) throws(Arguments.UsageError) -> [String] {
    if !named.isEmpty { return named }
    if let configured = configuredLog(arguments) { return [configured] }
    guard isatty(STDIN_FILENO) != 1 else {
      throw Arguments.UsageError(
        message: "which log? Name a file, pipe one in, or have the configuration write one: log: { decisions: 'decisions.ndjson' }")
    }
    return ["-"]
  }

  // Only a file can be read again; what went to standard output is wherever that leads.
  private static func configuredLog(_ arguments: Arguments) -> String? {
    do throws(ConfigurationError) {
      guard arguments["config"] != nil || ConfigurationFile.isThere else { return nil }
      let (configuration, _) = try ConfigurationFile.read(arguments)
      for sink in configuration.logSinks where sink.isNative { if case .file(let path) = sink.place { return path } }
      return nil
    } catch {
      return nil
    }
  }
}

/// One run of `logs`.
private struct LogsRun {
  private let arguments: Arguments
  private let files: LogFiles
  private let filter: LogFilter
  private let grouping: [LogField]?
  private let columns: [LogField]?
  private let top: Int
  private let last: Int?

  init(_ arguments: Arguments) throws(Arguments.UsageError) {
    self.arguments = arguments
    filter = try LogFlags.filter(arguments, nowMillis: LoopClock.system.wallMillis())
    grouping = try arguments["by"].map { (text) throws(Arguments.UsageError) in try LogFlags.fields(text) }
    columns = try arguments["columns"].map { (text) throws(Arguments.UsageError) in try LogFlags.fields(text) }
    top = try Self.number(arguments, "top") ?? 20
    last = try Self.number(arguments, "last")
    let follows = arguments.has("follow")
    if follows, grouping != nil || last != nil {
      throw Arguments.UsageError(message: "--follow never comes to an end, and --by and --last wait for one")
    }
    if let columns, columns.isEmpty { throw Arguments.UsageError(message: "--columns names no field") }
    if let grouping, grouping.isEmpty { throw Arguments.UsageError(message: "--by names no field") }
    files = LogFiles(try LogFlags.files(arguments.operands, arguments), follows: follows)
  }

  private static func number(_ arguments: Arguments, _ name: String) throws(Arguments.UsageError) -> Int? {
    guard let text = arguments[name] else { return nil }
    guard let number = Int(text), number > 0 else { throw Arguments.UsageError(message: "--\(name) \(text): expected a number from 1") }
    return number
  }

  func run() -> ExitStatus {
    let style = Terminal.textStyle
    var search = LogSearch(filter)
    var layout = LogLayout(style)
    var groups = grouping.map { LogGroups(by: $0) }
    var output = OutputBuffer(flushesEagerly: arguments.has("follow"))
    var kept: [[UInt8]] = []
    var progress = Progress("read", total: files.size)
    let problem = files.read { piece, isLast in
      let done = search.search(piece, isLast: isLast) { line in
        if groups != nil {
          groups?.add(line)
          return true
        }
        if let last {
          kept.append(Array(line.bytes) + [ASCII.lf])
          if kept.count >= last * 2 { kept.removeFirst(kept.count - last) }
          return true
        }
        return write(line, &layout, to: &output)
      }
      if groups != nil || last != nil { progress.advance(by: done) }
      return output.endPiece() ? done : nil
    }
    progress.end()
    if let groups { _ = output.write(arguments.has("json") ? groups.json(top: top) : groups.table(top: top, style)) }
    if let last { writeAgain(kept.suffix(last).flatMap { $0 }, &layout, to: &output) }
    output.flush()
    if let problem {
      Terminal.error("stockade: \(problem)\n")
      return .failure
    }
    if search.matches == 0, let format = search.foreignFormat {
      Terminal.error("stockade: \(LogFlags.foreign(format))\n")
      return .invalid
    }
    if search.matches == 0, !arguments.has("json") { Terminal.error("no decision is like that\n") }
    return .success
  }

  private func writeAgain(_ lines: [UInt8], _ layout: inout LogLayout, to output: inout OutputBuffer) {
    var search = LogSearch(filter)
    _ = lines.withUnsafeBytes { search.search($0, isLast: true) { write($0, &layout, to: &output) } }
  }

  /// Writes one decision; false once nobody reads any more.
  private func write(_ line: LogLine, _ layout: inout LogLayout, to output: inout OutputBuffer) -> Bool {
    if arguments.has("json") { return output.write(line.bytes) && output.write("\n") }
    guard let columns else { return output.write(layout.rows(for: line)) }
    return output.write(columns.map { Diagnostic.printable(line.text($0) ?? "-") }.joined(separator: "\t") + "\n")
  }
}
