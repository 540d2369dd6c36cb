import Cedar

/// One thing to measure: policies, entities and requests, all a pure function of a seed.
struct Input {
  var name: String
  var policies: String
  var links: [TemplateLink] = []
  var entities: [Entity] = []
  /// What a token brings; laid over the entities.
  var token: [Entity] = []
  var requests: [Request] = []
  /// What each request brings of its own, if it does.
  var resources: [[Entity]] = []
}

/// SplitMix64: the same numbers everywhere.
struct Seeded: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }
  mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}

func uid(_ type: String, _ id: String) -> EntityUID { EntityUID(type: EntityType(unchecked: type), id: id) }

func record(_ fields: KeyValuePairs<String, Value>) -> Record { Record(lastWins: fields.map { Record.Field($0.key, $0.value) }) }

// MARK: A gateway

/// Twenty policies as gateways have them: groups, scopes of tokens, attributes, ranges of addresses.
func gateway() -> Input {
  let pool = "eu-1_A"
  var text = """
    forbid(principal, action, resource) unless { context.client.ip.isInRange(ip("10.0.0.0/8")) || context.client.ip.isInRange(ip("192.168.0.0/16")) };
    forbid(principal, action, resource) when { context.http.path like "/internal/*" && !(principal in UserGroup::"\(pool)|staff") };
    permit(principal in UserGroup::"\(pool)|admin", action, resource);
    permit(principal in UserGroup::"\(pool)|support", action in [Action::"list", Action::"get"], resource);
    permit(principal in UserGroup::"\(pool)|editor", action in [Action::"get", Action::"put"], resource is Document) when { resource.owner == principal || resource.public };
    permit(principal, action == Action::"get", resource is Document) when { resource.public };
    permit(principal, action == Action::"put", resource is Document) when { resource.owner == principal };
    permit(principal, action == Action::"get", resource) when { context.token.scope.contains("documents/read") && context.http.method == "GET" };
    permit(principal, action == Action::"put", resource) when { context.token.scope.contains("documents/write") && resource.owner == principal };
    permit(principal, action == Action::"delete", resource is Document) when { principal.level > 3 && resource.owner == principal };
    forbid(principal, action == Action::"delete", resource) when { principal has suspended && principal.suspended };
    forbid(principal, action, resource is Document) when { resource.classification == "secret" && principal.clearance < 5 };
    permit(principal is User in UserGroup::"\(pool)|auditor", action in [Action::"list", Action::"get"], resource in Folder::"audit");

    """
  for tenant in 0..<7 {
    text +=
      "permit(principal in UserGroup::\"\(pool)|tenant\(tenant)\", action in [Action::\"list\", Action::\"get\"], resource in Folder::\"tenant\(tenant)\");\n"
  }
  let user = uid("User", "\(pool)|alice")
  let groups = ["editor", "staff", "tenant3", "tenant5"].map { uid("UserGroup", "\(pool)|\($0)") }
  let token = [
    Entity(
      uid: user, attributes: record(["level": .long(4), "clearance": .long(3), "email": .string("alice@example.org")]), parents: Set(groups)
    )
  ]
  var entities: [Entity] = []
  for number in 0..<200 {
    let document = uid("Document", "d\(number)")
    entities.append(
      Entity(
        uid: document,
        attributes: record([
          "owner": .entity(number % 3 == 0 ? user : uid("User", "\(pool)|u\(number)")), "public": .bool(number % 4 == 0),
          "classification": .string(number % 10 == 9 ? "secret" : "open"),
        ]), parents: [uid("Folder", "tenant\(number % 7)")]))
  }
  for tenant in 0..<7 { entities.append(Entity(uid: uid("Folder", "tenant\(tenant)"), parents: [uid("Folder", "root")])) }
  let actions = ["get", "put", "list", "delete"]
  let requests = (0..<64).map { number in
    Request(
      principal: user, action: uid("Action", actions[number % 4]), resource: uid("Document", "d\(number * 3)"),
      context: record([
        "http": .record(
          record([
            "method": .string(["GET", "PUT", "GET", "DELETE"][number % 4]), "path": .string("/documents/d\(number * 3)"),
            "host": .string("api.example.org"),
          ])), "client": .record(record(["ip": .ip(IPAddress(v4: 0x0a01_0000 + UInt32(number)))])),
        "time": .datetime(Datetime(milliseconds: 1_700_000_000_000)),
        "token": .record(record(["scope": .set(ValueSet([.string("documents/read"), .string("openid")]))])),
      ]))
  }
  return Input(name: "gateway, 20 policies", policies: text, entities: entities, token: token, requests: requests)
}

