public import Cedar

/// Answers requests of which part is unknown: decides what can be decided and says what the rest depends on (Cedar RFC 95).
public struct PartialAuthorizer: Sendable {
  /// The schema.
  public let schema: Schema
  /// The policies and links.
  public let policies: PolicySet

  /// Policies that are to be answered from.
  public init(policies: PolicySet, schema: Schema) {
    self.policies = policies
    self.schema = schema
  }

  /// Evaluates every policy as far as possible.
  ///
  /// Fails if the request does not fit the schema, or a policy does not validate in the strict mode for it.
  public func response(to request: PartialRequest, entities: PartialEntities) throws(PartialEvaluationError) -> PartialResponse {
    do throws(ConformanceError) { try schema.check(request) } catch { throw .request(error) }
    guard let action = schema.action(request.action) else { throw .request(schema.undeclared(request.action)) }
    let environment = RequestEnvironment(
      principal: request.principal.type, action: request.action, resource: request.resource.type, context: action.context)
    var residuals: [ResidualPolicy] = []
    for policy in policies.policies { residuals.append(try residual(policy, policy.id, nil, environment, request, entities)) }
    for link in policies.links {
      guard let template = policies.template(link.template) else { continue }
      var linked = environment
      linked.principalSlot = link.principal?.type
      linked.resourceSlot = link.resource?.type
      residuals.append(try residual(template, link.id, link, linked, request, entities))
    }
    return PartialResponse(residuals.sorted { $0.policy.id < $1.policy.id })
  }

  private func residual(
    _ policy: Policy, _ id: PolicyID, _ link: TemplateLink?, _ environment: RequestEnvironment, _ request: PartialRequest,
    _ entities: PartialEntities
  ) throws(PartialEvaluationError) -> ResidualPolicy {
    let condition = ConditionTree(policy)
    let names = NameCheck(schema, condition).errors
    guard names.isEmpty else { throw .policies(names) }
    var checker = TypeChecker(
      schema: schema, mode: .strict, environment: environment, condition: condition, shapes: ExpressionShapes(condition.expressions))
    _ = checker.checkCondition()
    guard checker.findings.isEmpty else {
      throw .policies(checker.findings.map { $0.problem.error(in: id, at: $0.span, schema: schema) })
    }
    var evaluator = PartialEvaluator(checker: checker, request: request, entities: entities, link: link)
    let outcome = evaluator.reduceCondition()
    let body = evaluator.expression(outcome)
    let residual = Policy(
      id: id, effect: policy.effect, annotations: policy.annotations.map { Annotation(key: $0.key, value: $0.value ?? "", span: $0.span) },
      conditions: [Condition(.when, body)],
      expressions: evaluator.tree)
    switch outcome {
    case .value(.bool(true)): return ResidualPolicy(policy: residual, outcome: .satisfied)
    case .value(.bool(false)): return ResidualPolicy(policy: residual, outcome: .notSatisfied)
    case .value, .error: return ResidualPolicy(policy: residual, outcome: .failed)
    case .residual: return ResidualPolicy(policy: residual, outcome: .unknown)
    }
  }
}

/// What is left of a policy.
public struct ResidualPolicy: Sendable {
  /// What can be said of it.
  public enum Outcome: Sendable {
    /// It holds, whatever the unknown turns out to be.
    case satisfied
    /// It does not hold.
    case notSatisfied
    /// It fails.
    case failed
    /// It depends on what is unknown.
    case unknown
  }

  /// A policy with an open scope and one `when` clause that says what is left; its id, effect and annotations are kept.
  public let policy: Policy
  /// What can be said of it.
  public let outcome: Outcome
}

/// The answer to a partial request.
public struct PartialResponse: Sendable {
  /// The decision, nil if it depends on what is unknown.
  public let decision: Decision?
  /// What is left of each policy and link, in byte order of the ids.
  public let residuals: [ResidualPolicy]

  init(_ residuals: [ResidualPolicy]) {
    self.residuals = residuals
    func any(_ effect: Effect, _ outcome: ResidualPolicy.Outcome) -> Bool {
      residuals.contains { $0.policy.effect == effect && $0.outcome == outcome }
    }
    if any(.forbid, .satisfied) {
      decision = .deny
    } else if !any(.permit, .satisfied), !any(.permit, .unknown) {
      decision = .deny
    } else if any(.forbid, .unknown) {
      decision = nil
    } else {
      decision = any(.permit, .satisfied) ? .allow : nil
    }
  }

  /// The ids of the policies of an effect with an outcome, in byte order.
  public func ids(_ effect: Effect, _ outcome: ResidualPolicy.Outcome) -> [PolicyID] {
    residuals.filter { $0.policy.effect == effect && $0.outcome == outcome }.map(\.policy.id)
  }
}

/// Why a partial request has no answer.
public enum PartialEvaluationError: Error, Sendable {
  /// The request does not fit the schema.
  case request(ConformanceError)
  /// A policy does not validate for the request.
  case policies([ValidationError])
}

extension PartialEvaluationError: CustomStringConvertible {
  /// One line for a person.
  public var description: String {
    switch self {
    case .request(let error): error.description
    case .policies(let errors): "policy failed to validate against the schema: " + errors.map(\.description).joined(separator: "; ")
    }
  }
}
