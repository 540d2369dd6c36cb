internal import Bytes
internal import Cedar

/// Everything that fragments declare, under full names; and what a written name refers to.
struct Declarations {
  /// What a name may refer to where it stands.
  enum Use {
    case common, entity, either
  }

  /// What a name refers to.
  enum Found: Equatable {
    case common(Name)
    case entity(EntityType)
  }

  private(set) var commonTypes: [Name: (declaration: SchemaFragment.CommonTypeDeclaration, namespace: String)] = [:]
  private(set) var entityTypes: [EntityType: (declaration: SchemaFragment.EntityTypeDeclaration, namespace: String)] = [:]
  private(set) var actions: [EntityUID: (declaration: SchemaFragment.ActionDeclaration, namespace: String)] = [:]
  private(set) var errors: [SchemaError] = []
  private var actionTypes: Set<EntityType> = []

  /// The builtin types under the names that always mean them.
  static let builtins: [(Name, CedarType)] =
    [("Bool", CedarType.bool), ("Long", .long), ("String", .string)].map { (Name(unchecked: "__cedar::\($0)"), $1) }
    + ExtensionType.allCases.map { (Name(unchecked: "__cedar::\($0.rawValue)"), .extension($0)) }
  private static let builtinNames = Set(builtins.map { $0.0 })

  init() {}

  init(_ fragments: [SchemaFragment], limits: SchemaLimits) {
    let namespaces = fragments.flatMap(\.namespaces)
    let count = namespaces.reduce(0) { $0 + $1.commonTypes.count + $1.entityTypes.count + $1.actions.count }
    guard count <= limits.declarations else {
      errors.append(SchemaError(.limit, "the schema has more than \(limits.declarations) declarations", at: .none))
      return
    }
    for namespace in namespaces { add(namespace) }
    refuseShadowing()
  }

  private mutating func add(_ namespace: SchemaFragment.Namespace) {
    let prefix = namespace.name.text
    for declaration in namespace.commonTypes {
      let name = Self.qualify(declaration.name.text, prefix)
      if commonTypes.updateValue((declaration, prefix), forKey: name) != nil { duplicate("common type", name.text, declaration.name.span) }
    }
    for declaration in namespace.entityTypes {
      let name = Self.qualify(declaration.name.text, prefix)
      if entityTypes.updateValue((declaration, prefix), forKey: name) != nil { duplicate("entity type", name.text, declaration.name.span) }
    }
    for declaration in namespace.actions {
      let uid = EntityUID(type: Self.qualify("Action", prefix), id: declaration.name.text)
      actionTypes.insert(uid.type)
      if actions.updateValue((declaration, prefix), forKey: uid) != nil { duplicate("action", "\(uid)", declaration.name.span) }
    }
  }

  private mutating func duplicate(_ what: String, _ name: String, _ span: SourceSpan) {
    errors.append(SchemaError(.duplicate, "duplicate \(what) `\(name)`", at: span, help: "it is declared in another part of the schema"))
  }

  /// RFC 70: nothing in a namespace may hide a declaration of the empty namespace.
  private mutating func refuseShadowing() {
    var basenames: Set<String> = []
    var unqualified: [ExactString: SourceSpan] = [:]
    for (name, entry) in commonTypes where entry.namespace.isEmpty { unqualified[ExactString(name.text)] = entry.declaration.name.span }
    for (name, entry) in entityTypes where entry.namespace.isEmpty { unqualified[ExactString(name.text)] = entry.declaration.name.span }
    let qualified =
      commonTypes.filter { !$0.value.namespace.isEmpty }.map { ($0.key, $0.value.declaration.name) }
      + entityTypes.filter { !$0.value.namespace.isEmpty }.map { ($0.key, $0.value.declaration.name) }
    for (name, written) in qualified.sorted(by: { $0.0 < $1.0 }) where unqualified[ExactString(written.text)] != nil {
      guard basenames.insert(name.text).inserted else { continue }
      errors.append(
        SchemaError(
          .shadowing, "definition of `\(name)` illegally shadows the existing definition of `\(written.text)`", at: written.span,
          help: "try renaming one of the definitions, or moving `\(written.text)` to a different namespace"))
    }
    for (uid, entry) in actions.sorted(by: { $0.key < $1.key }) where !entry.namespace.isEmpty {
      let hidden = EntityUID(type: Name(unchecked: "Action"), id: uid.id)
      guard actions[hidden] != nil else { continue }
      errors.append(
        SchemaError(
          .shadowing, "definition of `\(uid)` illegally shadows the existing definition of `\(hidden)`", at: entry.declaration.name.span,
          help: "try renaming one of the actions, or moving `\(hidden)` to a different namespace"))
    }
  }

  // MARK: Names

  private static func qualify(_ name: String, _ namespace: String) -> Name {
    Name(unchecked: namespace.isEmpty ? name : "\(namespace)::\(name)")
  }

  /// The full names that a written name may mean, the nearest first.
  func candidates(_ written: String, from namespace: String) -> [Name] {
    let plain = Name(unchecked: written)
    if namespace.isEmpty || written.utf8.contains(UInt8(ascii: ":")) { return [plain] }
    return [Self.qualify(written, namespace), plain]
  }

  /// What a written name refers to: in the namespace before outside of it, a common type before an entity type, a builtin last.
  func find(_ written: String, from namespace: String, _ use: Use) -> Found? {
    for candidate in candidates(written, from: namespace) {
      if use != .entity, commonTypes[candidate] != nil || Self.builtinNames.contains(candidate) { return .common(candidate) }
      if use != .common, entityTypes[candidate] != nil || actionTypes.contains(candidate) { return .entity(candidate) }
      // Plain `Long` is an alias in the empty namespace that any declaration there of that name takes away.
      if use != .entity, entityTypes[candidate] == nil, !candidate.text.utf8.contains(UInt8(ascii: ":")) {
        let builtin = Name(unchecked: "__cedar::\(candidate)")
        if Self.builtinNames.contains(builtin) { return .common(builtin) }
      }
    }
    return nil
  }

  /// The action that a reference means.
  func action(_ reference: SchemaFragment.ActionReference, from namespace: String) -> EntityUID? {
    candidates(reference.type?.text ?? "Action", from: namespace).map { EntityUID(type: $0, id: reference.id) }.first { actions[$0] != nil }
  }

  /// Names that would have been right, for did-you-mean.
  func names(for use: Use) -> [String] {
    var names: [String] = []
    if use != .common { names += entityTypes.keys.map(\.text) }
    if use != .entity { names += commonTypes.keys.map(\.text) + Self.builtins.map { String($0.0.text.dropFirst("__cedar::".utf8.count)) } }
    return names.sorted()
  }
}
