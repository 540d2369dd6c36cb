/// One entity: what policies can ask about a principal, action, resource or anything they refer to.
public struct Entity: Sendable, Equatable {
  /// Its name.
  public let uid: EntityUID
  /// Its attributes.
  public var attributes: Record
  /// Its direct parents as written; they need not exist as entities.
  public var parents: Set<EntityUID>
  /// Its tags.
  public var tags: Record

  /// An entity.
  public init(uid: EntityUID, attributes: Record = .empty, parents: Set<EntityUID> = [], tags: Record = .empty) {
    self.uid = uid
    self.attributes = attributes
    self.parents = parents
    self.tags = tags
  }
}
