internal import Bytes
internal import Cedar
internal import FoundationEssentials
internal import PolicyTools

/// Files named on the command line; `-` is standard input.
enum TextFiles {
  /// The contents, or nil after saying what cannot be read.
  static func read(_ names: [String]) -> [SourceText]? {
    var sources: [SourceText] = []
    for name in names.isEmpty ? ["-"] : names {
      guard let data = name == "-" ? standardInput() : FileManager.default.contents(atPath: name) else {
        Terminal.error("stockade: \(name) cannot be read\n")
        return nil
      }
      sources.append(SourceText(name: name == "-" ? "(standard input)" : name, bytes: data))
    }
    return sources
  }

  private static func standardInput() -> Data? {
    var bytes = Data()
    while let line = readLine(strippingNewline: false) { bytes.append(contentsOf: line.utf8) }
    return bytes
  }

  /// Replaces a file's contents at once; says so if it cannot.
  static func write(_ text: String, to name: String) -> Bool {
    do {
      try Data(text.utf8).write(to: URL(fileURLWithPath: name), options: .atomic)
      return true
    } catch {
      Terminal.error("stockade: \(name) cannot be written\n")
      return false
    }
  }
}

/// `stockade format`: policy texts laid out.
let formatCommand = Command(
  name: "format",
  summary: "lay out Cedar policies; without --write to standard output",
  operand: "[FILE...]",
  flags: [
    Flag("write", nil, "write the files in place"),
    Flag("check", nil, "write nothing; exit 4 and name the files that are not formatted"),
    Flag("width", "N", "columns of a line; default 80"),
    Flag("indent", "N", "columns of an indent; default 2"),
  ],
  examples: ["stockade format --write policies/orders.cedar", "stockade format --check policies/*.cedar"]
) { arguments in
  var options = PolicyFormatter.Options()
  for (name, path) in [("width", \PolicyFormatter.Options.width), ("indent", \.indent)] {
    guard let text = arguments[name] else { continue }
    guard let number = Int(text), (0...1000).contains(number) else {
      Terminal.error("stockade: --\(name) \(text): expected a number from 0 to 1000\n")
      return .usage
    }
    options[keyPath: path] = number
  }
  guard !(arguments.has("write") && arguments.has("check")) else {
    Terminal.error("stockade: --write or --check, not both\n")
    return .usage
  }
  guard !arguments.has("write") || !arguments.operands.isEmpty else {
    Terminal.error("stockade: --write needs the files to write\n")
    return .usage
  }
  guard let sources = TextFiles.read(arguments.operands) else { return .failure }
  let (files, outcome) = Format.run(sources, options: options, checkOnly: arguments.has("check"))
  if arguments.has("write") {
    for file in files where file.isChanged {
      guard let text = file.formatted, TextFiles.write(text, to: file.name) else { return .failure }
      Terminal.out("\(file.name)\n")
    }
  } else if !arguments.has("check") {
    for file in files { Terminal.out(file.formatted ?? "") }
  }
  return PolicyCommands.finish(outcome)
}

/// `stockade translate`: between the two syntaxes.
let translateCommand = Command(
  name: "translate",
  summary: "translate policies or a schema between Cedar syntax and JSON",
  operand: "[FILE...]",
  flags: [Flag("to", "FORM", "policies-to-json, policies-to-cedar, schema-to-json or schema-to-cedar")],
  examples: ["stockade translate --to policies-to-json policies/orders.cedar", "stockade translate --to schema-to-cedar schema.json"]
) { arguments in
  let known = Translate.Direction.allCases.map(\.rawValue)
  guard let text = arguments["to"], let direction = Translate.Direction(rawValue: text) else {
    let near = arguments["to"].flatMap { Spelling.nearest(to: $0, among: known) }
    Terminal.error("stockade: translate needs --to \(known.joined(separator: "|"))" + (near.map { "; did you mean \($0)?" } ?? "") + "\n")
    return .usage
  }
  guard let sources = TextFiles.read(arguments.operands) else { return .failure }
  guard let source = sources.first, sources.count == 1 else {
    Terminal.error("stockade: translate takes one file\n")
    return .usage
  }
  return PolicyCommands.finish(Translate.run(source, direction))
}
