internal import Bytes
public import Cedar
internal import JSON

/// A question as the policies were asked it: all they saw of a request, beside the entities that are their own.
public struct Asked: Sendable {
  /// Who, what, with what, under which circumstances.
  public let request: Request
  /// The principal, its groups, the resource and its ancestors, as token and request say them, and what was looked up for them.
  public let entities: [Entity]

  /// The question as records keep it, `{"entities": […], "context": {…}}` in Cedar's JSON; nil if that cannot hold it.
  var json: JSONValue? {
    guard Self.canBeRead(request.context), entities.allSatisfy({ Self.canBeRead($0.attributes) }) else { return nil }
    // A group that is only a name is in its members' parents already.
    let telling = entities.filter { !$0.attributes.isEmpty || !$0.tags.isEmpty || !$0.parents.isEmpty }
    return .object([
      "entities": .array(telling.map { (entity: Entity) -> JSONValue in EntitiesJSON.json(entity) }),
      "context": EntitiesJSON.json(request.context),
    ])
  }

  // As layers of entities are laid: the parents of both, and the content of the one that has any.
  static func merged(_ entities: [Entity]) -> [Entity] {
    var places: [EntityUID: Int] = [:]
    var merged: [Entity] = []
    for entity in entities {
      guard let place = places[entity.uid] else {
        places[entity.uid] = merged.count
        merged.append(entity)
        continue
      }
      merged[place].parents.formUnion(entity.parents)
      if merged[place].attributes.isEmpty { merged[place].attributes = entity.attributes }
      if merged[place].tags.isEmpty { merged[place].tags = entity.tags }
    }
    return merged
  }

  // A claim that happens to be written as Cedar's JSON writes entities would be read back as one.
  private static func canBeRead(_ record: Record) -> Bool {
    if record.count == 1, let key = record.fields.first?.key, ["__entity", "__extn", "__expr"].contains(where: { exactlyEquals($0, key) }) {
      return false
    }
    return record.fields.allSatisfy { canBeRead($0.value) }
  }

  private static func canBeRead(_ value: Value) -> Bool {
    switch value {
    case .record(let record): canBeRead(record)
    case .set(let set): set.elements.allSatisfy(canBeRead)
    default: true
    }
  }
}

extension Exchange {
  /// What every policy made of this exchange; nil if none was asked.
  public var explanation: Explanation? {
    guard trail.response != nil, let asked else { return nil }
    do throws(OverlayError) { return try snapshot.authorization.authorizer.explain(asked.request, and: asked.entities) } catch {
      return nil
    }
  }

  /// What the policies are asked about this exchange, once it is known who asks; nil before, and where it cannot be said.
  public var asked: Asked? {
    guard let question = trail.question, let identity = trail.identity else { return nil }
    do throws(Stop) {
      let mapped = try snapshot.mapping.request(question, by: identity, from: client.peer, head, at: time)
      let entities = identity.claimed + mapped.resourceEntities
      return Asked(
        request: mapped.request, entities: mapped.learnedEntities.isEmpty ? entities : Asked.merged(entities + mapped.learnedEntities))
    } catch {
      return nil
    }
  }
}
