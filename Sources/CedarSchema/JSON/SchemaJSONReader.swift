internal import Bytes
internal import Cedar
internal import JSON

/// Reads the JSON schema format (Cedar reference, "JSON schema"). Unknown members are errors everywhere; all errors of a
/// text are reported.
struct SchemaJSONReader {
  private let limits: SchemaLimits
  private(set) var errors: [SchemaError] = []

  private init(limits: SchemaLimits) { self.limits = limits }

  /// The fragment a value stands for, and everything in it that is not of the format.
  static func read(_ value: JSONValue, limits: SchemaLimits) -> (SchemaFragment, [SchemaError]) {
    var reader = SchemaJSONReader(limits: limits)
    let fragment = reader.fragment(value)
    return (fragment, reader.errors)
  }

  private mutating func complain(_ message: String, _ span: SourceSpan, help: String? = nil, kind: SchemaError.Kind = .syntax) {
    if errors.count < limits.errors { errors.append(SchemaError(kind, message, at: span, help: help)) }
  }

  // MARK: Shapes of JSON

  /// The members of an object that are among the names expected; others are errors.
  private mutating func members(_ value: JSONValue, _ what: String, allowing names: [String]) -> [(name: String, value: JSONValue)]? {
    guard let members = entries(value, what) else { return nil }
    var found: [(name: String, value: JSONValue)] = []
    for member in members {
      if names.contains(where: { exactlyEquals($0, member.name) }) {
        found.append((member.name, member.value))
      } else {
        let expected = names.map { "`\($0)`" }.joined(separator: ", ")
        let near = Spelling.nearest(to: member.name, among: names)
        complain(
          "unknown field `\(member.name)`, expected one of \(expected)", SourceSpan(member.nameSpan),
          help: near.map { "did you mean `\($0)`?" })
      }
    }
    return found
  }

  /// The members of an object with free names, each name once.
  private mutating func entries(_ value: JSONValue, _ what: String) -> [JSONValue.Member]? {
    guard let members = value.object else {
      complain("invalid type: \(value.kindName), expected \(what) as an object", SourceSpan(value.span))
      return nil
    }
    var seen: Set<ExactString> = []
    for member in members where !seen.insert(ExactString(member.name)).inserted {
      complain("duplicate name `\(member.name)`", SourceSpan(member.nameSpan), kind: .duplicate)
    }
    return members
  }

  private mutating func string(_ value: JSONValue, _ what: String) -> String? {
    if let string = value.string { return string }
    complain("invalid type: \(value.kindName), expected \(what) as a string", SourceSpan(value.span))
    return nil
  }

  private mutating func array(_ value: JSONValue, _ what: String) -> [JSONValue]? {
    if let array = value.array { return array }
    complain("invalid type: \(value.kindName), expected \(what) as an array", SourceSpan(value.span))
    return nil
  }

  private mutating func missing(_ name: String, _ value: JSONValue) { complain("missing field `\(name)`", Self.head(of: value)) }

  /// The opening bracket: an underline below a whole object helps nobody.
  private static func head(of value: JSONValue) -> SourceSpan {
    SourceSpan(value.span.lowerBound, min(value.span.lowerBound + 1, value.span.upperBound))
  }

  // MARK: Names

  /// A name as JSON must spell it: identifiers joined by `::`, no white space, no reserved word. `__cedar` is left to
  /// whoever knows whether a reference or a declaration is read.
  private mutating func name(_ text: String, _ span: SourceSpan, _ what: String) -> SchemaFragment.WrittenName? {
    do throws(NameError) {
      return SchemaFragment.WrittenName(try Name(normalized: text).text, span: span)
    } catch {
      if error.reason == .reservedNamespace { return SchemaFragment.WrittenName(text, span: span) }
      complain("invalid \(what) `\(text)`: \(error)", span)
      return nil
    }
  }

  private mutating func typeName(_ value: JSONValue, _ what: String) -> SchemaFragment.WrittenName? {
    guard let text = string(value, what) else { return nil }
    return name(text, SourceSpan(value.span), what)
  }

