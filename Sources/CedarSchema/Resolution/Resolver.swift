internal import Bytes
internal import Cedar

/// Turns fragments into a schema: finds what every name refers to (RFC 24, RFC 70), expands common types, closes the
/// hierarchies. Everything wrong is reported at once.
struct Resolver {
  private let limits: SchemaLimits
  private var errors: [SchemaError] = []
  private var declarations = Declarations()
  private var commonTypes: [Name: ExpandedType] = [:]

  static func resolve(_ fragments: [SchemaFragment], limits: SchemaLimits) throws(SchemaErrors) -> Schema {
    var resolver = Resolver(limits: limits)
    return try resolver.schema(fragments)
  }

  private init(limits: SchemaLimits) { self.limits = limits }

  private mutating func schema(_ fragments: [SchemaFragment]) throws(SchemaErrors) -> Schema {
    declarations = Declarations(fragments, limits: limits)
    // Fragments that were read have been checked; fragments that a program made have not.
    let checks = fragments.map { DeclarationCheck($0) }
    errors = checks.flatMap(\.errors) + declarations.errors
    // Too many declarations are not worth resolving; whatever else is wrong must not hide what names refer to nothing.
    if errors.contains(where: { $0.kind == .limit }) { throw SchemaErrors(errors, limit: limits.errors) }
    expandCommonTypes()
    let types = entityTypes()
    let actions = actions()
    guard errors.isEmpty else { throw SchemaErrors(errors, limit: limits.errors) }
    return Schema(
      entityTypes: types.definitions, actions: actions.definitions, typeIndex: types.index, actionIndex: actions.index,
      typeHierarchy: types.hierarchy, actionHierarchy: actions.hierarchy, warnings: checks.flatMap(\.warnings))
  }

  private mutating func complain(_ kind: SchemaError.Kind, _ message: String, at span: SourceSpan, help: String? = nil) {
    if errors.count < limits.errors { errors.append(SchemaError(kind, message, at: span, help: help)) }
  }

  // MARK: Types

  /// A type with its size, so that common types within common types cannot grow without bound.
  private struct ExpandedType {
    var type: CedarType
    var depth: Int
    var nodes: Int
  }

  /// Expands common types, those first that refer to no other.
  private mutating func expandCommonTypes() {
    for (name, type) in Declarations.builtins { commonTypes[name] = ExpandedType(type: type, depth: 1, nodes: 1) }
    let names = declarations.commonTypes.keys.sorted()
    var waitingFor: [Name: Set<Name>] = [:]
    var neededBy: [Name: [Name]] = [:]
    for name in names {
      guard let declared = declarations.commonTypes[name] else { continue }
      var needs: Set<Name> = []
      declared.declaration.type.forEachName { written, use in
        if case .common(let needed) = declarations.find(written.text, from: declared.namespace, use), commonTypes[needed] == nil {
          needs.insert(needed)
        }
      }
      waitingFor[name] = needs
      for needed in needs { neededBy[needed, default: []].append(name) }
    }
    var ready = names.filter { waitingFor[$0]?.isEmpty == true }
    while let name = ready.popLast() {
      waitingFor[name] = nil
      guard let declared = declarations.commonTypes[name] else { continue }
      commonTypes[name] = expand(declared.declaration.type, from: declared.namespace)
      for dependent in neededBy[name] ?? [] {
        waitingFor[dependent]?.remove(name)
        if waitingFor[dependent]?.isEmpty == true { ready.append(dependent) }
      }
    }
    reportCycles(waitingFor)
  }

