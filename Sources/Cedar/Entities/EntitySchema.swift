internal import Bytes

/// What the reader of entities and contexts wants to know of a schema; `CedarSchema` answers.
///
/// With it, JSON is read by what is expected: a plain string becomes an `ipaddr`, `{"type", "id"}` an entity reference.
/// Whether the outcome conforms to the schema in full is `CedarSchema`'s to check afterwards.
public protocol EntitySchema {
  /// What is expected of entities of a type, or nil for a type that is not declared (action types included: they are
  /// read without expectation).
  func expectedEntity(of type: EntityType) -> ExpectedEntity?
  /// The declared type that may have been meant by one that is not; nil where there is no good guess.
  func nearestType(to type: EntityType) -> EntityType?
  /// What is expected of the context of an action, or nil for an action that is not declared.
  func expectedContext(of action: EntityUID) -> [ExpectedAttribute]?
}

extension EntitySchema {
  /// No guess.
  public func nearestType(to type: EntityType) -> EntityType? { nil }
}

/// What is expected of an entity.
public struct ExpectedEntity: Sendable {
  /// Its attributes.
  public var attributes: [ExpectedAttribute]
  /// The type of every tag, or nil if it may have no tags.
  public var tags: ExpectedType?
  /// Whether other attributes may occur as well.
  public var isOpen: Bool

  /// An expectation.
  public init(attributes: [ExpectedAttribute], tags: ExpectedType? = nil, isOpen: Bool = false) {
    self.attributes = attributes
    self.tags = tags
    self.isOpen = isOpen
  }
}

/// One expected attribute.
public struct ExpectedAttribute: Sendable {
  /// Its key.
  public var key: String
  /// Its type.
  public var type: ExpectedType
  /// Whether it must be there.
  public var isRequired: Bool

  /// An expectation.
  public init(_ key: String, _ type: ExpectedType, isRequired: Bool = true) {
    self.key = key
    self.type = type
    self.isRequired = isRequired
  }
}

/// An expected type. Nesting is bounded by the schema reader's limits.
public indirect enum ExpectedType: Sendable {
  case bool, long, string
  /// An entity; of which type is not checked in reading.
  case entity(EntityType)
  case set(ExpectedType)
  /// A record; with `isOpen` other keys may occur as well.
  case record([ExpectedAttribute], isOpen: Bool)
  case `extension`(ExtensionType)
}

/// Expected attributes by key: a list as long as it is short, a table beyond.
struct ExpectedAttributes {
  private let list: [ExpectedAttribute]
  private let table: [ExactString: ExpectedAttribute]

  init(_ attributes: [ExpectedAttribute]) {
    list = attributes
    table =
      attributes.count <= 16 ? [:] : Dictionary(attributes.map { (ExactString($0.key), $0) }, uniquingKeysWith: { _, last in last })
  }

  subscript(key: String) -> ExpectedAttribute? {
    table.isEmpty ? list.last { exactlyEquals($0.key, key) } : table[ExactString(key)]
  }
}
