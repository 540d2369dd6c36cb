internal import Bytes

/// What names one entity: its type and its id, `User::"alice"` (Cedar reference, "Entity UID").
public struct EntityUID: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The type.
  public let type: EntityType
  /// The id, any string, compared by bytes.
  public let id: String

  /// A uid.
  public init(type: EntityType, id: String) {
    self.type = type
    self.id = id
  }

  /// The uid as Cedar text, id escaped.
  public var description: String { "\(type.text)::\(Text.quoted(id))" }

  /// Byte equality of type and id.
  public static func == (a: EntityUID, b: EntityUID) -> Bool { exactlyEquals(a.id, b.id) && a.type == b.type }
  /// Order by type, then by id.
  public static func < (a: EntityUID, b: EntityUID) -> Bool { a.type == b.type ? Text.precedes(a.id, b.id) : a.type < b.type }
  /// Hashes the bytes of both.
  public func hash(into hasher: inout Hasher) {
    Text.hash(id, into: &hasher)
    type.hash(into: &hasher)
  }
}
