internal import Bytes
internal import Cedar
internal import CedarSchema

/// The plain-text view of an explanation.
struct ExplanationView {
  let explanation: Explanation
  let request: Request
  let bundle: PolicyBundle
  let overlay: [Entity]
  let facts: Explain.Facts
  let everyPolicy: Bool

  // Policies whose scope does not match, shown unless all are asked for.
  private static let shownMisses = 20

  var text: String {
    let response = explanation.response
    var out = Authorize.verdict(response, bundle) + "\n"
    out += header + policies
    if let advice { out += advice + "\n" }
    if let note = Authorize.note(on: response, bundle) { out += note }
    return out
  }

  /// A line for each policy, and its clauses if they were asked.
  var policies: String {
    var out = ""
    let told = sorted
    let misses = told.filter { !Self.reachedClauses($0) }
    let hidden = everyPolicy ? 0 : max(0, misses.count - Self.shownMisses)
    let shown = hidden == 0 ? told : told.filter(Self.reachedClauses) + misses.prefix(Self.shownMisses)
    let rows = shown.map { (explanation: $0, columns: [$0.effect.rawValue, "\($0.policy)", bundle.place(of: $0.policy) ?? ""]) }
    let widths = (0..<3).map { column in rows.map { DisplayWidth.columns($0.columns[column]) }.max() ?? 0 }
    for row in rows {
      let columns = row.columns.enumerated().map { Self.padded(Self.printable($1), widths[$0]) }
      out += "  " + columns.joined(separator: "  ") + "  " + verdict(row.explanation) + "\n"
      out += clauses(of: row.explanation)
    }
    if hidden > 0 { out += "  ... and \(counted(hidden, "policy", "policies")) whose scope does not match\n" }
    return out
  }

  // MARK: - The request

  private var header: String {
    let rows = [
      ("principal", request.principal, facts.principal), ("action", request.action, nil as String?), ("resource", request.resource, nil),
    ]
    let width = rows.map { DisplayWidth.columns(Self.printable($0.1.description)) }.max() ?? 0
    return rows.map { name, uid, fact in
      let notes = [ancestors(of: uid).map { "in \($0)" }, fact].compactMap { $0 }.joined(separator: "     ")
      let line = "  " + Self.padded(name, 9) + "  " + Self.padded(Self.printable(uid.description), width) + "  " + notes
      return Self.trimmed(line) + "\n"
    }.joined()
  }

  private func ancestors(of uid: EntityUID) -> String? {
    var all = bundle.entities.ancestors(of: uid)
    // What came with the request may have parents that the files know.
    var pending = [uid]
    var seen: Set<EntityUID> = []
    while let next = pending.popLast(), seen.count < 1000 {
      guard seen.insert(next).inserted else { continue }
      for entity in overlay where entity.uid == next {
        for parent in entity.parents {
          all.insert(parent)
          all.formUnion(bundle.entities.ancestors(of: parent))
          pending.append(parent)
        }
      }
    }
    guard !all.isEmpty else { return nil }
    let names = all.sorted().prefix(5).map { Self.printable($0.description) }
    return names.joined(separator: ", ") + (all.count > 5 ? ", ..." : "")
  }

  // MARK: - Policies

  /// Forbids before permits; those that matched first, then those that failed, then those whose clauses were asked.
  private var sorted: [PolicyExplanation] {
    func rank(_ policy: PolicyExplanation) -> Int {
      let kind =
        switch policy.outcome {
        case .satisfied: 0
        case .failed: 1
        case .notSatisfied: Self.reachedClauses(policy) ? 2 : 3
        }
      return kind * 2 + (policy.effect == .forbid ? 0 : 1)
    }
    return explanation.policies.enumerated().map { (rank($1), 3 - Self.scopeMatches($1), $0, $1) }
      .sorted { ($0.0, $0.1, $0.2) < ($1.0, $1.1, $1.2) }.map(\.3)
  }

  private static func scopeMatches(_ policy: PolicyExplanation) -> Int {
    (policy.principalMatches ? 1 : 0) + (policy.actionMatches ? 1 : 0) + (policy.resourceMatches ? 1 : 0)
  }

  private static func reachedClauses(_ policy: PolicyExplanation) -> Bool {
    policy.principalMatches && policy.actionMatches && policy.resourceMatches
  }

