internal import AWS
internal import Bytes
internal import Crypto
internal import JSON

/// The Verified Permissions API over its state: one operation in, one answer out.
///
/// Strongly consistent: what was answered is on the disk and in force. Only what needs an issuer's keys may have to wait.
final class PolicyStoreService {
  var documents: Documents
  private let journal: Journal
  private var compiled: [ExactString: CompiledStore] = [:]
  private let verifier = SignatureVerifier()
  /// Microseconds since 1970.
  private(set) var now: Int64 = 0

  init(stateFolder: String) throws(JournalError) {
    var documents = Documents()
    journal = try Journal(in: stateFolder) { documents.apply($0) }
    self.documents = documents
  }

  /// What an operation leads to.
  enum Outcome {
    case answer(JSONValue)
    case fault(Fault)
    /// The keys of an issuer are needed first.
    case wait(IssuerPlace)
  }

  /// Answers one request.
  func answer(_ operation: String, _ body: [UInt8], keys: any IssuerKeyStore, micros: Int64) -> Outcome {
    now = micros
    do throws(Fault) {
      let input = Input(try Self.object(body))
      switch operation {
      case "IsAuthorized": return .answer(try isAuthorized(input))
      case "BatchIsAuthorized": return .answer(try batchIsAuthorized(input))
      case "IsAuthorizedWithToken", "BatchIsAuthorizedWithToken": return try withToken(operation, input, keys)
      default: return .answer(try manage(operation, input))
      }
    } catch { return .fault(error) }
  }

  private func withToken(_ operation: String, _ input: Input, _ keys: any IssuerKeyStore) throws(Fault) -> Outcome {
    let store = try store(input)
    let asked: Asked
    switch try Asked.read(input, source: source(of: store), keys: keys, verifier: verifier, seconds: now / 1_000_000) {
    case .wait(let place): return .wait(place)
    case .asked(let read): asked = read
    }
    return .answer(
      operation == "IsAuthorizedWithToken"
        ? try isAuthorized(input, by: asked, in: store) : try batchIsAuthorized(input, by: asked, in: store))
  }

  private func manage(_ operation: String, _ input: Input) throws(Fault) -> JSONValue {
    switch operation {
    case "CreatePolicyStore": try createPolicyStore(input)
    case "GetPolicyStore": try getPolicyStore(input)
    case "ListPolicyStores": try listPolicyStores(input)
    case "UpdatePolicyStore": try updatePolicyStore(input)
    case "DeletePolicyStore": try deletePolicyStore(input)
    case "PutSchema": try putSchema(input)
    case "GetSchema": try getSchema(input)
    case "CreatePolicy": try createPolicy(input)
    case "GetPolicy": try getPolicy(input)
    case "BatchGetPolicy": try batchGetPolicy(input)
    case "ListPolicies": try listPolicies(input)
    case "UpdatePolicy": try updatePolicy(input)
    case "DeletePolicy": try deletePolicy(input)
    case "CreatePolicyTemplate": try createPolicyTemplate(input)
    case "GetPolicyTemplate": try getPolicyTemplate(input)
    case "ListPolicyTemplates": try listPolicyTemplates(input)
    case "UpdatePolicyTemplate": try updatePolicyTemplate(input)
    case "DeletePolicyTemplate": try deletePolicyTemplate(input)
    case "CreateIdentitySource": try createIdentitySource(input)
    case "GetIdentitySource": try getIdentitySource(input)
    case "ListIdentitySources": try listIdentitySources(input)
    case "UpdateIdentitySource": try updateIdentitySource(input)
    case "DeleteIdentitySource": try deleteIdentitySource(input)
    default: throw .unknownOperation
    }
  }

  private static func object(_ body: [UInt8]) throws(Fault) -> JSONValue {
    guard body.count <= 1 << 20 else {
      throw Fault(name: "RequestEntityTooLargeException", message: "The request is larger than 1 MB.", status: 413)
    }
    let json: JSONValue
    do throws(JSONError) { json = try JSONParser.parse(body, limits: .init(depth: 512)) } catch {
      throw Fault(name: "SerializationException", message: "The body is no JSON: \(error).")
    }
    guard json.object != nil else { throw Fault(name: "SerializationException", message: "The body is no structure.") }
    return json
  }

  // MARK: - What the operations share

  /// The store that a request names.
  func store(_ input: Input) throws(Fault) -> Document {
    let id = try input.id("policyStoreId")
    guard let store = documents.one(.store, id) else { throw .notFound(.policyStore, id) }
    return store
  }

  /// The store made ready to decide; made again after every change to it.
  func compiled(_ store: Document) throws(Fault) -> CompiledStore {
    let key = ExactString(store.id)
    if let known = compiled[key] { return known }
    let made = try CompiledStore(store.id, documents)
    compiled[key] = made
    return made
  }

  /// Changes the state: on the disk first, then here.
  func commit(_ effects: [Documents.Effect], to store: String) throws(Fault) {
    do throws(JournalError) { try journal.append(effects) } catch {
      throw Fault(name: "InternalServerException", message: error.description, status: 500)
    }
    documents.apply(effects)
    compiled[ExactString(store)] = nil
  }

  /// A fresh id, of the form that the service's have.
  func makeID() -> String {
    let alphabet = Array("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".utf8)
    return String(decoding: (0..<22).map { _ in alphabet[Int(RandomBytes.makeUInt64() % UInt64(alphabet.count))] }, as: UTF8.self)
  }

  var timestamp: JSONValue { .string(Instant.iso8601(micros: now)) }

  /// Makes something once for a client token: the same request within eight hours gets the same answer, another one a conflict.
  func create(
    _ operation: String, _ input: Input, in store: String, _ resource: Fault.Resource,
    _ make: () throws(Fault) -> (id: String, answer: JSONValue, effects: [Documents.Effect])
  ) throws(Fault) -> JSONValue {
    let token = try input.text("clientToken", 1...64) { ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "-") }
    let parameters = (input.json.object ?? []).filter { $0.name != "clientToken" && !$0.value.isNull }.sorted { $0.name < $1.name }
    let digest = Hex.encode(Digest.sha256(JSONValue(.object(parameters)).text.utf8))
    let key = token.map { "\(operation) \(store) \($0)" }
    if let key, let known = documents.one(.token, key), let madeAt = known.value["at"]?.integer, now - madeAt < Self.rememberedMicros {
      guard let answer = known.value["answer"], known.text("digest") == digest else {
        throw .conflict("The client token was used with other parameters.", resource, known.text("id") ?? "")
      }
      // What was made and deleted since is not made again by the same request.
      return answer
    }
    let made = try make()
    var effects = made.effects
    if let key {
      let value: JSONValue = .object([
        "digest": .string(digest), "at": .integer(now), "id": .string(made.id), "answer": made.answer,
      ])
      effects.append(.put(.token, store: "", id: key, value))
    }
    try commit(effects, to: store.isEmpty ? made.id : store)
    return made.answer
  }

  private static let rememberedMicros: Int64 = 8 * 3600 * 1_000_000
}

extension JSONValue {
  /// An object of the members that have a value.
  static func members(_ pairs: KeyValuePairs<String, JSONValue?>) -> JSONValue {
    JSONValue(.object(pairs.compactMap { pair in pair.value.map { Member(name: pair.key, value: $0) } }))
  }

  /// An entity's name, as the API writes it.
  static func uid(_ type: String, _ id: String) -> JSONValue { .object(["entityType": .string(type), "entityId": .string(id)]) }
}
