internal import AWS
public import Bytes
internal import Cedar
internal import Crypto
internal import JSON

/// What a folder remembers of the stores that it was pushed to or pulled from: which policy of theirs is which of ours, who made it,
/// and what both sides had when they last agreed.
public struct StoreManifest: Sendable, Equatable {
  /// The file's name in a policy folder.
  public static let fileName = "avp.json"

  /// One policy or template on both sides.
  public struct Entry: Sendable, Equatable {
    /// The store's id.
    public var id: String
    /// Whether it was made from these files.
    public var isMade: Bool
    /// Its name in the store.
    public var name: String?
    /// Its description in the store.
    public var description: String?
    /// The digest of what both sides had.
    public var digest: String

    /// An entry.
    public init(id: String, isMade: Bool, name: String?, description: String?, digest: String) {
      self.id = id
      self.isMade = isMade
      self.name = name
      self.description = description
      self.digest = digest
    }
  }

  /// What was begun and perhaps not ended: written down before it is asked for.
  public enum Begun: Sendable, Equatable {
    /// Something of ours is made; the service knows the request by the token if it is made twice.
    case create(of: String, digest: String, token: String)
    /// Something of the store is deleted.
    case delete(String)
  }

  /// What is known of one store.
  public struct Store: Sendable, Equatable {
    /// Static policies and links, by what they are called here.
    public var policies: [ExactString: Entry] = [:]
    /// Templates, by what they are called here.
    public var templates: [ExactString: Entry] = [:]
    /// The schema that both sides had, and whether it came from these files.
    public var schema: (digest: String, isMade: Bool)?
    /// What was replaced and is still to be deleted.
    public var retired: [String] = []
    /// What was begun.
    public var begun: Begun?

    /// Nothing.
    public init() {}

    /// Equal if all is.
    public static func == (a: Store, b: Store) -> Bool {
      a.policies == b.policies && a.templates == b.templates && a.schema?.digest == b.schema?.digest
        && a.schema?.isMade == b.schema?.isMade && a.retired == b.retired && a.begun == b.begun
    }
  }

  /// The stores, by their ids.
  public var stores: [ExactString: Store] = [:]

  /// No stores.
  public init() {}

  /// What is known of a store.
  public subscript(store: String) -> Store {
    get { stores[ExactString(store)] ?? Store() }
    set { stores[ExactString(store)] = newValue }
  }
}

// MARK: - The file

extension StoreManifest {
  /// Reads the file; the mistake is drawn with its place.
  public init(_ source: SourceText) throws(StoreManifestError) {
    let json: JSONValue
    do throws(JSONError) { json = try JSONParser.parse(source.bytes) } catch {
      throw StoreManifestError(Diagnostic(.error, "\(error)", at: error.offset..<error.offset + error.length).rendered(in: source))
    }
    guard json["version"]?.integer == 1, let stores = json["stores"]?.object else {
      throw StoreManifestError(
        Diagnostic(.error, "this is no list of what stores hold, or one of a later version", at: json.span).rendered(in: source))
    }
    for member in stores {
      guard let store = Store(member.value) else {
        throw StoreManifestError(
          Diagnostic(
            .error, "what is noted of this store cannot be read", at: member.nameSpan,
            help: "take the file as it was from your history; without it a push begins anew, by what policies say"
          ).rendered(in: source))
      }
      self[member.name] = store
    }
  }

  /// The file's text.
  public var text: String {
    let stores = stores.sorted { Self.precedes($0.key, $1.key) }
    let json: JSONValue = .object([
      "version": .integer(1), "stores": JSONValue(.object(stores.map { .init(name: $0.key.string, value: $0.value.json) })),
    ])
    return IndentedJSON.text(of: Array(json.text.utf8))
  }

  fileprivate static func precedes(_ a: ExactString, _ b: ExactString) -> Bool {
    a.string.utf8.lexicographicallyPrecedes(b.string.utf8)
  }
}

