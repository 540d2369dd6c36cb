internal import AWS
internal import Bytes
internal import Cedar
internal import JSON

extension PolicyStoreService {
  func isAuthorized(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    let compiled = try compiled(store)
    let entities = try Self.entities(input, actions: compiled.actions)
    return try decide(try question(input, principal: try input.uid("principal")), entities, compiled)
  }

  func batchIsAuthorized(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    let compiled = try compiled(store)
    let entities = try Self.entities(input, actions: compiled.actions)
    let items = try items(input)
    var questions: [Request] = []
    for item in items { questions.append(try question(item, principal: try item.uid("principal"))) }
    let principals = Set(questions.map(\.principal))
    let resources = Set(questions.map(\.resource))
    guard principals.count == 1 || resources.count == 1 else {
      throw .validation("All requests have the same principal, or all have the same resource.", at: "requests")
    }
    return .object(["results": .array(try results(items, questions, entities, compiled))])
  }

  func isAuthorized(_ input: Input, by asked: Asked, in store: Document) throws(Fault) -> JSONValue {
    let compiled = try compiled(store)
    let entities = try asked.entities(joining: try Self.entities(input, actions: compiled.actions))
    let question = try asked.question(try question(input, principal: asked.principal))
    let answer = try decide(question, entities, compiled)
    return JSONValue(
      .object((answer.object ?? []) + [.init(name: "principal", value: .uid(asked.principal.type.text, asked.principal.id))]))
  }

  func batchIsAuthorized(_ input: Input, by asked: Asked, in store: Document) throws(Fault) -> JSONValue {
    let compiled = try compiled(store)
    let entities = try asked.entities(joining: try Self.entities(input, actions: compiled.actions))
    let items = try items(input)
    var questions: [Request] = []
    for item in items { questions.append(try asked.question(try question(item, principal: asked.principal))) }
    return .object([
      "principal": .uid(asked.principal.type.text, asked.principal.id),
      "results": .array(try results(items, questions, entities, compiled)),
    ])
  }

  private func items(_ input: Input) throws(Fault) -> [Input] {
    guard let list = input.member("requests")?.array else { throw .validation("This member is required.", at: "requests") }
    guard (1...AuthorizationCall.mostInBatch).contains(list.count) else {
      throw .validation("There must be from 1 to \(AuthorizationCall.mostInBatch) requests.", at: "requests")
    }
    return list.enumerated().map { Input($1, at: "requests[\($0)]") }
  }

  private func results(_ items: [Input], _ questions: [Request], _ entities: [Entity], _ store: CompiledStore) throws(Fault) -> [JSONValue]
  {
    var results: [JSONValue] = []
    for (item, question) in zip(items, questions) {
      let answer = try decide(question, entities, store)
      results.append(JSONValue(.object([.init(name: "request", value: item.json)] + (answer.object ?? []))))
    }
    return results
  }

  private func decide(_ question: Request, _ entities: [Entity], _ store: CompiledStore) throws(Fault) -> JSONValue {
    let known: Entities
    do throws(EntitiesError) { known = try Entities(entities) } catch { throw .validation("\(error).", at: "entities") }
    for uid in [question.principal, question.resource] where known.ancestors(of: uid).count > 100 {
      throw .validation("\(uid) has more than 100 ancestors.", at: "entities")
    }
    let response: Response
    do throws(OverlayError) { response = try store.authorizer.isAuthorized(question, and: entities) } catch {
      throw .validation("\(error).", at: "entities")
    }
    return .object([
      "decision": .string(response.decision == .allow ? "ALLOW" : "DENY"),
      "determiningPolicies": .array(response.determining.map { .object(["policyId": .string($0.text)]) }),
      "errors": .array(response.errors.map { .object(["errorDescription": .string($0.description)]) }),
    ])
  }

