internal import Bytes
internal import CedarSchema
internal import Pipeline
internal import PolicyTools

/// What the commands over a policy folder have in common.
enum PolicyCommands {
  static let folder = Flag("policies", "DIR", "folder with *.cedar, schema.cedarschema and entities.json; default policies")
  static let policyIDs = Flag(
    "policy-ids", "annotation|position", "what policies are called: by their @id, or by file and place; default annotation")
  static let validation = [
    Flag("validation", "strict|permissive", "how demanding the validation against the schema is; default strict"),
    Flag("level", "N", "refuse policies that go further than N steps from entity to entity"),
  ]

  /// The folder that the flags name, read and held against its schema; prints why not and returns nil.
  static func bundle(_ arguments: Arguments, folder: String? = nil, mapping: Mapping = Mapping()) -> PolicyBundle? {
    var options = PolicyBundle.Options(knownEntities: mapping.actionEntities)
    if let text = arguments["policy-ids"] {
      guard let ids = PolicyBundle.Options.PolicyIDs(rawValue: text) else {
        Terminal.error("stockade: --policy-ids \(text): write annotation or position\n")
        return nil
      }
      options.ids = ids
    }
    if let text = arguments["validation"] {
      guard let mode = ValidationMode(rawValue: text) else {
        Terminal.error("stockade: --validation \(text): write strict or permissive\n")
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
      let files = try PolicyFolder.read(folder ?? arguments["policies"] ?? "policies")
      return PolicyBundle(.init(policies: files.policies, schema: files.schema, entities: files.entities), options: options)
    } catch {
      Terminal.error(error.report)
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
