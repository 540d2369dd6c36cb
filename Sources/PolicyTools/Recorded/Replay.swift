internal import Bytes
internal import Cedar
public import CedarSchema
internal import JSON
public import Telemetry

/// `replay`: recorded requests decided by other policies.
public struct Replay: Sendable {
  /// One set of policies, ready to decide.
  private struct Judge: Sendable {
    let authorizer: Authorizer
    let forbids: Set<PolicyID>

    init(_ bundle: PolicyBundle) {
      let set = bundle.policiesInForce
      authorizer = Authorizer(policies: set, entities: bundle.entities)
      forbids = Set(
        set.policies.filter { $0.effect == .forbid }.map(\.id) + set.links.filter { set.statement($0.id)?.effect == .forbid }.map(\.id))
    }

    /// The decision as the proxy takes it, and by which policies.
    func decide(_ question: RecordedQuestionReader.Question, failedForbidsRefuse: Bool, _ evaluation: Evaluation) throws(OverlayError)
      -> Ruling
    {
      let response = try authorizer.isAuthorized(question.request, and: question.entities, in: evaluation)
      if failedForbidsRefuse, let failed = response.errors.first(where: { forbids.contains($0.policy) }) {
        return Ruling(isAllowed: false, policies: ["\(failed.policy) (failed)"])
      }
      return Ruling(isAllowed: response.decision == .allow, policies: response.determining.map(\.text))
    }
  }

  private struct Ruling {
    let isAllowed: Bool
    let policies: [String]
  }

  private let candidate: Judge
  private let baseline: Judge?
  private let failedForbidsRefuse: Bool

  /// A replay.
  ///
  /// - Parameters:
  ///   - candidate: the policies that are tried.
  ///   - baseline: the policies that they are held against; nil for what was recorded.
  ///   - failedForbidsRefuse: what a forbid that fails means, as `on_policy_error` says it.
  public init(candidate: PolicyBundle, baseline: PolicyBundle? = nil, failedForbidsRefuse: Bool = true) {
    self.candidate = Judge(candidate)
    self.baseline = baseline.map { Judge($0) }
    self.failedForbidsRefuse = failedForbidsRefuse
  }

  /// Decides every decision of some whole lines again.
  public func run(_ lines: UnsafeRawBufferPointer, into tally: inout ReplayTally) {
    var search = LogSearch(LogFilter())
    var reader = RecordedQuestionReader()
    let evaluation = Evaluation()
    _ = search.search(lines, isLast: true) { line in
      run(line, &reader, evaluation, into: &tally)
      return true
    }
  }

  private func run(_ line: LogLine, _ reader: inout RecordedQuestionReader, _ evaluation: Evaluation, into tally: inout ReplayTally) {
    tally.seen += 1
    guard let reason = line.text(Self.reason).flatMap(DecisionReason.init(rawValue:)) else {
      return tally.note("the reason is not known to this build")
    }
    switch reason {
    case .policyPermit, .policyForbid, .noPermit, .policyError: break
    // Decided before any policy was asked: no policy changes that.
    default: return tally.unaffected += 1
    }
    do throws(RecordedQuestionReader.Obstacle) {
      let question = try reader.question(of: line)
      let (then, now): (Ruling, Ruling)
      do throws(OverlayError) {
        now = try candidate.decide(question, failedForbidsRefuse: failedForbidsRefuse, evaluation)
        then = try baseline?.decide(question, failedForbidsRefuse: failedForbidsRefuse, evaluation) ?? Self.recorded(line)
      } catch {
        throw RecordedQuestionReader.Obstacle(reason: "the policies' own entities contradict the record's: \(error)")
      }
      tally.replayed += 1
      guard then.isAllowed != now.isAllowed else {
        if then.policies != now.policies { tally.decidedByOthers += 1 }
        return
      }
      let groups = question.groups
      let who =
        groups.isEmpty
        ? question.request.principal.description
        : groups.prefix(3).map(\.description).joined(separator: ", ") + (groups.count > 3 ? ", …" : "")
      tally.note(
        ReplayTally.Change(
          isWidening: now.isAllowed, kind: RequestKind.of(line), who: who, then: then.policies.joined(separator: ", "),
          now: now.policies.joined(separator: ", "), example: line.text(Self.id) ?? "", last: line.text(Self.time) ?? ""))
    } catch {
      tally.note(error.reason)
    }
  }

