internal import Bytes
public import JSON

/// Reads entities and contexts from JSON (spec: "entities JSON", explicit forms, and implicit ones where a schema says
/// what is expected).
public enum EntitiesJSON {
  /// The entities of a document, an array; all mistakes at once.
  ///
  /// Spans of mistakes are byte offsets in the text that the JSON was read from.
  public static func entities(_ json: JSONValue, schema: (any EntitySchema)? = nil) throws(ParseErrors) -> [Entity] {
    guard let elements = json.array else { throw ParseErrors([noArray(json)]) }
    var entities: [Entity] = []
    entities.reserveCapacity(elements.count)
    var errors: [ParseError] = []
    for element in elements {
      do throws(ParseErrors) { entities.append(try entity(element, schema)) } catch { errors += error.errors }
    }
    guard errors.isEmpty else { throw ParseErrors(errors) }
    return entities
  }

  /// Reads a document entity by entity, so that it is never held as a whole: hands out those that can be read, each with the JSON it
  /// was read from, and returns the mistakes of the others.
  ///
  /// Of a text that is no JSON, the entities before the mistake have been handed out by the time it is thrown.
  public static func forEach(
    in text: [UInt8], schema: (any EntitySchema)? = nil, _ body: (Entity, JSONValue) -> Void
  ) throws(JSONError) -> [ParseError] {
    var errors: [ParseError] = []
    let other = try JSONParser.parseElements(text) { element in
      do throws(ParseErrors) { body(try entity(element, schema), element) } catch { errors += error.errors }
    }
    return other.map { [noArray($0)] } ?? errors
  }

  private static func noArray(_ json: JSONValue) -> ParseError {
    ParseError("expected an array of entities, but got \(json.kindName)", at: span(json))
  }

  /// A context: an object, read by what the schema expects for the action.
  public static func context(
    _ json: JSONValue, action: EntityUID, schema: (any EntitySchema)? = nil
  ) throws(ParseErrors) -> Record {
    func mistake(_ message: String) -> ParseErrors { ParseErrors([ParseError(message, at: span(json))]) }
    guard let members = json.object else { throw mistake("expected the context to be a record, but got \(json.kindName)") }
    let reader = ValueReader(place: .context)
    guard let schema else {
      // Read like any value: `{"__entity": …}` is an entity here as elsewhere, and no context.
      guard case .record(let record) = try reader.value(json, expecting: nil) else {
        throw mistake("expected the context to be a record, but it is written as an entity or an extension value")
      }
      return record
    }
    guard let expected = schema.expectedContext(of: action) else {
      throw mistake("action `\(action)` does not exist in the supplied schema")
    }
    return try reader.record(members, expecting: expected, isOpen: false, in: json, depth: 0)
  }

  /// An entity reference, `{"type", "id"}` or `{"__entity": {"type", "id"}}`.
  public static func uid(_ json: JSONValue) throws(ParseErrors) -> EntityUID {
    do throws(ParseError) { return try ValueReader(place: .uid).entity(json) } catch { throw ParseErrors([error]) }
  }

  static func span(_ json: JSONValue) -> SourceSpan { SourceSpan(json.span.lowerBound, json.span.upperBound) }

  private static func entity(_ json: JSONValue, _ schema: (any EntitySchema)?) throws(ParseErrors) -> Entity {
    guard let members = json.object else {
      throw ParseErrors([ParseError("expected an entity, but got \(json.kindName)", at: span(json))])
    }
    let parts = Parts(members)
    var errors = parts.isWhole ? [] : mistakenFields(members, json)
    guard let uidJSON = parts.uid else { throw ParseErrors(errors) }
    let uid: EntityUID
    let expected: ExpectedEntity?
    do throws(ParseError) {
      uid = try ValueReader(place: .uid).entity(uidJSON)
      expected = try expectation(of: uid, schema, uidJSON)
    } catch { throw ParseErrors(errors + [error]) }
    var entity = Entity(uid: uid)
    if let attributes = parts.attributes {
      do throws(ParseErrors) { entity.attributes = try attributeRecord(attributes, of: uid, expected) } catch { errors += error.errors }
    }
    if let list = parts.parents {
      do throws(ParseErrors) { entity.parents = try parents(list, of: uid) } catch { errors += error.errors }
    }
    if let tags = parts.tags {
      do throws(ParseErrors) { entity.tags = try tagRecord(tags, of: uid, expected) } catch { errors += error.errors }
    }
    guard errors.isEmpty else { throw ParseErrors(errors) }
    return entity
  }

