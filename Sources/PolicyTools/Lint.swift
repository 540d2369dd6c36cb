internal import Bytes
internal import Cedar
internal import CedarSchema

/// What policies may be and probably should not: each kind with an explanation, and silenced where it is meant.
public enum Lint: String, Sendable, CaseIterable {
  /// A permit that some forbid without conditions always overrides.
  case unreachable
  /// A policy that another of the same effect makes needless.
  case shadowed
  /// `==` with a group, which no principal is.
  case groupEquality = "group-equality"
  /// `like` on a path, where its tree is meant.
  case pathLike = "path-like"
  /// A permit for everybody.
  case anyPrincipal = "any-principal"
  /// An action of the schema that no policy mentions.
  case unusedAction = "unused-action"
  /// An annotation that is nearly one of ours.
  case annotation

  /// Why it is reported.
  public var explanation: String {
    switch self {
    case .unreachable: "a forbid without conditions covers all that this permit covers, and a forbid always wins"
    case .shadowed: "another policy without conditions already covers all that this one covers, so it changes nothing"
    case .groupEquality: "`==` compares with the group itself, which never makes a request; members of it are `in` it"
    case .pathLike: "`like` compares characters: \"/orders*\" matches /orders-archive too; `resource in` means the tree below"
    case .anyPrincipal: "neither the scope nor a condition says anything about who asks, so every valid token is enough"
    case .unusedAction: "no policy allows or forbids it by name or by group, so it is always refused"
    case .annotation: "it means nothing here as it is written"
    }
  }

  /// Everything found in a sound bundle, beside `allowed` kinds and those that a policy's `@allow_lint` names.
  static func problems(in bundle: PolicyBundle, allowed: Set<Lint>) -> [PolicyBundle.Problem] {
    var linter = Linter(bundle: bundle, allowed: allowed)
    linter.run()
    return linter.problems
  }
}

/// One run over a bundle.
private struct Linter {
  let bundle: PolicyBundle
  let allowed: Set<Lint>
  private(set) var problems: [PolicyBundle.Problem] = []
  private let groupTypes: Set<EntityType>

  // Comparing every policy with every other one without conditions is quadratic; beyond this it is left out.
  private static let mostComparisons = 4_000_000

  init(bundle: PolicyBundle, allowed: Set<Lint>) {
    self.bundle = bundle
    self.allowed = allowed
    groupTypes = Self.groupTypes(of: bundle)
  }

  mutating func run() {
    let policies = bundle.policies.policies
    for policy in policies + bundle.policies.templates {
      checkGroupEquality(policy)
      checkPathLike(policy)
      checkAnyPrincipal(policy)
      checkAnnotations(policy)
    }
    // What is in the shadow covers nothing.
    checkCovered(bundle.policiesInForce.policies)
    checkActions(policies + bundle.policies.templates)
  }

  private mutating func report(_ lint: Lint, _ policy: Policy, at span: SourceSpan, _ message: String, help: String? = nil) {
    guard !allowed.contains(lint) else { return }
    let silenced = policy.annotation("allow_lint")?.split(separator: " ") ?? []
    guard !silenced.contains(where: { exactlyEquals(String($0), lint.rawValue) }) else { return }
    add(lint, bundle.source(of: policy.id), span, message, help, silence: "@allow_lint(\"\(lint.rawValue)\")")
  }

  private mutating func add(_ lint: Lint, _ source: SourceText?, _ span: SourceSpan?, _ message: String, _ help: String?, silence: String) {
    let text = (help.map { "\($0); " } ?? "") + "\(lint.explanation) (silence: \(silence))"
    problems.append(
      PolicyBundle.Problem(
        source: source, diagnostic: Diagnostic(.warning, "\(message) [\(lint.rawValue)]", at: span.map { $0.start..<$0.end }, help: text)))
  }

