internal import Bytes
internal import Crypto
public import JSON

extension Configuration {
  /// Every setting that is in force, as a file that would set it, each with where it came from; values from other files are masked.
  ///
  /// - Parameter sources: whether each line says where its value came from.
  public func listing(sources: Bool) -> String {
    guard let settings else { return "{}\n" }
    var lines: [(text: String, note: String)] = [("{", "")]
    list(settings, indent: "  ", &lines)
    lines.append(("}", ""))
    guard sources else { return lines.map { $0.text + "\n" }.joined() }
    let width = min(lines.filter { !$0.note.isEmpty }.map(\.text.count).max() ?? 0, 60)
    return lines.map { line in
      line.note.isEmpty
        ? line.text + "\n" : line.text + String(repeating: " ", count: max(1, width + 2 - line.text.count)) + "// " + line.note + "\n"
    }.joined()
  }

  /// Equal for two configurations that say the same, what is masked and what stands in the key files included.
  public var fingerprint: [UInt8] {
    var text: [UInt8] = []
    for file in pemFiles { text += Array("\(file.path)\n\(file.bytes.count)\n".utf8) + file.bytes }
    for file in issuers.compactMap(\.keyFile) { text += Array("\(file.name)\n\(file.bytes.count)\n".utf8) + file.bytes }
    return Digest.sha256(Array((settings.map { Self.json($0, masking: false) } ?? .object([:])).text.utf8) + text)
  }

  private var pemFiles: [PEMFile] {
    let identities = (tls?.identities ?? []) + upstreams.compactMap { $0.tls?.identity }
    let files = identities.flatMap { [$0.chain, PEMFile(path: $0.keyPath, bytes: $0.key.exposed)] }
    return files + [tls?.clientRoots, tls?.clientRevocations].compactMap { $0 } + upstreams.compactMap { $0.tls?.roots }
  }

  /// The same as JSON, without where values came from.
  public var json: JSONValue { settings.map { Self.json($0, masking: true) } ?? .object([:]) }

  private func list(_ setting: Setting, indent: String, _ lines: inout [(text: String, note: String)]) {
    for (name, inner) in setting.members {
      if inner.field.kind == .anything || isMeaningless(inner) { continue }
      let isElement = setting.field.kind == .list
      let head = indent + (isElement ? "" : Self.key(name) + ": ")
      if case .members(let members) = inner.value {
        let isList = inner.field.kind == .list
        guard !members.isEmpty else {
          lines.append((head + (isList ? "[]," : "{},"), note(inner)))
          continue
        }
        lines.append((head + (isList ? "[" : "{"), ""))
        list(inner, indent: indent + "  ", &lines)
        lines.append((indent + (isList ? "]," : "},"), ""))
      } else {
        lines.append((head + Self.written(inner) + ",", note(inner)))
      }
    }
  }

  // Without routes it says nothing, and a file must not say it.
  private func isMeaningless(_ setting: Setting) -> Bool { setting.path == "unrouted" && setting.origin == .byDefault && routes == nil }

  private func note(_ setting: Setting) -> String {
    switch setting.origin {
    case .byDefault: return "default"
    case .variable(let name): return "environment \(name)"
    case .flag(let name): return "flag --\(name)"
    case .file(let span):
      guard let source else { return "file" }
      return "\(Diagnostic.printable(source.name)):\(source.position(of: span.lowerBound).line)"
    }
  }

  // As it would stand in a file: a dollar sign that means itself is written twice.
  private static func written(_ setting: Setting) -> String {
    let text = shown(setting).text
    guard text.utf8.contains(UInt8(ascii: "$")) else { return text }
    return String(decoding: text.utf8.flatMap { $0 == UInt8(ascii: "$") ? [$0, $0] : [$0] }, as: UTF8.self)
  }

  private static func shown(_ setting: Setting, masking: Bool = true) -> JSONValue {
    if setting.isMasked, masking { return .string(Setting.masked) }
    switch (setting.value, setting.field.kind) {
    case (.text(let text), _): return .string(text)
    case (.flag(let flag), _): return .bool(flag)
    case (.integer(let number), .duration): return .string(Units.duration(number))
    case (.integer(let number), .size): return .string(Units.size(number))
    case (.integer(let number), _): return .integer(number)
    case (.texts(let texts), _): return .array(texts.map { .string($0) })
    case (.members, _): return .object([:])
    }
  }

