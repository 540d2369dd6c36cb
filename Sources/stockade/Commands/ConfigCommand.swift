internal import JSON
internal import Pipeline

/// `stockade config show|schema|limits`: what is in force and where it comes from, what can be set, and what is bounded.
let configCommand = Command(
  name: "config",
  summary: "show the configuration in force, the JSON Schema of the file, or the table of limits",
  operand: "show|schema|limits",
  flags: ConfigurationFile.flags + [
    Flag("sources", nil, "show: say where each value comes from"),
    Flag("json", nil, "show: print JSON instead of JSON5"),
  ],
  examples: [
    "stockade config show --sources", "stockade config schema > stockade.schema.json", "stockade config limits",
    "STOCKADE_MODE=observe stockade config show --sources",
  ]
) { arguments in
  switch arguments.operands.first {
  case "schema":
    Terminal.out(ConfigurationSchema.json.text + "\n")
    return .success
  case "limits":
    Terminal.out(Limit.table)
    return .success
  case "show": return ConfigListing.show(arguments)
  case let word:
    Terminal.error(
      "stockade: config \(word.map { "does not know `\($0)`" } ?? "needs a word"): config show, config schema, or config limits\n")
    return .usage
  }
}

enum ConfigListing {
  static func show(_ arguments: Arguments) -> ExitStatus {
    ConfigurationFile.reporting("Nothing can be shown.") { () throws(ConfigurationError) in
      let (configuration, _) = try ConfigurationFile.read(arguments)
      for warning in configuration.warnings { Terminal.error("warning: \(warning)\n") }
      Terminal.out(arguments.has("json") ? configuration.json.text + "\n" : configuration.listing(sources: arguments.has("sources")))
      return .success
    }
  }
}
