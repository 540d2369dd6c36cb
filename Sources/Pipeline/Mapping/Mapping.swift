public import Cedar
internal import HTTP
internal import Bytes

/// What a request asks for, in the words of the routes, before anyone knows who asks.
public struct Question: Sendable {
  /// Cedar's action.
  public let action: EntityUID
  /// Cedar's resource.
  public let resource: EntityUID
  /// The resource and its ancestors as entities.
  public let entities: [Entity]
  /// The matched route as written; nil for the built-in mapping.
  public let route: String?
}

/// The question in Cedar's words, ready to be decided.
public struct MappedRequest: Sendable {
  /// Cedar's request.
  public let request: Request
  /// The resource and its ancestors.
  public let resourceEntities: [Entity]
}

/// How a request becomes a Cedar request. One value, the same for the demo, the local and the remote engine.
///
/// Built in, without routes: the method is the action (`Action::"GET"`), the path is the resource
/// (`Path::"/orders/42"`), and every shorter path is its ancestor (`Path::"/orders"`, `Path::"/"`), so that
/// `resource in Path::"/orders"` means the tree below and nothing that merely begins alike.
public struct Mapping: Sendable {
  let actionType: EntityType
  let pathType: EntityType
  private let root: EntityUID

  /// The built-in mapping.
  public init() {
    actionType = EntityType(unchecked: "Action")
    pathType = EntityType(unchecked: "Path")
    root = EntityUID(type: pathType, id: "/")
  }

  /// The actions of the built-in mapping in their groups, for policies without a schema: `Action::"GET"` is in `Action::"read"`.
  public var actionEntities: [Entity] {
    func action(_ name: String, in group: String) -> Entity {
      Entity(uid: EntityUID(type: actionType, id: name), parents: [EntityUID(type: actionType, id: group)])
    }
    let groups = ["read", "write"].map { Entity(uid: EntityUID(type: actionType, id: $0)) }
    return groups + ["GET", "OPTIONS"].map { action($0, in: "read") } + ["POST", "PUT", "PATCH", "DELETE"].map { action($0, in: "write") }
  }

  /// What is asked.
  func match(_ head: RequestHead) throws(Stop) -> Question {
    // HEAD asks for what GET asks for, less the body (RFC 9110 §9.3.2).
    let method = head.method == .head ? "GET" : head.methodText
    let action = EntityUID(type: actionType, id: method)
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
      parent = uid
    }
    return Question(action: action, resource: parent, entities: entities, route: nil)
  }

  /// The whole question: who, what, with what, and under which circumstances.
  func request(_ question: Question, by identity: Identity, from peer: Peer, _ head: RequestHead, at time: Int64) throws(Stop) -> MappedRequest {
    var http = [
      Record.Field("method", .string(head.methodText)), Record.Field("path", .string(Self.path(of: question))),
    ]
    if let host = head.host { http.append(Record.Field("host", .string(host))) }
    var fields = [
      Record.Field("http", .record(Record(lastWins: http))),
      Record.Field("time", .datetime(Datetime(milliseconds: time.multipliedReportingOverflow(by: 1000).partialValue))),
    ]
    if let ip = peer.ip { fields.append(Record.Field("client", .record(Record(lastWins: [Record.Field("ip", .ip(ip))])))) }
    if let token = identity.tokenContext { fields.append(Record.Field("token", .record(token))) }
    let request = Request(
      principal: identity.principal, action: question.action, resource: question.resource, context: Record(lastWins: fields))
    return MappedRequest(request: request, resourceEntities: question.entities)
  }

  private static func path(of question: Question) -> String { question.resource.id }

  private static func attributes(_ path: String, segments: Int) -> Record {
    Record(lastWins: [Record.Field("path", .string(path)), Record.Field("segments", .long(Int64(segments)))])
  }
}
