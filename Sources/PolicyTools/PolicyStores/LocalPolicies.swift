public import Bytes
public import Cedar
public import CedarSchema
internal import JSON

/// The policies of a folder as a store would hold them: each by itself, with a text of its own.
public struct LocalPolicies: Sendable {
  /// A static policy or a template.
  public struct Statement: Sendable {
    /// What it is called in the folder.
    public var id: PolicyID { policy.id }
    /// What it says.
    public let policy: Policy
    /// Whether it decides through links alone.
    public let isTemplate: Bool
    /// Its text with the comments that belong to it, without white space around it.
    public let text: String
    /// The file that it stands in, by its place among the folder's.
    let file: Int
    /// The bytes that are its own in a file in Cedar syntax; nil in a JSON file.
    let range: Range<Int>?
    /// How many statements stand before it in its file.
    let number: Int
  }

  /// A template with entities in its slots.
  public struct Link: Sendable {
    /// What it is called, and what it links.
    public let link: TemplateLink
    /// What its template does.
    public let effect: Effect
    let file: Int
  }

  /// The files in Cedar syntax and in JSON.
  let files: [SourceText]
  /// Static policies and templates, file by file, as they stand there.
  public private(set) var statements: [Statement] = []
  /// Links.
  public private(set) var links: [Link] = []
  /// The schema's text.
  public let schema: SourceText?
  /// What is in the shadow here: it must not get to where it would be enforced.
  public let shadowed: Set<PolicyID>

  /// The policies of a bundle without errors.
  public init(_ bundle: PolicyBundle) throws(OutputTooLarge) {
    files = bundle.sources.policies
    schema = bundle.sources.schema
    var shadowed = bundle.shadowed
    let set = bundle.policies
    let places = Dictionary(files.enumerated().map { (ExactString($1.name), $0) }) { first, _ in first }
    func file(of id: PolicyID) -> Int { bundle.source(of: id).flatMap { places[ExactString($0.name)] } ?? 0 }
    let templates = Set(set.templates.map(\.id))
    // Those of a template are found by the bundle; the template itself would be as wrong in a store.
    shadowed.formUnion(set.templates.filter { $0.annotation(PolicyMode.annotation) == PolicyMode.shadow.rawValue }.map(\.id))
    self.shadowed = shadowed
    var byFile = [[Policy]](repeating: [], count: files.count)
    for policy in set.policies + set.templates { byFile[file(of: policy.id)].append(policy) }
    for (index, source) in files.enumerated() {
      let policies = byFile[index].sorted { ($0.span.start, $0.id) < ($1.span.start, $1.id) }
      let ranges = source.name.hasSuffix(".json") ? nil : Self.ranges(of: policies, in: source.bytes)
      for (number, policy) in policies.enumerated() {
        let range = ranges?[number]
        let text: String
        if let range { text = String(decoding: source.bytes[range], as: UTF8.self) } else { text = try Self.printed(policy) }
        statements.append(
          Statement(
            policy: policy, isTemplate: templates.contains(policy.id), text: StoreText.trimmed(text), file: index, range: range,
            number: number))
      }
    }
    for link in set.links {
      links.append(Link(link: link, effect: set.statement(link.id)?.effect ?? .forbid, file: file(of: link.id)))
    }
  }

  private init() {
    files = []
    schema = nil
    shadowed = []
  }

  /// An empty folder.
  public static let none = LocalPolicies()

  private static func printed(_ policy: Policy) throws(OutputTooLarge) -> String {
    let printed = try PolicyPrinter.text(of: policy)
    do throws(ParseErrors) { return try PolicyFormatter.format(printed) } catch { return printed }
  }

  /// Cuts a file so that every byte belongs to one policy: what stands before a policy, and what stands behind it on its last line.
  private static func ranges(of policies: [Policy], in bytes: [UInt8]) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var start = 0
    for (index, policy) in policies.enumerated() {
      let end = index + 1 == policies.count ? bytes.count : endOfLine(after: policy.span.end, in: bytes)
      ranges.append(start..<max(start, min(end, bytes.count)))
      start = max(start, min(end, bytes.count))
    }
    return ranges
  }

  // A comment behind a policy on its line is about it; another policy there is not.
  private static func endOfLine(after end: Int, in bytes: [UInt8]) -> Int {
    guard end >= 0, end <= bytes.count else { return bytes.count }
    var at = end
    while at < bytes.count, bytes[at] == ASCII.space || bytes[at] == ASCII.tab { at += 1 }
    guard at + 1 < bytes.count, bytes[at] == UInt8(ascii: "/"), bytes[at + 1] == UInt8(ascii: "/") else { return end }
    return bytes[at...].firstIndex(of: ASCII.lf) ?? bytes.count
  }
}

/// Texts and ids as folders and stores compare them.
enum StoreText {
  /// Without white space at its ends: a file ends in a line end, a statement need not.
  static func trimmed(_ text: String) -> String {
    let bytes = Array(text.utf8)
    guard let first = bytes.firstIndex(where: { !isSpace($0) }), let last = bytes.lastIndex(where: { !isSpace($0) }) else { return "" }
    return String(decoding: bytes[first...last], as: UTF8.self)
  }

  static func isSpace(_ byte: UInt8) -> Bool { byte == ASCII.space || (0x09...0x0d).contains(byte) }

  /// JSON with its members in one order, for comparing by digest.
  static func canonical(_ json: JSONValue) -> JSONValue {
    if let members = json.object {
      let sorted = members.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
      return JSONValue(.object(sorted.map { JSONValue.Member(name: $0.name, value: canonical($0.value)) }))
    }
    if let elements = json.array { return .array(elements.map(canonical)) }
    return json
  }

  /// The policy alone in its text; nil if it is not alone.
  static func policy(_ text: String) -> Policy? {
    do throws(ParseErrors) {
      let policies = try PolicyParser.parse(text)
      return policies.count == 1 ? policies.first : nil
    } catch { return nil }
  }

  /// What a policy decides, without what it is called and told of.
  static func meaning(of policy: Policy) -> [UInt8]? {
    let bare = Policy(
      id: "", effect: policy.effect, principal: policy.principal, action: policy.action, resource: policy.resource,
      conditions: policy.conditions, expressions: policy.expressions)
    var writer = JSONWriter()
    do throws(OutputTooLarge) { try PolicyJSON.write(bare, to: &writer) } catch { return nil }
    return writer.bytes
  }

  /// A schema file in Cedar's JSON format: as it stands there, or translated.
  static func schemaJSON(_ source: SourceText) -> (text: String, json: JSONValue)? {
    let text = String(decoding: source.bytes, as: UTF8.self)
    if source.name.hasSuffix(".json") { return json(text).map { (text, $0) } }
    do throws(SchemaErrors) {
      let value = try SchemaFragment(text).json
      return (value.text, value)
    } catch { return nil }
  }

  static func json(_ text: String) -> JSONValue? {
    do throws(JSONError) { return try JSONParser.parse(text) } catch { return nil }
  }
}