  private mutating func declaredName(_ member: JSONValue.Member, _ what: String) -> SchemaFragment.WrittenName? {
    guard Name.isIdentifier(member.name), !Name.isReserved(member.name) else {
      let why = Name.isReserved(member.name) ? "this identifier is reserved and cannot be used" : "it is no identifier"
      complain("invalid id `\(member.name)`: \(why)", SourceSpan(member.nameSpan), kind: .reservedName)
      return nil
    }
    return SchemaFragment.WrittenName(member.name, span: SourceSpan(member.nameSpan))
  }

  private mutating func annotations(_ value: JSONValue) -> [SchemaFragment.Annotation] {
    guard let members = entries(value, "annotations") else { return [] }
    var annotations: [SchemaFragment.Annotation] = []
    for member in members {
      guard Name.isIdentifier(member.name) else {
        complain("invalid id `\(member.name)`: annotation keys are identifiers", SourceSpan(member.nameSpan))
        continue
      }
      if member.value.isNull {
        annotations.append(SchemaFragment.Annotation(key: member.name, value: nil))
      } else if let text = string(member.value, "an annotation's value") {
        annotations.append(SchemaFragment.Annotation(key: member.name, value: text))
      }
    }
    return annotations.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
  }

  // MARK: Namespaces and declarations

  private mutating func fragment(_ value: JSONValue) -> SchemaFragment {
    guard let members = entries(value, "a schema") else { return SchemaFragment() }
    var namespaces: [SchemaFragment.Namespace] = []
    for member in members {
      var name: SchemaFragment.WrittenName? = SchemaFragment.WrittenName("", span: SourceSpan(member.nameSpan))
      if !member.name.isEmpty { name = self.name(member.name, SourceSpan(member.nameSpan), "namespace") }
      let body = namespace(member.value, isNamed: !member.name.isEmpty)
      if let name, var body {
        body.name = name
        namespaces.append(body)
      }
    }
    return SchemaFragment(namespaces: namespaces)
  }

  private mutating func namespace(_ value: JSONValue, isNamed: Bool) -> SchemaFragment.Namespace? {
    guard let members = members(value, "a namespace", allowing: ["commonTypes", "entityTypes", "actions", "annotations"]) else {
      return nil
    }
    var namespace = SchemaFragment.Namespace(name: SchemaFragment.WrittenName(""))
    for required in ["entityTypes", "actions"] where !members.contains(where: { $0.name == required }) { missing(required, value) }
    for (name, value) in members {
      if name == "annotations" {
        namespace.annotations = annotations(value)
        if !isNamed, !namespace.annotations.isEmpty {
          complain("annotations are not allowed on the empty namespace", SourceSpan(value.span))
        }
        continue
      }
      guard let declared = entries(value, "`\(name)`") else { continue }
      for member in declared {
        switch name {
        case "commonTypes":
          let type = annotatedType(member.value, allowing: ["annotations"], depth: 1)
          guard let name = declaredName(member, "common type"), let type else { continue }
          namespace.commonTypes.append(SchemaFragment.CommonTypeDeclaration(name: name, type: type.type, annotations: type.annotations))
        case "entityTypes":
          let type = entityType(member.value)
          guard let name = declaredName(member, "entity type"), let type else { continue }
          namespace.entityTypes.append(SchemaFragment.EntityTypeDeclaration(name: name, kind: type.kind, annotations: type.annotations))
        default:
          guard var action = action(member.value) else { continue }
          action.name = SchemaFragment.WrittenName(member.name, span: SourceSpan(member.nameSpan))
          namespace.actions.append(action)
        }
      }
    }
    return namespace
  }

  private mutating func entityType(
    _ value: JSONValue
  ) -> (kind: SchemaFragment.EntityTypeDeclaration.Kind, annotations: [SchemaFragment.Annotation])? {
    guard let members = members(value, "an entity type", allowing: ["memberOfTypes", "shape", "tags", "enum", "annotations"]) else {
      return nil
    }
    var parents: [SchemaFragment.WrittenName] = []
    var shape: SchemaFragment.TypeExpression?
    var tags: SchemaFragment.TypeExpression?
    var ids: [String]?
    var annotations: [SchemaFragment.Annotation] = []
    for (name, value) in members {
      switch name {
      case "memberOfTypes": parents = typeNames(value)
      case "shape": shape = type(value, depth: 1)
      case "tags": tags = type(value, depth: 1)
      case "enum":
        let elements = array(value, "the ids of the enumeration") ?? []
        if value.array?.isEmpty == true {
          complain("the vector provided was empty, NonEmpty needs at least one element", SourceSpan(value.span))
        }
        ids = []
        for element in elements { if let id = string(element, "an id") { ids?.append(id) } }
      default: annotations = self.annotations(value)
      }
    }
    guard let ids else { return (.standard(memberOf: parents, shape: shape, tags: tags), annotations) }
    let unexpected = members.filter { ["memberOfTypes", "shape", "tags"].contains($0.name) }
    if let first = unexpected.first {
      complain(
        "unexpected field: \(unexpected.map(\.name).joined(separator: ", "))", SourceSpan(first.value.span),
        help: "an enumerated entity type has no attributes, tags or parents")
    }
    return (.enumerated(ids), annotations)
  }

