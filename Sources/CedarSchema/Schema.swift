internal import Bytes
public import Cedar
public import JSON

/// A schema with every name resolved and every common type expanded: what entities look like, what actions apply to.
///
/// Source: Cedar reference, "schema"; name resolution by RFC 24 and RFC 70 of the Cedar project.
public struct Schema: Sendable {
  /// One entity type.
  public struct EntityTypeDefinition: Sendable {
    /// Its name.
    public let name: EntityType
    /// The only valid ids; nil for an ordinary entity type.
    public let enumeratedIDs: [String]?
    /// Its attributes; empty for an enumerated type.
    public let attributes: RecordType
    /// The type of every tag; nil where tags are not allowed.
    public let tags: CedarType?
    /// The types its direct parents may have, as declared.
    public let parents: [EntityType]
    private let valid: Set<ExactString>

    init(name: EntityType, enumeratedIDs: [String]?, attributes: RecordType, tags: CedarType?, parents: [EntityType]) {
      self.name = name
      self.enumeratedIDs = enumeratedIDs
      self.attributes = attributes
      self.tags = tags
      self.parents = parents
      valid = Set((enumeratedIDs ?? []).map { ExactString($0) })
    }

    /// Whether an entity of the type may have the id.
    public func allows(id: String) -> Bool { enumeratedIDs == nil || valid.contains(ExactString(id)) }
  }

  /// One action.
  public struct ActionDefinition: Sendable {
    /// Its name.
    public let uid: EntityUID
    /// Types of principals it applies to, in byte order; none for a group.
    public let principals: [EntityType]
    /// Types of resources it applies to, in byte order; none for a group.
    public let resources: [EntityType]
    /// The type of its context.
    public let context: RecordType
    /// Its direct parents, in byte order.
    public let parents: [EntityUID]
  }

  /// The entity types in byte order of their names.
  public let entityTypes: [EntityTypeDefinition]
  /// The actions in byte order of their names.
  public let actions: [ActionDefinition]
  /// Oddities of the text.
  public let warnings: [SchemaWarning]

  private let typeIndex: [EntityType: Int]
  private let actionIndex: [EntityUID: Int]
  private let typeHierarchy: Hierarchy
  private let actionHierarchy: Hierarchy
  /// Pairs of action types of which the second can be above the first.
  private let actionTypesAbove: [EntityType: Set<EntityType>]

  init(
    entityTypes: [EntityTypeDefinition], actions: [ActionDefinition], typeIndex: [EntityType: Int], actionIndex: [EntityUID: Int],
    typeHierarchy: Hierarchy, actionHierarchy: Hierarchy, warnings: [SchemaWarning]
  ) {
    self.entityTypes = entityTypes
    self.actions = actions
    self.warnings = warnings
    self.typeIndex = typeIndex
    self.actionIndex = actionIndex
    self.typeHierarchy = typeHierarchy
    self.actionHierarchy = actionHierarchy
    // Actions are many and their types few: pairs are collected by number before anything is hashed.
    var numbers: [EntityType: Int] = [:]
    var names: [EntityType] = []
    var types: [Int] = []
    for action in actions {
      if let number = numbers[action.uid.type] {
        types.append(number)
      } else {
        numbers[action.uid.type] = names.count
        types.append(names.count)
        names.append(action.uid.type)
      }
    }
    var seen: [Set<Int>] = Array(repeating: [], count: numbers.count)
    for index in actions.indices where !actions[index].parents.isEmpty {
      var last = -1
      for ancestor in actionHierarchy.ancestors(of: index) where types[ancestor] != last {
        last = types[ancestor]
        seen[types[index]].insert(last)
      }
    }
    var above: [EntityType: Set<EntityType>] = [:]
    for (number, type) in names.enumerated() { above[type] = Set(seen[number].map { names[$0] }) }
    actionTypesAbove = above
  }
}

// MARK: Reading

extension Schema {
  /// Reads a schema in the Cedar syntax.
  public init(_ text: String, limits: SchemaLimits = SchemaLimits()) throws(SchemaErrors) {
    try self.init([SchemaFragment(text, limits: limits)], limits: limits)
  }

  /// Reads a schema in the JSON format.
  public init(json: JSONValue, limits: SchemaLimits = SchemaLimits()) throws(SchemaErrors) {
    try self.init([SchemaFragment(json: json, limits: limits)], limits: limits)
  }

  /// Reads a schema in the JSON format.
  public init(jsonText: String, limits: SchemaLimits = SchemaLimits()) throws(SchemaErrors) {
    try self.init([SchemaFragment(jsonText: jsonText, limits: limits)], limits: limits)
  }

