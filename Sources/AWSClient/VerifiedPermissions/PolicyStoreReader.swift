public import AWS
internal import Bytes
internal import JSON

/// Reads a store as a whole.
///
/// The service has no operation for that, so what is read while somebody changes the store could be a set of policies that never
/// was. It is listed before and after, until both lists say the same: then what lies between is what the store held.
public final class PolicyStoreReader {
  /// What came of it.
  public typealias Completion = (Result<PolicyStoreContents, StoreCallError>) -> Void

  private let calls: PolicyStoreCalls
  private let store: String

  /// A reader of a store, by its id or alias.
  public init(_ calls: PolicyStoreCalls, store: String) {
    self.calls = calls
    self.store = store
  }

  /// Reads. Of what is `known` from before, only what has changed is asked for; if nothing has, that comes back.
  public func read(after known: PolicyStoreContents? = nil, _ completion: @escaping Completion) {
    list { [self] result in
      switch result {
      case .failure: completion(result)
      case .success(let listed):
        if let known, Self.bare(known) == listed { return completion(.success(known)) }
        fill(listed, from: known, tries: Self.tries, completion)
      }
    }
  }

  private func fill(_ listed: PolicyStoreContents, from known: PolicyStoreContents?, tries: Int, _ completion: @escaping Completion) {
    guard tries > 0 else { return completion(.failure(.failed("the store changes faster than it can be read"))) }
    statements(of: listed, from: known) { [self] result in
      switch result {
      case .failure(let error): completion(.failure(error))
      case .success(let filled):
        list { [self] result in
          switch result {
          case .failure: completion(result)
          case .success(let now):
            guard let filled, now == listed else { return fill(now, from: filled ?? known, tries: tries - 1, completion) }
            completion(.success(filled))
          }
        }
      }
    }
  }

  // MARK: - Lists

  /// The store without the texts of its policies and templates.
  private func list(_ completion: @escaping Completion) {
    let place: JSONValue = .object(["policyStoreId": .string(store)])
    calls.call("GetPolicyStore", place) { [self] result in
      reading(result, completion) { (json) throws(WireError) in
        try PolicyStoreContents(store: json)
      } then: { [self] contents in
        calls.call("GetSchema", place) { [self] result in
          if case .failure(let error) = result, error.code == "ResourceNotFoundException" { return listTemplates(contents, completion) }
          reading(result, completion) { (json) throws(WireError) in
            try StoredSchema(schema: json)
          } then: { [self] schema in
            var contents = contents
            contents.schema = schema
            listTemplates(contents, completion)
          }
        }
      }
    }
  }

  private func listTemplates(_ contents: PolicyStoreContents, _ completion: @escaping Completion) {
    page("ListPolicyTemplates", "policyTemplates", contents, nil, completion) { (contents, json) throws(WireError) in
      contents.templates.append(try StoredTemplate(template: json, isItem: true))
    } then: { [self] contents in
      page("ListPolicies", "policies", contents, nil, completion) { (contents, json) throws(WireError) in
        contents.policies.append(try StoredPolicy(policy: json, isItem: true))
      } then: { contents in
        completion(.success(contents))
      }
    }
  }

  private func page(
    _ operation: String, _ member: String, _ contents: PolicyStoreContents, _ token: String?, _ completion: @escaping Completion,
    add: @escaping (inout PolicyStoreContents, JSONValue) throws(WireError) -> Void, then: @escaping (PolicyStoreContents) -> Void
  ) {
    let input: JSONValue = .wire([
      "policyStoreId": .string(store), "maxResults": .integer(50), "nextToken": token.map { .string($0) },
    ])
    calls.call(operation, input) { [self] result in
      var next: String?
      reading(result, completion) { (json) throws(WireError) in
        guard let items = json[member]?.array else { throw WireError("\(member) is missing") }
        var contents = contents
        for item in items { try add(&contents, item) }
        next = json["nextToken"]?.string
        // A list that goes round in circles never ends.
        if let next, let token, exactlyEquals(next, token) { throw WireError("\(operation) answers with the same nextToken again") }
        guard contents.policies.count + contents.templates.count <= Self.most else { throw WireError("the store has too many policies") }
        return contents
      } then: { [self] contents in
        guard let next else { return then(contents) }
        page(operation, member, contents, next, completion, add: add, then: then)
      }
    }
  }

  // MARK: - Texts

