internal import Bytes
internal import Cedar
internal import CedarSchema
internal import JSON

/// A store's policies and actions, ready to decide.
final class CompiledStore {
  let authorizer: Authorizer
  let actions: [Entity]

  init(_ id: String, _ documents: Documents) throws(Fault) {
    var set = PolicySet()
    do throws(PolicySetError) {
      for template in documents.all(.template, in: id) {
        var policy = try Statement.stored(template)
        policy.id = PolicyID(template.id)
        try set.addTemplate(policy)
      }
      for document in documents.all(.policy, in: id) {
        if document.text("statement") != nil {
          var policy = try Statement.stored(document)
          policy.id = PolicyID(document.id)
          try set.add(policy)
        } else {
          try set.link(Statement.link(document))
        }
      }
      actions = Self.schema(id, documents)?.actionEntities ?? []
    } catch { throw Self.damaged("\(error)") }
    do throws(EntitiesError) { authorizer = Authorizer(policies: set, entities: try Entities(actions)) } catch {
      throw Self.damaged("\(error)")
    }
  }

  /// The store's schema, if it has one.
  static func schema(_ store: String, _ documents: Documents) -> Schema? {
    guard let text = documents.one(.schema, in: store, "schema")?.text("cedarJson") else { return nil }
    do throws(SchemaErrors) { return try Schema(jsonText: text) } catch { return nil }
  }

  private static func damaged(_ why: String) -> Fault {
    Fault(name: "InternalServerException", message: "The store cannot be read: \(why)", status: 500)
  }
}

/// Statements as they are checked before they are kept, and as they are read again.
enum Statement {
  /// One policy or template of a text.
  static func read(_ text: String, at path: String) throws(Fault) -> Policy {
    guard text.utf8.count <= 10_000 else { throw .quota("A policy is larger than 10000 bytes.", .policy, "") }
    let policies: [Policy]
    do throws(ParseErrors) { policies = try PolicyParser.parse(text) } catch {
      throw .validation(error.errors.first?.message ?? "The statement cannot be read.", at: path)
    }
    guard policies.count == 1, let policy = policies.first else { throw .validation("A statement is exactly one policy.", at: path) }
    return policy
  }

  /// A statement that was checked when it was kept.
  static func stored(_ document: Document) throws(PolicySetError) -> Policy {
    do throws(Fault) { return try read(document.text("statement") ?? "", at: "") } catch { throw .duplicateID(PolicyID(document.id)) }
  }

  /// The link of a template-linked policy's document.
  static func link(_ document: Document) -> TemplateLink {
    func uid(_ name: String) -> EntityUID? {
      guard let value = document.value[name], let type = value["entityType"]?.string, let id = value["entityId"]?.string else { return nil }
      return EntityUID(type: EntityType(unchecked: type), id: id)
    }
    return TemplateLink(
      id: PolicyID(document.id), template: PolicyID(document.text("policyTemplateId") ?? ""), principal: uid("principal"),
      resource: uid("resource"))
  }

  /// The members of an answer that say what a policy's scope names.
  static func scope(_ policy: Policy, _ link: TemplateLink? = nil) -> (principal: JSONValue?, resource: JSONValue?, actions: JSONValue?) {
    func entity(_ constraint: ScopeConstraint, _ bound: EntityUID?) -> JSONValue? {
      switch constraint {
      case .any, .is: nil
      case .equal(let reference), .in(let reference), .isIn(_, let reference):
        (reference.entity ?? bound).map { .uid($0.type.text, $0.id) }
      }
    }
    func action(_ uid: EntityUID) -> JSONValue { .object(["actionType": .string(uid.type.text), "actionId": .string(uid.id)]) }
    let actions: JSONValue? =
      switch policy.action {
      case .any: nil
      case .equal(let uid), .in(let uid): .array([action(uid)])
      case .inAny(let uids): .array(uids.map(action))
      }
    return (entity(policy.principal, link?.principal), entity(policy.resource, link?.resource), actions)
  }
}