  /// Resolves fragments that together are one schema.
  public init(_ fragments: [SchemaFragment], limits: SchemaLimits = SchemaLimits()) throws(SchemaErrors) {
    self = try Resolver.resolve(fragments, limits: limits)
  }
}

extension SchemaFragment {
  /// Reads the Cedar syntax. Names need not resolve, but what is declared must be declared once and have a permitted name.
  public init(_ text: String, limits: SchemaLimits = SchemaLimits()) throws(SchemaErrors) {
    let (fragment, errors) = SchemaParser.parse(text, limits: limits)
    self = try Self.checked(fragment, errors, limits)
  }

  /// Reads the JSON format, likewise.
  public init(json: JSONValue, limits: SchemaLimits = SchemaLimits()) throws(SchemaErrors) {
    let (fragment, errors) = SchemaJSONReader.read(json, limits: limits)
    self = try Self.checked(fragment, errors, limits)
  }

  /// Reads the JSON format, likewise.
  public init(jsonText: String, limits: SchemaLimits = SchemaLimits()) throws(SchemaErrors) {
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONParser.parse(jsonText, limits: JSONParser.Limits(bytes: limits.bytes))
    } catch {
      throw SchemaErrors([SchemaError(.syntax, error.description, at: SourceSpan(error.offset, error.offset + error.length))])
    }
    try self.init(json: value, limits: limits)
  }

  private static func checked(_ fragment: SchemaFragment, _ errors: [SchemaError], _ limits: SchemaLimits) throws(SchemaErrors)
    -> SchemaFragment
  {
    // What was read is checked even if something else could not be, so that one run shows everything.
    let all = errors + DeclarationCheck(fragment).errors
    guard all.isEmpty else { throw SchemaErrors(all, limit: limits.errors) }
    return fragment
  }

  /// The fragment in the JSON format.
  public var json: JSONValue { SchemaJSONWriter.value(of: self) }

  /// The fragment in the Cedar syntax. Fails where that syntax cannot say what the JSON format can.
  public func cedarText() throws(SchemaErrors) -> String { try SchemaPrinter.text(of: self) }
}

// MARK: Lookups

extension Schema {
  /// The entity type of that name; action types are none.
  public func entityType(_ name: EntityType) -> EntityTypeDefinition? { typeIndex[name].map { entityTypes[$0] } }

  /// The action of that name.
  public func action(_ uid: EntityUID) -> ActionDefinition? { actionIndex[uid].map { actions[$0] } }

  /// Whether entities of the first type can be below entities of the second, by the declared hierarchy; a type is below
  /// itself only if declared so.
  public func canBe(_ descendant: EntityType, below ancestor: EntityType) -> Bool {
    guard let below = typeIndex[descendant], let above = typeIndex[ancestor] else { return false }
    return typeHierarchy.isAncestor(above, of: below)
  }

  /// The types whose entities can be below entities of that type, in byte order; the type itself only if declared so.
  public func types(below ancestor: EntityType) -> [EntityType] {
    typeIndex[ancestor].map { typeHierarchy.descendants(of: $0).map { entityTypes[$0].name } } ?? []
  }

  /// The types whose entities can be above entities of that type, in byte order; the type itself only if declared so.
  public func types(above descendant: EntityType) -> [EntityType] {
    typeIndex[descendant].map { typeHierarchy.ancestors(of: $0).map { entityTypes[$0].name } } ?? []
  }

  /// All ancestors of an action, in byte order.
  public func ancestors(ofAction uid: EntityUID) -> [EntityUID] {
    actionIndex[uid].map { actionHierarchy.ancestors(of: $0).map { actions[$0].uid } } ?? []
  }

  /// The actions below an action, in byte order.
  public func actions(below uid: EntityUID) -> [EntityUID] {
    actionIndex[uid].map { actionHierarchy.descendants(of: $0).map { actions[$0].uid } } ?? []
  }

  /// Whether `action in group` is true.
  public func isAction(_ action: EntityUID, in group: EntityUID) -> Bool {
    if action == group { return true }
    guard let below = actionIndex[action], let above = actionIndex[group] else { return false }
    return actionHierarchy.isAncestor(above, of: below)
  }

  /// Whether some action of the first type can be below some action of the second.
  func canBeAction(_ descendant: EntityType, below ancestor: EntityType) -> Bool {
    descendant == ancestor || actionTypesAbove[descendant]?.contains(ancestor) == true
  }

  /// One entity for each action, with its direct parents. They belong to every entity store used with the schema.
  public var actionEntities: [Entity] { actions.map { Entity(uid: $0.uid, parents: Set($0.parents)) } }
}
