internal import AWS
internal import AWSClient
internal import Bytes
internal import Cedar
internal import Crypto
internal import JSON
internal import PolicyTools

/// Carries out the steps of a push, noting each before and after, so that a push that was cut off can be begun again.
struct PushRun {
  /// Why it ends before its end.
  struct Failure: Error {
    let message: String
  }

  private let session: StoreSession
  private let contents: PolicyStoreContents
  private var manifest: StoreManifest
  private let write: (String) -> Bool

  init(_ session: StoreSession, _ contents: PolicyStoreContents, _ manifest: StoreManifest, write: @escaping (String) -> Bool) {
    self.session = session
    self.contents = contents
    self.manifest = manifest
    self.write = write
  }

  mutating func run(_ plan: PushPlan) throws(Failure) {
    if !plan.steps.isEmpty, try asking({ () throws(StoreCallError) in try session.read(after: contents) }) != contents {
      throw Failure(message: "stockade: the store has changed since the plan was made")
    }
    try save()
    for (index, step) in plan.steps.enumerated() {
      try carryOut(step)
      try save()
      Terminal.out("done \(index + 1) of \(plan.steps.count)\n")
    }
    manifest[contents.id].begun = nil
    try save()
    Terminal.out("The store has what the folder has.\n")
  }

  private func save() throws(Failure) {
    guard write(manifest.text) else { throw Failure(message: "stockade: \(StoreManifest.fileName) cannot be written") }
  }

  private mutating func carryOut(_ step: PushStep) throws(Failure) {
    let key = step.isTemplate ? "policyTemplateId" : "policyId"
    switch step.work {
    case .putSchema(let text):
      try call("PutSchema", ["definition": .object(["cedarJson": .string(text)])])
    case .createStatement(let text, let name, let description):
      if step.isTemplate {
        return try create(
          step, "CreatePolicyTemplate",
          ["statement": .string(text), "name": name.map { .string($0) }, "description": description.map { .string($0) }], key)
      }
      let definition: JSONValue = .wire(["statement": .string(text), "description": description.map { .string($0) }])
      return try create(step, "CreatePolicy", ["definition": .object(["static": definition]), "name": name.map { .string($0) }], key)
    case .createLink(let template, let principal, let resource, let name):
      guard let id = manifest[contents.id].templates[ExactString(template.text)]?.id else {
        throw Failure(message: "stockade: template \(template) is not in the store")
      }
      let definition: JSONValue = .wire([
        "policyTemplateId": .string(id), "principal": principal.map { .wire($0) }, "resource": resource.map { .wire($0) },
      ])
      return try create(
        step, "CreatePolicy", ["definition": .object(["templateLinked": definition]), "name": name.map { .string($0) }], key)
    case .update(let id, let text):
      try check(step, id, key)
      if step.isTemplate {
        try call("UpdatePolicyTemplate", [key: .string(id), "statement": .string(text)])
      } else {
        try call("UpdatePolicy", [key: .string(id), "definition": .object(["static": .object(["statement": .string(text)])])])
      }
    case .rename(let id, let name, let text):
      try check(step, id, key)
      try call(
        step.isTemplate ? "UpdatePolicyTemplate" : "UpdatePolicy",
        [key: .string(id), "name": .string(name), "statement": text.map { .string($0) }])
    case .delete(let id):
      try check(step, id, key)
      manifest[contents.id].beginDelete(id)
      try save()
      try call(step.isTemplate ? "DeletePolicyTemplate" : "DeletePolicy", [key: .string(id)])
    }
    manifest[contents.id].finish(step)
  }

  /// Makes something, once: if the answer to an earlier attempt was lost, the token gets the same answer again.
  private mutating func create(
    _ step: PushStep, _ operation: String, _ members: KeyValuePairs<String, JSONValue?>, _ key: String
  ) throws(Failure) {
    let fresh = Hex.encode(RandomBytes.make(16))
    var (token, isUsed) = manifest[contents.id].beginCreate(step, freshToken: fresh)
    try save()
    func input(_ token: String) -> [JSONValue.Member] {
      [.init(name: "policyStoreId", value: .string(contents.id)), .init(name: "clientToken", value: .string(token))]
        + members.compactMap { pair in pair.value.map { .init(name: pair.key, value: $0) } }
    }
    while true {
      let asked = JSONValue(.object(input(token)))
      let answer = try asking { () throws(StoreCallError) in try session.call(operation, asked) }
      guard let id = answer[key]?.string, !id.isEmpty else { throw Failure(message: "stockade: \(operation) answered without \(key)") }
      // A token that was used before may stand for something that somebody has deleted since.
      if isUsed, try updated(id, step.isTemplate, key) == nil {
        manifest[contents.id].begun = nil
        (token, isUsed) = manifest[contents.id].beginCreate(step, freshToken: Hex.encode(RandomBytes.make(16)))
        try save()
        continue
      }
      return manifest[contents.id].finish(step, made: id)
    }
  }

  /// Whether what a step is about is still as the plan knows it. The release of a name is a change of ours.
  private mutating func check(_ step: PushStep, _ id: String, _ key: String) throws(Failure) {
    guard let planned = ours[id] ?? step.updated else { return }
    let now = try updated(id, step.isTemplate, key)
    if case .delete = step.work, now == nil { return }
    guard let now, exactlyEquals(now, planned) else {
      throw Failure(message: "stockade: \(step.id.map(\.text) ?? id) has changed in the store since the plan was made")
    }
  }

  // When the service changed what steps of this push were about.
  private var ours: [String: String] = [:]

  private func updated(_ id: String, _ isTemplate: Bool, _ key: String) throws(Failure) -> String? {
    let input: JSONValue = .wire(["policyStoreId": .string(contents.id), key: .string(id)])
    do throws(StoreCallError) {
      return try session.call(isTemplate ? "GetPolicyTemplate" : "GetPolicy", input)["lastUpdatedDate"]?.string ?? ""
    } catch {
      guard error.code == "ResourceNotFoundException" else { throw Failure(message: "stockade: \(error)") }
      return nil
    }
  }

  private mutating func call(_ operation: String, _ members: KeyValuePairs<String, JSONValue?>) throws(Failure) {
    let input = JSONValue(
      .object(
        [.init(name: "policyStoreId", value: .string(contents.id))]
          + members.compactMap { pair in pair.value.map { .init(name: pair.key, value: $0) } }))
    let answer = try asking { () throws(StoreCallError) in try session.call(operation, input) }
    for key in ["policyId", "policyTemplateId"] {
      if let id = answer[key]?.string, let date = answer["lastUpdatedDate"]?.string { ours[id] = date }
    }
  }

  private func asking<Answer>(_ work: () throws(StoreCallError) -> Answer) throws(Failure) -> Answer {
    do throws(StoreCallError) { return try work() } catch { throw Failure(message: "stockade: \(error)") }
  }
}
