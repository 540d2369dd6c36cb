internal import Bytes
internal import CedarSchema
internal import JSON
internal import Pipeline
internal import PolicyTools
internal import Telemetry

/// `stockade why`: one logged decision, explained.
let whyCommand = Command(
  name: "why",
  summary: "explain one logged decision: its id, the end of its id, or last",
  operand: "ID|last",
  flags: [
    Flag("log", "FILE", "the decision log, - for standard input; default: the one that the configuration writes", repeats: true),
    Flag("policies", "DIR", "the folder of policies; default: the configuration's, else policies"),
    Flag("config", "FILE", "the configuration that names both"),
    Flag("every-policy", nil, "list all policies, however many do not apply"),
  ],
  examples: [
    "stockade why last --log decisions.ndjson --policies policies", "stockade why 01M83T90FM000G000000000001 --log decisions.ndjson",
  ]
) { arguments in
  guard let wanted = arguments.operands.first else {
    Terminal.error("stockade: which decision? stockade why ID, or stockade why last\n")
    return .usage
  }
  do throws(Arguments.UsageError) {
    let files = try LogFlags.files(arguments.all("log"), arguments)
    let record: RecordedDecision
    do throws(DecisionFinder.Failure) { record = try DecisionFinder.find(wanted, in: files) } catch {
      Terminal.error("stockade: \(error.message)\n")
      return .failure
    }
    return ConfigurationFile.reporting("See the remedies above.") { () throws(ConfigurationError) in
      let (folder, mapping) = try PolicyCommands.place(arguments)
      guard record.isByPolicy else { return PolicyCommands.finish(Why.run(record, nil, policySet: "", style: Terminal.textStyle)) }
      guard let bundle = PolicyCommands.bundle(arguments, folder: folder, mapping: mapping) else { return .invalid }
      return PolicyCommands.finish(
        Why.run(
          record, bundle, policySet: try PolicyFolder.read(folder).hash, everyPolicy: arguments.has("every-policy"),
          style: Terminal.textStyle))
    }
  } catch {
    Terminal.error("stockade: \(error.message)\n")
    return .usage
  }
}

/// Finds one decision in logs.
enum DecisionFinder {
  /// Why there is none; one sentence.
  struct Failure: Error {
    let message: String
  }

  /// The decision of that id, the only one whose id ends so, or the last of all.
  static func find(_ wanted: String, in files: [String]) throws(Failure) -> RecordedDecision {
    let isLast = wanted == "last"
    // Less than that would find some decision by chance.
    guard isLast || wanted.utf8.count >= 4 else {
      throw Failure(message: "\(wanted) is too short; write at least the last 4 characters of an id")
    }
    let field = LogField("id")
    let filter = isLast ? LogFilter() : LogFilter(field.map { [.matches($0, ["*" + wanted.uppercased()])] } ?? [])
    var search = LogSearch(filter)
    var lines: [[UInt8]] = []
    let problem = LogFiles(files).read { piece, isEnd in
      search.search(piece, isLast: isEnd) { line in
        if isLast { lines.removeAll(keepingCapacity: true) }
        lines.append(Array(line.bytes))
        return isLast || lines.count < 2
      }
    }
    if let problem { throw Failure(message: problem) }
    if lines.isEmpty, let format = search.foreignFormat { throw Failure(message: LogFlags.foreign(format)) }
    guard let line = lines.first else {
      throw Failure(
        message: isLast ? "there is no decision in \(files.joined(separator: ", "))" : "no decision is called \(wanted), or ends so")
    }
    guard lines.count == 1 else { throw Failure(message: "more than one decision ends in \(wanted); write more of its id") }
    do throws(JSONError) {
      guard let record = RecordedDecision(try JSONParser.parse(line)) else { throw JSONError(.empty, at: 0) }
      return record
    } catch {
      throw Failure(message: "the line of \(wanted) cannot be read: \(error)")
    }
  }
}
