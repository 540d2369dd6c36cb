internal import JSON

/// One flag of a command: the one place its name, value and help are written.
struct Flag: Sendable {
  /// Long name without dashes.
  let name: String
  /// What the value is called in help, or nil for a switch.
  let value: String?
  /// One line for `--help`.
  let help: String
  /// Whether it may be given more than once.
  var repeats = false
  /// Whether it is left out of `--help`: for this project's own tests.
  var hidden = false

  init(_ name: String, _ value: String? = nil, _ help: String, repeats: Bool = false, hidden: Bool = false) {
    self.name = name
    self.value = value
    self.help = help
    self.repeats = repeats
    self.hidden = hidden
  }
}

/// One command: the table below generates the help, the usage errors and the spelling hints.
struct Command: Sendable {
  let name: String
  let summary: String
  /// What stands after the flags, such as `NAME`; nil if nothing may.
  let operand: String?
  let flags: [Flag]
  let examples: [String]
  let run: @Sendable (Arguments) -> ExitStatus

  /// The command as `--help` shows it.
  var help: String {
    var lines = [summary, "", "Usage: stockade \(name)\(flags.isEmpty ? "" : " [flags]")\(operand.map { " " + $0 } ?? "")"]
    if !examples.isEmpty {
      lines += ["", "Examples:"] + examples.map { "  " + $0 }
    }
    let shown = flags.filter { !$0.hidden } + [Flag("help", nil, "show this text")]
    lines += ["", "Flags:"]
    let labels = shown.map { "--\($0.name)\($0.value.map { " " + $0 } ?? "")" }
    let width = labels.map(\.count).max() ?? 0
    for (flag, label) in zip(shown, labels) {
      lines.append(
        "  " + label + String(repeating: " ", count: width - label.count + 2) + flag.help + (flag.repeats ? " (may be repeated)" : ""))
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

enum CommandTable {
  /// Every command there is, in the order that help lists them.
  static let commands: [Command] = [
    runCommand, demoCommand, initCommand, checkCommand, configCommand, testCommand, replayCommand, learnCommand, logsCommand, whyCommand,
    explainCommand, authorizeCommand, formatCommand, translateCommand, tokenCommand, ticketCommand, verifiedPermissionsCommand,
    reloadCommand,
    healthCommand, completionCommand, manCommand,
    versionCommand, helpCommand,
  ]

  /// The overview: what `stockade help` prints.
  static var overview: String {
    let width = commands.map(\.name.count).max() ?? 0
    let rows = commands.map { "  " + $0.name + String(repeating: " ", count: width - $0.name.count + 3) + $0.summary }
    return """
      stockade puts authorization in front of a web service: it verifies the bearer token of each request, asks Cedar
      policies, and forwards or refuses.

      Usage: stockade COMMAND [flags]

      Commands:
      \(rows.joined(separator: "\n"))

      Start with: stockade demo
      Help on one: stockade help COMMAND

      """
  }

  private static let versionCommand = Command(
    name: "version", summary: "print the version", operand: nil, flags: [Flag("json", nil, "print JSON")],
    examples: ["stockade version", "stockade version --json"]
  ) { arguments in
    if arguments.has("json") {
      Terminal.out(JSONValue.object(["version": .string(Version.number), "swift": .string(Version.swift)]).text + "\n")
      return .success
    }
    Terminal.out("stockade \(Version.number)\n")
    return .success
  }

  private static let helpCommand = Command(
    name: "help", summary: "help on a command", operand: "[COMMAND]", flags: [], examples: ["stockade help run"]
  ) { arguments in
    guard let name = arguments.operands.first else {
      Terminal.out(overview)
      return .success
    }
    guard let command = commands.first(where: { $0.name == name }) else { return CommandLine.unknown(command: name) }
    Terminal.out(command.help)
    return .success
  }
}

/// What this build calls itself.
enum Version {
  /// Semantic version.
  static let number = "0.1.0"
  /// The compiler that built it, as far as the language can tell.
  static let swift: String = {
    #if compiler(>=6.4)
    "6.4 or later"
    #elseif compiler(>=6.3)
    "6.3"
    #else
    "before 6.3"
    #endif
  }()
}
