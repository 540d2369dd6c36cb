internal import Bytes
internal import Cedar

/// What became of one policy: of each element of its scope and of each clause, with the values they saw.
struct PolicyAssessment {
  /// What can be said of a part of a policy.
  enum Verdict: Equatable {
    /// It holds.
    case holds
    /// It does not hold.
    case fails
    /// It has no value, and why.
    case failed(String)
    /// It depends on facts that nobody recorded.
    case unknown([String])
    /// It was not needed.
    case notNeeded
  }

  /// An element of the scope that says something.
  struct Element {
    let text: String
    let verdict: Verdict
  }

  /// One operand of a clause's outermost `&&` or `||`, or the whole clause.
  struct Operand {
    let text: String
    /// Whether it is true; of an `unless` too.
    let verdict: Verdict
    /// What it looked at.
    let seen: [String]
  }

  /// One `when` or `unless`.
  struct Clause {
    let kind: Condition.Kind
    /// `&&` or `||` between the operands.
    let word: String
    let operands: [Operand]
    /// Whether the clause lets the policy apply.
    let verdict: Verdict
  }

  let policy: PolicyID
  let effect: Effect
  let scope: [Element]
  /// The clauses, in order; none where nobody asked for them.
  let clauses: [Clause]

  /// The parts of the scope that stand against the policy.
  var scopeMisses: [Element] { scope.filter { $0.verdict == .fails } }

  /// The verdict on the whole policy.
  var verdict: Verdict {
    if !scopeMisses.isEmpty { return .fails }
    var gaps: [String] = []
    for element in scope { if case .unknown(let facts) = element.verdict { gaps += facts } }
    for clause in clauses {
      switch clause.verdict {
      case .fails: return .fails
      case .failed(let why): return gaps.isEmpty ? .failed(why) : .fails
      case .unknown(let facts): gaps += facts
      case .holds, .notNeeded: break
      }
    }
    return gaps.isEmpty ? .holds : .unknown(gaps)
  }

  /// How far the policy is from applying: what fails, and what is not known.
  var distance: (fails: Int, unknown: Int) {
    var (fails, unknown) = (scopeMisses.count, scope.count - scopeMisses.count - scope.filter { $0.verdict == .holds }.count)
    for clause in clauses {
      switch clause.verdict {
      case .fails, .failed: fails += 1
      case .unknown: unknown += 1
      case .holds, .notNeeded: break
      }
    }
    return (fails, unknown)
  }
}

/// Assesses policies against a request.
struct PolicyAssessor {
  let known: KnownRequest
  let policies: PolicySet

  /// Assesses a policy or link, its clauses only where the scope does not rule them out or `withClauses` says so.
  func assess(_ id: PolicyID, withClauses: Bool) -> PolicyAssessment? {
    guard let policy = policies.statement(id) else { return nil }
    let link = policies.link(id)
    let request = known.request
    let scope = [
      element("principal", request.principal, policy.principal, link?.principal), element(policy.action),
      element("resource", request.resource, policy.resource, link?.resource),
    ].compactMap { $0 }
    let isRuledOut = scope.contains { $0.verdict == .fails }
    return PolicyAssessment(
      policy: id, effect: policy.effect, scope: scope, clauses: isRuledOut && !withClauses ? [] : clauses(of: policy))
  }

  // MARK: - Scope

  private func element(_ name: String, _ uid: EntityUID, _ constraint: ScopeConstraint, _ slot: EntityUID?) -> PolicyAssessment.Element? {
    func target(_ reference: EntityReference) -> EntityUID? { reference.entity ?? slot }
    func verdict(_ holds: Bool) -> PolicyAssessment.Verdict { holds ? .holds : .fails }
    func isIn(_ reference: EntityReference) -> PolicyAssessment.Verdict { target(reference).map { self.isIn(uid, $0) } ?? .fails }
    func text(_ reference: EntityReference) -> String { target(reference)?.description ?? "?\(name)" }
    switch constraint {
    case .any: return nil
    case .equal(let reference): return .init(text: "\(name) == \(text(reference))", verdict: verdict(uid == target(reference)))
    case .in(let reference): return .init(text: "\(name) in \(text(reference))", verdict: isIn(reference))
    case .is(let type): return .init(text: "\(name) is \(type)", verdict: verdict(uid.type == type))
    case .isIn(let type, let reference):
      return .init(text: "\(name) is \(type) in \(text(reference))", verdict: uid.type == type ? isIn(reference) : .fails)
    }
  }

  private func element(_ constraint: ActionConstraint) -> PolicyAssessment.Element? {
    let action = known.request.action
    switch constraint {
    case .any: return nil
    case .equal(let uid): return .init(text: "action == \(uid)", verdict: action == uid ? .holds : .fails)
    case .in(let uid): return .init(text: "action in \(uid)", verdict: isIn(action, uid))
    case .inAny(let uids):
      let shown = uids.prefix(5).map(\.description).joined(separator: ", ") + (uids.count > 5 ? ", ..." : "")
      return .init(text: "action in [\(shown)]", verdict: uids.contains { isIn(action, $0) == .holds } ? .holds : .fails)
    }
  }

