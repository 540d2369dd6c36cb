/// The two places that a template leaves open.
public enum SlotID: String, Sendable, Comparable, CaseIterable, CustomStringConvertible {
  case principal = "?principal"
  case resource = "?resource"

  /// `?principal` before `?resource`.
  public static func < (a: SlotID, b: SlotID) -> Bool { a.rawValue < b.rawValue }
  /// The slot as written.
  public var description: String { rawValue }
}

/// What a scope compares with: an entity, or the slot of a template.
public enum EntityReference: Hashable, Sendable {
  case entity(EntityUID)
  /// The slot of the element's own name.
  case slot

  /// The entity, if it is one.
  public var entity: EntityUID? { if case .entity(let uid) = self { uid } else { nil } }
}

/// The constraint on `principal` or on `resource` (Cedar reference, "policy scope").
public enum ScopeConstraint: Hashable, Sendable {
  case any
  case equal(EntityReference)
  case `in`(EntityReference)
  case `is`(EntityType)
  case isIn(EntityType, EntityReference)

  /// Whether it has a slot.
  public var hasSlot: Bool {
    switch self {
    case .equal(.slot), .in(.slot), .isIn(_, .slot): true
    default: false
    }
  }
}

/// The constraint on `action`. All types have the basename `Action`.
public enum ActionConstraint: Hashable, Sendable {
  case any
  case equal(EntityUID)
  /// `in A`, also written `in [A]`.
  case `in`(EntityUID)
  /// `in [A, B]`; of none it matches nothing.
  case inAny([EntityUID])
}

/// Where the parts of one scope element stand.
public struct ScopeSpans: Hashable, Sendable {
  /// The whole element.
  public var element: SourceSpan = .none
  /// The type after `is`.
  public var type: SourceSpan?
  /// The entities or the slot, in order.
  public var references: [SourceSpan] = []

  /// No places.
  public init() {}
}
