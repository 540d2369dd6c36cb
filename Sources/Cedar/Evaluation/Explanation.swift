/// An answer with its story: what became of every policy, and the values it saw.
public struct Explanation: Sendable, Equatable {
  /// The same answer that `Authorizer.isAuthorized` gives.
  public let response: Response
  /// Every policy and link in byte order of the ids.
  public let policies: [PolicyExplanation]
}

/// What became of one policy or link.
public struct PolicyExplanation: Sendable, Equatable {
  /// How it ended.
  public enum Outcome: Sendable, Equatable {
    /// Scope and clauses hold.
    case satisfied
    /// The scope or a clause does not hold.
    case notSatisfied
    /// It could not be evaluated and was skipped.
    case failed(EvaluationError)
  }

  /// Its id.
  public let policy: PolicyID
  /// The id of its statement: its own, or that of the template of a link.
  public let statement: PolicyID
  /// What it does when satisfied.
  public let effect: Effect
  /// How it ended.
  public let outcome: Outcome
  /// Whether the scope's principal matches.
  public let principalMatches: Bool
  /// Whether the scope's action matches.
  public let actionMatches: Bool
  /// Whether the scope's resource matches.
  public let resourceMatches: Bool
  /// The clauses that were evaluated, in order; the last may be the one that decided.
  public let clauses: [ClauseExplanation]
}

/// What one clause evaluated to.
public struct ClauseExplanation: Sendable, Equatable {
  /// `when` or `unless`.
  public let kind: Condition.Kind
  /// Where the clause stands in the policy's text.
  public let span: SourceSpan
  /// What its expression evaluated to; nil if it failed.
  public let value: Value?
  /// What its parts evaluated to, in the order of evaluation; parts that were not needed, and literals, are missing.
  public let observations: [Observation]
}

/// What one part of a clause evaluated to.
public struct Observation: Sendable, Equatable {
  /// The part, in its policy's tree.
  public let expression: ExprID
  /// Where it stands in the policy's text.
  public let span: SourceSpan
  /// Its value.
  public let value: Value
}

/// Notes every value; bounded, because a clause may be as long as its author likes.
private struct Notebook: EvaluationObserver {
  var notes: [(node: Int32, cell: Cell)] = []
  static let limit = 1000
  static let meetsUnknowns = true

  mutating func saw(_ node: Int32, _ cell: Cell) { if notes.count < Self.limit { notes.append((node, cell)) } }
}

extension Authorizer {
  /// Answers a request as `isAuthorized` does, and tells of every policy what it evaluated to and what it saw.
  public func explain(
    _ request: Request, with prepared: PreparedEntities? = nil, and entities: [Entity] = [], in evaluation: Evaluation = Evaluation()
  ) throws(OverlayError) -> Explanation {
    try evaluation.begin(request, on: self, prepared, entities)
    let response = evaluation.decide(self)
    return Explanation(response: response, policies: ids.indices.map { evaluation.explain($0, on: self) })
  }
}

extension Evaluation {
  /// What becomes of one policy in the request at hand.
  fileprivate func explain(_ number: Int, on authorizer: Authorizer) -> PolicyExplanation {
    let policy = authorizer.compiled[number]
    let statement = authorizer.statements[Int(policy.statement)]
    let machine = machine(authorizer)
    let scope = RequestScope(authorizer: authorizer, machine: machine).elements(of: policy)
    var outcome = PolicyExplanation.Outcome.notSatisfied
    var clauses: [ClauseExplanation] = []
    if scope.principal, scope.action, scope.resource {
      outcome = .satisfied
      var machine = machine
      for (index, condition) in statement.conditions.enumerated() {
        let clause = authorizer.clauses[Int(policy.clauses) + index]
        var notebook = Notebook()
        let result = outcomeOf(clause, &machine, &notebook, authorizer, statement)
        clauses.append(explanation(of: condition, statement, result.cell, notebook))
        if let error = result.error {
          outcome = .failed(error)
          break
        }
        if result.cell?.isTrue == clause.isUnless {
          outcome = .notSatisfied
          break
        }
      }
    }
    return PolicyExplanation(
      policy: authorizer.ids[number], statement: statement.id, effect: statement.effect, outcome: outcome,
      principalMatches: scope.principal, actionMatches: scope.action, resourceMatches: scope.resource, clauses: clauses)
  }

  private func outcomeOf(
    _ clause: CompiledClause, _ machine: inout Machine, _ notebook: inout Notebook, _ authorizer: Authorizer, _ statement: Policy
  ) -> (cell: Cell?, error: EvaluationError?) {
    func placed(_ error: EvaluationError, _ node: Int32) -> EvaluationError {
      EvaluationError(error.kind, error.message, at: statement.expressions.span(of: ExprID(Int(node))))
    }
    guard let cell = machine.run(Int(clause.start), Int(clause.end), &notebook) else {
      return (nil, machine.failure.map { placed($0.error, $0.node) })
    }
    if cell.tag == .bool { return (cell, nil) }
    return (cell, placed(machine.boolExpected(cell), authorizer.program.code[Int(clause.end) - 1].node))
  }

  private func explanation(of condition: Condition, _ statement: Policy, _ cell: Cell?, _ notebook: Notebook) -> ClauseExplanation {
    let tree = statement.expressions
    var observations: [Observation] = []
    for note in notebook.notes {
      let id = ExprID(Int(note.node))
      switch tree[id] {
      case .bool, .long, .string, .entity: continue
      default: observations.append(Observation(expression: id, span: tree.span(of: id), value: layer.value(note.cell)))
      }
    }
    return ClauseExplanation(kind: condition.kind, span: condition.span, value: cell.map(layer.value), observations: observations)
  }
}
