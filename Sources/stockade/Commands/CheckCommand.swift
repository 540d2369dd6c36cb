internal import Bytes
internal import Cedar
internal import CedarSchema
internal import FoundationEssentials
internal import JSON
internal import Pipeline
internal import PolicyTools

/// `stockade check`: configuration, policies and policy tests, before anything is started with them.
let checkCommand = Command(
  name: "check",
  summary: "check the configuration, the policies against their schema, and run the policy tests",
  operand: nil,
  flags: ConfigurationFile.flags + PolicyCommands.validation + [
    Flag("deny-warnings", nil, "fail on warnings too"),
    Flag("allow-lint", "NAME", "do not report this kind of oddity, named in brackets behind it; all for none at all", repeats: true),
    Flag("explain-public", nil, "list what can be reached without a token"),
    Flag("openapi", "FILE", "say where the routes and this OpenAPI document differ"),
  ] + OpenAPIFlags.naming + [
    Flag("online", nil, "also try the issuers and the services behind: DNS, TLS, keys; no request is sent to a service"),
    Flag("timeout", "DURATION", "with --online: how long that may take in all; default 10s"),
    Flag("json", nil, "print the result as JSON; what is for people goes to standard error"),
  ],
  examples: [
    "stockade check", "stockade check --policies policies --deny-warnings", "stockade check --config stockade.json5 --explain-public",
    "stockade check --openapi openapi.json", "stockade check --online",
  ]
) { arguments in
  if let problem = OpenAPIFlags.misuse(arguments) ?? ConfigurationCheck.misuse(arguments) {
    Terminal.error("stockade: \(problem)\n")
    return .usage
  }
  var members: [JSONValue.Member] = []
  let status: ExitStatus
  do throws(ConfigurationError) {
    var check = try ConfigurationCheck(arguments)
    status = try check.run()
    members = check.members
  } catch {
    Terminal.error(ConfigurationFile.shown(error, ending: "See the remedies above."))
    members.append(
      .init(name: "problems", value: .array(error.problems.map { .object(["severity": .string("error"), "text": .string($0)]) })))
    status = .invalid
  }
  if arguments.has("json") {
    Terminal.out(JSONValue(.object([.init(name: "exit", value: .integer(Int64(status.rawValue)))] + members)).text + "\n")
  }
  return status
}

/// One run of `check`.
struct ConfigurationCheck {
  /// What is told to programs, beside the exit code.
  private(set) var members: [JSONValue.Member] = []
  private let arguments: Arguments
  private let configuration: Configuration?
  private let folder: String
  private let timeoutMillis: UInt64

  /// Why the flags make no sense; nil if they do.
  static func misuse(_ arguments: Arguments) -> String? {
    guard let text = arguments["timeout"] else { return nil }
    guard arguments.has("online") else { return "--timeout says how long --online may take, and that is not given" }
    return timeout(text) == nil ? "--timeout \(text): write a time with its unit, from 1ms to 10m, such as 10s" : nil
  }

  private static func timeout(_ text: String) -> UInt64? {
    guard let millis = Units.millis(text), (1...600_000).contains(millis) else { return nil }
    return UInt64(millis)
  }

  init(_ arguments: Arguments) throws(ConfigurationError) {
    self.arguments = arguments
    timeoutMillis = arguments["timeout"].flatMap(Self.timeout) ?? 10_000
    guard try ConfigurationFile.isGiven(arguments) else {
      for flag in ["online", "openapi"] where arguments.has(flag) {
        throw ConfigurationError(["--\(flag) checks a configuration, and there is none; a first one is written by: stockade init"])
      }
      // Policies alone can be checked as well: there is nothing yet to run them with.
      configuration = nil
      folder = arguments["policies"] ?? "policies"
      return
    }
    let (configuration, file) = try ConfigurationFile.read(arguments)
    for warning in configuration.warnings { Terminal.error("warning: \(warning)\n") }
    guard !configuration.policies.isEmpty || !configuration.needsPolicies || configuration.policySource != nil else {
      throw ConfigurationError([ConfigurationFile.noPolicies])
    }
    self.configuration = configuration
    folder = configuration.policies
    members.append(.init(name: "configuration", value: file.map { .string($0) } ?? JSONValue(.null)))
    say("\(file ?? "flags")  ok\n")
  }

  private static func allowedLints(_ arguments: Arguments) throws(ConfigurationError) -> Set<Lint> {
    var allowed: Set<Lint> = []
    for name in arguments.all("allow-lint") {
      if name == "all" { return Set(Lint.allCases) }
      guard let lint = Lint(rawValue: name) else {
        throw ConfigurationError([
          "--allow-lint \(name): there is none of that name; there are \(Lint.allCases.map(\.rawValue).joined(separator: ", "))"
        ])
      }
      allowed.insert(lint)
    }
    return allowed
  }

  private func say(_ text: String) {
    if arguments.has("json") { Terminal.error(text) } else { Terminal.out(text) }
  }

