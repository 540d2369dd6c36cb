internal import Bytes
internal import Cedar

/// What can be said of a fragment's declarations before any name is resolved: reserved names and things declared twice.
///
/// A fragment that fails here cannot even be translated; what fails later (`Resolution/`) can.
struct DeclarationCheck {
  private(set) var errors: [SchemaError] = []
  private(set) var warnings: [SchemaWarning] = []

  /// Names that the JSON format uses as words, so that no common type can have them.
  static let reservedTypeNames: Set<String> = ["Bool", "Boolean", "Entity", "Extension", "Long", "Record", "Set", "String"]
  private static let shadowable: Set<String> = ["Long", "String", "Bool", "ipaddr", "decimal", "datetime", "duration"]

  init(_ fragment: SchemaFragment) {
    var seen: [ExactString: SourceSpan] = [:]
    for namespace in fragment.namespaces {
      if !namespace.name.text.isEmpty { refuseReserved(namespace.name) }
      if let first = seen.updateValue(namespace.name.span, forKey: ExactString(namespace.name.text)) {
        errors.append(
          SchemaError(
            .duplicate, "duplicate namespace id: `\(namespace.name.text)`", at: namespace.name.span,
            help: "Namespaces may not be declared twice; move the declarations into the first", first: first))
      }
      check(namespace)
    }
  }

  private mutating func check(_ namespace: SchemaFragment.Namespace) {
    refuseDuplicates(namespace.entityTypes.map(\.name))
    refuseDuplicates(namespace.commonTypes.map(\.name))
    refuseDuplicates(namespace.actions.map(\.name))
    let entities = Set(namespace.entityTypes.map { ExactString($0.name.text) })
    for type in namespace.entityTypes {
      refuseReserved(type.name)
      if type.name.text == "Action" {
        errors.append(
          SchemaError(
            .actionEntityType, "entity type `Action` declared in `entityTypes` list", at: type.name.span,
            help: "`Action` is the type of actions; declare them with `action`"))
      }
      warnIfBuiltin(type.name)
    }
    for action in namespace.actions where action.hasAttributes {
      errors.append(
        SchemaError(
          .unsupportedFeature, "unsupported feature used in schema: action declared with attributes: [\(action.name.text)]",
          at: action.name.span, help: "remove `attributes`"))
    }
    for type in namespace.commonTypes {
      refuseReserved(type.name)
      if Self.reservedTypeNames.contains(type.name.text) {
        errors.append(
          SchemaError(
            .reservedName, "this uses a reserved schema keyword: `\(type.name.text)`", at: type.name.span,
            help: "Keywords such as `Entity`, `Extension`, `Set` and `Record`, and the primitive types, cannot be used as common type names"
          ))
      }
      if entities.contains(ExactString(type.name.text)) {
        warnings.append(SchemaWarning(kind: .shadowsEntity, name: type.name.text, span: type.name.span))
      }
      warnIfBuiltin(type.name)
    }
  }

  private mutating func warnIfBuiltin(_ name: SchemaFragment.WrittenName) {
    guard Self.shadowable.contains(name.text) else { return }
    warnings.append(SchemaWarning(kind: .shadowsBuiltin, name: name.text, span: name.span))
  }

  private mutating func refuseReserved(_ name: SchemaFragment.WrittenName) {
    guard Cedar.Name(unchecked: name.text).components.contains("__cedar") else { return }
    errors.append(
      SchemaError(
        .reservedName, "use of the reserved `__cedar` namespace", at: name.span, help: "Namespaces and types may not be named `__cedar`"))
  }

  private mutating func refuseDuplicates(_ names: [SchemaFragment.WrittenName]) {
    var seen: [ExactString: SourceSpan] = [:]
    for name in names {
      guard let first = seen[ExactString(name.text)] else {
        seen[ExactString(name.text)] = name.span
        continue
      }
      errors.append(
        SchemaError(
          .duplicate, "`\(name.text)` is declared twice", at: name.span, help: "rename one of the two, or remove it", first: first))
    }
  }
}
