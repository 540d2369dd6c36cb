internal import Bytes
public import Cedar
public import HTTP
internal import JOSE

/// What a request asks for, in the words of the routes, before anyone knows who asks.
public struct Question: Sendable {
  /// Cedar's action.
  public let action: EntityUID
  /// Cedar's resource; nil while it depends on a body that was not read yet.
  public let resource: EntityUID?
  /// The resource and what the request says of it, by a route; the built-in mapping finds its entities when they are needed.
  let entities: [Entity]
  /// What the route's source of entities said.
  var learned: [Entity] = []
  /// What the body says, by the names that the route gives; nil on a route that names none.
  var body: Record?
  /// The decoded path, if the resource is mapped from it by the built-in mapping.
  let path: String?
  /// The matched route; nil for the built-in mapping.
  public let route: Route?

  /// Who may ask.
  public var access: Route.Access { route?.access ?? .policy }

  /// Whether whoever asks must prove to hold the key of its token.
  var demandsProof: Bool { route?.demandsProof ?? false }
  /// Whether the token must be bound to the client's certificate.
  var demandsCertificate: Bool { route?.demandsCertificate ?? false }

  /// Whether the request passes whoever asks: on a public route, and as a preflight on a route for preflights.
  func isOpen(to head: borrowing RequestHead) throws(Stop) -> Bool {
    switch access {
    case .public: return true
    case .preflight:
      guard head.isPreflight else { throw .refuse(.noRoute(detail: "the route is for CORS preflights, and this request is none")) }
      return true
    case .authenticated, .policy: return false
    }
  }

  /// Refuses a token that lacks a scope of the route.
  func requireScopes(of identity: Identity) throws(Stop) {
    guard let route, !route.scopes.isEmpty else { return }
    let lacks = route.scopes.contains { wanted in !identity.scopes.contains { exactlyEquals($0, wanted) } }
    if lacks { throw .refuse(.insufficientScope(needed: route.scopes)) }
  }

  /// Refuses a token whose sign-in is weaker or older than the route wants.
  func requireSignIn(of identity: Identity, at time: Int64) throws(Stop) {
    guard let wanted = route?.stepUp, !wanted.isMet(acr: identity.acr, authenticatedAt: identity.authenticatedAt, now: time) else { return }
    throw .refuse(.insufficientAuthentication(wanted))
  }
}

/// The question in Cedar's words, ready to be decided.
public struct MappedRequest: Sendable {
  /// Cedar's request.
  public let request: Request
  /// The resource and its ancestors.
  public let resourceEntities: [Entity]
  /// What was looked up for the request.
  public var learnedEntities: [Entity] = []
}

/// How a request becomes a Cedar request. One value, the same for the demo, the local and the remote engine.
///
/// By routes, where there are any. Without: the method is the action (`Action::"GET"`), the path is the resource
/// (`Path::"/orders/42"`), and every shorter path is its ancestor (`Path::"/orders"`, `Path::"/"`), so that
/// `resource in Path::"/orders"` means the tree below and nothing that merely begins alike.
public struct Mapping: Sendable {
  let actionType: EntityType
  let pathType: EntityType
  /// The routes; nil for none.
  public let routes: RouteTable?
  private let unrouted: Configuration.Unrouted
  private let root: EntityUID
  private let limits: ClientLimits
  private let headers: [String]
  private let query: [String]

  /// The built-in mapping.
  public init() { self.init(Configuration(upstream: "")) }

  /// The mapping of a configuration.
  public init(_ configuration: Configuration) {
    actionType = TypeNames.type("Action", in: configuration.namespace)
    pathType = TypeNames.type("Path", in: configuration.namespace)
    root = EntityUID(type: pathType, id: "/")
    routes = configuration.routes
    unrouted = configuration.unrouted
    limits = configuration.limits
    headers = configuration.contextHeaders
    query = configuration.contextQuery
  }

  /// The actions of the built-in mapping in their groups, for policies without a schema: `Action::"GET"` is in `Action::"read"`.
  public var actionEntities: [Entity] {
    func action(_ name: String, in group: String) -> Entity {
      Entity(uid: EntityUID(type: actionType, id: name), parents: [EntityUID(type: actionType, id: group)])
    }
    let groups = ["read", "write"].map { Entity(uid: EntityUID(type: actionType, id: $0)) }
    return groups + ["GET", "OPTIONS"].map { action($0, in: "read") } + ["POST", "PUT", "PATCH", "DELETE"].map { action($0, in: "write") }
  }

