internal import Bytes
internal import Cedar
internal import CedarSchema
internal import Telemetry

/// The view of a decision: the request, what became of every policy, and what was missing.
struct ExplanationView {
  let known: KnownRequest
  let bundle: PolicyBundle
  let style: TextStyle
  var everyPolicy = false
  /// Behind the principal, such as `issuer main · token access · expires in 57 min`.
  var principalFacts: String?
  private let assessments: [PolicyAssessment]
  private let nearest: [PolicyAssessment]
  private let shadows: [PolicyAssessment]

  // Policies whose scope does not match, shown unless all are asked for.
  private static let shownMisses = 20
  private static let shownNearest = 3

  init(_ known: KnownRequest, _ bundle: PolicyBundle, _ style: TextStyle) {
    self.known = known
    self.bundle = bundle
    self.style = style
    let assessor = PolicyAssessor(known: known, policies: bundle.policies)
    shadows = bundle.policiesInShadow.ids.compactMap { assessor.assess($0, withClauses: false) }
    var assessments = bundle.policiesInForce.ids.compactMap { assessor.assess($0, withClauses: false) }
    // A permit is as near as all its parts say, so those whose scope is nearly right are assessed whole.
    let permits = assessments.filter { $0.effect == .permit }.sorted { $0.scopeMisses.count < $1.scopeMisses.count }
    let candidates = permits.prefix(Self.candidates).compactMap { assessor.assess($0.policy, withClauses: true) }
    nearest = Array(
      candidates.enumerated().map { ($1.distance.fails, $1.distance.unknown, $0, $1) }.sorted { ($0.0, $0.1, $0.2) < ($1.0, $1.1, $1.2) }
        .map(\.3).prefix(Self.shownNearest))
    for near in nearest { if let place = assessments.firstIndex(where: { $0.policy == near.policy }) { assessments[place] = near } }
    self.assessments = assessments.enumerated().sorted { (Self.rank($0.1), $0.0) < (Self.rank($1.1), $1.0) }.map(\.1)
  }

  private static let candidates = 50

  /// What applied first, then what came near; forbids before permits.
  private static func rank(_ assessment: PolicyAssessment) -> Int {
    let kind =
      switch assessment.verdict {
      case .holds: 0
      case .failed: 1
      case .unknown: 2
      case .fails, .notNeeded: assessment.scopeMisses.isEmpty ? 3 : 3 + assessment.scopeMisses.count
      }
    return kind * 2 + (assessment.effect == .forbid ? 0 : 1)
  }

  // MARK: - The request

  /// Who asked for what, and what these are in.
  var requestRows: String {
    let request = known.request
    var out = ""
    for (name, uid, fact) in [
      ("principal", request.principal, principalFacts), ("action", request.action, nil), ("resource", request.resource, nil),
    ] {
      out += "  " + style.toned(style.cell(name, 9), .faint) + "  " + style.wrapped(uid.description, used: 13, indent: 13) + "\n"
      if let fact { out += Self.margin + style.wrapped(fact, used: 13, indent: 13) + "\n" }
      let above = known.entities.ancestors(of: uid).sorted()
      let shown = above.prefix(5).map(\.description).joined(separator: ", ") + (above.count > 5 ? ", ..." : "")
      if !above.isEmpty { out += Self.margin + style.wrapped("in \(shown)", used: 13, indent: 16) + "\n" }
      if let gap = known.gap(inParentsOf: uid) { out += Self.margin + style.toned("not recorded: \(gap)", .odd) + "\n" }
    }
    return out
  }

  private static let margin = String(repeating: " ", count: 13)

  // MARK: - Policies

  /// Every policy with its parts.
  var policyRows: String {
    let misses = assessments.filter { !$0.scopeMisses.isEmpty }
    let hidden = everyPolicy ? 0 : max(0, misses.count - Self.shownMisses)
    let shown = hidden == 0 ? assessments : assessments.filter { $0.scopeMisses.isEmpty } + misses.prefix(Self.shownMisses)
    var out = shown.map(rows).joined()
    if hidden > 0 { out += "... and \(counted(hidden, "policy", "policies")) whose scope does not match\n" }
    return out
  }

  /// The policies that decide nothing yet, if there are any.
  var shadowRows: String {
    shadows.isEmpty ? "" : "\n" + style.toned("In the shadow, not enforced:", .strong) + "\n" + shadows.map(rows).joined()
  }

  private func rows(for assessment: PolicyAssessment) -> String {
    let word = Self.word(assessment.verdict)
    let place = bundle.place(of: assessment.policy).map { "  " + style.toned(style.fitted($0, nil), .faint) } ?? ""
    let name = style.toned(style.fitted(assessment.policy.text, nil), .strong)
    let owner = bundle.policies.statement(assessment.policy)?.annotation("owner").map { "  owner: \(style.fitted($0, 30))" } ?? ""
    var out = "\(assessment.effect.rawValue) \(name)\(place)\(owner)  " + style.toned(word.text, word.tone) + "\n"
    for element in assessment.scope { out += row(mark: element.verdict, element.text, value: Self.gaps(element.verdict), seen: []) }
    for clause in assessment.clauses { out += rows(for: clause) }
    return out
  }

