internal import Bytes
internal import CedarSchema
internal import Pipeline
internal import PolicyTools

/// What the commands over a policy folder have in common.
enum PolicyCommands {
  static let folder = Flag("policies", "DIR", "folder with *.cedar, schema.cedarschema and entities.json; default policies")
  static let validation = [
    Flag("mode", "strict|permissive", "how demanding the validation against the schema is; default strict"),
    Flag("level", "N", "refuse policies that go further than N steps from entity to entity"),
  ]

  /// The folder that the flags name, read and held against its schema; prints why not and returns nil.
  static func bundle(_ arguments: Arguments) -> PolicyBundle? {
    var options = PolicyBundle.Options(knownEntities: Mapping().actionEntities)
    if let text = arguments["mode"] {
      guard let mode = ValidationMode(rawValue: text) else {
        Terminal.error("stockade: --mode \(text): write strict or permissive\n")
        return nil
      }
      options.mode = mode
    }
    if let text = arguments["level"] {
      guard let level = Int(text), (0...1000).contains(level) else {
        Terminal.error("stockade: --level \(text): expected a number from 0\n")
        return nil
      }
      options.level = level
    }
    do throws(ConfigurationError) {
      let files = try PolicyFolder.read(arguments["policies"] ?? "policies")
      return PolicyBundle(.init(policies: files.policies, schema: files.schema, entities: files.entities), options: options)
    } catch {
      Terminal.error(error.problems.map { "error: \($0)\n" }.joined())
      return nil
    }
  }

  /// Prints what a tool has to say.
  static func finish(_ outcome: ToolOutcome) -> ExitStatus {
    Terminal.out(outcome.output)
    Terminal.error(outcome.messages)
    switch outcome.status {
    case .success: return .success
    case .denied: return .denied
    case .invalid: return .invalid
    case .differs: return .testsFailed
    }
  }
}

/// `stockade check`: the policy folder, before anything is started with it.
let checkCommand = Command(
  name: "check",
  summary: "check a policy folder: syntax, schema, entities, and policies against the schema",
  operand: nil,
  flags: [PolicyCommands.folder] + PolicyCommands.validation + [Flag("deny-warnings", nil, "fail on warnings too")],
  examples: ["stockade check", "stockade check --policies policies --deny-warnings"]
) { arguments in
  guard let bundle = PolicyCommands.bundle(arguments) else { return .invalid }
  let folder = arguments["policies"] ?? "policies"
  return PolicyCommands.finish(
    Check.run(bundle, folder: folder.hasSuffix("/") ? folder : folder + "/", denyWarnings: arguments.has("deny-warnings")))
}
