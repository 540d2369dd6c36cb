internal import Bytes
internal import Cedar
internal import JOSE
internal import JSON

extension PolicyStoreService {
  /// The store's identity source, if it has one.
  func source(of store: Document) -> IdentitySource? { documents.all(.source, in: store.id).first.flatMap(IdentitySource.init) }

  func createIdentitySource(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    return try create("CreateIdentitySource", input, in: store.id, .identitySource) { () throws(Fault) in
      if let other = documents.all(.source, in: store.id).first {
        throw .quota("A store has at most one identity source.", .identitySource, other.id)
      }
      let configuration = try checked(try input.required("configuration"))
      let type = try input.entityType("principalEntityType")?.text ?? "AWS::Cognito"
      let id = makeID()
      let value: JSONValue = .object([
        "configuration": configuration, "principalEntityType": .string(type), "createdDate": timestamp, "lastUpdatedDate": timestamp,
      ])
      return (id, brief(store, Document(number: 0, id: id, value: value)), [.put(.source, store: store.id, id: id, value)])
    }
  }

  func getIdentitySource(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    return whole(store, try one(input, in: store))
  }

  func listIdentitySources(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    var sources = documents.all(.source, in: store.id)
    if let filters = input.member("filters") {
      guard let list = filters.array, list.count <= 10 else { throw .validation("Expected at most 10 filters.", at: "filters") }
      for (index, filter) in list.enumerated() {
        guard let type = try Input(filter, at: "filters[\(index)]").text("principalEntityType", 1...200) else { continue }
        sources = sources.filter { $0.text("principalEntityType") == type }
      }
    }
    let (page, next) = try input.page().cut(sources)
    return .members(["identitySources": .array(page.map { whole(store, $0) }), "nextToken": next.map { .string($0) }])
  }

  func updateIdentitySource(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    let before = try one(input, in: store)
    let configuration = try checked(try input.required("updateConfiguration"))
    guard configuration.object?.first?.name == before.value["configuration"]?.object?.first?.name else {
      throw .validation("The kind of an identity source cannot change.", at: "updateConfiguration")
    }
    let type = try input.entityType("principalEntityType").map { JSONValue.string($0.text) } ?? before.value["principalEntityType"]
    let value = JSONValue.members([
      "configuration": configuration, "principalEntityType": type, "createdDate": before.value["createdDate"], "lastUpdatedDate": timestamp,
    ])
    try commit([.put(.source, store: store.id, id: before.id, value)], to: store.id)
    return brief(store, Document(number: before.number, id: before.id, value: value))
  }

  func deleteIdentitySource(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    let source = try one(input, in: store)
    try commit([.delete(.source, store: store.id, id: source.id)], to: store.id)
    return .object([:])
  }

  private func one(_ input: Input, in store: Document) throws(Fault) -> Document {
    let id = try input.id("identitySourceId")
    guard let source = documents.one(.source, in: store.id, id) else { throw .notFound(.identitySource, id) }
    return source
  }

  private func brief(_ store: Document, _ source: Document) -> JSONValue {
    .members([
      "createdDate": source.value["createdDate"], "identitySourceId": .string(source.id),
      "lastUpdatedDate": source.value["lastUpdatedDate"],
      "policyStoreId": .string(store.id),
    ])
  }

  /// A source as it is answered: a user pool's with the issuer that follows from it, and the older `details` beside.
  private func whole(_ store: Document, _ source: Document) -> JSONValue {
    var configuration = source.value["configuration"]
    var details: JSONValue?
    if let cognito = configuration?["cognitoUserPoolConfiguration"], let arn = cognito["userPoolArn"]?.string,
      let pool = IdentitySource.poolID(arn).flatMap({ CognitoUserPool(id: $0) })
    {
      let clients = cognito["clientIds"] ?? .array([])
      configuration = .object([
        "cognitoUserPoolConfiguration": .members([
          "userPoolArn": .string(arn), "clientIds": clients, "issuer": .string(pool.originalIssuer),
          "groupConfiguration": cognito["groupConfiguration"],
        ])
      ])
      details = .object([
        "clientIds": clients, "userPoolArn": .string(arn),
        "discoveryUrl": .string(pool.originalIssuer + "/.well-known/openid-configuration"), "openIdIssuer": .string("COGNITO"),
      ])
    }
    return .members([
      "createdDate": source.value["createdDate"], "details": details, "identitySourceId": .string(source.id),
      "lastUpdatedDate": source.value["lastUpdatedDate"], "policyStoreId": .string(store.id),
      "principalEntityType": source.value["principalEntityType"], "configuration": configuration,
    ])
  }

  /// A configuration with its known members, checked.
  private func checked(_ input: Input) throws(Fault) -> JSONValue {
    let (kind, value) = try input.union(["cognitoUserPoolConfiguration", "openIdConnectConfiguration"])
    guard value.json.object != nil else { throw .validation("Expected a structure.", at: value.path) }
    if kind == "cognitoUserPoolConfiguration" {
      let arn = try value.requiredText("userPoolArn", 1...255)
      guard let id = IdentitySource.poolID(arn), CognitoUserPool(id: id) != nil else {
        throw .validation("This is no ARN of a user pool.", at: value.place("userPoolArn"))
      }
      let clients = try value.texts("clientIds", count: 0...1000)
      return .object([
        kind: .members([
          "userPoolArn": .string(arn), "clientIds": clients.map { .array($0.map { .string($0) }) },
          "groupConfiguration": try groups(value, claim: false),
        ])
      ])
    }
    let issuer = try value.requiredText("issuer", 1...2048)
    guard issuer.hasPrefix("https://") else { throw .validation("An issuer begins with https://.", at: value.place("issuer")) }
    let (choice, chosen) = try value.required("tokenSelection").union(["accessTokenOnly", "identityTokenOnly"])
    guard chosen.json.object != nil else { throw .validation("Expected a structure.", at: chosen.path) }
    let isAccess = choice == "accessTokenOnly"
    let list = try chosen.texts(isAccess ? "audiences" : "clientIds", count: isAccess ? 1...255 : 0...1000)
    let selection: JSONValue = .members([
      "principalIdClaim": .string(try chosen.text("principalIdClaim", 1...1000) ?? "sub"),
      isAccess ? "audiences" : "clientIds": list.map { .array($0.map { .string($0) }) },
    ])
    return .object([
      kind: .members([
        "issuer": .string(issuer), "entityIdPrefix": try value.text("entityIdPrefix", 1...100).map { .string($0) },
        "groupConfiguration": try groups(value, claim: true), "tokenSelection": JSONValue(.object([.init(name: choice, value: selection)])),
      ])
    ])
  }

  private func groups(_ input: Input, claim hasClaim: Bool) throws(Fault) -> JSONValue? {
    guard let groups = try input.structure("groupConfiguration") else { return nil }
    guard let type = try groups.entityType("groupEntityType") else {
      throw .validation("This member is required.", at: groups.place("groupEntityType"))
    }
    return .members([
      "groupClaim": hasClaim ? .string(try groups.requiredText("groupClaim", 1...1000)) : nil, "groupEntityType": .string(type.text),
    ])
  }
}