  /// What still waits is in a cycle or needs one; the message names those that are in one.
  private mutating func reportCycles(_ waiting: [Name: Set<Name>]) {
    guard !waiting.isEmpty else { return }
    let names = waiting.keys.sorted()
    let index = Dictionary(names.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    let hierarchy = Hierarchy(parents: names.map { (waiting[$0] ?? []).compactMap { index[$0] } })
    for (position, name) in names.enumerated() {
      commonTypes[name] = ExpandedType(type: .record(.empty), depth: 1, nodes: 1)
      guard hierarchy.isAncestor(position, of: position), let declared = declarations.commonTypes[name] else { continue }
      complain(
        .commonTypeCycle, "cycle in common type references containing `\(name)`", at: declared.declaration.name.span,
        help: "a common type may not contain itself; entity types may refer to each other freely")
    }
  }

  /// The meaning of a type; names that refer to nothing are reported and count as something harmless. Recursion is bounded
  /// by the readers' limit on depth.
  private mutating func expand(_ expression: SchemaFragment.TypeExpression, from namespace: String) -> ExpandedType {
    var result: ExpandedType
    switch expression.kind {
    case .long: result = ExpandedType(type: .long, depth: 1, nodes: 1)
    case .string: result = ExpandedType(type: .string, depth: 1, nodes: 1)
    case .bool: result = ExpandedType(type: .bool, depth: 1, nodes: 1)
    case .set(let element):
      let inner = expand(element, from: namespace)
      result = ExpandedType(type: .set(inner.type), depth: inner.depth + 1, nodes: inner.nodes + 1)
    case .record(let attributes), .openRecord(let attributes):
      if case .openRecord = expression.kind {
        complain(
          .unsupportedFeature, "records and entities with `additionalAttributes` are experimental and not supported", at: expression.span,
          help: "leave out `additionalAttributes`, or declare the attributes")
      }
      result = ExpandedType(type: .never, depth: 1, nodes: 1)
      var expanded: [RecordType.Attribute] = []
      expanded.reserveCapacity(attributes.count)
      for attribute in attributes {
        let inner = expand(attribute.type, from: namespace)
        result.depth = max(result.depth, inner.depth + 1)
        result.nodes += inner.nodes
        expanded.append(RecordType.Attribute(attribute.name.text, inner.type, isRequired: attribute.isRequired))
        if result.nodes > limits.expandedNodes { break }
      }
      result.type = .record(RecordType(attributes: expanded))
    case .extension(let name):
      let type = ExtensionType.allCases.first { exactlyEquals($0.rawValue, name.text) }
      if type == nil {
        let near = Spelling.nearest(to: name.text, among: ExtensionType.allCases.map(\.rawValue))
        complain(
          .unknownExtensionType, "unknown extension type `\(name.text)`", at: name.span, help: near.map { "did you mean `\($0)`?" })
      }
      result = ExpandedType(type: type.map { .extension($0) } ?? .never, depth: 1, nodes: 1)
    case .entity(let name): result = reference(name, from: namespace, .entity)
    case .common(let name): result = reference(name, from: namespace, .common)
    case .entityOrCommon(let name): result = reference(name, from: namespace, .either)
    }
    if result.depth > limits.depth || result.nodes > limits.expandedNodes {
      complain(
        .limit, "with its common types expanded this type is \(result.depth > limits.depth ? "nested too deep" : "too large")",
        at: expression.span, help: "use entity types instead of nested common types")
      result = ExpandedType(type: .record(.empty), depth: 1, nodes: 1)
    }
    return result
  }

  private mutating func reference(_ name: SchemaFragment.WrittenName, from namespace: String, _ use: Declarations.Use) -> ExpandedType {
    switch declarations.find(name.text, from: namespace, use) {
    case .common(let found): return commonTypes[found] ?? ExpandedType(type: .never, depth: 1, nodes: 1)
    case .entity(let found): return ExpandedType(type: .entity(of: found), depth: 1, nodes: 1)
    case nil:
      undeclared(name, from: namespace, use)
      return ExpandedType(type: .never, depth: 1, nodes: 1)
    }
  }

  private mutating func undeclared(_ name: SchemaFragment.WrittenName, from namespace: String, _ use: Declarations.Use) {
    guard errors.count < limits.errors else { return }
    let tried = declarations.candidates(name.text, from: namespace)
    let kind = use == .entity ? "an entity type" : use == .common ? "a common type" : "a common or entity type"
    var help =
      tried.count == 1
      ? "`\(tried[0])` has not been declared as \(kind)"
      : "neither `\(tried[0])` nor `\(tried[1])` refers to anything that has been declared as \(kind)"
    if let near = Spelling.nearest(to: name.text, among: declarations.names(for: use)), !exactlyEquals(near, name.text) {
      help += "; did you mean `\(near)`?"
    }
    complain(.undeclaredType, "failed to resolve type: \(name.text)", at: name.span, help: help)
  }

  /// The entity type that a name in a list of entity types refers to. Types of actions are none of them.
  private mutating func entityType(_ name: SchemaFragment.WrittenName, from namespace: String) -> EntityType? {
    guard case .entity(let found) = declarations.find(name.text, from: namespace, .entity) else {
      undeclared(name, from: namespace, .entity)
      return nil
    }
    guard declarations.entityTypes[found] != nil else {
      complain(
        .undeclaredType, "undeclared entity type: \(found)", at: name.span,
        help: "actions can neither be parents of entities nor principals nor resources")
      return nil
    }
    return found
  }

  private mutating func record(
    _ expression: SchemaFragment.TypeExpression?, from namespace: String, _ what: () -> String
  ) -> RecordType {
    guard let expression else { return .empty }
    let before = errors.count
    let expanded = expand(expression, from: namespace)
    if case .record(let record) = expanded.type { return record }
    // A name that refers to nothing was reported already.
    if errors.count == before {
      complain(
        .notARecord, "\(what()) is declared with a type other than `Record`", at: expression.span,
        help: "it must be a record, or a common type that is one")
    }
    return .empty
  }

  // MARK: Declarations

  private mutating func entityTypes() -> (definitions: [Schema.EntityTypeDefinition], index: [EntityType: Int], hierarchy: Hierarchy) {
    let names = declarations.entityTypes.keys.sorted()
    let index = Dictionary(names.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    var definitions: [Schema.EntityTypeDefinition] = []
    for name in names {
      guard let (declaration, namespace) = declarations.entityTypes[name] else { continue }
      switch declaration.kind {
      case .enumerated(let ids):
        definitions.append(Schema.EntityTypeDefinition(name: name, enumeratedIDs: ids, attributes: .empty, tags: nil, parents: []))
      case .standard(let memberOf, let shape, let tags):
        var parents: Set<EntityType> = []
        for parent in memberOf { if let found = entityType(parent, from: namespace) { parents.insert(found) } }
        let attributes = record(shape, from: namespace) { "Shape for entity type \(name)" }
        let tagType = tags.map { expand($0, from: namespace).type }
        definitions.append(
          Schema.EntityTypeDefinition(name: name, enumeratedIDs: nil, attributes: attributes, tags: tagType, parents: parents.sorted()))
      }
    }
    return (definitions, index, Hierarchy(parents: definitions.map { $0.parents.compactMap { index[$0] } }))
  }

  private mutating func actions() -> (definitions: [Schema.ActionDefinition], index: [EntityUID: Int], hierarchy: Hierarchy) {
    let uids = declarations.actions.keys.sorted()
    let index = Dictionary(uids.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    var definitions: [Schema.ActionDefinition] = []
    for uid in uids {
      guard let (declaration, namespace) = declarations.actions[uid] else { continue }
      var principals: Set<EntityType> = []
      var resources: Set<EntityType> = []
      for name in declaration.appliesTo?.principals ?? [] { if let type = entityType(name, from: namespace) { principals.insert(type) } }
      for name in declaration.appliesTo?.resources ?? [] { if let type = entityType(name, from: namespace) { resources.insert(type) } }
      let context = record(declaration.appliesTo?.context, from: namespace) { "Context for action \(uid)" }
      var parents: Set<EntityUID> = []
      for reference in declaration.memberOf ?? [] {
        if let parent = declarations.action(reference, from: namespace) {
          parents.insert(parent)
        } else {
          undeclared(reference)
        }
      }
      definitions.append(
        Schema.ActionDefinition(
          uid: uid, principals: principals.sorted(), resources: resources.sorted(), context: context, parents: parents.sorted()))
    }
    let hierarchy = Hierarchy(parents: definitions.map { $0.parents.compactMap { index[$0] } })
    for (position, uid) in uids.enumerated() where hierarchy.isAncestor(position, of: position) {
      complain(
        .actionCycle, "cycle in action hierarchy containing `\(uid)`", at: declarations.actions[uid]?.declaration.name.span ?? .none,
        help: "an action cannot be in itself")
    }
    return (definitions, index, hierarchy)
  }

  private mutating func undeclared(_ reference: SchemaFragment.ActionReference) {
    guard errors.count < limits.errors else { return }
    let near = Spelling.nearest(to: reference.id, among: declarations.actions.keys.map(\.id).sorted())
    complain(
      .undeclaredAction, "undeclared action: \(reference.type?.text ?? "Action")::\(Value.string(reference.id))", at: reference.span,
      help: near.map { "did you mean `\($0)`?" } ?? "any actions appearing as parents need to be declared as actions")
  }
}

extension SchemaFragment.TypeExpression {
  /// Calls `body` with every name in the type that may be a common type or an entity type.
  func forEachName(_ body: (SchemaFragment.WrittenName, Declarations.Use) -> Void) {
    switch kind {
    case .long, .string, .bool, .extension: break
    case .set(let element): element.forEachName(body)
    case .record(let attributes), .openRecord(let attributes): for attribute in attributes { attribute.type.forEachName(body) }
    case .entity(let name): body(name, .entity)
    case .common(let name): body(name, .common)
    case .entityOrCommon(let name): body(name, .either)
    }
  }
}