  private static func recorded(_ line: LogLine) -> Ruling {
    let policies = line.json(policies)?.array?.compactMap(\.string) ?? []
    return Ruling(isAllowed: line.text(decision).map { exactlyEquals($0, "allow") } ?? false, policies: policies)
  }

  private static let reason = RecordedQuestionReader.field("reason")
  private static let decision = RecordedQuestionReader.field("decision")
  private static let policies = RecordedQuestionReader.field("policies")
  private static let id = RecordedQuestionReader.field("id")
  private static let time = RecordedQuestionReader.field("time")
}

/// What came of a replay, or of a part of one.
public struct ReplayTally: Sendable {
  /// Requests that are decided otherwise, and have all but their names in common.
  public struct Change: Sendable {
    /// Whether what was refused is allowed now.
    public let isWidening: Bool
    let kind: String
    let who: String
    let then: String
    let now: String
    var example: String
    var last: String
    var count = 1

    var key: [ExactString] { [isWidening ? "+" : "-", kind, who, then, now].map { ExactString($0) } }
  }

  /// How many decisions there were.
  public internal(set) var seen = 0
  /// How many were decided again.
  public internal(set) var replayed = 0
  /// How many were decided without policies, and would be again.
  public internal(set) var unaffected = 0
  /// How many are decided alike, but by other policies.
  public internal(set) var decidedByOthers = 0
  private var obstacles: [ExactString: Int] = [:]
  private var changes: [[ExactString]: Change] = [:]
  private var changesBeyond = 0

  /// Nothing yet.
  public init() {}

  /// How many were decided otherwise.
  public var changed: Int { changes.values.reduce(changesBeyond) { $0 + $1.count } }
  /// How many were refused and are allowed now.
  public var widened: Int { changes.values.filter(\.isWidening).reduce(0) { $0 + $1.count } }

  /// How many could not be decided again.
  public var stuck: Int { obstacles.values.reduce(0, +) }

  mutating func note(_ obstacle: String) { obstacles[ExactString(obstacle), default: 0] += 1 }

  mutating func note(_ change: Change) {
    let key = change.key
    guard var known = changes[key] else {
      // Widening is never among what is only counted.
      if changes.count < Self.mostChanges || change.isWidening { changes[key] = change } else { changesBeyond += change.count }
      return
    }
    known.count += change.count
    if known.last.utf8.lexicographicallyPrecedes(change.last.utf8) { (known.last, known.example) = (change.last, change.example) }
    changes[key] = known
  }

  /// Adds another part.
  public mutating func add(_ other: ReplayTally) {
    seen += other.seen
    replayed += other.replayed
    unaffected += other.unaffected
    decidedByOthers += other.decidedByOthers
    changesBeyond += other.changesBeyond
    for (obstacle, count) in other.obstacles { obstacles[obstacle, default: 0] += count }
    for change in other.changes.values { note(change) }
  }

  private static let mostChanges = 10_000

  private func sorted(widening: Bool) -> [Change] {
    changes.values.filter { $0.isWidening == widening }.sorted { a, b in
      if a.count != b.count { return a.count > b.count }
      for (x, y) in zip(a.key, b.key) where x != y { return x.string.utf8.lexicographicallyPrecedes(y.string.utf8) }
      return false
    }
  }

  // MARK: - Reports

