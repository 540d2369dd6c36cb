internal import Bytes
internal import CedarSchema
internal import FoundationEssentials
internal import Pipeline
internal import PolicyTools

/// `stockade check`: configuration, policies and policy tests, before anything is started with them.
let checkCommand = Command(
  name: "check",
  summary: "check the configuration, the policies against their schema, and run the policy tests",
  operand: nil,
  flags: ConfigurationFile.flags + PolicyCommands.validation + [
    Flag("deny-warnings", nil, "fail on warnings too"),
    Flag("explain-public", nil, "list what can be reached without a token"),
    Flag("json", nil, "print JSON: every problem with its place, and how many tests passed"),
  ],
  examples: [
    "stockade check", "stockade check --policies policies --deny-warnings", "stockade check --config stockade.json5 --explain-public",
  ]
) { arguments in
  if arguments.has("json") { return CheckReport.print(arguments) }
  return ConfigurationFile.reporting("See the remedies above.") { () throws(ConfigurationError) in
    return try ConfigurationCheck(arguments).run()
  }
}

/// One run of `check`.
struct ConfigurationCheck {
  private let arguments: Arguments
  private let configuration: Configuration?
  private let folder: String

  init(_ arguments: Arguments) throws(ConfigurationError) {
    self.arguments = arguments
    guard try ConfigurationFile.isGiven(arguments) else {
      // Policies alone can be checked as well: there is nothing yet to run them with.
      configuration = nil
      folder = arguments["policies"] ?? "policies"
      return
    }
    let (configuration, file) = try ConfigurationFile.read(arguments)
    for warning in configuration.warnings { Terminal.error("warning: \(warning)\n") }
    if !arguments.has("json") { Terminal.out("\(file ?? "flags")  ok\n") }
    guard !configuration.policies.isEmpty else { throw ConfigurationError([ConfigurationFile.noPolicies]) }
    self.configuration = configuration
    folder = configuration.policies
  }

  func run() throws(ConfigurationError) -> ExitStatus {
    guard let bundle else { return .invalid }
    let outcome = Check.run(bundle, folder: folder.hasSuffix("/") ? folder : folder + "/", denyWarnings: arguments.has("deny-warnings"))
    let status = PolicyCommands.finish(outcome)
    if arguments.has("explain-public") { Terminal.out(openAccess) }
    guard status == .success else { return status }
    return try runTests()
  }

  private func runTests() throws(ConfigurationError) -> ExitStatus {
    guard let tests = try tests() else { return .success }
    Terminal.out(tests.output + tests.summary)
    return tests.failed == 0 ? .success : .testsFailed
  }

  /// The policies, as `run` would read them; nil if they cannot be read, which has been told.
  var bundle: PolicyBundle? {
    PolicyCommands.bundle(arguments, folder: folder, mapping: configuration.map { Mapping($0) } ?? Mapping())
  }

  /// What is reachable without a token, as text.
  var openAccess: String { configuration?.openAccess ?? "no configuration: nothing is reachable without a token\n" }

  /// The policy tests, run; nil if there are none.
  func tests() throws(ConfigurationError) -> PolicyTests? {
    let files = try PolicyFolder.tests(folder).map { PolicyTestFile($0) }
    guard !files.isEmpty else { return nil }
    let problems = files.map(\.problems).filter { !$0.isEmpty }
    guard problems.isEmpty else { throw ConfigurationError(problems) }
    let configuration = configuration ?? Self.standIn(for: files)
    var tests = try PolicyTests(SnapshotBuilder.build(configuration, policies: try PolicyFolder.read(folder), generation: 1))
    for file in files { tests.run(file) }
    return tests
  }

  // Without a configuration the issuers of the tests are taken for user pools whose name is their prefix, as the demo's is.
  private static func standIn(for files: [PolicyTestFile]) -> Configuration {
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
