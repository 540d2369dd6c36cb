internal import Bytes

/// Arguments to one command.
enum CommandLine {
  /// Runs the command that the words name; the first word is the program.
  static func main(_ words: [String]) -> ExitStatus {
    guard words.count > 1 else {
      Terminal.error(CommandTable.overview)
      return .usage
    }
    var name = words[1]
    if name == "--help" || name == "-h" { name = "help" }
    if name == "--version" { name = "version" }
    guard let command = CommandTable.commands.first(where: { $0.name == name }) else { return unknown(command: name) }
    let rest = words.dropFirst(2)
    if rest.prefix(while: { $0 != "--" }).contains(where: { $0 == "--help" || $0 == "-h" }) {
      Terminal.out(command.help)
      return .success
    }
    do throws(Arguments.UsageError) {
      return command.run(try Arguments(rest, for: command))
    } catch {
      Terminal.error("stockade: \(error.message)\n")
      return .usage
    }
  }

  static func unknown(command name: String) -> ExitStatus {
    var message = "stockade: there is no command `\(name)`"
    if let near = Spelling.nearest(to: name, among: CommandTable.commands.map(\.name)) { message += "; did you mean `\(near)`?" }
    Terminal.error(message + "\nThe commands are listed by: stockade help\n")
    return .usage
  }
}