  private func verdict(_ policy: PolicyExplanation) -> String {
    switch policy.outcome {
    case .satisfied: return "MATCHED"
    case .failed(let error): return "FAILED, skipped: \(Self.printable(error.message))"
    case .notSatisfied:
      if let mismatch = mismatch(of: policy) { return "not matched: \(mismatch)" }
      return "not matched"
    }
  }

  /// The first part of the scope that does not match, in words.
  private func mismatch(of explanation: PolicyExplanation) -> String? {
    guard let policy = bundle.policies.statement(explanation.statement) else { return nil }
    let link = bundle.policies.link(explanation.policy)
    var reasons: [String] = []
    if !explanation.principalMatches { reasons.append(Self.words("principal", request.principal, policy.principal, link?.principal)) }
    if !explanation.actionMatches { reasons.append(words(policy.action)) }
    if !explanation.resourceMatches { reasons.append(Self.words("resource", request.resource, policy.resource, link?.resource)) }
    return reasons.isEmpty ? nil : Self.printable(reasons.joined(separator: "; "))
  }

  private static func words(_ name: String, _ uid: EntityUID, _ constraint: ScopeConstraint, _ slot: EntityUID?) -> String {
    func target(_ reference: EntityReference) -> String { (reference.entity ?? slot)?.description ?? "?\(name)" }
    switch constraint {
    case .any: return "\(name) does not match"
    case .equal(let reference): return "\(name) is not \(target(reference))"
    case .in(let reference): return "\(name) is not in \(target(reference))"
    case .is(let type): return "\(name) is a \(uid.type), not a \(type)"
    case .isIn(let type, let reference):
      return uid.type == type ? "\(name) is not in \(target(reference))" : "\(name) is a \(uid.type), not a \(type)"
    }
  }

  private func words(_ constraint: ActionConstraint) -> String {
    switch constraint {
    case .any: "action does not match"
    case .equal(let uid): "action is not \(uid)"
    case .in(let uid): "action is not in \(uid)"
    case .inAny(let uids):
      uids.isEmpty
        ? "action is in an empty list"
        : "action is in none of \(uids.prefix(5).map(\.description).joined(separator: ", "))\(uids.count > 5 ? ", ..." : "")"
    }
  }

  // MARK: - Clauses

  private struct Row {
    var text: String
    var value: String
    var seen: String
  }

  private func clauses(of explanation: PolicyExplanation) -> String {
    guard let policy = bundle.policies.statement(explanation.statement) else { return "" }
    var rows: [Row] = []
    for (condition, clause) in zip(policy.conditions, explanation.clauses) { rows += self.rows(of: condition, clause, policy.expressions) }
    let text = rows.map { DisplayWidth.columns($0.text) }.max() ?? 0
    let value = rows.map { DisplayWidth.columns($0.value) }.max() ?? 0
    return rows.map { row in
      Self.trimmed("          " + Self.padded(row.text, text) + "   " + Self.padded(row.value, value) + "   " + row.seen) + "\n"
    }.joined()
  }

  /// One row for each operand of the outermost `&&` or `||`, else one for the whole clause.
  private func rows(of condition: Condition, _ clause: ClauseExplanation, _ tree: ExprTree) -> [Row] {
    let (operands, word): ([ExprID], String) =
      switch tree[condition.body] {
      case .and(let operands): (operands, "&&")
      case .or(let operands): (operands, "||")
      default: ([condition.body], "")
      }
    var values: [ExprID: Value] = [:]
    for observation in clause.observations { values[observation.expression] = observation.value }
    if operands.count == 1, let value = clause.value { values[condition.body] = value }
    let indent = String(repeating: " ", count: condition.kind.rawValue.utf8.count - word.utf8.count)
    // Without a value of the whole, the first operand without one is what failed.
    var hasFailed = clause.value != nil
    return operands.enumerated().map { index, operand in
      let lead = index == 0 ? condition.kind.rawValue : indent + word
      var value = self.value(of: operand, tree, values)
      if value == nil {
        value = hasFailed ? "not evaluated" : "failed"
        hasFailed = true
      }
      return Row(text: lead + " " + source(of: operand, tree), value: value ?? "", seen: atoms(in: operand, tree, values))
    }
  }

  /// What an operand evaluated to; nil if it did not.
  private func value(of operand: ExprID, _ tree: ExprTree, _ values: [ExprID: Value]) -> String? {
    if let value = values[operand] { return Self.shortened(value.description) }
    // Constants are not observed, because there is nothing to see.
    switch tree[operand] {
    case .bool(let flag): return flag ? "true" : "false"
    case .long, .string, .entity: return ""
    default: return nil
    }
  }