  /// What is asked. The path becomes what the route's service reads it as; what is forwarded stays as it came.
  func match(_ head: inout RequestHead) throws(Stop) -> Question {
    guard let routes else {
      try checkBody(of: head, nil)
      return byPath(head, route: nil)
    }
    let found = routes.match(head)
    do throws(HTTPRefusal) { try head.readPath(as: found?.reading ?? .exact) } catch { throw .refuse(.syntax(error)) }
    guard let route = found else {
      guard unrouted == .path else { throw .refuse(.noRoute(detail: nil)) }
      try checkBody(of: head, nil)
      return byPath(head, route: nil)
    }
    try checkBody(of: head, route)
    guard route.access == .policy else {
      return Question(
        action: action(of: head), resource: EntityUID(type: pathType, id: Self.path(of: head)), entities: [], path: nil, route: route)
    }
    return try match(head, to: route, with: nil)
  }

  /// The largest body of a request on a route, and what says so; nil for no bound.
  func bodyLimit(of route: Route?) -> (bytes: UInt64, setting: String)? {
    if let limit = route?.bodyLimit { return (limit, "the route's body_limit") }
    return limits.bodyBytes.map { ($0, "limits.body") }
  }

  // Before anything is asked about it: a body that says how long it is.
  private func checkBody(of head: borrowing RequestHead, _ route: Route?) throws(Stop) {
    guard case .length(let count) = head.framing, let limit = bodyLimit(of: route), count > limit.bytes else { return }
    throw .refuse(.bodyTooLarge(limit: limit.bytes, setting: limit.setting))
  }

  /// What is asked on a route, with what the body says where it was read.
  func match(_ head: RequestHead, to route: Route, with body: Record?) throws(Stop) -> Question {
    guard let template = route.resource else { return byPath(head, route: route, body) }
    let action = route.action ?? action(of: head)
    // Whoever sends a body has to be known first, so that nobody else's is waited for.
    if body == nil, template.needsBody { return Question(action: action, resource: nil, entities: [], path: nil, route: route) }
    let (resource, entities) = try template.entity(RequestValues.All(head: head, path: route.path, body: body))
    return Question(action: action, resource: resource, entities: entities, body: body, path: nil, route: route)
  }

  // HEAD asks for what GET asks for, less the body (RFC 9110 §9.3.2).
  private func action(of head: RequestHead) -> EntityUID {
    EntityUID(type: actionType, id: head.method == .head ? "GET" : head.methodText)
  }

  private func byPath(_ head: RequestHead, route: Route?, _ body: Record? = nil) -> Question {
    let path = Self.path(of: head)
    return Question(
      action: route?.action ?? action(of: head), resource: EntityUID(type: pathType, id: path), entities: [], body: body, path: path,
      route: route)
  }

  // The path and every shorter one, as entities.
  private func pathEntities(_ head: RequestHead) -> [Entity] {
    var entities: [Entity] = [Entity(uid: root, attributes: Self.attributes("/", segments: 0))]
    var parent = root
    var path = ""
    for index in 0..<head.path.count {
      path += "/" + head.path.segment(index)
      let uid = EntityUID(type: pathType, id: path)
      entities.append(Entity(uid: uid, attributes: Self.attributes(path, segments: index + 1), parents: [parent]))
      parent = uid
    }
    // A trailing slash is another resource to a server, so it is another resource here, below the one without.
    if head.path.hasTrailingSlash, head.path.count > 0 {
      let uid = EntityUID(type: pathType, id: path + "/")
      entities.append(Entity(uid: uid, attributes: Self.attributes(path + "/", segments: head.path.count), parents: [parent]))
    }
    return entities
  }

  /// How heads are read for these routes.
  public var headLimits: HeadLimits {
    var limits = limits.head
    limits.path = routes?.pathRules ?? .strict
    return limits
  }

  /// The fields of a request that end up in questions.
  var evaluatedFields: [String] {
    headers
      + (routes?.routes ?? []).flatMap { route in
        // What a body is, is read from these: a service that reads another spelling would read another body.
        (route.resource?.fields ?? []) + (route.entities?.url.fields ?? [])
          + (route.body == nil ? [] : ["content-type", "content-encoding"])
      }
  }

  /// Whether some question has fields of a request beside its host.
  var readsFields: Bool { !isPlain || !evaluatedFields.isEmpty }

  /// Whether every request is mapped to the same few attributes.
  var isPlain: Bool { headers.isEmpty && query.isEmpty }