  private func rows(for clause: PolicyAssessment.Clause) -> String {
    let indent = String(repeating: " ", count: clause.kind.rawValue.utf8.count - clause.word.utf8.count)
    return clause.operands.enumerated().map { index, operand in
      let lead = index == 0 ? clause.kind.rawValue : indent + clause.word
      return row(mark: index == 0 ? clause.verdict : nil, "\(lead) \(operand.text)", value: Self.value(operand.verdict), seen: operand.seen)
    }.joined()
  }

  private func row(mark: PolicyAssessment.Verdict?, _ text: String, value: String, seen: [String]) -> String {
    let lead = mark.map(shown) ?? " "
    var out = "  \(lead) "
    var line = style.wrapped(text, used: 4, indent: 10)
    let last = line.split(separator: "\n", omittingEmptySubsequences: false).last.map(String.init) ?? ""
    let columns = DisplayWidth.columns(last) + (line.contains("\n") ? 0 : 4)
    if !value.isEmpty {
      let fits = style.width.map { columns + 3 + DisplayWidth.columns(value) <= $0 } ?? true
      line += (fits ? "   " : "\n" + String(repeating: " ", count: 10)) + style.toned(style.wrapped(value, used: 10, indent: 12), .strong)
    }
    out += line + "\n"
    for note in seen { out += String(repeating: " ", count: 10) + style.toned(style.wrapped(note, used: 10, indent: 12), .faint) + "\n" }
    return out
  }

  private func shown(_ verdict: PolicyAssessment.Verdict) -> String {
    switch verdict {
    case .holds: style.toned(style.mark(.yes), .good)
    case .fails: style.toned(style.mark(.no), .bad)
    case .unknown: style.toned(style.mark(.unknown), .odd)
    case .failed: style.toned("!", .odd)
    case .notNeeded: " "
    }
  }

  private static func word(_ verdict: PolicyAssessment.Verdict) -> (text: String, tone: TextStyle.Tone) {
    switch verdict {
    case .holds: ("applies", .good)
    case .fails, .notNeeded: ("does not apply", .faint)
    case .failed: ("failed, so it is skipped", .odd)
    case .unknown: ("cannot be told", .odd)
    }
  }

  private static func value(_ verdict: PolicyAssessment.Verdict) -> String {
    switch verdict {
    case .holds: "true"
    case .fails: "false"
    case .failed(let why): "failed: \(why)"
    case .unknown: gaps(verdict)
    case .notNeeded: "not evaluated"
    }
  }

  private static func gaps(_ verdict: PolicyAssessment.Verdict) -> String {
    if case .unknown(let facts) = verdict { "not recorded: \(facts.joined(separator: ", "))" } else { "" }
  }

  // MARK: - What would help

  /// For a request that nothing permitted: the nearest permits and exactly what each lacks.
  var nearestRows: String {
    guard !nearest.isEmpty else { return "No policy is a permit, so nothing is ever allowed.\n" }
    var out = style.toned("Nearest permits, and what each lacks:", .strong) + "\n"
    for permit in nearest {
      out += "  \(style.fitted(permit.policy.text, nil))\n"
      for miss in misses(of: permit) { out += "    " + style.wrapped(miss, used: 4, indent: 8) + "\n" }
    }
    return out
  }

  private func misses(of permit: PolicyAssessment) -> [String] {
    var misses = permit.scope.compactMap { element -> String? in
      switch element.verdict {
      case .fails: element.text
      case .unknown(let facts): "perhaps \(element.text)   not recorded: \(facts.joined(separator: ", "))"
      case .holds, .failed, .notNeeded: nil
      }
    }
    for clause in permit.clauses {
      // Of a conjunction the operand that is false is what is missing; of anything else, the whole of it.
      let falsehoods = clause.kind == .when && clause.word != "||" ? clause.operands.filter { $0.verdict == .fails }.map(\.text) : []
      let whole = clause.operands.map(\.text).joined(separator: " \(clause.word) ")
      switch clause.verdict {
      case .fails: misses.append("\(clause.kind.rawValue) \(falsehoods.isEmpty ? whole : falsehoods.joined(separator: " && "))")
      case .failed(let why): misses.append("\(clause.kind.rawValue) \(whole)   failed: \(why)")
      case .unknown(let facts): misses.append("perhaps \(clause.kind.rawValue) \(whole)   not recorded: \(facts.joined(separator: ", "))")
      case .holds, .notNeeded: break
      }
    }
    return misses
  }

  /// For a request that was forbidden: what of it each forbid is about.
  func forbiddenRows(by policies: [PolicyID]) -> String {
    var out = ""
    for assessment in assessments where policies.contains(assessment.policy) {
      let clauses = assessment.clauses.map { "\($0.kind.rawValue) \($0.operands.map(\.text).joined(separator: " \($0.word) "))" }
      let causes = assessment.scope.map(\.text) + clauses
      let name = style.fitted(assessment.policy.text, nil)
      out += style.toned("\(name) forbids this" + (causes.isEmpty ? ", as it forbids everything." : ":"), .strong) + "\n"
      for cause in causes { out += "    " + style.wrapped(cause, used: 4, indent: 8) + "\n" }
    }
    return out
  }
}