/// The gateway again, its documents known to the request alone: attributes and parents come with each.
func gatewayWithResources() -> Input {
  var input = gateway()
  input.name = "gateway, resource with the request"
  let documents = Dictionary(input.entities.map { ($0.uid, $0) }, uniquingKeysWith: { first, _ in first })
  input.entities.removeAll { $0.uid.type.text == "Document" }
  input.resources = input.requests.map { request in documents[request.resource].map { [$0] } ?? [] }
  return input
}

// MARK: Many policies

/// One policy for each of `count` principals.
func perPrincipal(_ count: Int) -> Input {
  var random = Seeded(1)
  let text = (0..<count).map {
    "permit(principal == User::\"u\($0)\", action == Action::\"get\", resource) when { resource.level < 5 };\n"
  }.joined()
  return Input(
    name: "\(count) policies, one per principal", policies: text,
    entities: [Entity(uid: uid("Doc", "d"), attributes: record(["level": .long(3)]))],
    requests: (0..<64).map { _ in
      Request(principal: uid("User", "u\(random.below(count))"), action: uid("Action", "get"), resource: uid("Doc", "d"))
    })
}

/// One policy for each of `count` groups; the principal is in three of them.
func perGroup(_ count: Int) -> Input {
  var random = Seeded(2)
  let text = (0..<count).map {
    "permit(principal in Group::\"g\($0)\", action == Action::\"get\", resource) when { resource.level < 5 };\n"
  }.joined()
  var entities = [Entity(uid: uid("Doc", "d"), attributes: record(["level": .long(3)]))]
  for user in 0..<64 {
    entities.append(Entity(uid: uid("User", "u\(user)"), parents: Set((0..<3).map { _ in uid("Group", "g\(random.below(count))") })))
  }
  return Input(
    name: "\(count) policies, one per group", policies: text, entities: entities,
    requests: (0..<64).map { Request(principal: uid("User", "u\($0)"), action: uid("Action", "get"), resource: uid("Doc", "d")) })
}

/// `count` links of one template.
func linked(_ count: Int) -> Input {
  var random = Seeded(3)
  return Input(
    name: "\(count) links of a template",
    policies: "permit(principal == ?principal, action == Action::\"get\", resource) when { resource.level < 5 };",
    links: (0..<count).map { TemplateLink(id: PolicyID("link\($0)"), template: "policy0", principal: uid("User", "u\($0)")) },
    entities: [Entity(uid: uid("Doc", "d"), attributes: record(["level": .long(3)]))],
    requests: (0..<64).map { _ in
      Request(principal: uid("User", "u\(random.below(count))"), action: uid("Action", "get"), resource: uid("Doc", "d"))
    })
}

/// `count` policies with an open scope: half of them compare an attribute of the request with a constant, half do
/// something that no index excludes.
func open(_ count: Int) -> Input {
  var random = Seeded(4)
  let text = (0..<count).map { number in
    switch number % 6 {
    case 0, 2, 4: "permit(principal, action, resource) when { context.department == \"d\(number)\" };\n"
    case 1: "permit(principal, action, resource) when { context.level < \(-1 - number) };\n"
    case 3: "permit(principal, action, resource) when { context.path like \"/p\(number)/*\" };\n"
    default: "permit(principal, action, resource) when { context.tags.contains(\"t\(number)\") };\n"
    }
  }.joined()
  return Input(
    name: "\(count) policies, scope open", policies: text,
    requests: (0..<64).map { _ in
      Request(
        principal: uid("User", "u"), action: uid("Action", "get"), resource: uid("Doc", "d"),
        context: record([
          "department": .string("d\(2 * random.below(count / 2 + 1))"), "level": .long(3), "path": .string("/x/y"),
          "tags": .set(ValueSet([.string("a"), .string("b")])),
        ]))
    })
}
