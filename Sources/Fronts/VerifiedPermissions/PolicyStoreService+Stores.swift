internal import AWS
internal import Bytes
internal import CedarSchema
internal import JSON

extension PolicyStoreService {
  func createPolicyStore(_ input: Input) throws(Fault) -> JSONValue {
    try create("CreatePolicyStore", input, in: "", .policyStore) { () throws(Fault) in
      let mode = try self.mode(input)
      let description = try input.text("description", 0...150)
      let protection = try input.word("deletionProtection", of: ["ENABLED", "DISABLED"]) ?? "DISABLED"
      if let tags = input.member("tags"), !(tags.object?.isEmpty ?? false) { throw .validation("Tags are not known here.", at: "tags") }
      if let settings = try input.structure("encryptionSettings") {
        guard try settings.union(["default", "kmsEncryptionSettings"]).name == "default" else {
          throw .validation("Keys of a customer are not known here.", at: "encryptionSettings.kmsEncryptionSettings")
        }
      }
      let id = makeID()
      let value = JSONValue.members([
        "mode": .string(mode), "description": description.map { .string($0) }, "deletionProtection": .string(protection),
        "createdDate": timestamp, "lastUpdatedDate": timestamp,
      ])
      let answer: JSONValue = .object([
        "policyStoreId": .string(id), "arn": .string(Self.arn(id)), "createdDate": timestamp, "lastUpdatedDate": timestamp,
      ])
      return (id, answer, [.put(.store, store: "", id: id, value)])
    }
  }

  func getPolicyStore(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    return .members([
      "policyStoreId": .string(store.id), "arn": .string(Self.arn(store.id)),
      "validationSettings": .object(["mode": store.value["mode"] ?? .string("OFF")]), "createdDate": store.value["createdDate"],
      "lastUpdatedDate": store.value["lastUpdatedDate"], "description": store.value["description"],
      "deletionProtection": store.value["deletionProtection"], "cedarVersion": .string("CEDAR_4"),
    ])
  }

  func listPolicyStores(_ input: Input) throws(Fault) -> JSONValue {
    let (stores, next) = try input.page().cut(documents.all(.store))
    let items = stores.map { store in
      JSONValue.members([
        "policyStoreId": .string(store.id), "arn": .string(Self.arn(store.id)), "createdDate": store.value["createdDate"],
        "lastUpdatedDate": store.value["lastUpdatedDate"], "description": store.value["description"],
      ])
    }
    return .members(["policyStores": .array(items), "nextToken": next.map { .string($0) }])
  }

  func updatePolicyStore(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    let description = try input.text("description", 0...150)
    let protection = try input.word("deletionProtection", of: ["ENABLED", "DISABLED"])
    let value = JSONValue.members([
      "mode": .string(try mode(input)), "description": description.map { .string($0) } ?? store.value["description"],
      "deletionProtection": protection.map { .string($0) } ?? store.value["deletionProtection"], "createdDate": store.value["createdDate"],
      "lastUpdatedDate": timestamp,
    ])
    try commit([.put(.store, store: "", id: store.id, value)], to: store.id)
    return .members([
      "policyStoreId": .string(store.id), "arn": .string(Self.arn(store.id)), "createdDate": store.value["createdDate"],
      "lastUpdatedDate": timestamp,
    ])
  }

  func deletePolicyStore(_ input: Input) throws(Fault) -> JSONValue {
    let id = try input.id("policyStoreId")
    guard let store = documents.one(.store, id) else { return .object([:]) }
    guard store.text("deletionProtection") != "ENABLED" else {
      throw Fault(name: "InvalidStateException", message: "The policy store is protected from deletion.")
    }
    try commit([.deleteStore(id)], to: id)
    return .object([:])
  }

  private func mode(_ input: Input) throws(Fault) -> String {
    let settings = try input.required("validationSettings")
    guard let mode = try settings.word("mode", of: ["OFF", "STRICT"]) else {
      throw .validation("This member is required.", at: "validationSettings.mode")
    }
    return mode
  }

  private static func arn(_ id: String) -> String { "arn:aws:verifiedpermissions::123456789012:policy-store/\(id)" }

  // MARK: - Schema

  func putSchema(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    let definition = try input.required("definition")
    _ = try definition.union(["cedarJson"])
    let text = try definition.requiredText("cedarJson", 1...Int.max)
    guard text.utf8.count <= 100_000 else { throw .quota("A schema is larger than 100000 bytes.", .schema, store.id) }
    let json: JSONValue
    do throws(JSONError) { json = try JSONParser.parse(text) } catch {
      throw .validation("The schema is no JSON: \(error).", at: "definition.cedarJson")
    }
    let names = (json.object ?? []).map(\.name)
    guard !names.contains("") else { throw .validation("A namespace has no name.", at: "definition.cedarJson") }
    let before = documents.one(.schema, in: store.id, "schema")
    let created = before?.value["createdDate"] ?? timestamp
    if json.object?.isEmpty == true {
      // A schema without anything is none.
      try commit([.delete(.schema, store: store.id, id: "schema")], to: store.id)
    } else {
      do throws(SchemaErrors) { _ = try Schema(json: json) } catch {
        throw .validation(error.errors.first?.message ?? "The schema cannot be read.", at: "definition.cedarJson")
      }
      let value: JSONValue = .object(["cedarJson": .string(text), "createdDate": created, "lastUpdatedDate": timestamp])
      try commit([.put(.schema, store: store.id, id: "schema", value)], to: store.id)
    }
    return .object([
      "policyStoreId": .string(store.id), "namespaces": .array(names.map { .string($0) }), "createdDate": created,
      "lastUpdatedDate": timestamp,
    ])
  }

  func getSchema(_ input: Input) throws(Fault) -> JSONValue {
    let store = try store(input)
    guard let schema = documents.one(.schema, in: store.id, "schema"), let text = schema.text("cedarJson") else {
      throw .notFound(.schema, store.id)
    }
    var names: [JSONValue] = []
    do throws(JSONError) { names = (try JSONParser.parse(text).object ?? []).map { .string($0.name) } } catch { names = [] }
    return .members([
      "policyStoreId": .string(store.id), "schema": .string(text), "createdDate": schema.value["createdDate"],
      "lastUpdatedDate": schema.value["lastUpdatedDate"], "namespaces": .array(names),
    ])
  }
}