extension StoreManifest.Store {
  fileprivate init?(_ json: JSONValue) {
    func entries(_ name: String) -> [ExactString: StoreManifest.Entry]? {
      var entries: [ExactString: StoreManifest.Entry] = [:]
      for member in json[name]?.object ?? [] {
        guard let id = member.value["id"]?.string, let digest = member.value["digest"]?.string else { return nil }
        entries[ExactString(member.name)] = StoreManifest.Entry(
          id: id, isMade: member.value["made"]?.bool ?? false, name: member.value["name"]?.string,
          description: member.value["description"]?.string, digest: digest)
      }
      return entries
    }
    guard let policies = entries("policies"), let templates = entries("templates") else { return nil }
    self.init()
    self.policies = policies
    self.templates = templates
    if let schema = json["schema"], let digest = schema["digest"]?.string { self.schema = (digest, schema["made"]?.bool ?? false) }
    retired = (json["retired"]?.array ?? []).compactMap(\.string)
    if let begun = json["begun"] {
      if let id = begun["delete"]?.string {
        self.begun = .delete(id)
      } else if let id = begun["create"]?.string, let digest = begun["digest"]?.string, let token = begun["token"]?.string {
        self.begun = .create(of: id, digest: digest, token: token)
      }
    }
  }

  fileprivate var json: JSONValue {
    func entries(_ entries: [ExactString: StoreManifest.Entry]) -> JSONValue {
      JSONValue(
        .object(
          entries.sorted { StoreManifest.precedes($0.key, $1.key) }.map { key, entry in
            .init(
              name: key.string,
              value: .wire([
                "id": .string(entry.id), "name": entry.name.map { .string($0) }, "description": entry.description.map { .string($0) },
                "made": .bool(entry.isMade), "digest": .string(entry.digest),
              ]))
          }))
    }
    let begun: JSONValue? =
      switch begun {
      case .create(let id, let digest, let token):
        .object(["create": .string(id), "digest": .string(digest), "token": .string(token)])
      case .delete(let id): .object(["delete": .string(id)])
      case nil: nil
      }
    return .wire([
      "schema": schema.map { .object(["digest": .string($0.digest), "made": .bool($0.isMade)]) },
      "templates": entries(templates), "policies": entries(policies),
      "retired": retired.isEmpty ? nil : .array(retired.map { .string($0) }), "begun": begun,
    ])
  }
}

/// Why a manifest cannot be read.
public struct StoreManifestError: Error, Sendable {
  /// The mistake, drawn with its place.
  public let rendered: String

  init(_ rendered: String) { self.rendered = rendered }
}

/// What a policy or template comes to, by which the two sides are compared.
enum StoreContent: Equatable {
  /// A text without white space around it.
  case statement(ExactString)
  /// A link; the template by the store's id.
  case link(template: String, principal: EntityUID?, resource: EntityUID?)

  /// A statement's.
  static func statement(_ text: String) -> StoreContent { .statement(ExactString(StoreText.trimmed(text))) }

  /// A stored policy's.
  init(_ policy: StoredPolicy) {
    self =
      switch policy.definition {
      case .statement(let text): .statement(text.string)
      case .link(let template, let principal, let resource): .link(template: template, principal: principal, resource: resource)
      }
  }

  /// Equal for equal contents, and short.
  var digest: String {
    let bytes: [UInt8] =
      switch self {
      case .statement(let text): Array(text.string.utf8)
      case .link(let template, let principal, let resource):
        Array("link\n\(template)\n\(principal?.description ?? "")\n\(resource?.description ?? "")".utf8)
      }
    return Self.digest(bytes)
  }

  static func digest(_ bytes: [UInt8]) -> String { "sha256:" + Hex.encode(Digest.sha256(bytes)).prefix(32) }
  static func digest(schema: JSONValue) -> String { digest(Array(StoreText.canonical(schema).text.utf8)) }
}
