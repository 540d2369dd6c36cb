internal import Cedar

/// A policy's whole condition as one expression: the scope's three parts, then the clauses.
///
/// The reference nests these to the right, `principal && (action && (resource && (clause && …)))`; here they are a list, so
/// that a policy of many clauses is no deeper than one of few.
struct ConditionTree {
  let policy: Policy
  /// The policy's expressions, and behind them those of the scope.
  private(set) var expressions: ExprTree
  /// The operands in order.
  private(set) var operands: [ExprID] = []
  /// Nodes that stand for a slot.
  private(set) var slots: [ExprID: SlotID] = [:]

  init(_ policy: Policy) {
    self.policy = policy
    expressions = policy.expressions
    operands.append(scope(.principal, policy.principal, policy.scopeSpans.principal, .principal))
    operands.append(action(policy.action, policy.scopeSpans.action))
    operands.append(scope(.resource, policy.resource, policy.scopeSpans.resource, .resource))
    for condition in policy.conditions {
      operands.append(
        condition.kind == .when ? condition.body : expressions.add(.not(condition.body), at: expressions.span(of: condition.body)))
    }
  }

  private mutating func scope(_ variable: Variable, _ constraint: ScopeConstraint, _ spans: ScopeSpans, _ slot: SlotID) -> ExprID {
    switch constraint {
    case .any: return expressions.add(.bool(true), at: spans.element)
    case .equal(let reference):
      return expressions.add(.comparison(.equal, add(variable, spans), add(reference, slot, spans)), at: spans.element)
    case .in(let reference): return expressions.add(.in(add(variable, spans), add(reference, slot, spans)), at: spans.element)
    case .is(let type): return expressions.add(.is(add(variable, spans), type, in: nil), at: spans.element)
    case .isIn(let type, let reference):
      return expressions.add(.is(add(variable, spans), type, in: add(reference, slot, spans)), at: spans.element)
    }
  }

  private mutating func action(_ constraint: ActionConstraint, _ spans: ScopeSpans) -> ExprID {
    switch constraint {
    case .any: return expressions.add(.bool(true), at: spans.element)
    case .equal(let uid):
      return expressions.add(.comparison(.equal, add(.action, spans), add(.entity(uid), .principal, spans)), at: spans.element)
    case .in(let uid): return expressions.add(.in(add(.action, spans), add(.entity(uid), .principal, spans)), at: spans.element)
    case .inAny(let uids):
      let elements = uids.enumerated().map { index, uid in
        expressions.add(.entity(uid), at: index < spans.references.count ? spans.references[index] : spans.element)
      }
      return expressions.add(.in(add(.action, spans), expressions.add(.set(elements), at: spans.element)), at: spans.element)
    }
  }

  private mutating func add(_ variable: Variable, _ spans: ScopeSpans) -> ExprID { expressions.add(.variable(variable), at: spans.element) }

  private mutating func add(_ reference: EntityReference, _ slot: SlotID, _ spans: ScopeSpans) -> ExprID {
    let span = spans.references.first ?? spans.element
    switch reference {
    case .entity(let uid): return expressions.add(.entity(uid), at: span)
    case .slot:
      // Expressions have no slots; the node only holds the place.
      let node = expressions.add(.bool(true), at: span)
      slots[node] = slot
      return node
    }
  }
}
