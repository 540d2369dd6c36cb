internal import Bytes

/// `stockade completion`: what a shell needs to complete commands and flags; made from the one table of commands.
let completionCommand = Command(
  name: "completion", summary: "print the completion script for a shell: bash, zsh or fish", operand: "SHELL", flags: [],
  examples: ["stockade completion bash > /etc/bash_completion.d/stockade", "stockade completion fish | source"]
) { arguments in
  let shells = ["bash": Completion.bash, "zsh": Completion.zsh, "fish": Completion.fish]
  guard let name = arguments.operands.first, let script = shells[name] else {
    let given = arguments.operands.first.map { "there is no completion for `\($0)`; " } ?? ""
    Terminal.error("stockade: \(given)name a shell: bash, zsh or fish\n")
    return .usage
  }
  Terminal.out(script())
  return .success
}

/// `stockade man`: the manual page, in mdoc(7); made from the one table of commands.
let manCommand = Command(
  name: "man", summary: "print the manual page", operand: nil, flags: [], examples: ["stockade man | mandoc -l"]
) { _ in
  Terminal.out(ManualPage.text)
  return .success
}

/// Completion scripts.
enum Completion {
  private static var shown: [(name: String, summary: String, flags: [Flag])] {
    CommandTable.commands.map { command in
      (command.name, command.summary, command.flags.filter { !$0.hidden } + [Flag("help", nil, "show this text")])
    }
  }

  // What follows a command or a flag with a value is a file's name more often than not; the shell completes those itself.
  static func bash() -> String {
    let names = shown.map(\.name).joined(separator: " ")
    let cases = shown.map { command in
      "    \(command.name)) words='\(command.flags.map { "--\($0.name)" }.joined(separator: " "))' ;;"
    }
    return """
      # bash completion for stockade
      _stockade() {
        local current=${COMP_WORDS[COMP_CWORD]} words=
        if ((COMP_CWORD == 1)); then
          COMPREPLY=($(compgen -W '\(names)' -- "$current"))
          return
        fi
        case ${COMP_WORDS[1]} in
      \(cases.joined(separator: "\n"))
        esac
        case $current in
          -*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
          *)
            if [[ ${COMP_WORDS[1]} == help ]]; then COMPREPLY=($(compgen -W '\(names)' -- "$current")); else
              COMPREPLY=($(compgen -f -- "$current"))
            fi
            ;;
        esac
      }
      complete -o filenames -F _stockade stockade

      """
  }

  static func zsh() -> String {
    let commands = shown.map { "    '\($0.name):\(quoted($0.summary, escaping: ":"))'" }
    let cases = shown.map { command in
      let flags = command.flags.map { flag in
        let value = flag.value.map { ":\(quoted($0, escaping: ":")):_files" } ?? ""
        return "'\(flag.repeats ? "*" : "")--\(flag.name)[\(quoted(flag.help, escaping: "[]:"))]\(value)'"
      }
      return "    \(command.name)) _arguments \(flags.joined(separator: " ")) '*:file:_files' ;;"
    }
    return """
      #compdef stockade
      # zsh completion for stockade
      _stockade() {
        local -a commands
        commands=(
      \(commands.joined(separator: "\n"))
        )
        if ((CURRENT == 2)); then
          _describe command commands
          return
        fi
        local command=$words[2]
        shift words
        ((CURRENT--))
        case $command in
          help) _describe command commands ;;
      \(cases.filter { !$0.hasPrefix("    help)") }.joined(separator: "\n"))
        esac
      }
      compdef _stockade stockade

      """
  }

  static func fish() -> String {
    var lines = ["# fish completion for stockade"]
    for command in shown {
      lines.append("complete -c stockade -n __fish_use_subcommand -f -a \(command.name) -d '\(quoted(command.summary, escaping: ""))'")
    }
    for command in shown {
      for flag in command.flags {
        lines.append(
          "complete -c stockade -n '__fish_seen_subcommand_from \(command.name)' -l \(flag.name)\(flag.value == nil ? "" : " -r") -d '\(quoted(flag.help, escaping: ""))'"
        )
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  // Text between single quotes of a shell, with some characters escaped for the completion system's own reading.
  private static func quoted(_ text: String, escaping special: String) -> String {
    var out = ""
    for character in text {
      if character == "'" {
        out += special.isEmpty ? "\\'" : "'\\''"
      } else {
        if special.contains(character) || special.isEmpty && character == "\\" { out += "\\" }
        out.append(character)
      }
    }
    return out
  }
}

/// The manual page.
enum ManualPage {
  static var text: String {
    var lines = [
      ".Dd November 25, 2026", ".Dt STOCKADE 1", ".Os", ".Sh NAME", ".Nm stockade", ".Nd authorization sidecar", ".Sh SYNOPSIS", ".Nm",
      ".Ar command", ".Op Ar flags", ".Sh DESCRIPTION", ".Nm",
      "stands in front of a web service as a reverse HTTP proxy.",
      "For each request it verifies the bearer JSON Web Token, asks Cedar policies, and forwards the request or refuses it.",
      "Every decision is written to the decision log.", ".Sh COMMANDS",
    ]
    for command in CommandTable.commands {
      lines += [".Ss \(command.name)\(command.operand.map { " " + escaped($0) } ?? "")", escaped(sentence(command.summary))]
      let flags = command.flags.filter { !$0.hidden }
      guard !flags.isEmpty else { continue }
      lines.append(".Bl -tag -width Ds")
      for flag in flags {
        lines.append(".It Fl Fl \(flag.name)" + (flag.value.map { " Ar \(escaped($0))" } ?? ""))
        lines.append(escaped(sentence(flag.help + (flag.repeats ? " (may be repeated)" : ""))))
      }
      lines.append(".El")
    }
    lines += [
      ".Sh EXIT STATUS", ".Bl -tag -width Ds", ".It 0", "Done, or allowed.", ".It 1", "Something failed while running.", ".It 2",
      "The answer is deny.", ".It 3", "The configuration, a policy, a schema or an input is invalid; nothing was started or changed.",
      ".It 4",
      "Tests failed.", ".It 64", "The command line is wrong.", ".El", ".Sh EXAMPLES",
    ]
    for command in CommandTable.commands {
      for example in command.examples { lines += [".Dl \(escaped(example))"] }
    }
    return lines.flatMap(wrapped).joined(separator: "\n") + "\n"
  }

  // Long text lines are cut between words; a request (a line with a dot in front) stays whole.
  private static func wrapped(_ line: String) -> [String] {
    guard line.utf8.count > 78, !line.hasPrefix(".") else { return [line] }
    var lines: [String] = []
    for word in line.split(separator: " ") {
      if let last = lines.last, last.utf8.count + word.utf8.count < 78 {
        lines[lines.count - 1] = last + " " + word
      } else {
        lines.append(lines.isEmpty ? String(word) : escaped(String(word)))
      }
    }
    return lines
  }

  private static func sentence(_ text: String) -> String {
    guard let first = text.first else { return "" }
    return first.uppercased() + text.dropFirst() + (text.hasSuffix(".") ? "" : ".")
  }

  // roff reads backslashes, and a line that begins with a dot or an apostrophe.
  private static func escaped(_ text: String) -> String {
    var out = text.contains("\\") ? text.split(separator: "\\", omittingEmptySubsequences: false).joined(separator: "\\e") : text
    if out.hasPrefix(".") || out.hasPrefix("'") { out = "\\&" + out }
    return out
  }
}
