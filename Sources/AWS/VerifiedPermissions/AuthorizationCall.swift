public import Bytes
public import Cedar
internal import JSON

/// A question to Verified Permissions, and what it is answered by.
public struct AuthorizationCall: Sendable {
  /// Who asks.
  public enum Principal: Sendable {
    /// Whom we name, with the entities that we know of.
    case named(EntityUID)
    /// Whom the token names: the service reads it.
    case token(Token)
  }

  /// A token that goes along.
  public struct Token: Sendable {
    /// The compact text.
    public var text: Secret<String>
    /// An access token; an identity token otherwise.
    public var isAccessToken: Bool

    /// A token.
    public init(_ text: Secret<String>, isAccessToken: Bool) {
      self.text = text
      self.isAccessToken = isAccessToken
    }
  }

  /// The store, by id or as `policy-store-alias/…`.
  public var policyStore: String
  /// Who.
  public var principal: Principal
  /// What.
  public var action: EntityUID
  /// With what.
  public var resource: EntityUID
  /// Under which circumstances.
  public var context: Record
  /// What is known of all of these; no action among them.
  public var entities: [Entity]
  /// The context's `token` as the API writes it, where that was written before.
  public var writtenToken: [UInt8]?
  /// The first of the entities as the API writes them, where they were written before.
  public var writtenEntities: WrittenEntities?

  /// Entities as the API writes them, one after the other.
  public struct WrittenEntities: Sendable {
    let count: Int
    let bytes: [UInt8]

    /// Writes entities; nil if there are none, or one has a moment without text.
    public init?(_ entities: [Entity]) {
      var out = JSONWriter()
      guard !entities.isEmpty else { return nil }
      do throws(WireError) {
        for entity in entities { try AuthorizationCall.write(entity, to: &out) }
      } catch { return nil }
      count = entities.count
      bytes = out.bytes
    }
  }

  /// A question.
  public init(
    policyStore: String, principal: Principal, action: EntityUID, resource: EntityUID, context: Record = .empty, entities: [Entity] = []
  ) {
    self.policyStore = policyStore
    self.principal = principal
    self.action = action
    self.resource = resource
    self.context = context
    self.entities = entities
  }

  /// The operation's name.
  public var operation: String {
    switch principal {
    case .named: "IsAuthorized"
    case .token: "IsAuthorizedWithToken"
    }
  }

  /// The request's body.
  public func body() throws(WireError) -> [UInt8] {
    var out = JSONWriter(reserving: 1024)
    out.beginObject()
    out.name("policyStoreId")
    out.string(policyStore)
    writePrincipal(to: &out)
    try writeItem(to: &out)
    try Self.write(entities, writtenEntities, to: &out)
    out.endObject()
    guard out.bytes.count <= Self.largestBytes else {
      throw WireError("the request has \(out.bytes.count) bytes, more than the service takes")
    }
    return out.bytes
  }

  /// The body of a batch, whose answers come in the same order: questions of one store that share their principal or, if none is
  /// named by a token, their resource.
  public static func batchBody(_ calls: [AuthorizationCall]) throws(WireError) -> [UInt8] {
    guard let first = calls.first, calls.count <= mostInBatch else { throw WireError("a batch has from 1 to \(mostInBatch) questions") }
    var out = JSONWriter(reserving: 1024 * calls.count)
    out.beginObject()
    out.name("policyStoreId")
    out.string(first.policyStore)
    if case .token = first.principal { first.writePrincipal(to: &out) }
    out.name("requests")
    out.beginArray()
    for call in calls {
      out.beginObject()
      if case .named = call.principal { call.writePrincipal(to: &out) }
      try call.writeItem(to: &out)
      out.endObject()
    }
    out.endArray()
    var known: Set<EntityUID> = []
    try write(calls.flatMap(\.entities).filter { known.insert($0.uid).inserted }, to: &out)
    out.endObject()
    guard out.bytes.count <= largestBytes else { throw WireError("the request has \(out.bytes.count) bytes, more than the service takes") }
    return out.bytes
  }

  /// A record as a value of the API; nil for one that has a moment without text.
  public static func written(_ record: Record) -> [UInt8]? {
    var out = JSONWriter()
    do throws(WireError) { try AttributeValue.write(.record(record), to: &out) } catch { return nil }
    return out.bytes
  }

  /// How many questions a batch may have.
  public static let mostInBatch = 30
  private static let largestBytes = 1 << 20

  private func writePrincipal(to out: inout JSONWriter) {
    switch principal {
    case .named(let uid):
      out.name("principal")
      AttributeValue.write(uid, to: &out)
    case .token(let token):
      out.name(token.isAccessToken ? "accessToken" : "identityToken")
      out.string(token.text.exposed)
    }
  }

  func writeItem(to out: inout JSONWriter) throws(WireError) {
    out.name("action")
    out.beginObject()
    out.name("actionType")
    out.string(action.type.text)
    out.name("actionId")
    out.string(action.id)
    out.endObject()
    out.name("resource")
    AttributeValue.write(resource, to: &out)
    // An empty context is said by leaving it out.
    guard !context.isEmpty else { return }
    out.name("context")
    out.beginObject()
    out.name("contextMap")
    out.beginObject()
    for field in context.fields {
      out.name(field.key)
      if let writtenToken, exactlyEquals(field.key, "token") {
        out.raw(bytes: writtenToken)
      } else {
        try AttributeValue.write(field.value, to: &out)
      }
    }
    out.endObject()
    out.endObject()
  }

  private static func write(_ entities: [Entity], _ written: WrittenEntities? = nil, to out: inout JSONWriter) throws(WireError) {
    guard !entities.isEmpty else { return }
    out.name("entities")
    out.beginObject()
    out.name("entityList")
    out.beginArray()
    if let written { out.raw(bytes: written.bytes) }
    for entity in entities.dropFirst(written?.count ?? 0) { try write(entity, to: &out) }
    out.endArray()
    out.endObject()
  }

  private static func write(_ entity: Entity, to out: inout JSONWriter) throws(WireError) {
    out.beginObject()
    out.name("identifier")
    AttributeValue.write(entity.uid, to: &out)
    if !entity.attributes.isEmpty {
      out.name("attributes")
      try AttributeValue.write(entity.attributes, to: &out)
    }
    if !entity.parents.isEmpty {
      out.name("parents")
      out.beginArray()
      for parent in entity.parents.sorted() { AttributeValue.write(parent, to: &out) }
      out.endArray()
    }
    if !entity.tags.isEmpty {
      out.name("tags")
      try AttributeValue.write(entity.tags, to: &out)
    }
    out.endObject()
  }
}
