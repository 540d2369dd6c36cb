public import Bytes
public import Cedar
public import JSON

/// What a policy store holds, as its operations answer: everything that decides, and what it is called.
public struct PolicyStoreContents: Sendable, Equatable {
  /// The store's own id, whatever name or alias it was asked by.
  public var id: String
  /// Whether it holds policies to its schema.
  public var isStrict: Bool
  /// Its schema; nil if it has none.
  public var schema: StoredSchema?
  /// Its templates, in its order.
  public var templates: [StoredTemplate]
  /// Its policies, static and linked, in its order.
  public var policies: [StoredPolicy]

  /// Contents.
  public init(
    id: String, isStrict: Bool, schema: StoredSchema? = nil, templates: [StoredTemplate] = [], policies: [StoredPolicy] = []
  ) {
    self.id = id
    self.isStrict = isStrict
    self.schema = schema
    self.templates = templates
    self.policies = policies
  }

  /// The static or linked policy of that id.
  public func policy(_ id: String) -> StoredPolicy? { policies.first { exactlyEquals($0.id, id) } }
  /// The template of that id.
  public func template(_ id: String) -> StoredTemplate? { templates.first { exactlyEquals($0.id, id) } }
}

/// A store's schema.
public struct StoredSchema: Sendable, Equatable {
  /// In Cedar's JSON format.
  public var text: ExactString
  /// When it was put, as the service says it.
  public var updated: String

  /// A schema.
  public init(text: String, updated: String) {
    self.text = ExactString(text)
    self.updated = updated
  }
}

/// A template of a store.
public struct StoredTemplate: Sendable, Equatable {
  /// The store's id for it.
  public var id: String
  /// Its name, `name/…`.
  public var name: String?
  /// What it is for.
  public var description: ExactString?
  /// Its text.
  public var statement: ExactString
  /// When it was changed last, as the service says it.
  public var updated: String

  /// A template.
  public init(id: String, name: String? = nil, description: String? = nil, statement: String, updated: String) {
    self.id = id
    self.name = name
    self.description = description.map { ExactString($0) }
    self.statement = ExactString(statement)
    self.updated = updated
  }
}

/// A policy of a store.
public struct StoredPolicy: Sendable, Equatable {
  /// What it consists of.
  public enum Definition: Sendable, Equatable {
    /// A text of its own.
    case statement(ExactString)
    /// A template with entities in its slots.
    case link(template: String, principal: EntityUID?, resource: EntityUID?)
  }

  /// The store's id for it.
  public var id: String
  /// Its name, `name/…`.
  public var name: String?
  /// What it is for; linked policies have none.
  public var description: ExactString?
  /// What it consists of.
  public var definition: Definition
  /// When it was changed last, as the service says it.
  public var updated: String

  /// A policy.
  public init(id: String, name: String? = nil, description: String? = nil, definition: Definition, updated: String) {
    self.id = id
    self.name = name
    self.description = description.map { ExactString($0) }
    self.definition = definition
    self.updated = updated
  }

  /// The template that it is linked to.
  public var template: String? { if case .link(let template, _, _) = definition { template } else { nil } }
}

// MARK: - Reading answers

extension PolicyStoreContents {
  /// Reads an answer to GetPolicyStore: a store without anything in it.
  public init(store json: JSONValue) throws(WireError) {
    let settings = json["validationSettings"]
    guard let mode = settings?["mode"]?.string else { throw WireError("the store's validation mode is missing") }
    self.init(id: try json.wireText("policyStoreId"), isStrict: exactlyEquals(mode, "STRICT"))
    // What an older Cedar means by these policies is not what is decided here.
    if let version = json["cedarVersion"]?.string, !exactlyEquals(version, "CEDAR_4") {
      throw WireError("the store's Cedar version is \(version.prefix(20)), and only CEDAR_4 is known here")
    }
  }
}

extension StoredSchema {
  /// Reads an answer to GetSchema.
  public init(schema json: JSONValue) throws(WireError) {
    self.init(text: try json.wireText("schema"), updated: try json.wireText("lastUpdatedDate"))
  }
}

extension StoredTemplate {
  /// Reads an answer to GetPolicyTemplate, or an item of a list, which has no statement: it is then empty.
  public init(template json: JSONValue, isItem: Bool = false) throws(WireError) {
    self.init(
      id: try json.wireText("policyTemplateId"), name: try json.wireOptionalText("name"),
      description: try json.wireOptionalText("description"), statement: isItem ? "" : try json.wireText("statement"),
      updated: try json.wireText("lastUpdatedDate"))
  }

