public import AWS
internal import Bytes
internal import Cedar
internal import HTTP
internal import JOSE

/// A question to another engine. Two are equal if every input of their answer is: then one answer serves both.
///
/// A class: it is handed around as one word, and its bytes are hashed once.
public final class RemoteQuestion: Hashable, Sendable {
  /// Which engine, by its place among the configuration's.
  public let engine: Int
  /// The question in the service's words.
  public let call: AuthorizationCall
  /// The same as the body of a request, store and token included.
  public let body: [UInt8]
  /// The load that it belongs to: answers serve no other.
  public let generation: UInt64
  /// How long a request waits for the answer.
  public let timeoutMillis: UInt64
  /// How long an answer serves, in milliseconds; 0 for none.
  public let cacheMillis: UInt64
  /// When the token ends, in seconds since 1970: no answer outlives it.
  public let expiresAt: Int64
  // With this process's seed, so that nobody outside knows which bodies have equal ones.
  private let digest: Int

  init(_ call: AuthorizationCall, to index: Int, _ engine: RemoteEngine, generation: UInt64, expiresAt: Int64) throws(WireError) {
    self.engine = index
    self.call = call
    body = try call.body()
    self.generation = generation
    timeoutMillis = engine.timeoutMillis
    cacheMillis = engine.cacheMillis
    self.expiresAt = expiresAt
    var hasher = Hasher()
    body.withUnsafeBytes { hasher.combine(bytes: $0) }
    digest = hasher.finalize()
  }

  /// Equality of every input.
  public static func == (a: RemoteQuestion, b: RemoteQuestion) -> Bool {
    if a === b { return true }
    return a.digest == b.digest && a.engine == b.engine && a.generation == b.generation && a.expiresAt == b.expiresAt && a.body == b.body
  }

  /// Hashes the inputs.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(engine)
    hasher.combine(digest)
  }
}

/// What came of a question to another engine.
public enum RemoteAnswer: Sendable {
  /// The service answered.
  case answered(AuthorizationAnswer)
  /// It answered nothing that could be believed.
  case failed(String)
  /// It did not answer in time.
  case timedOut(String)
}

extension Learned {
  /// What the service says; waits, where it was not asked yet. Nil if the local engine is to decide in its place.
  func answer(to question: () throws(Stop) -> RemoteQuestion, of engine: RemoteEngine, about identity: Identity) throws(Stop)
    -> AuthorizationAnswer?
  {
    switch remote {
    case nil: throw .wait(.decision(try question()))
    case .answered(let answer):
      // With a token the service names the principal: if it is another one than ours, what was decided is not what was asked.
      guard answer.principal == nil || answer.principal == identity.principal else {
        if engine.fallsBack { return nil }
        throw .refuse(
          .engineFailed(
            detail: "the store's identity source names \(answer.principal?.description ?? ""), and we \(identity.principalText)"))
      }
      return answer
    case .failed(let why):
      if engine.fallsBack { return nil }
      throw .refuse(.engineFailed(detail: why))
    case .timedOut(let why):
      if engine.fallsBack { return nil }
      throw .refuse(.engineTimedOut(detail: why))
    }
  }
}

extension Snapshot {
  /// The question to a service, in its words: the mapped request, and the entities that matter to it.
  func question(
    _ mapped: MappedRequest, _ identity: Identity, to index: Int, _ engine: RemoteEngine, credential: Credential, in head: RequestHead
  ) throws(Stop) -> RemoteQuestion {
    let request = mapped.request
    var context = request.context
    let principal: AuthorizationCall.Principal
    let isNamed: Bool
    switch engine.operation {
    case .isAuthorized:
      principal = .named(request.principal)
      isNamed = true
    case .isAuthorizedWithToken:
      let text = head.fields.withBytes(credential.range) { String(decoding: $0, as: UTF8.self) }
      principal = .token(.init(Secret(text), isAccessToken: identity.tokenUse == .access))
      isNamed = false
      // The service adds the token's claims by itself.
      context = Record(lastWins: context.fields.filter { !exactlyEquals($0.key, "token") })
    }
    var call = AuthorizationCall(
      policyStore: engine.policyStore, principal: principal, action: request.action, resource: request.resource, context: context)
    // A token's claims are the same in all questions, and the longest part of them.
    call.writtenToken = identity.elsewhere?.token
    let own = mapped.resourceEntities + mapped.learnedEntities
    if isNamed, let theirs = identity.elsewhere?.entities, theirs.isApart(from: own) {
      let slice = try EntitySlice(own, known: authorization.entities)
      call.entities = theirs.entities + slice.reachable(from: [request.resource], context, besides: theirs.reached).entities
      call.writtenEntities = theirs.written
    } else if isNamed {
      let slice = try EntitySlice(identity.claimed + own, known: authorization.entities)
      call.entities = slice.reachable(from: [request.principal, request.resource], context).entities
    } else {
      let slice = try EntitySlice(own, known: authorization.entities)
      call.entities = slice.reachable(from: [request.resource], context).entities.filter { !identityTypes.contains($0.uid.type) }
    }
    do throws(WireError) {
      return try RemoteQuestion(call, to: index, engine, generation: generation, expiresAt: identity.expiresAt)
    } catch { throw .refuse(.engineFailed(detail: error.description)) }
  }
}