  private mutating func typeNames(_ value: JSONValue) -> [SchemaFragment.WrittenName] {
    var names: [SchemaFragment.WrittenName] = []
    for element in array(value, "entity types") ?? [] { if let name = typeName(element, "entity type") { names.append(name) } }
    return names
  }

  private mutating func action(_ value: JSONValue) -> SchemaFragment.ActionDeclaration? {
    guard let members = members(value, "an action", allowing: ["attributes", "appliesTo", "memberOf", "annotations"]) else { return nil }
    var action = SchemaFragment.ActionDeclaration(name: SchemaFragment.WrittenName(""))
    for (name, value) in members {
      switch name {
      case "annotations": action.annotations = annotations(value)
      case _ where value.isNull: continue
      case "attributes":
        if value.object == nil { complain("invalid type: \(value.kindName), expected attributes as an object", SourceSpan(value.span)) }
        action.hasAttributes = true
      case "appliesTo": action.appliesTo = appliesTo(value)
      default:
        var parents: [SchemaFragment.ActionReference] = []
        for element in array(value, "the action's parents") ?? [] { if let parent = actionReference(element) { parents.append(parent) } }
        action.memberOf = parents
      }
    }
    return action
  }

  private mutating func actionReference(_ value: JSONValue) -> SchemaFragment.ActionReference? {
    guard let members = members(value, "an action", allowing: ["id", "type"]) else { return nil }
    var id: String?
    var type: SchemaFragment.WrittenName?
    for (name, value) in members {
      if name == "id" { id = string(value, "the action's id") } else if !value.isNull { type = typeName(value, "action type") }
    }
    if !members.contains(where: { $0.name == "id" }) { missing("id", value) }
    return id.map { SchemaFragment.ActionReference(type: type, id: $0, span: SourceSpan(value.span)) }
  }

  private mutating func appliesTo(_ value: JSONValue) -> SchemaFragment.AppliesTo? {
    guard let members = members(value, "`appliesTo`", allowing: ["resourceTypes", "principalTypes", "context"]) else { return nil }
    var appliesTo = SchemaFragment.AppliesTo(principals: [], resources: [])
    for required in ["resourceTypes", "principalTypes"] where !members.contains(where: { $0.name == required }) { missing(required, value) }
    for (name, value) in members {
      switch name {
      case "resourceTypes": appliesTo.resources = typeNames(value)
      case "principalTypes": appliesTo.principals = typeNames(value)
      default: appliesTo.context = type(value, depth: 1)
      }
    }
    return appliesTo
  }

  // MARK: Types

  private mutating func type(_ value: JSONValue, depth: Int) -> SchemaFragment.TypeExpression? {
    annotatedType(value, allowing: [], depth: depth)?.type
  }

  private static let typeMembers = ["type", "element", "attributes", "additionalAttributes", "name"]