  // The first line of a statement says enough.
  private func headline(_ policy: Policy) -> SourceSpan {
    guard let source = bundle.source(of: policy.id), let place = bundle.place(of: policy.id), let line = place.split(separator: ":").last,
      let number = Int(line)
    else { return policy.span }
    let range = source.range(ofLine: number)
    return SourceSpan(range.lowerBound, range.upperBound)
  }

  // MARK: - One policy

  private mutating func checkGroupEquality(_ policy: Policy) {
    if case .equal(.entity(let uid)) = policy.principal, groupTypes.contains(uid.type) {
      report(
        .groupEquality, policy, at: policy.scopeSpans.principal.element, "no principal is \(uid)", help: "write principal in \(uid)")
    }
    let tree = policy.expressions
    for (index, expression) in tree.nodes.enumerated() {
      guard case .comparison(.equal, let a, let b) = expression else { continue }
      for (left, right) in [(a, b), (b, a)] {
        guard case .variable(.principal) = tree[left], case .entity(let uid) = tree[right], groupTypes.contains(uid.type) else { continue }
        report(.groupEquality, policy, at: tree.span(of: ExprID(index)), "no principal is \(uid)", help: "write principal in \(uid)")
      }
    }
  }

  private mutating func checkPathLike(_ policy: Policy) {
    let tree = policy.expressions
    for (index, expression) in tree.nodes.enumerated() {
      guard case .like(let subject, let pattern) = expression, case .attribute(_, let name) = tree[subject], exactlyEquals(name, "path")
      else { continue }
      let text = pattern.description
      guard text.utf8.contains(UInt8(ascii: "/")), text.utf8.contains(UInt8(ascii: "*")) else { continue }
      report(
        .pathLike, policy, at: tree.span(of: ExprID(index)), "a path is compared by its characters", help: "write resource in Path::\"/…\"")
    }
  }

  private mutating func checkAnyPrincipal(_ policy: Policy) {
    guard policy.effect == .permit, case .any = policy.principal else { return }
    let tree = policy.expressions
    for expression in tree.nodes {
      switch expression {
      case .variable(.principal): return
      // Claims of an access token are there, and say who asks too.
      case .attribute(let base, let name): if isToken(base, name, tree) { return }
      case .has(let base, let names): if isToken(base, names.first ?? "", tree) { return }
      default: continue
      }
    }
    report(.anyPrincipal, policy, at: headline(policy), "everybody is permitted this")
  }

  private func isToken(_ base: ExprID, _ name: String, _ tree: ExprTree) -> Bool {
    if case .variable(.context) = tree[base] { exactlyEquals(name, "token") } else { false }
  }

  private mutating func checkAnnotations(_ policy: Policy) {
    let known = PolicyVocabulary.words.map(\.key)
    for annotation in policy.annotations where !known.contains(where: { exactlyEquals($0, annotation.key) }) {
      guard let near = Spelling.nearest(to: annotation.key, among: known) else { continue }
      report(.annotation, policy, at: annotation.span, "@\(annotation.key) is read by nobody", help: "did you mean @\(near)?")
    }
    for name in policy.annotation("allow_lint")?.split(separator: " ") ?? [] where Lint(rawValue: String(name)) == nil {
      let near = Spelling.nearest(to: String(name), among: Lint.allCases.map(\.rawValue)).map { "did you mean \($0)?" }
      let span = policy.annotations.first { exactlyEquals($0.key, "allow_lint") }?.span ?? policy.span
      report(.annotation, policy, at: span, "there is no lint \"\(name)\"", help: near)
    }
  }

  // MARK: - One policy and another

  private mutating func checkCovered(_ policies: [Policy]) {
    let broad = policies.filter { $0.conditions.isEmpty }
    guard broad.count * policies.count <= Self.mostComparisons else { return }
    for (index, policy) in policies.enumerated() {
      let coverer = broad.first { other in
        guard other.id != policy.id, covers(other, policy) else { return false }
        if other.effect == .forbid, policy.effect == .permit { return true }
        guard other.effect == policy.effect else { return false }
        // Of two that cover each other the later one is needless.
        guard policy.conditions.isEmpty, covers(policy, other) else { return true }
        return (policies.firstIndex { $0.id == other.id } ?? 0) < index
      }
      guard let coverer else { continue }
      let place = bundle.place(of: coverer.id).map { " (\($0))" } ?? ""
      if coverer.effect == policy.effect {
        report(.shadowed, policy, at: headline(policy), "\(policy.id) is covered by \(coverer.id)\(place)")
      } else {
        report(.unreachable, policy, at: headline(policy), "\(policy.id) never permits anything: \(coverer.id)\(place) forbids it all")
      }
    }
  }

