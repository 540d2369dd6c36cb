internal import Bytes
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
  ],
  examples: [
    "stockade check", "stockade check --policies policies --deny-warnings", "stockade check --config stockade.json5 --explain-public",
  ]
) { arguments in
  ConfigurationFile.reporting("See the remedies above.") { () throws(ConfigurationError) in
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
    Terminal.out("\(file ?? "flags")  ok\n")
    guard !configuration.policies.isEmpty else { throw ConfigurationError([ConfigurationFile.noPolicies]) }
    self.configuration = configuration
    folder = configuration.policies
  }

  func run() throws(ConfigurationError) -> ExitStatus {
    guard let bundle = PolicyCommands.bundle(arguments, folder: folder, mapping: configuration.map { Mapping($0) } ?? Mapping()) else {
      return .invalid
    }
    let outcome = Check.run(bundle, folder: folder.hasSuffix("/") ? folder : folder + "/", denyWarnings: arguments.has("deny-warnings"))
    let status = PolicyCommands.finish(outcome)
    if arguments.has("explain-public") {
      Terminal.out(configuration?.openAccess ?? "no configuration: nothing is reachable without a token\n")
    }
    guard status == .success else { return status }
    if let configuration {
      _ = try RevocationFile.read(configuration.revocations)
      _ = try SnapshotBuilder.build(configuration, policies: try PolicyFolder.read(folder), generation: 1)
    }
    return try runTests()
  }

  private func runTests() throws(ConfigurationError) -> ExitStatus {
    let files = try PolicyFolder.tests(folder).map { PolicyTestFile($0) }
    guard !files.isEmpty else { return .success }
    let problems = files.map(\.problems).joined()
    guard problems.isEmpty else {
      Terminal.error(problems)
      return .invalid
    }
    let configuration = configuration ?? Self.standIn(for: files)
    var tests = try PolicyTests(SnapshotBuilder.build(configuration, policies: try PolicyFolder.read(folder), generation: 1))
    for file in files { tests.run(file) }
    Terminal.out(tests.output + tests.summary)
    return tests.failed == 0 ? .success : .testsFailed
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
