internal import Bytes
internal import JSON

/// Reads a configuration against the table of `Fields`: the file, then the variables, then the flags; all problems at once.
struct ConfigurationReader {
  private let source: SourceText?
  private let surroundings: Surroundings
  private(set) var report: ConfigurationReport
  /// Whether the file could be read at all.
  private(set) var isReadable = true
  private(set) var root = Setting(field: Shape.root.field, path: "", origin: .byDefault, value: .members([]))

  init(file: SourceText?, flags: [String: [String]], surroundings: Surroundings) {
    source = file
    self.surroundings = surroundings.beside(file)
    report = ConfigurationReport(source: file)
    if let file { readFile(file) }
    readVariables()
    for field in Fields.flagged {
      guard let flag = field.flag, let given = flags[flag] else { continue }
      readGiven(given, to: field, from: .flag(flag))
    }
    readSharedVariables()
    root.fillDefaults(of: Shape.root)
  }

  // MARK: - The file

  private mutating func readFile(_ file: SourceText) {
    let json: JSONValue
    do throws(JSONError) {
      json = try JSONParser.parse(
        file.bytes, limits: JSONParser.Limits(depth: 32, bytes: 16 << 20, duplicateNames: .keepAll, syntax: .json5))
    } catch {
      report.add(
        Diagnostic(.error, "\(error)", at: error.offset..<error.offset + max(error.length, 1), help: Self.help(for: error.reason)),
        under: "")
      isReadable = false
      return
    }
    report.beginning = json.span.lowerBound..<min(json.span.lowerBound + 1, json.span.upperBound)
    guard json.object != nil else {
      wrongType(json, Shape.root.field, "an object", path: "")
      isReadable = false
      return
    }
    if let setting = read(json, Shape.root, path: "") { root = setting }
  }

  private static func help(for reason: JSONError.Reason) -> String? {
    switch reason {
    case .empty: "an empty file configures nothing; a first one is written by: stockade init"
    case .invalidNumber: "a time or a size is a string: '30s', '1MiB'"
    case .unexpectedByte(UInt8(ascii: "#")): "comments begin with // or stand in /* */"
    case .unexpectedByte(UInt8(ascii: "=")): "a name is followed by `:`"
    case .unexpectedByte(let byte)
    where ASCII.isAlpha(byte) || byte == ASCII.quote || byte == UInt8(ascii: "'") || byte == UInt8(ascii: "{"):
      "is there a comma missing before it?"
    case .unexpectedEnd: "a `{` or `[` is not closed"
    default: nil
    }
  }

  private mutating func read(_ json: JSONValue, _ shape: Shape, path: String) -> Setting? {
    let field = shape.field
    func setting(_ value: Setting.Value) -> Setting { Setting(field: field, path: path, origin: .file(json.span), value: value) }
    switch (field.kind, json.kind) {
    case (.anything, _): return setting(.text(""))
    case (.object, .object(let members)): return setting(.members(readMembers(members, shape, path: path)))
    case (.names, .object(let members)): return setting(.members(readNames(members, shape, path: path)))
    case (.list, .array(let elements)):
      guard let element = shape.element else { return nil }
      var members: [(name: String, setting: Setting)] = []
      for (index, json) in elements.enumerated() {
        if let setting = read(json, element, path: Setting.path(path, field, "\(index)", isElement: true)) {
          members.append(("\(index)", setting))
        }
      }
      return setting(.members(members))
    case (.texts, .array(let elements)):
      var texts: [String] = []
      var isMasked = false
      for (index, json) in elements.enumerated() {
        guard case .string(let text) = json.kind else {
          wrongType(json, field, "a string", path: "\(path)[\(index)]")
          continue
        }
        guard let expanded = expand(text, json, path: path) else { continue }
        texts.append(expanded.text)
        isMasked = isMasked || expanded.isSecret
      }
      var result = setting(.texts(texts))
      result.isMasked = isMasked
      return result
    case (.object, _):
      // A bare value stands for the member that is nearly always wanted.
      guard let shorthand = field.shorthand, let inner = shape.member(shorthand), Self.isScalar(json) else {
        return wrongType(json, field, "an object", path: path)
      }
      guard let value = read(json, inner, path: Setting.path(path, field, shorthand, isElement: false)) else { return nil }
      return setting(.members([(shorthand, value)]))
    case (_, .string(let text)): return readText(text, json, field, path: path)
    case (.flag, .bool(let flag)): return setting(.flag(flag))
    case (.integer(let bounds), .integer(let number)):
      guard bounds.contains(number) else {
        report.add(
          Diagnostic(.error, "\(path): \(number) is out of range", at: json.span, help: "expected \(Scalar.expected(field.kind))"),
          under: path)
        return nil
      }
      return setting(.integer(number))
    case (.duration, .integer(let number)):
      report.add(
        Diagnostic(.error, "\(path): \(number) what?", at: json.span, help: "a time has a unit: write '\(number)s' or '\(number)ms'"),
        under: path)
      return nil
    case (.size, .integer(let number)):
      report.add(
        Diagnostic(.error, "\(path): \(number) what?", at: json.span, help: "a size has a unit: write '\(number)B' or '\(number)KiB'"),
        under: path)
      return nil
    default: return wrongType(json, field, Self.wanted(field.kind), path: path)
    }
  }

