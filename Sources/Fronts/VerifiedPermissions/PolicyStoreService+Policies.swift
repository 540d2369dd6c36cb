internal import AWS
internal import Bytes
internal import Cedar
internal import CedarSchema
internal import JSON

extension PolicyStoreService {
  // MARK: - Policies

  func createPolicy(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    return try create("CreatePolicy", input, in: store.id, .policy) { () throws(Fault) in
      let name = try input.name().flatMap { $0.isEmpty ? nil : $0 }
      try refuseTaken(name, in: store, .policy)
      let id = makeID()
      let definition = try input.required("definition").union(["static", "templateLinked"])
      var members: [JSONValue.Member] = []
      if definition.name == "static" {
        let statement = try definition.value.requiredText("statement", 1...Int.max)
        var policy = try Statement.read(statement, at: definition.value.place("statement"))
        guard policy.slots.isEmpty else { throw .validation("A static policy has no slots.", at: definition.value.place("statement")) }
        policy.id = PolicyID(id)
        try validate([policy], link: nil, in: store)
        members.append(.init(name: "statement", value: .string(statement)))
        if let text = try definition.value.text("description", 0...150) { members.append(.init(name: "description", value: .string(text))) }
      } else {
        let template = try template(named: try definition.value.id("policyTemplateId"), in: store)
        members.append(.init(name: "policyTemplateId", value: .string(template.id)))
        for slot in ["principal", "resource"] {
          if let uid = try definition.value.uid(slot) { members.append(.init(name: slot, value: .uid(uid.type.text, uid.id))) }
        }
        let link = Statement.link(Document(number: 0, id: id, value: JSONValue(.object(members))))
        try validate([try Self.policy(of: template)], link: link, in: store)
      }
      if let name { members.append(.init(name: "name", value: .string(name))) }
      members += [.init(name: "createdDate", value: timestamp), .init(name: "lastUpdatedDate", value: timestamp)]
      let document = Document(number: 0, id: id, value: JSONValue(.object(members)))
      return (id, try answer(document, in: store), [.put(.policy, store: store.id, id: id, document.value)])
    }
  }

  func getPolicy(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    let policy = try policy(named: try input.id("policyId"), in: store)
    return try answer(policy, in: store, isWhole: true)
  }

  func batchGetPolicy(_ input: Input) throws(Fault) -> JSONValue {
    guard let requests = input.member("requests")?.array, (1...100).contains(requests.count) else {
      throw .validation("Expected a list of 1 to 100.", at: input.place("requests"))
    }
    var results: [JSONValue] = []
    var errors: [JSONValue] = []
    for (index, json) in requests.enumerated() {
      let request = Input(json, at: "\(input.place("requests"))[\(index)]")
      guard json.object != nil else { throw .validation("Expected a structure.", at: request.path) }
      let (store, id) = (try request.id("policyStoreId"), try request.id("policyId"))
      func fail(_ code: String, _ message: String) {
        errors.append(
          .object(["code": .string(code), "policyStoreId": .string(store), "policyId": .string(id), "message": .string(message)]))
      }
      guard let found = documents.one(.store, store) else {
        fail("POLICY_STORE_NOT_FOUND", "Policy Store does not exist.")
        continue
      }
      guard let policy = find(.policy, id, in: found) else {
        fail("POLICY_NOT_FOUND", "Policy does not exist.")
        continue
      }
      // An item has no members that say what its scope names.
      let hidden = ["principal", "resource", "actions", "effect"]
      let members = (try answer(policy, in: found, isWhole: true).object ?? []).filter { !hidden.contains($0.name) }
      results.append(JSONValue(.object(members)))
    }
    return .object(["results": .array(results), "errors": .array(errors)])
  }

  func listPolicies(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    var policies = documents.all(.policy, in: store.id)
    if let filter = try input.structure("filter") {
      let type = try filter.word("policyType", of: ["STATIC", "TEMPLATE_LINKED"])
      if let type { policies = policies.filter { ($0.text("statement") == nil) == (type == "TEMPLATE_LINKED") } }
      if let id = try filter.text("policyTemplateId", 1...200) {
        let template = try template(named: id, in: store)
        policies = policies.filter { $0.text("policyTemplateId") == template.id }
      }
      for element in ["principal", "resource"] {
        guard let reference = try filter.structure(element) else { continue }
        let wanted = try reference.union(["identifier", "unspecified"])
        let uid = wanted.name == "identifier" ? try reference.uid("identifier") : nil
        if wanted.name == "unspecified", wanted.value.json.bool != true {
          throw .validation("Expected true.", at: wanted.value.path)
        }
        var kept: [Document] = []
        for policy in policies where try scope(of: policy, in: store)[element] == uid.map({ JSONValue.uid($0.type.text, $0.id) }) {
          kept.append(policy)
        }
        policies = kept
      }
    }
    let (page, next) = try input.page().cut(policies)
    var items: [JSONValue] = []
    for policy in page { items.append(try answer(policy, in: store, isItem: true)) }
    return .members(["policies": .array(items), "nextToken": next.map { .string($0) }])
  }