  /// Maps the request and asks the policies.
  func ask(
    _ question: Question, by identity: Identity, from peer: Peer, _ head: borrowing RequestHead, at time: Int64,
    of authorization: Authorization, _ evaluation: Evaluation
  ) throws(Stop) -> Response {
    if let response = askByPath(question, by: identity, from: peer, head, at: time, of: authorization, evaluation) { return response }
    return try authorization.isAuthorized(try request(question, by: identity, from: peer, copy head, at: time), identity, evaluation)
  }

  /// The whole question in values: who, what, with what, and under which circumstances.
  func request(_ question: Question, by identity: Identity, from peer: Peer, _ head: RequestHead, at time: Int64) throws(Stop)
    -> MappedRequest
  {
    var http = [
      Record.Field("method", .string(head.methodText)), Record.Field("path", .string(Self.path(of: head))),
    ]
    if let host = head.host { http.append(Record.Field("host", .string(host))) }
    if !headers.isEmpty {
      http.append(
        Record.Field("headers", .record(try Self.record(headers) { name throws(Stop) in try RequestValues.field(name, in: head) })))
    }
    if !query.isEmpty {
      http.append(Record.Field("query", .record(try Self.record(query) { name throws(Stop) in try RequestValues.query(name, in: head) })))
    }
    if let body = question.body { http.append(Record.Field("body", .record(body))) }
    var fields = [
      Record.Field("http", .record(Record(lastWins: http))),
      Record.Field("time", .datetime(Datetime(milliseconds: time.multipliedReportingOverflow(by: 1000).partialValue))),
    ]
    var client: [Record.Field] = []
    if let ip = peer.ip { client.append(Record.Field("ip", .ip(ip))) }
    if let certificate = peer.certificate { client.append(Record.Field("certificate", .record(certificate.record))) }
    if !client.isEmpty { fields.append(Record.Field("client", .record(Record(lastWins: client)))) }
    if let token = identity.tokenContext { fields.append(Record.Field("token", .record(token))) }
    guard let resource = question.resource else { throw .refuse(.engineFailed(detail: "the resource is not known yet")) }
    let request = Request(
      principal: identity.principal, action: question.action, resource: resource, context: Record(lastWins: fields))
    return MappedRequest(
      request: request, resourceEntities: question.path == nil ? question.entities : pathEntities(head), learnedEntities: question.learned)
  }

  // What the request lacks is left out: policies ask with `has`.
  private static func record(_ names: [String], _ value: (String) throws(Stop) -> String?) throws(Stop) -> Record {
    var fields: [Record.Field] = []
    for name in names {
      if let value = try value(name) { fields.append(Record.Field(name, .string(value))) }
    }
    return Record(lastWins: fields)
  }

  private static func path(of head: borrowing RequestHead) -> String {
    // A slash that belongs to a segment must not look like one between two.
    if head.path.ambiguities.contains(.encodedSlashIsData) { return escapedPath(of: head) }
    var count = head.path.hasTrailingSlash ? 1 : 0
    for index in 0..<head.path.count { count += 1 + head.path.byteCount(ofSegment: index) }
    return String(unsafeUninitializedCapacity: count) { text in
      let text = UnsafeMutableRawBufferPointer(text)
      var end = 0
      for index in 0..<head.path.count {
        text[end] = UInt8(ascii: "/")
        let start = end + 1
        end = head.path.withSegment(index) { segment in
          UnsafeMutableRawBufferPointer(rebasing: text[start...]).copyBytes(from: segment)
          return start + segment.count
        }
      }
      guard head.path.hasTrailingSlash else { return end }
      text[end] = UInt8(ascii: "/")
      return end + 1
    }
  }

  private static func escapedPath(of head: borrowing RequestHead) -> String {
    var bytes: [UInt8] = []
    for index in 0..<head.path.count {
      bytes.append(UInt8(ascii: "/"))
      head.path.withSegment(index) { segment in
        for byte in segment {
          switch byte {
          case UInt8(ascii: "/"): bytes.append(contentsOf: "%2F".utf8)
          case UInt8(ascii: "%"): bytes.append(contentsOf: "%25".utf8)
          default: bytes.append(byte)
          }
        }
      }
    }
    if head.path.hasTrailingSlash { bytes.append(UInt8(ascii: "/")) }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func attributes(_ path: String, segments: Int) -> Record {
    Record(lastWins: [Record.Field("path", .string(path)), Record.Field("segments", .long(Int64(segments)))])
  }
}