  /// Puts the texts in; nil in the result if something changed meanwhile.
  private func statements(
    of listed: PolicyStoreContents, from known: PolicyStoreContents?,
    _ completion: @escaping (Result<PolicyStoreContents?, StoreCallError>) -> Void
  ) {
    var contents = listed
    var wanted: [Int] = []
    let knownPolicies = Dictionary((known?.policies ?? []).map { (ExactString($0.id), $0) }) { first, _ in first }
    for (index, policy) in listed.policies.enumerated() where policy.template == nil {
      if let before = knownPolicies[ExactString(policy.id)], exactlyEquals(before.updated, policy.updated) {
        contents.policies[index] = before
      } else {
        wanted.append(index)
      }
    }
    var templates: [Int] = []
    for (index, template) in listed.templates.enumerated() {
      if let before = known?.template(template.id), exactlyEquals(before.updated, template.updated) {
        contents.templates[index] = before
      } else {
        templates.append(index)
      }
    }
    getTemplates(contents, templates[...], completion) { [self] contents in getPolicies(contents, wanted[...], completion) }
  }

  private func getTemplates(
    _ contents: PolicyStoreContents, _ wanted: ArraySlice<Int>,
    _ completion: @escaping (Result<PolicyStoreContents?, StoreCallError>) -> Void, then: @escaping (PolicyStoreContents) -> Void
  ) {
    guard let index = wanted.first else { return then(contents) }
    let listed = contents.templates[index]
    calls.call("GetPolicyTemplate", .object(["policyStoreId": .string(store), "policyTemplateId": .string(listed.id)])) { [self] result in
      if case .failure(let error) = result, error.code == "ResourceNotFoundException" { return completion(.success(nil)) }
      reading(result, completion) { (json) throws(WireError) in
        try StoredTemplate(template: json)
      } then: { [self] template in
        guard exactlyEquals(template.id, listed.id), exactlyEquals(template.updated, listed.updated) else {
          return completion(.success(nil))
        }
        var contents = contents
        contents.templates[index] = template
        getTemplates(contents, wanted.dropFirst(), completion, then: then)
      }
    }
  }

  private func getPolicies(
    _ contents: PolicyStoreContents, _ wanted: ArraySlice<Int>,
    _ completion: @escaping (Result<PolicyStoreContents?, StoreCallError>) -> Void
  ) {
    guard !wanted.isEmpty else { return completion(.success(contents)) }
    let batch = wanted.prefix(100)
    let requests = batch.map { index in
      JSONValue.object(["policyStoreId": .string(contents.id), "policyId": .string(contents.policies[index].id)])
    }
    calls.call("BatchGetPolicy", .object(["requests": .array(requests)])) { [self] result in
      var isSame = true
      reading(result, completion) { (json) throws(WireError) in
        guard let results = json["results"]?.array, let errors = json["errors"]?.array, results.count + errors.count == batch.count else {
          throw WireError("BatchGetPolicy did not answer for every policy")
        }
        var contents = contents
        isSame = errors.isEmpty
        guard isSame else { return contents }
        for (index, result) in zip(batch, results) {
          let policy = try StoredPolicy(policy: result)
          let listed = contents.policies[index]
          guard exactlyEquals(policy.id, listed.id) else { throw WireError("BatchGetPolicy answered for another policy") }
          isSame = isSame && exactlyEquals(policy.updated, listed.updated) && policy.template == nil
          contents.policies[index] = policy
        }
        return contents
      } then: { [self] contents in
        guard isSame else { return completion(.success(nil)) }
        getPolicies(contents, wanted.dropFirst(batch.count), completion)
      }
    }
  }

  // MARK: - Answers

  private func reading<Read, Whole>(
    _ result: Result<JSONValue, StoreCallError>, _ completion: @escaping (Result<Whole, StoreCallError>) -> Void,
    _ read: (JSONValue) throws(WireError) -> Read, then: (Read) -> Void
  ) {
    switch result {
    case .failure(let error): completion(.failure(error))
    case .success(let json):
      do throws(WireError) { then(try read(json)) } catch {
        completion(.failure(.failed("the service's answer cannot be believed: \(error)")))
      }
    }
  }

  private static func bare(_ contents: PolicyStoreContents) -> PolicyStoreContents {
    var bare = contents
    for index in bare.templates.indices { bare.templates[index].statement = ExactString("") }
    for index in bare.policies.indices where bare.policies[index].template == nil {
      bare.policies[index].definition = .statement(ExactString(""))
    }
    return bare
  }

  private static let tries = 5
  // Far beyond what a store can hold by its quotas.
  private static let most = 100_000
}