  private static func isScalar(_ json: JSONValue) -> Bool {
    switch json.kind {
    case .string, .bool, .integer, .number: true
    case .null, .array, .object: false
    }
  }

  private static func isText(_ kind: Field.Kind) -> Bool {
    switch kind {
    case .text, .choice: true
    case .flag, .integer, .duration, .size, .texts, .object, .names, .list, .anything: false
    }
  }

  private static func wanted(_ kind: Field.Kind) -> String {
    switch kind {
    case .text, .choice: "a string"
    case .duration: "a string such as '30s'"
    case .size: "a string such as '64KiB'"
    case .flag: "true or false"
    case .integer: "a whole number"
    case .texts, .list: "a list"
    case .object, .names, .anything: "an object"
    }
  }

  @discardableResult
  private mutating func wrongType(_ json: JSONValue, _ field: Field, _ wanted: String, path: String) -> Setting? {
    var help: String?
    if json.isNull { help = "leave the line out for the default" }
    if path.isEmpty { help = "a configuration is an object: { upstream: …, issuers: { … }, … }" }
    if Self.isScalar(json), json.string == nil, Self.isText(field.kind), let source, json.span.upperBound <= source.bytes.count {
      help = "put it in quotes: '\(String(decoding: source.bytes[json.span], as: UTF8.self))'"
    }
    if case .list = field.kind, json.object != nil { help = "put it in brackets: [ { … } ]" }
    if case .texts = field.kind, json.string != nil { help = "put it in brackets: [ … ]" }
    report.add(
      Diagnostic(
        .error, "\(path.isEmpty ? "the configuration" : path): expected \(wanted), found \(json.kindName)", at: json.span, help: help),
      under: path)
    return nil
  }

  private mutating func readMembers(_ members: [JSONValue.Member], _ shape: Shape, path: String) -> [(name: String, setting: Setting)] {
    var read: [(name: String, setting: Setting)] = []
    var first: [ExactString: Range<Int>] = [:]
    for member in members {
      guard isFirst(member, &first, path: path) else { continue }
      let inner = Setting.path(path, shape.field, member.name, isElement: false)
      guard let shape = shape.member(member.name) else {
        unknown(member, shape, path: path)
        continue
      }
      if let setting = self.read(member.value, shape, path: inner) { read.append((member.name, setting)) }
    }
    return read
  }

  private mutating func readNames(_ members: [JSONValue.Member], _ shape: Shape, path: String) -> [(name: String, setting: Setting)] {
    guard let element = shape.element else { return [] }
    var read: [(name: String, setting: Setting)] = []
    var first: [ExactString: Range<Int>] = [:]
    for member in members {
      guard isFirst(member, &first, path: path) else { continue }
      guard !member.name.isEmpty else {
        report.add(
          Diagnostic(.error, "a name in \(path) is empty", at: member.nameSpan, help: "choose one; it stands in the log and in messages"),
          under: path)
        continue
      }
      let inner = Setting.path(path, shape.field, member.name, isElement: false)
      if let setting = self.read(member.value, element, path: inner) { read.append((member.name, setting)) }
    }
    return read
  }