  /// The question of a request. What it leaves out is an entity that nothing else is, and of no type that a policy can name.
  private func question(_ input: Input, principal: EntityUID?) throws(Fault) -> Request {
    func unspecified(_ what: String) -> EntityUID { EntityUID(type: EntityType(unchecked: "__cedar::Unspecified"), id: what) }
    var action: EntityUID?
    if let member = input.member("action") {
      do throws(FieldError) { action = try AttributeValue.action(member, at: input.place("action")) } catch { throw .validation(error) }
    }
    let asked = action ?? unspecified("action")
    return Request(
      principal: principal ?? unspecified("principal"), action: asked, resource: try input.uid("resource") ?? unspecified("resource"),
      context: try context(input, of: asked))
  }

  private func context(_ input: Input, of action: EntityUID) throws(Fault) -> Record {
    guard let context = try input.structure("context") else { return .empty }
    let (name, value) = try context.union(["contextMap", "cedarJson"])
    if name == "contextMap" {
      do throws(FieldError) { return try AttributeValue.record(value.json, at: value.path) } catch { throw .validation(error) }
    }
    let json = try Self.embedded(value)
    do throws(ParseErrors) { return try EntitiesJSON.context(json, action: action) } catch {
      throw .validation(error.errors.first?.message ?? "The context cannot be read.", at: value.path)
    }
  }

  /// The entities of a request; of two of one name in a list the last counts. Actions come from the schema and from nowhere else.
  private static func entities(_ input: Input, actions: [Entity]) throws(Fault) -> [Entity] {
    guard let member = try input.structure("entities") else { return [] }
    let (name, value) = try member.union(["entityList", "cedarJson"])
    var entities: [Entity] = []
    if name == "entityList" {
      guard let list = value.json.array else { throw .validation("Expected a list.", at: value.path) }
      var places: [EntityUID: Int] = [:]
      for (index, item) in list.enumerated() {
        let entity = try entity(Input(item, at: "\(value.path)[\(index)]"))
        if let place = places[entity.uid] {
          entities[place] = entity
        } else {
          places[entity.uid] = entities.count
          entities.append(entity)
        }
      }
    } else {
      let json = try embedded(value)
      do throws(ParseErrors) { entities = try EntitiesJSON.entities(json) } catch {
        throw .validation(error.errors.first?.message ?? "The entities cannot be read.", at: value.path)
      }
      // Two of one name are one if they are equal, and a mistake otherwise.
      do throws(EntitiesError) { entities = try Entities(entities).all } catch {
        throw .validation("\(error).", at: value.path)
      }
    }
    if let action = entities.first(where: { $0.uid.type.isAction }) {
      throw .validation("Action entities come from the schema: \(action.uid).", at: value.path)
    }
    return entities
  }

  private static func entity(_ input: Input) throws(Fault) -> Entity {
    guard let uid = try input.uid("identifier") else { throw .validation("This member is required.", at: input.place("identifier")) }
    var entity = Entity(uid: uid)
    do throws(FieldError) {
      if let attributes = input.member("attributes") {
        entity.attributes = try AttributeValue.record(attributes, at: input.place("attributes"))
      }
      if let tags = input.member("tags") { entity.tags = try AttributeValue.record(tags, at: input.place("tags")) }
      if let parents = input.member("parents") {
        guard let list = parents.array else { throw FieldError(input.place("parents"), "Expected a list.") }
        for (index, parent) in list.enumerated() {
          entity.parents.insert(try AttributeValue.uid(parent, at: "\(input.place("parents"))[\(index)]"))
        }
      }
    } catch { throw .validation(error) }
    return entity
  }

  /// JSON in a string.
  private static func embedded(_ value: Input) throws(Fault) -> JSONValue {
    guard let text = value.json.string else { throw .validation("Expected a string.", at: value.path) }
    do throws(JSONError) { return try JSONParser.parse(text, limits: .init(depth: 256)) } catch {
      throw .validation("This is no JSON: \(error).", at: value.path)
    }
  }
}
