internal import Bytes
internal import CedarSchema
internal import Pipeline
internal import PolicyTools
internal import Telemetry

/// `stockade replay`: what other policies would have decided.
let replayCommand = Command(
  name: "replay",
  summary: "decide recorded requests by other policies, and list what changes; exit 4 if anything does",
  operand: "[FILE...]",
  flags: [
    Flag("policies", "DIR", "the folder of policies to try; default: the configuration's, else policies"),
    Flag("baseline", "DIR", "hold them against these policies; default: against what was recorded"),
    Flag("fail-on", "change|widening", "widening: exit 4 only if something refused is allowed now; default change"),
    Flag("show", "N", "how many groups of changes to show; default 20"),
    Flag("json", nil, "print the result as JSON"),
    Flag("config", "FILE", "the configuration that names log and policies"),
  ],
  examples: [
    "stockade replay decisions.ndjson --policies policies", "stockade replay decisions.ndjson --policies candidate --baseline policies",
    "stockade replay decisions.ndjson --policies candidate --fail-on widening --json",
  ]
) { arguments in
  do throws(Arguments.UsageError) {
    let run = try ReplayRun(arguments)
    return ConfigurationFile.reporting("Nothing was replayed.") { () throws(ConfigurationError) in try run.run() }
  } catch {
    Terminal.error("stockade: \(error.message)\n")
    return .usage
  }
}

/// One run of `replay`.
private struct ReplayRun {
  private let arguments: Arguments
  private let files: LogFiles
  private let shown: Int
  private let failsOnWideningOnly: Bool

  init(_ arguments: Arguments) throws(Arguments.UsageError) {
    self.arguments = arguments
    files = LogFiles(try LogFlags.files(arguments.operands, arguments))
    let text = arguments["show"] ?? "20"
    guard let number = Int(text), number > 0 else { throw Arguments.UsageError(message: "--show \(text): expected a number from 1") }
    shown = number
    let when = arguments["fail-on"] ?? "change"
    guard when == "change" || when == "widening" else { throw Arguments.UsageError(message: "--fail-on \(when): write change or widening") }
    failsOnWideningOnly = when == "widening"
  }

  func run() throws(ConfigurationError) -> ExitStatus {
    let (folder, mapping) = try PolicyCommands.place(arguments)
    guard let candidate = sound(folder, mapping) else { return .invalid }
    var baseline: PolicyBundle?
    if let other = arguments["baseline"] {
      guard let bundle = sound(other, mapping) else { return .invalid }
      baseline = bundle
    }
    let replay = Replay(candidate: candidate, baseline: baseline, failedForbidsRefuse: try PolicyCommands.onPolicyError(arguments) == .deny)
    let (tally, problem) = LogWork.run(
      files, "replayed", empty: ReplayTally(), work: { lines, part in replay.run(lines, into: &part) }, add: { $0.add($1) })
    if let problem {
      Terminal.error("stockade: \(problem)\n")
      return .failure
    }
    Terminal.out(arguments.has("json") ? tally.json() : tally.report(Terminal.textStyle, top: shown))
    // What shows nothing must not look like what shows that all is well.
    guard tally.replayed > 0 || tally.unaffected > 0 && tally.stuck == 0 else {
      Terminal.error("stockade: nothing could be replayed\n")
      return .failure
    }
    return (failsOnWideningOnly ? tally.widened : tally.changed) > 0 ? .testsFailed : .success
  }

  private func sound(_ folder: String, _ mapping: Mapping) -> PolicyBundle? {
    guard let bundle = PolicyCommands.bundle(arguments, folder: folder, mapping: mapping) else { return nil }
    guard bundle.isSound else {
      _ = PolicyCommands.finish(Check.run(bundle, folder: folder.hasSuffix("/") ? folder : folder + "/"))
      return nil
    }
    return bundle
  }
}

/// `stockade learn`: policies from traffic.
let learnCommand = Command(
  name: "learn",
  summary: "write the least policies that recorded requests need, by group and action",
  operand: "[FILE...]",
  flags: [
    Flag("allowed-only", nil, "leave out what no policy permitted and what passed in observe mode"),
    Flag("config", "FILE", "the configuration that names the log"),
  ],
  examples: ["stockade learn decisions.ndjson", "stockade learn decisions.ndjson --allowed-only"]
) { arguments in
  do throws(Arguments.UsageError) {
    let files = LogFiles(try LogFlags.files(arguments.operands, arguments))
    var learn = Learn(includesObserved: !arguments.has("allowed-only"))
    var progress = Progress("read", total: files.size)
    let problem = files.read { piece, isLast in
      var limit = piece.count
      if !isLast {
        while limit > 0, piece[limit - 1] != ASCII.lf { limit -= 1 }
      }
      learn.run(UnsafeRawBufferPointer(rebasing: piece[..<limit]))
      progress.advance(by: limit)
      return limit
    }
    progress.end()
    Terminal.error(learn.gaps)
    if let problem {
      Terminal.error("stockade: \(problem)\n")
      return .failure
    }
    guard learn.learned > 0 else {
      Terminal.error("stockade: there is no request to learn from\n")
      return .failure
    }
    Terminal.out(learn.policies)
    return .success
  } catch {
    Terminal.error("stockade: \(error.message)\n")
    return .usage
  }
}
