public import AWS
internal import Bytes
internal import Cedar
public import CedarSchema
internal import JSON

/// A store's contents as files: one a policy or template, `links.cedar.json`, and the schema in the store's own text.
public struct StoreFiles: Sendable {
  /// A file to be.
  public struct File: Sendable {
    /// Its name, without a folder.
    public let name: String
    /// What is in it.
    public let text: String
  }

  /// Policy texts, and links if there are any.
  public private(set) var policies: [File] = []
  /// The schema.
  public let schema: File?
  /// Ids that two of the store's policies have by their `@id`.
  public private(set) var repeated: [String] = []
  /// What says `@mode("shadow")`: the store enforces it, and an engine here would not.
  public private(set) var shadowed: [String] = []
  // What everything is called by the engine that reads these files.
  private(set) var names: [ExactString: String] = [:]

  /// The files' name for links.
  static let linksName = "links.cedar.json"
  /// The files' name for the schema.
  static let schemaName = "schema.json"

  /// The files of a whole store.
  public init(_ contents: PolicyStoreContents, ids: PolicyBundle.Options.PolicyIDs) {
    self.init(
      contents.templates.map { StoredItem($0) } + contents.policies.map { StoredItem($0, in: contents) }, ids: ids, schema: contents.schema)
  }

  /// The files of some of a store.
  ///
  /// - Parameters:
  ///   - taken: Names of files that are there already.
  ///   - known: What is called how already, by the store's ids.
  ///   - takenIDs: What is called so already.
  init(
    _ items: [StoredItem], ids: PolicyBundle.Options.PolicyIDs, schema: StoredSchema? = nil, taken: Set<ExactString> = [],
    known: [ExactString: String] = [:], takenIDs: Set<ExactString> = []
  ) {
    self.schema = schema.map { File(name: Self.schemaName, text: Self.lines($0.text.string)) }
    var byName: [ExactString: Int] = [:]
    for item in items { byName[ExactString(Self.slug(of: item)), default: 0] += 1 }
    var used = takenIDs
    func title(_ item: StoredItem, file: Bool) -> String {
      let slug = Self.slug(of: item)
      let isTaken = file ? taken.contains(ExactString(slug + ".cedar")) : used.contains(ExactString(slug))
      return isTaken || byName[ExactString(slug)] ?? 0 > 1 ? "\(slug)-\(item.id)" : slug
    }
    for item in items {
      guard let text = item.fullText else { continue }
      let name = title(item, file: true) + ".cedar"
      let policy = StoreText.policy(text)
      let id = (ids == .annotation ? policy?.annotation("id") : nil) ?? "\(name)#0"
      if policy?.annotation(PolicyMode.annotation) == PolicyMode.shadow.rawValue { shadowed.append(id) }
      if !used.insert(ExactString(id)).inserted { repeated.append(id) }
      names[ExactString(item.id)] = id
      policies.append(File(name: name, text: Self.lines(text)))
    }
    var links: [JSONValue] = []
    for item in items {
      guard case .link(let template, _, _) = item.content else { continue }
      let id = title(item, file: false)
      used.insert(ExactString(id))
      names[ExactString(item.id)] = id
      links.append(Self.link(item, id, template: names[ExactString(template)] ?? known[ExactString(template)] ?? template))
    }
    if !links.isEmpty {
      policies.append(File(name: Self.linksName, text: Self.linksFile(links)))
    }
  }

  /// The text of a file of links alone.
  static func linksFile(_ links: [JSONValue]) -> String {
    let json: JSONValue = .object(["staticPolicies": .object([:]), "templates": .object([:]), "templateLinks": .array(links)])
    return IndentedJSON.text(of: Array(json.text.utf8))
  }

  /// A link as a policy set in JSON has it.
  static func link(_ item: StoredItem, _ id: String, template: String) -> JSONValue {
    guard case .link(_, let principal, let resource) = item.content else { return .object([:]) }
    func value(_ uid: EntityUID) -> JSONValue {
      .object(["type": .string(uid.type.text), "id": .string(uid.id)])
    }
    return .object([
      "templateId": .string(template), "newId": .string(id),
      "values": .wire(["?principal": principal.map(value), "?resource": resource.map(value)]),
    ])
  }

  /// A name for the file of something: after its name in the store, else after its `@id`, else after the store's id.
  static func slug(of item: StoredItem) -> String {
    let annotated = item.text.flatMap { StoreText.policy($0)?.annotation("id") }
    for text in [item.name.map { $0.hasPrefix("name/") ? String($0.dropFirst(5)) : $0 }, annotated] {
      guard let text, !text.isEmpty, text.utf8.count <= 100 else { continue }
      let bytes = text.utf8.map { byte in
        ASCII.isAlpha(byte) || ASCII.isDigit(byte) || "-_.".utf8.contains(byte) ? byte : UInt8(ascii: "-")
      }
      // What begins with a dot is hidden, and what begins with a dash is taken for a flag.
      let slug = String(decoding: bytes.drop { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }, as: UTF8.self)
      if !slug.isEmpty { return slug }
    }
    return item.id
  }

  private static func lines(_ text: String) -> String { text.utf8.last == ASCII.lf ? text : text + "\n" }
}