  private mutating func isFirst(_ member: JSONValue.Member, _ first: inout [ExactString: Range<Int>], path: String) -> Bool {
    guard let other = first[ExactString(member.name)] else {
      first[ExactString(member.name)] = member.nameSpan
      return true
    }
    report.add(
      Diagnostic(
        .error, "\"\(member.name)\" is given twice in \(Self.place(path))", at: member.nameSpan, help: "keep one of them",
        related: [Diagnostic.Related(other, "the first is here")]), under: path)
    return false
  }

  private mutating func unknown(_ member: JSONValue.Member, _ shape: Shape, path: String) {
    var help: String?
    if let near = Spelling.nearest(to: member.name, among: shape.members.map(\.name)) {
      help = "did you mean \"\(near)\"?"
    } else if let elsewhere = Fields.all.first(where: { exactlyEquals($0.name, member.name) && $0.path.count > 1 && !$0.path.contains("*") }
    ) {
      help = "there is \(elsewhere.path.joined(separator: "."))"
    } else {
      help =
        shape.members.isEmpty
        ? "nothing can be set here; write {}"
        : "known here: \(shape.members.map(\.name).filter { $0 != "$schema" }.joined(separator: ", "))"
    }
    report.add(Diagnostic(.error, "unknown name \"\(member.name)\" in \(Self.place(path))", at: member.nameSpan, help: help), under: path)
  }

  private static func place(_ path: String) -> String { path.isEmpty ? "the top level" : path }

  // MARK: - Strings

  private mutating func expand(_ text: String, _ json: JSONValue, path: String) -> Expansion? {
    let expansion = Expansion(text, surroundings)
    for problem in expansion.problems {
      report.add(
        Diagnostic(.error, "\(path): \(problem.message)", at: place(of: problem.reference, in: json.span), help: problem.help), under: path)
    }
    return expansion.problems.isEmpty ? expansion : nil
  }

  // A reference as it stands in the file; the whole string where an escape hides it.
  private func place(of reference: String, in span: Range<Int>) -> Range<Int> {
    guard let source, span.upperBound <= source.bytes.count else { return span }
    let wanted = Array(reference.utf8)
    guard let found = source.bytes[span].firstRange(of: wanted) else { return span }
    return found
  }

  private mutating func readText(_ text: String, _ json: JSONValue, _ field: Field, path: String) -> Setting? {
    guard let expansion = expand(text, json, path: path) else { return nil }
    switch field.kind {
    case .texts, .list: return wrongType(json, field, Self.wanted(field.kind), path: path)
    // A quoted number is a mistake, unless a variable can only come in quotes.
    case .flag where !expansion.isChanged, .integer where !expansion.isChanged:
      let isRight = Scalar.read(text, as: field.kind) != nil
      report.add(
        Diagnostic(
          .error, "\(path): expected \(Self.wanted(field.kind)), found a string", at: json.span,
          help: isRight ? "write \(text) without quotes" : "write \(Scalar.expected(field.kind)), without quotes"), under: path)
      return nil
    default: break
    }
    guard let value = Scalar.read(expansion.text, as: field.kind) else {
      report.add(refusal(of: expansion.isSecret ? Setting.masked : expansion.text, field, path: path, at: json.span), under: path)
      return nil
    }
    var setting = Setting(field: field, path: path, origin: .file(json.span), value: value)
    setting.isMasked = expansion.isSecret || field.isSecret
    return setting
  }

  private func refusal(of text: String, _ field: Field, path: String, at span: Range<Int>?) -> Diagnostic {
    Diagnostic(.error, "\(path): \"\(text)\" is not possible", at: span, help: Self.help(for: text, field))
  }

  private static func help(for text: String, _ field: Field) -> String {
    if case .choice(let words) = field.kind, let near = Spelling.nearest(to: text, among: words) { return "did you mean \(near)?" }
    if case .choice = field.kind { return "expected \(Scalar.expected(field.kind))" }
    switch field.kind {
    case .duration where Int64(text) != nil: return "a time has a unit: write '\(text)s' or '\(text)ms'"
    case .size where Int64(text) != nil: return "a size has a unit: write '\(text)B' or '\(text)KiB'"
    default: return "expected \(Scalar.expected(field.kind))"
    }
  }