  /// The fields that mean something, the first of each name.
  private struct Parts {
    var uid: JSONValue?
    var attributes: JSONValue?
    var parents: JSONValue?
    var tags: JSONValue?
    /// Whether each is there once, and only `tags` may be missing.
    let isWhole: Bool

    init(_ members: [JSONValue.Member]) {
      var isRepeated = false
      func take(_ value: JSONValue, _ part: inout JSONValue?) { if part == nil { part = value } else { isRepeated = true } }
      for member in members {
        if exactlyEquals(member.name, "uid") {
          take(member.value, &uid)
        } else if exactlyEquals(member.name, "attrs") {
          take(member.value, &attributes)
        } else if exactlyEquals(member.name, "parents") {
          take(member.value, &parents)
        } else if exactlyEquals(member.name, "tags") {
          take(member.value, &tags)
        }
      }
      isWhole = !isRepeated && uid != nil && attributes != nil && parents != nil
    }
  }

  private static let fieldNames = ["uid", "attrs", "parents", "tags"]

  /// What is wrong with the fields that mean something: each is there once, and only `tags` may be missing. What others there are is
  /// ignored.
  private static func mistakenFields(_ members: [JSONValue.Member], _ json: JSONValue) -> [ParseError] {
    var errors: [ParseError] = []
    for name in fieldNames {
      var isThere = false
      for member in members where exactlyEquals(member.name, name) {
        if isThere { errors.append(ParseError("field `\(name)` occurs twice", at: span(member.value))) }
        isThere = true
      }
      if !isThere, name != "tags" { errors.append(missing(name, json)) }
    }
    return errors
  }

  /// What the schema expects of an entity; nil for actions, and without a schema.
  static func expectation(of uid: EntityUID, _ schema: (any EntitySchema)?, _ json: JSONValue) throws(ParseError) -> ExpectedEntity? {
    guard let schema, !uid.type.isAction else { return nil }
    guard let known = schema.expectedEntity(of: uid.type) else {
      throw ParseError(
        "entity `\(uid)` has type `\(uid.type)` which is not declared in the schema", at: span(json),
        help: schema.nearestType(to: uid.type).map { "did you mean `\($0)`?" })
    }
    return known
  }

  static func attributeRecord(_ json: JSONValue, of uid: EntityUID, _ expected: ExpectedEntity?) throws(ParseErrors) -> Record {
    let types = ExpectedAttributes(expected?.attributes ?? [])
    let isOpen = expected?.isOpen ?? true
    return try fields(json, of: uid, "attrs", ValueReader.Place.attribute) { (key: String) throws(ParseError) in
      let type = types[key]?.type
      if type == nil, !isOpen {
        throw ParseError(
          "attribute `\(key)` on `\(uid)` should not exist according to the schema", at: .none,
          help: Spelling.nearest(to: key, among: expected?.attributes.map(\.key) ?? []).map { "did you mean `\($0)`?" })
      }
      return type
    }
  }

  static func tagRecord(_ json: JSONValue, of uid: EntityUID, _ expected: ExpectedEntity?) throws(ParseErrors) -> Record {
    try fields(json, of: uid, "tags", ValueReader.Place.tag) { (key: String) throws(ParseError) in
      if let expected, expected.tags == nil {
        throw ParseError("found a tag `\(key)` on `\(uid)`, but no tags should exist on `\(uid)` according to the schema", at: .none)
      }
      return expected?.tags
    }
  }

  private static func missing(_ field: String, _ json: JSONValue) -> ParseError {
    ParseError(
      "missing field `\(field)`", at: span(json), help: "an entity has the fields `uid`, `attrs` and `parents`, and may have `tags`")
  }

