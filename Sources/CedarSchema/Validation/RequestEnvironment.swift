public import Cedar

/// One combination of types that a request can have: what a policy is checked in (Cedar reference, "request environment").
public struct RequestEnvironment: Hashable, Sendable {
  /// The principal's type.
  public var principal: EntityType
  /// The action.
  public var action: EntityUID
  /// The resource's type.
  public var resource: EntityType
  /// The context's type.
  public var context: RecordType
  /// The type of what stands for `?principal`; nil where there is no such slot.
  public var principalSlot: EntityType?
  /// The type of what stands for `?resource`; nil where there is no such slot.
  public var resourceSlot: EntityType?

  /// A combination.
  public init(
    principal: EntityType, action: EntityUID, resource: EntityType, context: RecordType, principalSlot: EntityType? = nil,
    resourceSlot: EntityType? = nil
  ) {
    self.principal = principal
    self.action = action
    self.resource = resource
    self.context = context
    self.principalSlot = principalSlot
    self.resourceSlot = resourceSlot
  }
}

extension Schema {
  /// Calls `body` with every environment that requests can have, actions in byte order.
  func forEachEnvironment(_ body: (RequestEnvironment) -> Void) {
    for action in actions {
      for principal in action.principals {
        for resource in action.resources {
          body(RequestEnvironment(principal: principal, action: action.uid, resource: resource, context: action.context))
        }
      }
    }
  }

  /// The types that may stand for a slot, given the type of the variable that is compared with it: an equal one has the
  /// variable's type, one above it any type that can be above.
  func slotTypes(for constraint: ScopeConstraint, variable: EntityType) -> [EntityType?] {
    switch constraint {
    case .equal(.slot): [variable]
    case .in(.slot), .isIn(_, .slot): types(above: variable).filter { $0 != variable } + [variable]
    default: [nil]
    }
  }
}