  func updatePolicy(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    let before = try policy(named: try input.id("policyId"), in: store)
    var members = (before.value.object ?? []).filter { $0.name != "lastUpdatedDate" }
    if let definition = try input.structure("definition") {
      let value = try definition.union(["static"]).value
      guard let old = before.text("statement") else { throw .validation("A template-linked policy cannot be updated.", at: value.path) }
      let statement = try value.requiredText("statement", 1...Int.max)
      var policy = try Statement.read(statement, at: value.place("statement"))
      let was = try Statement.read(old, at: "")
      guard policy.slots.isEmpty, policy.effect == was.effect, policy.principal == was.principal, policy.resource == was.resource else {
        throw .validation("Effect, principal and resource of a policy cannot change.", at: value.place("statement"))
      }
      policy.id = PolicyID(before.id)
      try validate([policy], link: nil, in: store)
      members.removeAll { $0.name == "statement" || $0.name == "description" }
      members.append(.init(name: "statement", value: .string(statement)))
      if let text = try value.text("description", 0...150) ?? before.text("description") {
        members.append(.init(name: "description", value: .string(text)))
      }
    }
    try rename(input, before, in: store, .policy, &members)
    members.append(.init(name: "lastUpdatedDate", value: timestamp))
    let value = JSONValue(.object(members))
    try commit([.put(.policy, store: store.id, id: before.id, value)], to: store.id)
    return try answer(Document(number: before.number, id: before.id, value: value), in: store)
  }

  func deletePolicy(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    if let policy = find(.policy, try input.id("policyId"), in: store) {
      try commit([.delete(.policy, store: store.id, id: policy.id)], to: store.id)
    }
    return .object([:])
  }

  // MARK: - Templates

  func createPolicyTemplate(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    return try create("CreatePolicyTemplate", input, in: store.id, .policyTemplate) { () throws(Fault) in
      let name = try input.name().flatMap { $0.isEmpty ? nil : $0 }
      try refuseTaken(name, in: store, .template)
      guard documents.all(.template, in: store.id).count < 40 else {
        throw .quota("A store has at most 40 templates.", .policyTemplate, store.id)
      }
      let id = makeID()
      let statement = try input.requiredText("statement", 1...Int.max)
      try validate([try checkedTemplate(statement, id)], link: nil, in: store)
      let value = JSONValue.members([
        "statement": .string(statement), "description": try input.text("description", 0...150).map { .string($0) },
        "name": name.map { .string($0) }, "createdDate": timestamp, "lastUpdatedDate": timestamp,
      ])
      return (id, Self.brief(store, id, value), [.put(.template, store: store.id, id: id, value)])
    }
  }

  func getPolicyTemplate(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    let template = try template(named: try input.id("policyTemplateId"), in: store)
    return .members([
      "policyStoreId": .string(store.id), "policyTemplateId": .string(template.id), "description": template.value["description"],
      "statement": template.value["statement"], "createdDate": template.value["createdDate"],
      "lastUpdatedDate": template.value["lastUpdatedDate"], "name": template.value["name"],
    ])
  }

  func listPolicyTemplates(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    let (templates, next) = try input.page().cut(documents.all(.template, in: store.id))
    let items = templates.map { template in
      JSONValue.members([
        "policyStoreId": .string(store.id), "policyTemplateId": .string(template.id), "description": template.value["description"],
        "createdDate": template.value["createdDate"], "lastUpdatedDate": template.value["lastUpdatedDate"], "name": template.value["name"],
      ])
    }
    return .members(["policyTemplates": .array(items), "nextToken": next.map { .string($0) }])
  }

  func updatePolicyTemplate(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    let before = try template(named: try input.id("policyTemplateId"), in: store)
    let statement = try input.requiredText("statement", 1...Int.max)
    let template = try checkedTemplate(statement, before.id)
    let was = try Self.policy(of: before)
    guard template.effect == was.effect, template.principal == was.principal, template.resource == was.resource else {
      throw .validation("Effect, principal and resource of a template cannot change.", at: "statement")
    }
    try validate([template], link: nil, in: store)
    var members = (before.value.object ?? []).filter { !["lastUpdatedDate", "statement", "description"].contains($0.name) }
    members.append(.init(name: "statement", value: .string(statement)))
    if let text = try input.text("description", 0...150) ?? before.text("description") {
      members.append(.init(name: "description", value: .string(text)))
    }
    try rename(input, before, in: store, .template, &members)
    members.append(.init(name: "lastUpdatedDate", value: timestamp))
    let value = JSONValue(.object(members))
    try commit([.put(.template, store: store.id, id: before.id, value)], to: store.id)
    return Self.brief(store, before.id, value)
  }

  /// Deletes a template and the policies that are linked to it.
  func deletePolicyTemplate(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    guard let template = find(.template, try input.id("policyTemplateId"), in: store) else { return .object([:]) }
    let linked = documents.all(.policy, in: store.id).filter { $0.text("policyTemplateId") == template.id }
    let effects = linked.map { Documents.Effect.delete(.policy, store: store.id, id: $0.id) }
    try commit(effects + [.delete(.template, store: store.id, id: template.id)], to: store.id)
    return .object([:])
  }