  /// The values of attributes and variables in an operand: what the policy looked at.
  private func atoms(in operand: ExprID, _ tree: ExprTree, _ values: [ExprID: Value]) -> String {
    var seen: [String] = []
    var pending = Array(Self.parts(of: tree[operand]).reversed())
    // Bounded: a line has room for a few, and an expression may be as long as its author likes.
    var visited = 0
    while let next = pending.popLast(), visited < 200, seen.count < 4 {
      visited += 1
      guard Self.isAtom(tree[next]), let value = values[next] else {
        pending += Self.parts(of: tree[next]).reversed()
        continue
      }
      let note = "\(source(of: next, tree)) = \(Self.shortened(value.description))"
      if !seen.contains(where: { exactlyEquals($0, note) }) { seen.append(note) }
    }
    return seen.joined(separator: ", ")
  }

  private static func parts(of expr: Expr) -> [ExprID] {
    var parts: [ExprID] = []
    // An atom's own parts say no more than it.
    if !isAtom(expr) { expr.forEachPart { parts.append($0) } }
    return parts
  }

  /// What a policy looks at. Variables are left out: the request is shown above.
  private static func isAtom(_ expr: Expr) -> Bool {
    switch expr {
    case .attribute, .method(.getTag, _, _): true
    default: false
    }
  }

  /// The expression as text on one line.
  private func source(of expression: ExprID, _ tree: ExprTree) -> String {
    let result: Result<String, OutputTooLarge> = Result { () throws(OutputTooLarge) in try PolicyPrinter.text(of: expression, in: tree) }
    guard case .success(let text) = result else { return "..." }
    return Self.shortened(text)
  }

  // MARK: - What would help

  private var advice: String? {
    guard explanation.response.decision == .deny else { return nil }
    let forbids = explanation.response.determining
    let failed = explanation.policies.filter { if case .failed = $0.outcome { $0.effect == .permit } else { false } }
    let isPermitted = explanation.policies.contains { $0.effect == .permit && $0.outcome == .satisfied }
    var needs: [String] = []
    if !forbids.isEmpty { needs.append("\(forbids.map(\.text).joined(separator: ", ")) must not match") }
    if !isPermitted { needs.append("a permit must match") }
    var text = "To allow this request: " + needs.joined(separator: " AND ") + "."
    if !isPermitted, let closest = sorted.first(where: { $0.effect == .permit && $0.outcome == .notSatisfied }) {
      let reason = mismatch(of: closest) ?? unmetCondition(of: closest) ?? "its conditions do not hold"
      text += " Closest: \(closest.policy), \(reason)."
    }
    if let failure = failed.first { text += " \(failure.policy) failed and was skipped." }
    return Self.printable(text)
  }

  /// The operand that decided against a policy, in words.
  private func unmetCondition(of explanation: PolicyExplanation) -> String? {
    guard let policy = bundle.policies.statement(explanation.statement), let clause = explanation.clauses.last,
      explanation.clauses.count <= policy.conditions.count
    else { return nil }
    let tree = policy.expressions
    let body = policy.conditions[explanation.clauses.count - 1].body
    guard clause.kind == .when, case .and(let operands) = tree[body] else {
      return "`\(source(of: body, tree))` is \(clause.kind == .when ? "false" : "true")"
    }
    let falsehoods = Set(clause.observations.filter { $0.value == .bool(false) }.map(\.expression))
    return operands.first { falsehoods.contains($0) }.map { "`\(source(of: $0, tree))` is false" }
  }

  // MARK: - Text

  private static func padded(_ text: String, _ columns: Int) -> String {
    text + String(repeating: " ", count: max(0, columns - DisplayWidth.columns(text)))
  }

  private static func trimmed(_ line: String) -> String {
    let end = line.utf8.lastIndex { $0 != ASCII.space }.map { line.utf8.index(after: $0) } ?? line.startIndex
    return String(line[..<end])
  }

  private static func shortened(_ text: String) -> String {
    let shown = printable(text)
    guard shown.unicodeScalars.count > 100 else { return shown }
    return String(String.UnicodeScalarView(shown.unicodeScalars.prefix(97))) + "..."
  }

  private static func printable(_ text: String) -> String { Diagnostic.printable(text) }
}