  static func parents(_ json: JSONValue, of uid: EntityUID) throws(ParseErrors) -> Set<EntityUID> {
    guard let elements = json.array else {
      throw ParseErrors([ParseError("expected `parents` of `\(uid)` to be an array, but got \(json.kindName)", at: span(json))])
    }
    let reader = ValueReader(place: .parents(uid))
    var parents: Set<EntityUID> = []
    var errors: [ParseError] = []
    for element in elements {
      do throws(ParseError) {
        let parent = try reader.entity(element)
        if uid.type.isAction, !parent.type.isAction {
          throw ParseError("action `\(uid)` has a non-action parent `\(parent)`", at: span(element))
        }
        parents.insert(parent)
      } catch { errors.append(error) }
    }
    guard errors.isEmpty else { throw ParseErrors(errors) }
    return parents
  }

  private static func fields(
    _ json: JSONValue, of uid: EntityUID, _ field: String, _ place: (String, EntityUID) -> ValueReader.Place,
    expecting type: (String) throws(ParseError) -> ExpectedType?
  ) throws(ParseErrors) -> Record {
    guard let members = json.object else {
      throw ParseErrors([ParseError("expected `\(field)` of `\(uid)` to be an object, but got \(json.kindName)", at: span(json))])
    }
    var errors: [ParseError] = []
    var fields: [Record.Field] = []
    fields.reserveCapacity(members.count)
    for member in members {
      let expected: ExpectedType?
      do throws(ParseError) { expected = try type(member.name) } catch {
        errors.append(ParseError(error.message, at: SourceSpan(member.nameSpan.lowerBound, member.nameSpan.upperBound), help: error.help))
        continue
      }
      let reader = ValueReader(place: place(member.name, uid))
      do throws(ParseErrors) { fields.append(Record.Field(member.name, try reader.value(member.value, expecting: expected))) } catch {
        errors += error.errors
      }
    }
    guard errors.isEmpty else { throw ParseErrors(errors) }
    guard let record = Record(fields) else {
      throw ParseErrors([ParseError("a key occurs twice in `\(field)` of `\(uid)`", at: span(json))])
    }
    return record
  }
}

extension EntitiesJSON {
  /// Entities as JSON in the explicit form, in byte order of their names.
  public static func json(_ entities: Entities) -> JSONValue {
    .array(entities.all.sorted { $0.uid < $1.uid }.map(json))
  }

  /// One entity as JSON in the explicit form.
  public static func json(_ entity: Entity) -> JSONValue {
    var members: [JSONValue.Member] = [
      .init(name: "uid", value: json(entity.uid)),
      .init(name: "attrs", value: json(entity.attributes)),
      .init(name: "parents", value: .array(entity.parents.sorted().map(json))),
    ]
    if !entity.tags.isEmpty { members.append(.init(name: "tags", value: json(entity.tags))) }
    return JSONValue(.object(members))
  }

  /// A reference, `{"type", "id"}`.
  public static func json(_ uid: EntityUID) -> JSONValue { .object(["type": .string(uid.type.text), "id": .string(uid.id)]) }

  /// A record as an object.
  public static func json(_ record: Record) -> JSONValue {
    JSONValue(.object(record.fields.map { .init(name: $0.key, value: json($0.value)) }))
  }

  /// A value in the explicit form: entities as `__entity`, extension values as `__extn`.
  public static func json(_ value: Value) -> JSONValue {
    switch value {
    case .bool(let flag): .bool(flag)
    case .long(let number): .integer(number)
    case .string(let text): .string(text)
    case .entity(let uid): .object(["__entity": json(uid)])
    case .set(let set): .array(set.elements.map(json))
    case .record(let record): json(record)
    case .decimal(let number): call("decimal", .string(number.spelling ?? number.canonical))
    case .ip(let address): call("ip", .string(address.spelling ?? address.canonical))
    case .duration(let span): call("duration", .string(span.spelling ?? "\(span.milliseconds)ms"))
    case .unknown(let unknown):
      .object(["__extn": .object(["fn": .string(unknown.function), "args": .array(unknown.arguments.map(json))])])
    case .datetime(let instant):
      if let spelling = instant.spelling {
        call("datetime", .string(spelling))
      } else {
        .object([
          "__extn": .object([
            "fn": .string("offset"),
            "args": .array([
              call("datetime", .string("1970-01-01")), call("duration", .string("\(instant.milliseconds)ms")),
            ]),
          ])
        ])
      }
    }
  }

  private static func call(_ function: String, _ argument: JSONValue) -> JSONValue {
    .object(["__extn": .object(["fn": .string(function), "arg": argument])])
  }
}