  /// As `init(template:)` reads it.
  public var json: JSONValue {
    .wire([
      "policyTemplateId": .string(id), "name": name.map { .string($0) }, "description": description.map { .string($0.string) },
      "statement": .string(statement.string), "lastUpdatedDate": .string(updated),
    ])
  }
}

extension StoredPolicy {
  /// Reads an answer to GetPolicy or BatchGetPolicy, or an item of a list, which has no statement: it is then empty.
  public init(policy json: JSONValue, isItem: Bool = false) throws(WireError) {
    guard let union = json["definition"]?.object?.filter({ !$0.value.isNull }), union.count == 1, let part = union.first else {
      throw WireError("a policy has no definition")
    }
    let definition: Definition
    switch part.name {
    case "static": definition = .statement(ExactString(isItem ? "" : try part.value.wireText("statement")))
    case "templateLinked":
      definition = .link(
        template: try part.value.wireText("policyTemplateId"), principal: try part.value.wireEntity("principal"),
        resource: try part.value.wireEntity("resource"))
    default: throw WireError("a policy is neither static nor linked to a template")
    }
    self.init(
      id: try json.wireText("policyId"), name: try json.wireOptionalText("name"),
      description: try part.value.wireOptionalText("description"), definition: definition, updated: try json.wireText("lastUpdatedDate"))
  }

  /// As `init(policy:)` reads it.
  public var json: JSONValue {
    let part: JSONValue =
      switch definition {
      case .statement(let text):
        .object([
          "static": .wire(["description": description.map { .string($0.string) }, "statement": .string(text.string)])
        ])
      case .link(let template, let principal, let resource):
        .object([
          "templateLinked": .wire([
            "policyTemplateId": .string(template), "principal": principal.map { .wire($0) }, "resource": resource.map { .wire($0) },
          ])
        ])
      }
    return .wire([
      "policyId": .string(id), "name": name.map { .string($0) }, "definition": part, "lastUpdatedDate": .string(updated),
    ])
  }
}

extension PolicyStoreContents {
  /// The contents as `init(copy:)` reads them.
  public var copy: JSONValue {
    .wire([
      "policyStoreId": .string(id), "validationSettings": .object(["mode": .string(isStrict ? "STRICT" : "OFF")]),
      "schema": schema.map { .object(["schema": .string($0.text.string), "lastUpdatedDate": .string($0.updated)]) },
      "templates": .array(templates.map(\.json)), "policies": .array(policies.map(\.json)),
    ])
  }

  /// Reads a copy that was kept.
  public init(copy json: JSONValue) throws(WireError) {
    try self.init(store: json)
    if let schema = json["schema"] { self.schema = try StoredSchema(schema: schema) }
    guard let templates = json["templates"]?.array, let policies = json["policies"]?.array else { throw WireError("a list is missing") }
    for template in templates { self.templates.append(try StoredTemplate(template: template)) }
    for policy in policies { self.policies.append(try StoredPolicy(policy: policy)) }
  }
}

extension JSONValue {
  /// An object of the members that have a value.
  public static func wire(_ pairs: KeyValuePairs<String, JSONValue?>) -> JSONValue {
    JSONValue(.object(pairs.compactMap { pair in pair.value.map { Member(name: pair.key, value: $0) } }))
  }

  /// An entity's name as the API writes it.
  public static func wire(_ uid: EntityUID) -> JSONValue {
    .object(["entityType": .string(uid.type.text), "entityId": .string(uid.id)])
  }

  fileprivate func wireText(_ name: String) throws(WireError) -> String {
    guard let text = self[name]?.string, !text.isEmpty else { throw WireError("\(name) is missing") }
    return text
  }

  fileprivate func wireOptionalText(_ name: String) throws(WireError) -> String? {
    guard let value = self[name], !value.isNull else { return nil }
    guard let text = value.string else { throw WireError("\(name) is \(value.kindName)") }
    return text.isEmpty ? nil : text
  }

  fileprivate func wireEntity(_ name: String) throws(WireError) -> EntityUID? {
    guard let value = self[name], !value.isNull else { return nil }
    do throws(FieldError) { return try AttributeValue.uid(value, at: name) } catch {
      throw WireError("\(error.path): \(error.message)")
    }
  }
}
