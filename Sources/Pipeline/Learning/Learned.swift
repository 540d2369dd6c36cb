internal import Cedar
internal import HTTP

/// What was learned for one request since its head was read: only on routes that ask for more than the head says.
struct Learned: Sendable {
  /// The fields of the body, or why there are none.
  var body: Result<Record, Rejection>?
  /// What the route's source of entities said.
  var entities: EntityAnswer?
  /// What another engine said.
  var remote: RemoteAnswer?
  /// What of the body is signed; nil while it was not read, or is not to be.
  var signedBody: SignedBody?

  /// The fields of the body, as the route wants them; waits, where there is a body that was not read yet.
  func body(_ wanted: BodyFields?, of head: RequestHead) throws(Stop) -> Record? {
    guard let wanted else { return nil }
    switch head.framing {
    case .none, .length(0): return .empty
    case .length, .chunked, .untilClose: break
    }
    switch body {
    case .success(let record): return record
    case .failure(let rejection): throw .refuse(rejection)
    case nil:
      try wanted.requireReadable(head)
      throw .wait(.body)
    }
  }

  /// The entities that the route's source has for the request; waits, where it was not asked yet.
  func entities(from source: EntitySource?, for values: RequestValues.All, under snapshot: Snapshot) throws(Stop) -> [Entity] {
    guard let source else { return [] }
    switch entities {
    case .entities(let entities, _): return entities
    case .failed(let why): throw .refuse(.entityLookupFailed(detail: why))
    case nil: throw .wait(.entities(EntityLookup(source, url: try source.url.url(values), under: snapshot)))
    }
  }
}