  private static func json(_ setting: Setting, masking: Bool) -> JSONValue {
    guard case .members(let members) = setting.value else { return shown(setting, masking: masking) }
    let inner = members.filter { $0.setting.field.kind != .anything }
    if setting.field.kind == .list { return .array(inner.map { json($0.setting, masking: masking) }) }
    return JSONValue(.object(inner.map { JSONValue.Member(name: $0.name, value: json($0.setting, masking: masking)) }))
  }

  private static func key(_ name: String) -> String {
    let isPlain = !name.isEmpty && name.utf8.allSatisfy { ASCII.isAlpha($0) || $0 == UInt8(ascii: "_") || ASCII.isDigit($0) }
    return isPlain && !ASCII.isDigit(name.utf8.first ?? 0x30) ? name : JSONValue.string(name).text
  }
}

/// The JSON Schema (2020-12) of the configuration, from the same table that the reader reads by.
public enum ConfigurationSchema {
  /// The schema.
  public static var json: JSONValue {
    var schema = object(Shape.root)
    schema.insert(.init(name: "$schema", value: .string("https://json-schema.org/draft/2020-12/schema")), at: 0)
    schema.insert(.init(name: "title", value: .string("stockade.json5")), at: 1)
    return JSONValue(.object(schema))
  }

  private static func schema(_ shape: Shape) -> JSONValue {
    var members: [JSONValue.Member] = []
    func add(_ name: String, _ value: JSONValue) { members.append(.init(name: name, value: value)) }
    let field = shape.field
    // A reference stands where any scalar may: what it becomes is checked when it is read.
    let reference = JSONValue.object(["type": .string("string"), "pattern": .string("\\$\\{")])
    switch field.kind {
    case .text: add("type", .string("string"))
    case .choice(let words): add("anyOf", .array([.object(["enum": .array(words.map { .string($0) })]), reference]))
    case .flag: add("anyOf", .array([.object(["type": .string("boolean")]), reference]))
    case .integer(let bounds):
      add(
        "anyOf",
        .array([
          .object(["type": .string("integer"), "minimum": .integer(bounds.lowerBound), "maximum": .integer(bounds.upperBound)]), reference,
        ]))
    case .duration: add("anyOf", .array([.object(["type": .string("string"), "pattern": .string("^[0-9]+(ms|s|m|h|d)$")]), reference]))
    case .size:
      add("anyOf", .array([.object(["type": .string("string"), "pattern": .string("^[0-9]+(B|KiB|MiB|GiB|kB|MB|GB)$")]), reference]))
    case .texts:
      add("type", .string("array"))
      add("items", .object(["type": .string("string")]))
    case .list:
      add("type", .string("array"))
      if let element = shape.element { add("items", schema(element)) }
    case .names:
      add("type", .string("object"))
      add("propertyNames", .object(["minLength": .integer(1)]))
      if let element = shape.element { add("additionalProperties", schema(element)) }
    case .object:
      let whole = JSONValue(.object(object(shape)))
      let bare = [field.shorthand, field.listShorthand].compactMap { $0.flatMap(shape.member) }
      guard !bare.isEmpty else { return whole }
      add("anyOf", .array([whole] + bare.map { schema($0) }))
    case .anything: break
    }
    add("description", .string(field.help))
    if let fallback = field.fallback, let value = fallbackJSON(fallback, field.kind) { add("default", value) }
    return JSONValue(.object(members))
  }

  private static func object(_ shape: Shape) -> [JSONValue.Member] {
    [
      .init(name: "type", value: .string("object")), .init(name: "description", value: .string(shape.field.help)),
      .init(name: "properties", value: JSONValue(.object(shape.members.map { .init(name: $0.name, value: schema($0.shape)) }))),
      .init(name: "additionalProperties", value: .bool(false)),
    ]
  }

  private static func fallbackJSON(_ text: String, _ kind: Field.Kind) -> JSONValue? {
    switch kind {
    case .flag: .bool(exactlyEquals(text, "true"))
    case .integer: Int64(text).map { .integer($0) }
    default: .string(text)
    }
  }
}