  private func checkedTemplate(_ statement: String, _ id: String) throws(Fault) -> Policy {
    var template = try Statement.read(statement, at: "statement")
    guard !template.slots.isEmpty else { throw .validation("A template has a slot.", at: "statement") }
    guard template.principal != .any, template.resource != .any else {
      throw .validation("A template says something of the principal and of the resource.", at: "statement")
    }
    template.id = PolicyID(id)
    return template
  }

  private static func brief(_ store: Document, _ id: String, _ value: JSONValue) -> JSONValue {
    .members([
      "policyStoreId": .string(store.id), "policyTemplateId": .string(id), "createdDate": value["createdDate"],
      "lastUpdatedDate": value["lastUpdatedDate"],
    ])
  }

  // MARK: - What both share

  /// A policy or template by its id or name.
  private func find(_ kind: Documents.Kind, _ id: String, in store: Document) -> Document? {
    guard id.hasPrefix("name/") else { return documents.one(kind, in: store.id, id) }
    return documents.all(kind, in: store.id).first { $0.text("name").map { exactlyEquals($0, id) } ?? false }
  }

  private func policy(named id: String, in store: Document) throws(Fault) -> Document {
    guard let policy = find(.policy, id, in: store) else { throw .notFound(.policy, id) }
    return policy
  }

  private func template(named id: String, in store: Document) throws(Fault) -> Document {
    guard let template = find(.template, id, in: store) else { throw .notFound(.policyTemplate, id) }
    return template
  }

  private static func policy(of template: Document) throws(Fault) -> Policy {
    var policy = try Statement.read(template.text("statement") ?? "", at: "")
    policy.id = PolicyID(template.id)
    return policy
  }

  private func refuseTaken(_ name: String?, in store: Document, _ kind: Documents.Kind, except id: String = "") throws(Fault) {
    guard let name, let other = find(kind, name, in: store), !exactlyEquals(other.id, id) else { return }
    throw .conflict("The name is taken.", kind == .policy ? .policy : .policyTemplate, other.id)
  }

  private func rename(
    _ input: Input, _ before: Document, in store: Document, _ kind: Documents.Kind, _ members: inout [JSONValue.Member]
  ) throws(Fault) {
    guard let name = try input.name() else { return }
    try refuseTaken(name, in: store, kind, except: before.id)
    members.removeAll { $0.name == "name" }
    if !name.isEmpty { members.append(.init(name: "name", value: .string(name))) }
  }

  /// Holds policies to the store's schema, where its settings say so; a link is tried in any case.
  private func validate(_ policies: [Policy], link: TemplateLink?, in store: Document) throws(Fault) {
    var set = PolicySet()
    do throws(PolicySetError) {
      for policy in policies { try set.add(policy) }
      if let link { try set.link(link) }
    } catch { throw .validation("\(error).", at: "definition") }
    guard store.text("mode") == "STRICT" else { return }
    guard let schema = CompiledStore.schema(store.id, documents) else {
      throw .validation("The policy store validates strictly and has no schema.", at: "definition")
    }
    let result = Validator(schema).validate(set)
    guard let error = result.errors.first else { return }
    throw .validation(error.message, at: "definition")
  }

  private func scope(of policy: Document, in store: Document) throws(Fault) -> [String: JSONValue] {
    let (statement, link) = try statement(of: policy, in: store)
    let scope = Statement.scope(statement, link)
    return ["principal": scope.principal, "resource": scope.resource, "actions": scope.actions].compactMapValues { $0 }
  }

  private func statement(of policy: Document, in store: Document) throws(Fault) -> (Policy, TemplateLink?) {
    if let text = policy.text("statement") { return (try Statement.read(text, at: ""), nil) }
    let link = Statement.link(policy)
    return (try Self.policy(of: try template(named: link.template.text, in: store)), link)
  }

  /// A policy as the operations answer it: `isWhole` with its definition, `isItem` with the definition of a list.
  private func answer(_ policy: Document, in store: Document, isWhole: Bool = false, isItem: Bool = false) throws(Fault) -> JSONValue {
    let (statement, link) = try statement(of: policy, in: store)
    let scope = Statement.scope(statement, link)
    var definition: JSONValue?
    if isWhole || isItem {
      let inner: JSONValue =
        link == nil
        ? .members(["description": policy.value["description"], "statement": isWhole ? policy.value["statement"] : nil])
        : .members([
          "policyTemplateId": policy.value["policyTemplateId"], "principal": policy.value["principal"],
          "resource": policy.value["resource"],
        ])
      definition = link == nil ? .object(["static": inner]) : .object(["templateLinked": inner])
    }
    return .members([
      "policyStoreId": .string(store.id), "policyId": .string(policy.id), "policyType": .string(link == nil ? "STATIC" : "TEMPLATE_LINKED"),
      "principal": scope.principal, "resource": scope.resource, "actions": scope.actions, "definition": definition,
      "createdDate": policy.value["createdDate"], "lastUpdatedDate": policy.value["lastUpdatedDate"],
      "effect": .string(statement.effect == .permit ? "Permit" : "Forbid"), "name": definition == nil ? nil : policy.value["name"],
    ])
  }
}
