internal import Bytes
internal import Cedar

/// Writes a fragment in the Cedar schema syntax, laid out as the reference prints schemas: namespaces and declarations in
/// byte order of their names, common types first, then entity types, then actions.
struct SchemaPrinter {
  private var text = ""

  /// The fragment as text, or what of it the Cedar syntax cannot say.
  static func text(of fragment: SchemaFragment) throws(SchemaErrors) -> String {
    let obstacles = obstacles(in: fragment)
    guard obstacles.isEmpty else { throw SchemaErrors(obstacles) }
    var printer = SchemaPrinter()
    printer.print(fragment)
    return printer.text
  }

  /// A shape that is a name, and a name that means both an entity type and a common type, cannot be written.
  private static func obstacles(in fragment: SchemaFragment) -> [SchemaError] {
    var errors: [SchemaError] = []
    for namespace in fragment.namespaces {
      if !namespace.name.text.isEmpty {
        let entities = Set(namespace.entityTypes.map { ExactString($0.name.text) })
        for type in namespace.commonTypes where entities.contains(ExactString(type.name.text)) {
          errors.append(
            SchemaError(
              .notExpressible, "There are name collisions: [\(namespace.name.text)::\(type.name.text)]", at: type.name.span,
              help: "rename the common type; in the Cedar syntax a name that is both would always mean the common type"))
        }
      }
      for entity in namespace.entityTypes {
        guard case .standard(_, let shape?, _) = entity.kind else { continue }
        switch shape.kind {
        case .record, .openRecord: continue
        default:
          errors.append(
            SchemaError(
              .notExpressible,
              "The following entities have shapes that cannot be converted to Cedar schema syntax: [\(qualified(entity.name, namespace))]",
              at: shape.span,
              help:
                "Entity shapes may only be record types. In the Cedar schema syntax, they additionally may not reference common type definitions."
            ))
        }
      }
    }
    return errors
  }

  private static func qualified(_ name: SchemaFragment.WrittenName, _ namespace: SchemaFragment.Namespace) -> String {
    namespace.name.text.isEmpty ? name.text : "\(namespace.name.text)::\(name.text)"
  }

  private static func sorted<Element>(_ elements: [Element], by name: (Element) -> SchemaFragment.WrittenName) -> [Element] {
    elements.sorted { name($0).text.utf8.lexicographicallyPrecedes(name($1).text.utf8) }
  }

  private mutating func print(_ fragment: SchemaFragment) {
    for (index, namespace) in Self.sorted(fragment.namespaces, by: \.name).enumerated() {
      if index > 0 { text += "\n" }
      if namespace.name.text.isEmpty {
        declarations(of: namespace, indent: 0)
      } else {
        annotations(namespace.annotations, indent: 0)
        text += "namespace \(namespace.name.text) {\n"
        declarations(of: namespace, indent: 2)
        text += "}\n"
      }
    }
  }

  private mutating func declarations(of namespace: SchemaFragment.Namespace, indent: Int) {
    var isFirst = true
    func open(_ printer: inout SchemaPrinter, _ annotations: [SchemaFragment.Annotation]) {
      if !isFirst { printer.text += "\n" }
      isFirst = false
      printer.annotations(annotations, indent: indent)
      printer.text += Self.spaces(indent)
    }
    for declaration in Self.sorted(namespace.commonTypes, by: \.name) {
      open(&self, declaration.annotations)
      text += "type \(declaration.name.text) = "
      type(declaration.type, indent: indent)
      text += ";\n"
    }
    for declaration in Self.sorted(namespace.entityTypes, by: \.name) {
      open(&self, declaration.annotations)
      text += "entity \(declaration.name.text)"
      entity(declaration.kind, indent: indent)
      text += ";\n"
    }
    for declaration in Self.sorted(namespace.actions, by: \.name) {
      open(&self, declaration.annotations)
      text += "action \(Self.quoted(declaration.name.text))"
      action(declaration, indent: indent)
      text += ";\n"
    }
  }

  private static func spaces(_ count: Int) -> String { String(repeating: " ", count: count) }
  private static func quoted(_ string: String) -> String { Value.string(string).description }

  private mutating func annotations(_ annotations: [SchemaFragment.Annotation], indent: Int) {
    for annotation in annotations {
      text += "\(Self.spaces(indent))@\(annotation.key)"
      if let value = annotation.value { text += "(\(Self.quoted(value)))" }
      text += "\n"
    }
  }

  private mutating func entity(_ kind: SchemaFragment.EntityTypeDeclaration.Kind, indent: Int) {
    switch kind {
    case .enumerated(let ids): text += " enum [\(ids.map(Self.quoted).joined(separator: ", "))]"
    case .standard(let parents, let shape, let tags):
      if !parents.isEmpty { text += " in [\(parents.map(\.text).joined(separator: ", "))]" }
      if let shape, !shape.isEmptyRecord {
        text += " = "
        type(shape, indent: indent)
      }
      if let tags {
        text += " tags "
        type(tags, indent: indent)
      }
    }
  }

  private mutating func action(_ declaration: SchemaFragment.ActionDeclaration, indent: Int) {
    if let parents = declaration.memberOf, !parents.isEmpty {
      let references = parents.map { "\($0.type?.text ?? "Action")::\(Self.quoted($0.id))" }
      text += " in [\(references.joined(separator: ", "))]"
    }
    // Without principals or resources the action applies to nothing, and that is written by leaving the clause out.
    guard let appliesTo = declaration.appliesTo, !appliesTo.principals.isEmpty, !appliesTo.resources.isEmpty else { return }
    let inner = Self.spaces(indent + 2)
    text += " appliesTo {\n\(inner)principal: [\(appliesTo.principals.map(\.text).joined(separator: ", "))]"
    text += ",\n\(inner)resource: [\(appliesTo.resources.map(\.text).joined(separator: ", "))]"
    text += ",\n\(inner)context: "
    type(appliesTo.context ?? SchemaFragment.TypeExpression(.record([])), indent: indent + 2)
    text += "\n\(Self.spaces(indent))}"
  }

  private mutating func type(_ type: SchemaFragment.TypeExpression, indent: Int) {
    switch type.kind {
    case .long: text += "__cedar::Long"
    case .string: text += "__cedar::String"
    case .bool: text += "__cedar::Bool"
    case .extension(let name): text += "__cedar::\(name.text)"
    case .entity(let name), .common(let name), .entityOrCommon(let name): text += name.text
    case .set(let element):
      text += "Set<"
      self.type(element, indent: indent)
      text += ">"
    case .record(let attributes), .openRecord(let attributes):
      guard !attributes.isEmpty else {
        text += "{}"
        return
      }
      text += "{\n"
      for (index, attribute) in Self.sorted(attributes, by: \.name).enumerated() {
        annotations(attribute.annotations, indent: indent + 2)
        let name = attribute.name.text
        let isPlain = Name.isIdentifier(name) && !Name.isReserved(name) && name != "__cedar"
        text += "\(Self.spaces(indent + 2))\(isPlain ? name : Self.quoted(name))\(attribute.isRequired ? "" : "?"): "
        self.type(attribute.type, indent: indent + 2)
        text += index + 1 < attributes.count ? ",\n" : "\n"
      }
      text += "\(Self.spaces(indent))}"
    }
  }
}