  /// A type with the members that its place allows beside it: `annotations`, `required`.
  private mutating func annotatedType(
    _ value: JSONValue, allowing extra: [String], depth: Int
  ) -> (type: SchemaFragment.TypeExpression, isRequired: Bool, annotations: [SchemaFragment.Annotation])? {
    guard depth <= limits.depth else {
      complain("this type is nested deeper than \(limits.depth) levels", Self.head(of: value), kind: .limit)
      return nil
    }
    guard let members = members(value, "a type", allowing: Self.typeMembers + extra) else { return nil }
    var isRequired = true
    var annotations: [SchemaFragment.Annotation] = []
    var parts = TypeParts()
    for (name, value) in members {
      switch name {
      case "annotations": annotations = self.annotations(value)
      case "required":
        if value.bool == nil { complain("invalid type: \(value.kindName), expected a Boolean", SourceSpan(value.span)) }
        isRequired = value.bool ?? true
      case "type": parts.type = string(value, "a type").map { ($0, SourceSpan(value.span)) }
      case "element":
        parts.given.append((name, SourceSpan(value.span)))
        parts.element = type(value, depth: depth + 1)
      case "attributes":
        parts.given.append((name, SourceSpan(value.span)))
        parts.attributes = attributes(value, depth: depth + 1)
      case "additionalAttributes":
        parts.given.append((name, SourceSpan(value.span)))
        if value.bool == nil { complain("invalid type: \(value.kindName), expected a Boolean", SourceSpan(value.span)) }
        parts.isOpen = value.bool ?? false
      default:
        parts.given.append((name, SourceSpan(value.span)))
        parts.name = string(value, "a name").map { ($0, SourceSpan(value.span)) }
      }
    }
    guard members.contains(where: { $0.name == "type" }) else {
      missing("type", value)
      return nil
    }
    guard let kind = kind(parts, of: value) else { return nil }
    return (SchemaFragment.TypeExpression(kind, span: SourceSpan(value.span)), isRequired, annotations)
  }

  private struct TypeParts {
    var type: (text: String, span: SourceSpan)?
    var given: [(name: String, span: SourceSpan)] = []
    var element: SchemaFragment.TypeExpression?
    var attributes: [SchemaFragment.Attribute]?
    var isOpen = false
    var name: (text: String, span: SourceSpan)?
  }

  private mutating func kind(_ parts: TypeParts, of value: JSONValue) -> SchemaFragment.TypeExpression.Kind? {
    guard let (text, span) = parts.type else { return nil }
    switch text {
    case "Long": return only([], parts) ? .long : nil
    case "String": return only([], parts) ? .string : nil
    case "Boolean": return only([], parts) ? .bool : nil
    case "Set":
      guard only(["element"], parts), has("element", parts, value) else { return nil }
      return parts.element.map { .set($0) }
    case "Record":
      guard only(["attributes", "additionalAttributes"], parts), has("attributes", parts, value) else { return nil }
      return parts.attributes.map { parts.isOpen ? .openRecord($0) : .record($0) }
    case "Entity", "EntityOrCommon", "Extension":
      guard only(["name"], parts), has("name", parts, value), let written = parts.name else { return nil }
      guard let name = name(written.text, written.span, text == "Extension" ? "extension type" : "type") else { return nil }
      switch text {
      case "Entity": return .entity(name)
      case "EntityOrCommon": return .entityOrCommon(name)
      default:
        guard name.isUnqualified, name.text != "__cedar" else {
          complain("invalid extension type `\(name.text)`", name.span)
          return nil
        }
        return .extension(name)
      }
    default:
      guard only([], parts) else { return nil }
      return name(text, span, "common type").map { .common($0) }
    }
  }

  private mutating func only(_ names: [String], _ parts: TypeParts) -> Bool {
    let others = parts.given.filter { given in !names.contains(given.name) }
    for other in others {
      let expected = names.isEmpty ? "there are no fields" : "expected \(names.map { "`\($0)`" }.joined(separator: " or "))"
      complain("unknown field `\(other.name)`, \(expected)", other.span)
    }
    return others.isEmpty
  }

  private mutating func has(_ name: String, _ parts: TypeParts, _ value: JSONValue) -> Bool {
    if parts.given.contains(where: { $0.name == name }) { return true }
    missing(name, value)
    return false
  }

  private mutating func attributes(_ value: JSONValue, depth: Int) -> [SchemaFragment.Attribute]? {
    guard let members = entries(value, "attributes") else { return nil }
    var attributes: [SchemaFragment.Attribute] = []
    attributes.reserveCapacity(members.count)
    for member in members {
      guard let type = annotatedType(member.value, allowing: ["required", "annotations"], depth: depth) else { continue }
      attributes.append(
        SchemaFragment.Attribute(
          name: SchemaFragment.WrittenName(member.name, span: SourceSpan(member.nameSpan)), isRequired: type.isRequired, type: type.type,
          annotations: type.annotations))
    }
    return attributes
  }
}

extension SourceSpan {
  /// The span of a JSON value.
  init(_ range: Range<Int>) { self.init(range.lowerBound, range.upperBound) }
}
