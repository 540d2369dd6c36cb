internal import Bytes

/// The words after a command, held against its table.
struct Arguments: Sendable {
  private(set) var values: [String: [String]] = [:]
  private(set) var operands: [String] = []

  /// Why a command line is refused: one sentence for a person.
  struct UsageError: Error {
    let message: String
  }

  /// Reads the words that follow a command's name. `--name value`, `--name=value`; `--` ends the flags.
  init(_ words: some Sequence<String>, for command: Command) throws(UsageError) {
    var words = Array(words)[...]
    var flagsEnded = false
    while let word = words.popFirst() {
      guard !flagsEnded, word.hasPrefix("-"), word != "-" else {
        guard let operand = command.operand else {
          throw UsageError(message: "`\(command.name)` takes no `\(word)` here; see stockade help \(command.name)")
        }
        // `push DIR` is two words, and so may be given as two.
        if operands.count == operand.split(separator: " ").count, !operand.hasSuffix("...]") {
          throw UsageError(message: "`\(command.name)` takes one \(operand), and `\(word)` is one more")
        }
        operands.append(word)
        continue
      }
      if word == "--" {
        flagsEnded = true
        continue
      }
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts[0].drop { $0 == "-" })
      guard word.hasPrefix("--"), let flag = command.flags.first(where: { $0.name == name }) else {
        throw UsageError(message: Self.unknownFlag(String(parts[0]), name: name, of: command))
      }
      let value: String
      if flag.value == nil {
        guard parts.count == 1 else { throw UsageError(message: "--\(name) is a switch and takes no value") }
        value = "true"
      } else if parts.count == 2 {
        value = String(parts[1])
      } else if let next = words.popFirst() {
        value = next
      } else {
        throw UsageError(message: "--\(name) needs a value: --\(name) \(flag.value ?? "VALUE")")
      }
      if values[name] != nil, !flag.repeats { throw UsageError(message: "--\(name) is given twice") }
      values[name, default: []].append(value)
    }
  }

  /// The value of a flag, if given.
  subscript(name: String) -> String? { values[name]?.first }
  /// Every value of a flag that may be repeated.
  func all(_ name: String) -> [String] { values[name] ?? [] }
  /// Whether a switch is on.
  func has(_ name: String) -> Bool { values[name] != nil }

  private static func unknownFlag(_ word: String, name: String, of command: Command) -> String {
    var message = "unknown flag \(word) for `\(command.name)`"
    if let near = Spelling.nearest(to: name, among: command.flags.filter { !$0.hidden }.map(\.name)) {
      message += "; did you mean --\(near)?"
    }
    return message
  }
}
