internal import Bytes
internal import Cedar
internal import CedarSchema
internal import JSON
public import Telemetry

/// Which policies decided at least one test, and which clauses were seen both true and false.
///
/// A clause is an operand of the outermost `&&` or `||` of a `when` or `unless`, or the whole of it where there is none.
public struct PolicyCoverage: Sendable {
  /// How much of something is covered.
  public struct Share: Sendable {
    /// How many are.
    public let covered: Int
    /// How many there are.
    public let total: Int

    /// Whether it is at least so many in a hundred, in whole numbers: 999 of 1000 are not 100 in a hundred.
    public func reaches(_ percent: Int) -> Bool { covered * 100 >= percent * total }
  }

  private struct Clause: Sendable {
    let policy: PolicyID
    let condition: Int
    let operand: ExprID
    let text: String
    let place: String
    var wasTrue = false
    var wasFalse = false
  }

  private var clauses: [Clause] = []
  // The clauses of a statement, by its id.
  private var places: [PolicyID: Range<Int>] = [:]
  private var decided: [PolicyID: Int] = [:]
  private let bundle: PolicyBundle
  private let ids: [PolicyID]

  init(_ bundle: PolicyBundle) {
    self.bundle = bundle
    // What is in the shadow decides nothing, in tests as elsewhere.
    let inForce = bundle.policiesInForce
    ids = inForce.ids
    for policy in inForce.policies + inForce.templates {
      let start = clauses.count
      for (index, condition) in policy.conditions.enumerated() {
        for operand in Self.operands(of: condition, policy.expressions) {
          // A constant has one value.
          if case .bool = policy.expressions[operand] { continue }
          clauses.append(
            Clause(
              policy: policy.id, condition: index, operand: operand, text: PolicyText.of(operand, policy.expressions),
              place: Self.place(of: condition, policy, bundle)))
        }
      }
      places[policy.id] = start..<clauses.count
    }
  }

  private static func operands(of condition: Condition, _ tree: ExprTree) -> [ExprID] {
    switch tree[condition.body] {
    case .and(let parts), .or(let parts): parts
    default: [condition.body]
    }
  }

  private static func place(of condition: Condition, _ policy: Policy, _ bundle: PolicyBundle) -> String {
    guard let source = bundle.source(of: policy.id), condition.span.end > condition.span.start else {
      return bundle.place(of: policy.id) ?? ""
    }
    return "\(source.name.split(separator: "/").last ?? ""):\(source.position(of: condition.span.start).line)"
  }

  mutating func note(_ response: Response) {
    for policy in response.determining { decided[policy, default: 0] += 1 }
  }

  mutating func note(_ explanation: Explanation) {
    for policy in explanation.policies {
      guard let range = places[policy.statement], let statement = bundle.policies.statement(policy.statement) else { continue }
      for index in range where clauses[index].condition < policy.clauses.count {
        let seen = policy.clauses[clauses[index].condition]
        let operand = clauses[index].operand
        let body = statement.conditions[clauses[index].condition].body
        let value = operand == body ? seen.value : seen.observations.last { $0.expression == operand }?.value
        if value == .bool(true) { clauses[index].wasTrue = true }
        if value == .bool(false) { clauses[index].wasFalse = true }
      }
    }
  }

  /// The policies that determined a decision.
  public var policies: Share { Share(covered: ids.count { decided[$0] != nil }, total: ids.count) }
  /// The clauses that were true in one test and false in another.
  public var conditions: Share { Share(covered: clauses.count { $0.wasTrue && $0.wasFalse }, total: clauses.count) }

  /// Two lines, and below each what is not covered.
  public func report(_ style: TextStyle, listsAll: Bool) -> String {
    let limit = listsAll ? Int.max : 5
    var out = "coverage: \(policies.covered) of \(policies.total) policies decided a test\n"
    let idle = ids.filter { decided[$0] == nil }
    for id in idle.prefix(limit) { out += "  " + style.wrapped("never: \(id)  (\(bundle.place(of: id) ?? ""))", used: 2, indent: 4) + "\n" }
    out += Self.rest(idle.count, limit)
    guard !clauses.isEmpty else { return out }
    out += "coverage: \(conditions.covered) of \(conditions.total) clauses were true and false\n"
    let missing = clauses.filter { !$0.wasTrue || !$0.wasFalse }
    for clause in missing.prefix(limit) {
      let what = clause.wasTrue ? "never false" : clause.wasFalse ? "never true" : "never reached"
      out += "  " + style.wrapped("\(what): \(clause.text)  (\(clause.place))", used: 2, indent: 4) + "\n"
    }
    return out + Self.rest(missing.count, limit)
  }

  private static func rest(_ count: Int, _ limit: Int) -> String {
    count > limit ? "  ... and \(count - limit) more (--coverage lists all)\n" : ""
  }

  var json: JSONValue {
    func share(_ share: Share) -> JSONValue { .object(["covered": .integer(Int64(share.covered)), "total": .integer(Int64(share.total))]) }
    return .object([
      "policies": share(policies), "clauses": share(conditions),
      "decided": JSONValue(.object(ids.map { .init(name: $0.text, value: .integer(Int64(decided[$0] ?? 0))) })),
      "uncovered_clauses": .array(
        clauses.filter { !$0.wasTrue || !$0.wasFalse }.map {
          .object([
            "policy": .string($0.policy.text), "clause": .string($0.text), "place": .string($0.place), "true": .bool($0.wasTrue),
            "false": .bool($0.wasFalse),
          ])
        }),
    ])
  }
}