  private func covers(_ broad: Policy, _ narrow: Policy) -> Bool {
    covers(broad.principal, narrow.principal) && covers(broad.resource, narrow.resource) && covers(broad.action, narrow.action)
  }

  private func isIn(_ uid: EntityUID, _ other: EntityUID) -> Bool { uid == other || bundle.entities.ancestors(of: uid).contains(other) }

  private func covers(_ broad: ScopeConstraint, _ narrow: ScopeConstraint) -> Bool {
    switch (broad, narrow) {
    case (.any, _): true
    case (.equal(.entity(let b)), .equal(.entity(let n))): b == n
    case (.in(.entity(let b)), .equal(.entity(let n))), (.in(.entity(let b)), .in(.entity(let n))),
      (.in(.entity(let b)), .isIn(_, .entity(let n))):
      isIn(n, b)
    case (.is(let b), .is(let n)), (.is(let b), .isIn(let n, _)): b == n
    case (.is(let b), .equal(.entity(let n))): b == n.type
    case (.isIn(let type, .entity(let b)), .isIn(let other, .entity(let n))): type == other && isIn(n, b)
    case (.isIn(let type, .entity(let b)), .equal(.entity(let n))): type == n.type && isIn(n, b)
    default: false
    }
  }

  private func covers(_ broad: ActionConstraint, _ narrow: ActionConstraint) -> Bool {
    func isCovered(_ action: EntityUID) -> Bool {
      switch broad {
      case .any: true
      case .equal(let uid): uid == action
      case .in(let uid): isIn(action, uid)
      case .inAny(let uids): uids.contains { isIn(action, $0) }
      }
    }
    if case .any = broad { return true }
    switch narrow {
    case .any: return false
    case .equal(let uid): return isCovered(uid)
    // A group is covered with all that is in it only where groups are compared, and not single actions.
    case .in(let uid): if case .equal = broad { return false } else { return isCovered(uid) }
    case .inAny(let uids): if case .equal = broad { return false } else { return uids.allSatisfy(isCovered) }
    }
  }

  // MARK: - The schema

  private mutating func checkActions(_ policies: [Policy]) {
    guard let schema = bundle.schema, let source = bundle.sources.schema else { return }
    for action in schema.actions where !action.principals.isEmpty {
      let isMentioned = policies.contains { policy in
        switch policy.action {
        // A forbid of everything mentions nothing.
        case .any: policy.effect == .permit
        case .equal(let uid): uid == action.uid
        case .in(let uid): isIn(action.uid, uid)
        case .inAny(let uids): uids.contains { isIn(action.uid, $0) }
        }
      }
      guard !isMentioned, !allowed.contains(.unusedAction) else { continue }
      add(
        .unusedAction, source, nil, "no policy mentions \(action.uid)", nil, silence: "check --allow-lint \(Lint.unusedAction.rawValue)")
    }
  }

  /// Types that are called as groups are. With a schema the validator knows better, and says so itself.
  private static func groupTypes(of bundle: PolicyBundle) -> Set<EntityType> {
    guard bundle.sources.schema == nil else { return [] }
    var named: Set<EntityType> = []
    for policy in bundle.policies.policies + bundle.policies.templates {
      for case .entity(let uid) in policy.expressions.nodes { named.insert(uid.type) }
      if case .equal(.entity(let uid)) = policy.principal { named.insert(uid.type) }
    }
    return named.filter { type in ["Group", "Role", "Team"].contains { type.text.hasSuffix($0) } }
  }
}