  private func isIn(_ uid: EntityUID, _ other: EntityUID) -> PolicyAssessment.Verdict {
    if uid == other || known.entities.ancestors(of: uid).contains(other) { return .holds }
    return known.gap(inParentsOf: uid).map { .unknown([$0]) } ?? .fails
  }

  // MARK: - Clauses

  private func clauses(of policy: Policy) -> [PolicyAssessment.Clause] {
    var isDecided = false
    return policy.conditions.map { condition in
      let clause = clause(condition, policy.expressions, isNeeded: !isDecided)
      switch clause.verdict {
      case .fails, .failed: isDecided = true
      case .holds, .unknown, .notNeeded: break
      }
      return clause
    }
  }

  private func clause(_ condition: Condition, _ tree: ExprTree, isNeeded: Bool) -> PolicyAssessment.Clause {
    let (parts, word, absorbing): ([ExprID], String, Bool?) =
      switch tree[condition.body] {
      case .and(let parts): (parts, "&&", false)
      case .or(let parts): (parts, "||", true)
      default: ([condition.body], "", nil)
      }
    var operands: [PolicyAssessment.Operand] = []
    var gaps: [String] = []
    var result: PolicyAssessment.Verdict?
    for part in parts {
      let text = PolicyText.of(part, tree)
      guard isNeeded, result == nil else {
        operands.append(.init(text: text, verdict: .notNeeded, seen: []))
        continue
      }
      let verdict = truth(of: part, tree)
      operands.append(.init(text: text, verdict: verdict, seen: seen(by: part, tree)))
      switch verdict {
      case .unknown(let facts): gaps += facts
      // What is not known before it may have failed itself, or made this unneeded.
      case .failed: result = gaps.isEmpty ? verdict : .unknown(gaps)
      case .holds: if absorbing != false { result = gaps.isEmpty ? .holds : .unknown(gaps) }
      // False or failed: a `when` does not let its policy apply either way.
      case .fails: if absorbing != true { result = gaps.isEmpty || condition.kind == .when ? .fails : .unknown(gaps) }
      case .notNeeded: break
      }
    }
    guard isNeeded else { return .init(kind: condition.kind, word: word, operands: operands, verdict: .notNeeded) }
    let value = result ?? (gaps.isEmpty ? (absorbing == true ? .fails : .holds) : .unknown(gaps))
    return .init(kind: condition.kind, word: word, operands: operands, verdict: condition.kind == .when ? value : Self.opposite(of: value))
  }

  private static func opposite(of verdict: PolicyAssessment.Verdict) -> PolicyAssessment.Verdict {
    switch verdict {
    case .holds: .fails
    case .fails: .holds
    case .failed, .unknown, .notNeeded: verdict
    }
  }

  private func truth(of expression: ExprID, _ tree: ExprTree) -> PolicyAssessment.Verdict {
    let gaps = known.gaps(in: expression, of: tree)
    guard gaps.isEmpty else { return .unknown(gaps) }
    do throws(EvaluationError) {
      switch try Evaluation.value(of: expression, in: tree, for: known.request, entities: known.entities) {
      case .bool(let flag): return flag ? .holds : .fails
      case let other: return .failed("type error: expected bool, got \(other.typeName)")
      }
    } catch {
      return .failed(error.message)
    }
  }

  /// The values of attributes in an expression: what the policy looked at.
  private func seen(by operand: ExprID, _ tree: ExprTree) -> [String] {
    var seen: [String] = []
    var pending = [operand]
    // Bounded: a screen has room for a few, and an expression may be as long as its author likes.
    var visited = 0
    while let next = pending.popLast(), visited < 200, seen.count < 4 {
      visited += 1
      guard next != operand, PolicyText.isAtom(tree[next]) else {
        var parts: [ExprID] = []
        tree[next].forEachPart { parts.append($0) }
        pending += parts.reversed()
        continue
      }
      guard known.gaps(in: next, of: tree).isEmpty else { continue }
      let value: Value
      do throws(EvaluationError) {
        value = try Evaluation.value(of: next, in: tree, for: known.request, entities: known.entities)
      } catch {
        continue
      }
      let note = "\(PolicyText.of(next, tree)) = \(PolicyText.shortened(value.description))"
      if !seen.contains(where: { exactlyEquals($0, note) }) { seen.append(note) }
    }
    return seen
  }
}

/// Parts of policies as text on one line.
enum PolicyText {
  /// An expression.
  static func of(_ expression: ExprID, _ tree: ExprTree) -> String {
    let result: Result<String, OutputTooLarge> = Result { () throws(OutputTooLarge) in try PolicyPrinter.text(of: expression, in: tree) }
    guard case .success(let text) = result else { return "..." }
    return shortened(text)
  }

  /// What a policy looks at. Variables are left out: the request is shown above.
  static func isAtom(_ expr: Expr) -> Bool {
    switch expr {
    case .attribute, .method(.getTag, _, _): true
    default: false
    }
  }

  static func shortened(_ text: String) -> String {
    guard text.unicodeScalars.count > 200 else { return text }
    return String(String.UnicodeScalarView(text.unicodeScalars.prefix(197))) + "..."
  }
}