  // MARK: - Variables and flags

  private mutating func readVariables() {
    for field in Fields.flagged {
      guard let variable = field.variable, let text = surroundings.variables[variable] else { continue }
      // A list in one variable: its elements have no commas, and no element is empty.
      let words = field.repeats ? text.split(separator: ",").map { String($0.drop { $0 == " " }) } : [text]
      readGiven(words, to: field, from: .variable(variable))
    }
    let known = Set(Fields.flagged.compactMap(\.variable) + ConfigurationReader.otherVariables)
    for name in surroundings.variables.keys.sorted() where name.utf8.starts(with: "STOCKADE_".utf8) && !known.contains(name) {
      let near = Spelling.nearest(to: name, among: known.sorted()).map { "; did you mean \($0)?" } ?? ""
      report.warnings.append("the variable \(name) is none of ours and has no effect\(near)")
    }
  }

  // Variables that are not ours alone: whoever set them may have meant others, so whatever was said to us counts before them, and
  // what we cannot use is told and stops nothing.
  private mutating func readSharedVariables() {
    for field in Fields.all where !field.environment.isEmpty && !root.has(field.path[...]) {
      // OpenTelemetry: an empty variable is as good as none.
      let set = field.environment.first { surroundings.variables[$0]?.isEmpty == false }
      guard let name = set, let text = surroundings.variables[name] else { continue }
      if field.kind == .names {
        readPairs(text, to: field, from: name)
        continue
      }
      // Times there are milliseconds without saying so.
      let isDuration = if case .duration = field.kind { true } else { false }
      guard let value = Scalar.read(isDuration ? text + "ms" : text, as: field.kind) else {
        ignore(name, field)
        continue
      }
      root.set(field.path[...], of: Shape.root, to: value, from: .variable(name))
    }
  }

  // `name=value,…`, values percent-encoded (W3C Baggage, as OpenTelemetry says).
  private mutating func readPairs(_ text: String, to field: Field, from variable: String) {
    for pair in text.utf8.split(separator: UInt8(ascii: ",")) {
      let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      let name = parts.first.map { String(decoding: $0.filter { $0 != ASCII.space }, as: UTF8.self) } ?? ""
      guard parts.count == 2, !name.isEmpty, let value = Self.percentDecoded(parts[1]) else {
        ignore(variable, field)
        continue
      }
      let path = field.path + [name]
      root.set(path[...], of: Shape.root, to: .text(value), from: .variable(variable))
      root.mask(path[...])
    }
  }

  // The value may be a secret.
  private mutating func ignore(_ variable: String, _ field: Field) {
    report.warnings.append("the variable \(variable) says nothing that \(field.path.joined(separator: ".")) can be, and is ignored")
  }

  private static func percentDecoded(_ text: Substring.UTF8View) -> String? {
    var out: [UInt8] = []
    var rest = text[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        out.append(byte)
        continue
      }
      guard let high = rest.popFirst().flatMap(ASCII.hexValue), let low = rest.popFirst().flatMap(ASCII.hexValue) else { return nil }
      out.append(high << 4 | low)
    }
    while out.last == ASCII.space { out.removeLast() }
    return String(validating: out.drop { $0 == ASCII.space }, as: UTF8.self)
  }

  // Read elsewhere.
  private static let otherVariables = ["STOCKADE_CONFIG", "STOCKADE_TEST_DATA"]

  private mutating func readGiven(_ words: [String], to field: Field, from origin: Setting.Origin) {
    let value: Setting.Value?
    if field.repeats { value = .texts(words) } else { value = words.last.flatMap { Scalar.read($0, as: field.kind) } }
    guard let value else {
      report.add(words.last ?? "", field, from: origin, help: Self.help(for: words.last ?? "", field))
      return
    }
    root.set(field.flagPath[...], of: Shape.root, to: value, from: origin)
  }
}
