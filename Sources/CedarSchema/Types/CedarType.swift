internal import Bytes
public import Cedar

/// A type of the validator (Cedar reference, "validation"; Lean specification, `CedarType`).
///
/// Depth and size are bounded by `SchemaLimits` for types from schemas and by the expression's for types of expressions, so
/// recursion over types is bounded, too.
public indirect enum CedarType: Hashable, Sendable {
  /// The type of expressions that have no value; below every type.
  case never
  /// The type of `true` alone.
  case `true`
  /// The type of `false` alone.
  case `false`
  case bool
  case long
  case string
  /// Entities of one type, or (permissive validation only) of one of several.
  case entity(EntityUnion)
  /// Entities of whatever type.
  case anyEntity
  /// Sets; nil stands above all sets and only occurs where a set of any kind is expected.
  case set(CedarType?)
  case record(RecordType)
  case `extension`(ExtensionType)

  /// The type of one Boolean literal.
  static func singleton(_ value: Bool) -> CedarType { value ? .true : .false }

  /// Entities of one type.
  static func entity(of type: EntityType) -> CedarType { .entity(EntityUnion(type)) }

  /// Above all records.
  static let anyRecord = CedarType.record(RecordType(attributes: [], isOpen: true))

  /// Whether this is one of the three Boolean types.
  var isBoolean: Bool {
    switch self {
    case .bool, .true, .false: true
    default: false
    }
  }
}

/// One or more entity types.
public struct EntityUnion: Hashable, Sendable {
  /// The types in byte order, at least one, each once.
  public let types: [EntityType]

  init(_ type: EntityType) { types = [type] }

  private init(sorted types: [EntityType]) { self.types = types }

  /// The type, if it is only one.
  public var single: EntityType? { types.count == 1 ? types[0] : nil }

  func contains(_ type: EntityType) -> Bool { types.contains(type) }

  func union(_ other: EntityUnion) -> EntityUnion {
    if self == other { return self }
    return EntityUnion(sorted: Set(types).union(other.types).sorted())
  }

  func isSubset(of other: EntityUnion) -> Bool { types.allSatisfy(other.contains) }

  func isDisjoint(with other: EntityUnion) -> Bool { !types.contains(where: other.contains) }
}

/// A record type.
public struct RecordType: Hashable, Sendable {
  /// One attribute.
  public struct Attribute: Hashable, Sendable {
    /// Its name.
    public let name: String
    /// Its type.
    public let type: CedarType
    /// Whether it is always present.
    public let isRequired: Bool

    /// An attribute.
    public init(_ name: String, _ type: CedarType, isRequired: Bool = true) {
      self.name = name
      self.type = type
      self.isRequired = isRequired
    }

    /// Byte equality of names, equality of the rest.
    public static func == (a: Attribute, b: Attribute) -> Bool {
      exactlyEquals(a.name, b.name) && a.isRequired == b.isRequired && a.type == b.type
    }

    /// Hashes what equality compares.
    public func hash(into hasher: inout Hasher) {
      hasher.combine(ExactString(name))
      hasher.combine(isRequired)
      hasher.combine(type)
    }
  }

  /// The attributes in byte order of their names, each once.
  public let attributes: [Attribute]
  /// Whether a value may have other attributes as well.
  public let isOpen: Bool

  /// A record type; the names must be distinct.
  public init(attributes: some Sequence<Attribute>, isOpen: Bool = false) {
    self.attributes = attributes.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    self.isOpen = isOpen
  }

  /// The closed record without attributes.
  public static let empty = RecordType(attributes: [])

  /// The attribute of that name.
  public subscript(name: String) -> Attribute? {
    var low = 0
    var high = attributes.count
    while low < high {
      let middle = (low + high) / 2
      if exactlyEquals(attributes[middle].name, name) { return attributes[middle] }
      if attributes[middle].name.utf8.lexicographicallyPrecedes(name.utf8) { low = middle + 1 } else { high = middle }
    }
    return nil
  }

  /// Whether both have attributes of the same names.
  func hasSameNames(as other: RecordType) -> Bool {
    attributes.count == other.attributes.count && zip(attributes, other.attributes).allSatisfy { exactlyEquals($0.name, $1.name) }
  }
}

extension CedarType: CustomStringConvertible {
  /// The type as the reference's messages name it.
  public var description: String {
    switch self {
    case .never: "__cedar::internal::Never"
    case .true: "__cedar::internal::True"
    case .false: "__cedar::internal::False"
    case .bool: "Bool"
    case .long: "Long"
    case .string: "String"
    case .entity(let union):
      union.single?.text ?? "__cedar::internal::Union<\(union.types.map(\.text).joined(separator: ", "))>"
    case .anyEntity: "__cedar::internal::AnyEntity"
    case .set(let element): "Set<\(element?.description ?? "__cedar::internal::Any")>"
    case .record(let record): record.description
    case .extension(let type): type.rawValue
    }
  }
}

extension RecordType: CustomStringConvertible {
  /// The type as the reference's messages name it, cut where it grows too long to be read.
  public var description: String {
    var text = isOpen ? "__cedar::internal::OpenRecord{" : "{"
    for attribute in attributes {
      guard text.utf8.count < 1000 else { return text + "…}" }
      text += "\(attribute.name)\(attribute.isRequired ? "" : "?"): \(attribute.type),"
    }
    return text + "}"
  }
}