  /// What changes, for a person.
  public func report(_ style: TextStyle, top: Int) -> String {
    let count = LogText.counted
    var out = "replayed \(count(replayed)) of \(count(seen)) decisions"
    if unaffected > 0 { out += "; \(count(unaffected)) were decided without policies" }
    out = style.wrapped(out, used: 0, indent: 2) + "\n"
    let stuck = obstacles.map { ($0.value, $0.key.string) }.sorted {
      $0.0 == $1.0 ? $0.1.utf8.lexicographicallyPrecedes($1.1.utf8) : $0.0 > $1.0
    }
    if !stuck.isEmpty { out += style.toned("\(count(self.stuck)) could not be replayed:", .odd) + "\n" }
    for (number, why) in stuck.prefix(10) { out += Self.counted(number, style) + style.wrapped(why, used: 10, indent: 10) + "\n" }
    if stuck.count > 10 { out += "  ... for \(stuck.count - 10) more reasons\n" }
    out +=
      "unchanged \(count(replayed - changed))" + (decidedByOthers > 0 ? ", \(count(decidedByOthers)) of them by other policies" : "") + "\n"
    for isWidening in [true, false] {
      let changes = sorted(widening: isWidening)
      guard !changes.isEmpty else { continue }
      let total = changes.reduce(0) { $0 + $1.count }
      let arrow = style.mark(.arrow)
      out += "\n"
      if isWidening {
        out += style.toned("\(style.mark(.warning)) deny \(arrow) allow  \(count(total))  widening", .odd) + "\n"
      } else {
        out += style.toned("\(style.mark(.no)) allow \(arrow) deny  \(count(total))", .bad) + "\n"
      }
      for change in changes.prefix(top) { out += row(change, style) }
      if changes.count > top { out += "  ... and \(count(changes.count - top)) more groups\n" }
    }
    if changesBeyond > 0 { out += "... and \(count(changesBeyond)) in more groups than are kept\n" }
    return out
  }

  private func row(_ change: Change, _ style: TextStyle) -> String {
    let margin = String(repeating: " ", count: 10)
    func by(_ policies: String) -> String { policies.isEmpty ? "no permit" : policies }
    return Self.counted(change.count, style) + style.toned(style.wrapped(change.kind, used: 10, indent: 12), .strong) + "\n" + margin
      + style.wrapped(change.who, used: 10, indent: 12) + "\n" + margin
      + style.wrapped("was: \(by(change.then))  now: \(by(change.now))", used: 10, indent: 12) + "\n" + margin
      + style.toned("last \(style.fitted(String(change.last.prefix(19)), nil))  \(style.fitted(change.example, nil))", .faint) + "\n"
  }

  private static func counted(_ number: Int, _ style: TextStyle) -> String {
    style.cell(LogText.counted(number), 8, alignsRight: true) + "  "
  }

  /// What changes, for programs: one JSON object and a line end.
  public func json() -> String {
    func number(_ value: Int) -> JSONValue { .integer(Int64(value)) }
    let changes = (sorted(widening: true) + sorted(widening: false)).map { change in
      JSONValue.object([
        "from": .string(change.isWidening ? "deny" : "allow"), "to": .string(change.isWidening ? "allow" : "deny"),
        "count": number(change.count), "request": .string(change.kind), "principals": .string(change.who), "was_by": .string(change.then),
        "now_by": .string(change.now), "last": .string(change.last), "example": .string(change.example),
      ])
    }
    let stuck = obstacles.sorted { $0.key.string.utf8.lexicographicallyPrecedes($1.key.string.utf8) }
    return JSONValue.object([
      "seen": number(seen), "replayed": number(replayed), "without_policies": number(unaffected), "unchanged": number(replayed - changed),
      "decided_by_others": number(decidedByOthers), "changed": number(changed), "widened": number(widened),
      "not_replayed": JSONValue(.object(stuck.map { .init(name: $0.key.string, value: number($0.value)) })), "changes": .array(changes),
    ]).text + "\n"
  }
}
