internal import Bytes
internal import CedarSchema
internal import FoundationEssentials
internal import Pipeline
internal import PolicyTools

/// `stockade test`: the policy tests of a folder, through the whole pipeline.
let testCommand = Command(
  name: "test",
  summary: "run policy tests: requests through the whole pipeline, offline",
  operand: "[FILE...]",
  flags: [
    Flag("policies", "DIR", "the folder of policies; default: the configuration's, else policies"),
    Flag("config", "FILE", "the configuration under which the tests run; default: the one that run would find"),
    Flag("filter", "PATTERN", "only tests whose file:name has this in it; * stands for anything"),
    Flag("coverage", nil, "list every policy that decided no test, and every clause that was not both true and false"),
    Flag("coverage-min", "PERCENT", "fail if fewer policies, or fewer clauses, are covered"),
    Flag("junit", "FILE", "write the results as JUnit XML too"),
    Flag("json", nil, "print the results as JSON"),
  ],
  examples: [
    "stockade test", "stockade test --policies policies --coverage-min 80", "stockade test --filter archive",
    "stockade test policies/tests/orders.test.json --junit results.xml",
  ]
) { arguments in
  var minimum: Int?
  if let text = arguments["coverage-min"] {
    guard let percent = Int(text), (0...100).contains(percent) else {
      Terminal.error("stockade: --coverage-min \(text): expected a number from 0 to 100\n")
      return .usage
    }
    minimum = percent
  }
  return ConfigurationFile.reporting("No test was run.") { () throws(ConfigurationError) in
    try TestRun(arguments, minimum).run()
  }
}

/// One run of `test`.
private struct TestRun {
  private let arguments: Arguments
  private let minimum: Int?

  init(_ arguments: Arguments, _ minimum: Int?) {
    self.arguments = arguments
    self.minimum = minimum
  }

  func run() throws(ConfigurationError) -> ExitStatus {
    let (folder, mapping) = try PolicyCommands.place(arguments)
    let sources: [SourceText]
    if arguments.operands.isEmpty {
      sources = try PolicyFolder.tests(folder)
    } else {
      guard let named = TextFiles.read(arguments.operands) else { return .failure }
      sources = named
    }
    let files = sources.map(PolicyFolder.testFile)
    guard !files.isEmpty else { return none("there are no tests in \(folder)/tests; write one, or name a file") }
    let problems = files.map(\.problems).joined()
    guard problems.isEmpty else {
      Terminal.error(problems)
      return .invalid
    }
    guard let bundle = PolicyCommands.bundle(arguments, folder: folder, mapping: mapping) else { return .invalid }
    let hasConfiguration = arguments["config"] != nil || ConfigurationFile.isThere
    let configuration = hasConfiguration ? try ConfigurationFile.read(arguments).configuration : nil
    let tests = try PolicyTestRun.run(files, folder, bundle, configuration, matching: arguments["filter"])
    guard tests.passed + tests.failed > 0 else { return none("no test is called like \(arguments["filter"] ?? "")") }
    return try report(tests)
  }

  // What tests nothing is a mistake, and not a success.
  private func none(_ message: String) -> ExitStatus {
    Terminal.error("stockade: \(message)\n")
    return .testsFailed
  }

  private func report(_ tests: PolicyTests) throws(ConfigurationError) -> ExitStatus {
    if let path = arguments["junit"] {
      guard TextFiles.write(tests.junit, to: path) else { return .failure }
    }
    let style = Terminal.textStyle
    let coverage = tests.coverage
    if arguments.has("json") {
      Terminal.out(tests.json)
    } else {
      Terminal.out(tests.report(style) + coverage.report(style, listsAll: arguments.has("coverage")))
    }
    var isCovered = true
    for (what, share) in [("policies", coverage.policies), ("clauses", coverage.conditions)] {
      guard let minimum, !share.reaches(minimum) else { continue }
      isCovered = false
      Terminal.error("coverage of \(what): \(share.covered) of \(share.total) is less than \(minimum) %\n")
    }
    if !arguments.has("json") { Terminal.out(tests.summary) }
    return tests.failed == 0 && isCovered ? .success : .testsFailed
  }
}
