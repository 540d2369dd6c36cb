public import JSON

/// An entity of which some parts may be unknown (spec: "type-aware partial evaluation").
public struct PartialEntity: Sendable, Equatable {
  /// Its name.
  public let uid: EntityUID
  /// Its attributes; nil if they are unknown.
  public var attributes: Record?
  /// Its direct parents; nil if they are unknown.
  public var parents: Set<EntityUID>?
  /// Its tags; nil if they are unknown.
  public var tags: Record?

  /// An entity.
  public init(uid: EntityUID, attributes: Record?, parents: Set<EntityUID>?, tags: Record?) {
    self.uid = uid
    self.attributes = attributes
    self.parents = parents
    self.tags = tags
  }
}

extension EntitiesJSON {
  /// Entities whose fields `attrs`, `parents` and `tags` are unknown where they are missing; all mistakes at once.
  public static func partialEntities(_ json: JSONValue, schema: (any EntitySchema)? = nil) throws(ParseErrors) -> [PartialEntity] {
    guard let elements = json.array else {
      throw ParseErrors([ParseError("expected an array of entities, but got \(json.kindName)", at: span(json))])
    }
    var entities: [PartialEntity] = []
    var errors: [ParseError] = []
    for element in elements {
      do throws(ParseErrors) { entities.append(try partialEntity(element, schema)) } catch { errors += error.errors }
    }
    guard errors.isEmpty else { throw ParseErrors(errors) }
    return entities
  }

  private static func partialEntity(_ json: JSONValue, _ schema: (any EntitySchema)?) throws(ParseErrors) -> PartialEntity {
    func field(_ name: String) -> JSONValue? { json[name].flatMap { $0.isNull ? nil : $0 } }
    let uid: EntityUID
    let expected: ExpectedEntity?
    do throws(ParseError) {
      guard let uidJSON = field("uid") else { throw ParseError("missing field `uid`", at: span(json)) }
      uid = try ValueReader(place: .uid).entity(uidJSON)
      if uid.type.isAction {
        throw ParseError("action `\(uid)` comes from the schema and cannot be listed among partial entities", at: span(uidJSON))
      }
      expected = try expectation(of: uid, schema, uidJSON)
    } catch { throw ParseErrors([error]) }
    var errors: [ParseError] = []
    func read<Part>(_ name: String, _ part: (JSONValue) throws(ParseErrors) -> Part) -> Part? {
      guard let json = field(name) else { return nil }
      do throws(ParseErrors) { return try part(json) } catch {
        errors += error.errors
        return nil
      }
    }
    let entity = PartialEntity(
      uid: uid,
      attributes: read("attrs") { (attributes) throws(ParseErrors) in try attributeRecord(attributes, of: uid, expected) },
      parents: read("parents") { (list) throws(ParseErrors) in try parents(list, of: uid) },
      tags: read("tags") { (tags) throws(ParseErrors) in try tagRecord(tags, of: uid, expected) })
    guard errors.isEmpty else { throw ParseErrors(errors) }
    for record in [entity.attributes, entity.tags] {
      guard let record, Value.record(record).holdsUnknown else { continue }
      throw ParseErrors([
        ParseError(
          "`\(uid)` holds an `unknown`", at: span(json), help: "leave out `attrs` or `tags` as a whole if something in it is unknown")
      ])
    }
    return entity
  }
}
