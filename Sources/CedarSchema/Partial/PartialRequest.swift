public import Cedar

/// A request of which the ids of principal and resource, and the context, may be unknown; their types and the action are
/// not (Cedar RFC 95, "type-aware partial evaluation").
public struct PartialRequest: Sendable {
  /// An entity whose id may be unknown.
  public struct Subject: Sendable, Equatable {
    /// Its type.
    public var type: EntityType
    /// Its id; nil if unknown.
    public var id: String?

    /// An entity whose id may be unknown.
    public init(type: EntityType, id: String? = nil) {
      self.type = type
      self.id = id
    }

    /// The uid, if it is known.
    public var uid: EntityUID? { id.map { EntityUID(type: type, id: $0) } }
  }

  /// Who.
  public var principal: Subject
  /// What.
  public var action: EntityUID
  /// With what.
  public var resource: Subject
  /// Under which circumstances; nil if unknown.
  public var context: Record?

  /// A request.
  public init(principal: Subject, action: EntityUID, resource: Subject, context: Record? = nil) {
    self.principal = principal
    self.action = action
    self.resource = resource
    self.context = context
  }
}

extension Schema {
  /// Checks a partial request: what is known must fit the schema, as in `check(_: Request)`.
  public func check(_ request: PartialRequest) throws(ConformanceError) {
    guard let action = action(request.action) else { throw undeclared(request.action) }
    guard action.principals.contains(request.principal.type) else {
      throw .principalType(request.principal.type, action: request.action, valid: action.principals)
    }
    guard action.resources.contains(request.resource.type) else {
      throw .resourceType(request.resource.type, action: request.action, valid: action.resources)
    }
    if let principal = request.principal.uid { try check(principal) }
    if let resource = request.resource.uid { try check(resource) }
    if let context = request.context { try check(context: context, for: request.action) }
  }
}
