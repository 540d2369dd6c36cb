import Cedar

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
  return Input(
    name: "gateway", policies: text, entities: entities, token: token, requests: requests, words: ["GET", "PUT", "DELETE", "host", "time"])
}

/// What a request to the gateway brings, as text and numbers: everything else is made of it.
private struct Arrival {
  var method: String
  var action: String
  var path: String
  var address: UInt32
  var document: String
  var owner: String
  var isPublic: Bool
  var classification: String
  var folder: String
}

private let host = "api.example.org"
private let instant = Datetime(milliseconds: 1_700_000_000_000)
private let tokenRecord = record(["scope": .set(ValueSet([.string("documents/read"), .string("openid")]))])

private func arrivals(_ input: Input) -> [Arrival] {
  let documents = Dictionary(input.entities.map { ($0.uid, $0) }, uniquingKeysWith: { first, _ in first })
  return input.requests.enumerated().compactMap { number, request in
    guard let document = documents[request.resource], case .entity(let owner)? = document.attributes["owner"],
      case .bool(let isPublic)? = document.attributes["public"], case .string(let word)? = document.attributes["classification"],
      let folder = document.parents.first
    else { return nil }
    return Arrival(
      method: ["GET", "PUT", "GET", "DELETE"][number % 4], action: request.action.id, path: "/documents/\(request.resource.id)",
      address: 0x0a01_0000 + UInt32(number), document: request.resource.id, owner: owner.id, isPublic: isPublic, classification: word,
      folder: folder.id)
  }
}

/// The gateway, its documents known to the requests alone.
private func gatewayWithDocuments(_ name: String) -> (input: Input, arrivals: [Arrival]) {
  var input = gateway()
  input.name = name
  input.tokenValue = .record(tokenRecord)
  let documents = Dictionary(input.entities.map { ($0.uid, $0) }, uniquingKeysWith: { first, _ in first })
  input.requests = input.requests.filter { documents[$0.resource] != nil }
  input.resources = input.requests.map { request in documents[request.resource].map { [$0] } ?? [] }
  let arrivals = arrivals(input)
  input.entities.removeAll { $0.uid.type.text == "Document" }
  return (input, arrivals)
}

/// Each request and its document are built from text and numbers, over what a cached token holds, as the proxy builds them: the
/// entity with its attributes and its place in a folder, and the context.
func gatewayBuilt() -> Input {
  var (input, arrivals) = gatewayWithDocuments("gateway, built")
  input.words = [
    "http", "method", "path", "host", "client", "ip", "time", "token", "owner", "public", "classification", "Document", "User", "Folder",
    "Action", "GET", "PUT", "DELETE", host,
  ]
  let principal = uid("User", "eu-1_A|alice")
  input.draft = { authorizer in
    func word(_ text: String) -> Draft.Text {
      guard let found = authorizer.text(text) else { preconditionFailure("the authorizer was told of \(text)") }
      return found
    }
    let (http, method, path, hostKey, client, ip, time, token) = (
      word("http"), word("method"), word("path"), word("host"), word("client"), word("ip"), word("time"), word("token")
    )
    let (owner, isPublic, classification) = (word("owner"), word("public"), word("classification"))
    let (document, user, folder, action) = (word("Document"), word("User"), word("Folder"), word("Action"))
    return { number, draft, prepared, times in
      let arrival = arrivals[number]
      return withUnsafeTemporaryAllocation(of: Draft.Field.self, capacity: 8) { fields in
        func record(_ given: (Draft.Text, Draft.Item)...) -> Draft.Item {
          for (index, field) in given.enumerated() { fields.initializeElement(at: index, to: Draft.Field(field.0, field.1)) }
          return draft.record(UnsafeMutableBufferPointer(rebasing: fields[..<given.count]))
        }
        let resource = draft.uid(document, draft.text(arrival.document))
        let attributes = record(
          (owner, draft.item(draft.uid(user, draft.text(arrival.owner)))), (isPublic, draft.item(arrival.isPublic)),
          (classification, draft.item(draft.text(arrival.classification))))
        guard draft.add(resource, attributes: attributes, below: draft.uid(folder, draft.text(arrival.folder))), let claims = prepared.value
        else { preconditionFailure("nobody else knows the document") }
        let context = record(
          (
            http,
            record(
              (method, draft.item(draft.text(arrival.method))), (path, draft.item(draft.text(arrival.path))),
              (hostKey, draft.item(draft.text(host))))
          ), (client, record((ip, draft.item(IPAddress(v4: arrival.address))))), (time, draft.item(instant)), (token, claims))
        let (who, what) = (draft.uid(principal), draft.uid(action, draft.text(arrival.action)))
        for _ in 1..<times { _ = draft.isAuthorized(principal: who, action: what, resource: resource, context: context) }
        return draft.isAuthorized(principal: who, action: what, resource: resource, context: context)
      }
    }
  }
  return input
}

/// The same as values that live for one request: what a route with a mapping of its own makes.
func gatewayValues() -> Input {
  var (input, arrivals) = gatewayWithDocuments("gateway, built as values")
  let principal = uid("User", "eu-1_A|alice")
  input.words = ["GET", "PUT", "DELETE", host]
  input.values = { number in
    let arrival = arrivals[number]
    let resource = uid("Document", arrival.document)
    let entity = Entity(
      uid: resource,
      attributes: record([
        "owner": .entity(uid("User", arrival.owner)), "public": .bool(arrival.isPublic), "classification": .string(arrival.classification),
      ]), parents: [uid("Folder", arrival.folder)])
    let context = record([
      "http": .record(record(["method": .string(arrival.method), "path": .string(arrival.path), "host": .string(host)])),
      "client": .record(record(["ip": .ip(IPAddress(v4: arrival.address))])), "time": .datetime(instant), "token": .record(tokenRecord),
    ])
    return (Request(principal: principal, action: uid("Action", arrival.action), resource: resource, context: context), [entity])
  }
  return input
}
