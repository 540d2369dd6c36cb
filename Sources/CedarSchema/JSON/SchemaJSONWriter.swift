internal import Bytes
internal import JSON

/// Writes a fragment in the JSON schema format, as the reference's translation does: what is empty is left out, attributes
/// that are required do not say so, names stay as written.
struct SchemaJSONWriter {
  /// The fragment as JSON. Members stand in byte order of their names.
  static func value(of fragment: SchemaFragment) -> JSONValue {
    object(fragment.namespaces.map { ($0.name.text, namespace($0)) })
  }

  private static func object(_ members: [(String, JSONValue)]) -> JSONValue {
    let sorted = members.sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }
    return JSONValue(.object(sorted.map { JSONValue.Member(name: $0.0, value: $0.1) }))
  }

  /// An object whose members keep the order given.
  private static func ordered(_ members: [(String, JSONValue)]) -> JSONValue {
    JSONValue(.object(members.map { JSONValue.Member(name: $0.0, value: $0.1) }))
  }

  private static func names(_ names: [SchemaFragment.WrittenName]) -> JSONValue { .array(names.map { .string($0.text) }) }

  private static func annotations(_ annotations: [SchemaFragment.Annotation]) -> [(String, JSONValue)] {
    annotations.isEmpty ? [] : [("annotations", object(annotations.map { ($0.key, .string($0.value ?? "")) }))]
  }

  private static func namespace(_ namespace: SchemaFragment.Namespace) -> JSONValue {
    var members: [(String, JSONValue)] = []
    if !namespace.commonTypes.isEmpty {
      members.append(
        ("commonTypes", object(namespace.commonTypes.map { ($0.name.text, ordered(type($0.type) + annotations($0.annotations))) })))
    }
    members.append(("entityTypes", object(namespace.entityTypes.map { ($0.name.text, entityType($0)) })))
    members.append(("actions", object(namespace.actions.map { ($0.name.text, action($0)) })))
    return ordered(members + annotations(namespace.annotations))
  }

  private static func entityType(_ declaration: SchemaFragment.EntityTypeDeclaration) -> JSONValue {
    var members: [(String, JSONValue)] = []
    switch declaration.kind {
    case .enumerated(let ids): members.append(("enum", .array(ids.map { .string($0) })))
    case .standard(let parents, let shape, let tags):
      if !parents.isEmpty { members.append(("memberOfTypes", names(parents))) }
      if let shape, !shape.isEmptyRecord { members.append(("shape", ordered(type(shape)))) }
      if let tags { members.append(("tags", ordered(type(tags)))) }
    }
    return ordered(members + annotations(declaration.annotations))
  }

  private static func action(_ declaration: SchemaFragment.ActionDeclaration) -> JSONValue {
    var members: [(String, JSONValue)] = []
    if let appliesTo = declaration.appliesTo {
      var parts = [("resourceTypes", names(appliesTo.resources)), ("principalTypes", names(appliesTo.principals))]
      if let context = appliesTo.context, !context.isEmptyRecord { parts.append(("context", ordered(type(context)))) }
      members.append(("appliesTo", ordered(parts)))
    }
    if let parents = declaration.memberOf {
      let references = parents.map { parent in
        ordered([("id", .string(parent.id))] + (parent.type.map { [("type", .string($0.text))] } ?? []))
      }
      members.append(("memberOf", .array(references)))
    }
    return ordered(members + annotations(declaration.annotations))
  }

  /// A type's members, so that an attribute can add its own. Recursion is bounded by the readers' limit on depth.
  private static func type(_ type: SchemaFragment.TypeExpression) -> [(String, JSONValue)] {
    switch type.kind {
    case .long: [("type", .string("Long"))]
    case .string: [("type", .string("String"))]
    case .bool: [("type", .string("Boolean"))]
    case .set(let element): [("type", .string("Set")), ("element", ordered(self.type(element)))]
    case .record(let attributes): [("type", .string("Record")), ("attributes", object(attributes.map(attribute)))]
    case .openRecord(let attributes):
      [("type", .string("Record")), ("attributes", object(attributes.map(attribute))), ("additionalAttributes", .bool(true))]
    case .entity(let name): [("type", .string("Entity")), ("name", .string(name.text))]
    case .extension(let name): [("type", .string("Extension")), ("name", .string(name.text))]
    case .common(let name): [("type", .string(name.text))]
    case .entityOrCommon(let name): [("type", .string("EntityOrCommon")), ("name", .string(name.text))]
    }
  }

  private static func attribute(_ attribute: SchemaFragment.Attribute) -> (String, JSONValue) {
    var members = type(attribute.type) + annotations(attribute.annotations)
    if !attribute.isRequired { members.append(("required", .bool(false))) }
    return (attribute.name.text, ordered(members))
  }
}