  mutating func run() throws(ConfigurationError) -> ExitStatus {
    if let source = configuration?.policySource { say(ConfigurationFile.policiesElsewhere(source) + "\n") }
    // Where everything is decided elsewhere, or policies are in a store, there may be none here.
    guard !folder.isEmpty else { return [try runDrift(), try runOnline()].first { $0 != .success } ?? .success }
    guard let bundle = PolicyCommands.bundle(arguments, folder: folder, mapping: configuration.map { Mapping($0) } ?? Mapping()) else {
      return .invalid
    }
    let outcome = Check.run(
      bundle, folder: folder.hasSuffix("/") ? folder : folder + "/", denyWarnings: arguments.has("deny-warnings"),
      allowed: try Self.allowedLints(arguments))
    say(outcome.output)
    members.append(.init(name: "policies", value: Self.counts(bundle)))
    members.append(.init(name: "problems", value: .array(bundle.problems.map(Self.json))))
    members.append(.init(name: "shadow", value: .array(bundle.policiesInShadow.ids.map { .string($0.text) })))
    if arguments.has("explain-public") { say(configuration?.openAccess ?? "no configuration: nothing is reachable without a token\n") }
    guard outcome.status == .success else { return .invalid }
    if let configuration {
      _ = try RevocationFile.read(configuration.revocations)
      _ = try SnapshotBuilder.build(configuration, policies: try PolicyFolder.read(folder), generation: 1)
    }
    // What is the matter with one does not keep the others from being told.
    let outcomes = [try runTests(bundle), try runDrift(), try runOnline()]
    return [.invalid, .testsFailed, .failure].first(where: outcomes.contains) ?? .success
  }

  private static func json(_ problem: PolicyBundle.Problem) -> JSONValue {
    var members: [JSONValue.Member] = []
    func add(_ name: String, _ value: JSONValue) { members.append(.init(name: name, value: value)) }
    add("severity", .string(problem.diagnostic.severity.rawValue))
    add("text", .string(problem.rendered))
    if let source = problem.source {
      add("file", .string(source.name))
      if let span = problem.diagnostic.span {
        let place = source.position(of: span.lowerBound)
        add("line", .integer(Int64(place.line)))
        add("column", .integer(Int64(place.column)))
      }
    }
    return JSONValue(.object(members))
  }

  private static func counts(_ bundle: PolicyBundle) -> JSONValue {
    func count(_ severity: Diagnostic.Severity) -> JSONValue {
      .integer(Int64(bundle.problems.count { $0.diagnostic.severity == severity }))
    }
    return .object(["errors": count(.error), "warnings": count(.warning)])
  }

  private mutating func runDrift() throws(ConfigurationError) -> ExitStatus {
    guard let path = arguments["openapi"], let configuration else { return .success }
    guard configuration.routes != nil else {
      throw ConfigurationError(["the configuration has no routes to hold against \(path); stockade init --openapi writes some"])
    }
    let document = try OpenAPIFlags.document(path, arguments)
    let drift = APIDrift(document, configuration, mapping: OpenAPIFlags.mapping(arguments))
    say(document.warnings.joined() + drift.report + drift.summary)
    members.append(.init(name: "openapi", value: drift.json))
    let warnings = document.warnings.count + drift.warningCount
    return drift.errorCount > 0 || arguments.has("deny-warnings") && warnings > 0 ? .testsFailed : .success
  }

  private mutating func runOnline() throws(ConfigurationError) -> ExitStatus {
    guard arguments.has("online"), let configuration else { return .success }
    let files = configuration.policySource == nil ? try PolicyFolder.read(for: configuration) : PolicyFiles.none
    let snapshot = try SnapshotBuilder.build(configuration, policies: files, generation: 1)
    let steps = try OnlineCheck.run(configuration, issuers: snapshot.issuers.issuers, timeoutMillis: timeoutMillis)
    say(OnlineCheck.text(steps))
    members.append(.init(name: "online", value: .array(steps.map(\.json))))
    return steps.allSatisfy(\.isGood) ? .success : .failure
  }

  private mutating func runTests(_ bundle: PolicyBundle) throws(ConfigurationError) -> ExitStatus {
    let files = try PolicyFolder.tests(folder).map(PolicyFolder.testFile)
    guard !files.isEmpty else { return .success }
    let problems = files.map(\.problems).joined()
    guard problems.isEmpty else {
      Terminal.error(problems)
      return .invalid
    }
    let tests = try PolicyTestRun.run(files, folder, bundle, configuration)
    say(tests.report(Terminal.textStyle) + tests.summary)
    members.append(
      .init(name: "tests", value: .object(["passed": .integer(Int64(tests.passed)), "failed": .integer(Int64(tests.failed))])))
    return tests.failed == 0 ? .success : .testsFailed
  }

  // Without a configuration the issuers of the tests are taken for user pools whose name is their prefix, as the demo's is.
  static func standIn(for files: [PolicyTestFile]) -> Configuration {
    var configuration = Configuration(upstream: "http://127.0.0.1:1")
    for file in files {
      for name in file.issuers where !configuration.issuers.contains(where: { exactlyEquals($0.name, name) }) {
        var issuer = IssuerConfiguration(name: name, kind: .cognito(poolID: "us-east-1_AbC123", issuer: "https://\(name).invalid"))
        issuer.idPrefix = name
        issuer.clientIDs = ["policy-tests"] + file.clients
        configuration.issuers.append(issuer)
      }
    }
    if configuration.issuers.isEmpty {
      var issuer = IssuerConfiguration(name: "main", kind: .oidc(issuer: "https://main.invalid"))
      issuer.clientIDs = ["policy-tests"]
      configuration.issuers = [issuer]
    }
    return configuration
  }
}
