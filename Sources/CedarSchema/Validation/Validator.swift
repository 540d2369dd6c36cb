internal import Bytes
public import Cedar

/// Checks policies against a schema: that names exist, that scopes can apply, that expressions cannot fail for any request
/// and entities that fit the schema (Cedar reference, "policy validation").
public struct Validator: Sendable {
  /// The schema.
  public let schema: Schema
  /// How demanding.
  public let mode: ValidationMode
  /// How many steps from entity to entity are allowed; nil for any number (Cedar RFC 76).
  public let level: Int?

  /// A validator.
  public init(_ schema: Schema, mode: ValidationMode = .strict, level: Int? = nil) {
    self.schema = schema
    self.mode = mode
    self.level = level
  }

  /// Checks static policies, templates and links. Links are held to what templates cannot know: the types of their values.
  public func validate(_ policies: PolicySet) -> ValidationResult {
    var result = ValidationResult()
    for policy in policies.policies { check(policy, &result) }
    for template in policies.templates { check(template, &result) }
    for link in policies.links { if let template = policies.template(link.template) { check(link, of: template, &result) } }
    return result
  }

  /// Checks one static policy or template.
  public func validate(_ policy: Policy) -> ValidationResult {
    var result = ValidationResult()
    check(policy, &result)
    return result
  }

  private func check(_ policy: Policy, _ result: inout ValidationResult) {
    let condition = ConditionTree(policy)
    let known = result.errors.count
    result.errors += NameCheck(schema, condition).errors
    let scope = ScopeCheck(schema, principal: policy.principal, action: policy.action, resource: policy.resource)
    if let error = scope.error(in: policy.id, at: policy.span) { result.errors.append(error) }
    let (findings, isValid, isImpossible) = typecheck(condition)
    let sorted = findings.sorted { ($0.span.start, $0.span.end) < ($1.span.start, $1.span.end) }
    result.errors += sorted.enumerated().map { $1.problem.error(in: policy.id, at: $1.span, schema: schema, suggesting: $0 < 100) }
    // Whatever is not valid has a reason; should one ever be missing, the policy must not pass for it.
    if !isValid, result.errors.count == known {
      result.errors.append(TypeProblem.invariant.error(in: policy.id, at: policy.span, schema: schema))
    }
    if isImpossible {
      result.warnings.append(
        ValidationWarning(
          .impossiblePolicy, policy.id, at: policy.span,
          "policy is impossible: the policy expression evaluates to false for all valid requests",
          help: "look for two parts that no request satisfies together, such as `==` between entities of different types"))
    }
    result.warnings += TextCheck.warnings(condition)
  }

  /// Types the condition in every environment: what is wrong, whether it is valid in all and whether false in all.
  private func typecheck(_ condition: ConditionTree) -> (Set<TypeChecker.Finding>, isValid: Bool, isImpossible: Bool) {
    let shapes = ExpressionShapes(condition.expressions)
    var findings: Set<TypeChecker.Finding> = []
    var isImpossible = true
    var isValid = true
    forEachEnvironment(of: condition.policy) { environment in
      var checker = TypeChecker(schema: schema, mode: mode, environment: environment, condition: condition, shapes: shapes)
      let answer = checker.checkCondition()
      findings.formUnion(checker.findings)
      if answer.type != .false { isImpossible = false }
      if !answer.isValid { isValid = false }
      // Levels are counted where the condition has a type to rely on.
      if let level, answer.isValid || answer.type == .false { findings.formUnion(LevelCheck(checker, limit: level).findings) }
    }
    return (findings, isValid, isImpossible)
  }

  private func forEachEnvironment(of policy: Policy, _ body: (RequestEnvironment) -> Void) {
    schema.forEachEnvironment { environment in
      for principal in schema.slotTypes(for: policy.principal, variable: environment.principal) {
        for resource in schema.slotTypes(for: policy.resource, variable: environment.resource) {
          var linked = environment
          linked.principalSlot = principal
          linked.resourceSlot = resource
          body(linked)
        }
      }
    }
  }

  private func check(_ link: TemplateLink, of template: Policy, _ result: inout ValidationResult) {
    for value in [link.principal, link.resource] {
      guard let value, !NameCheck.isKnown(value.type, in: schema) else { continue }
      result.errors.append(NameCheck.unrecognized(value.type, in: link.id, at: template.span, schema))
    }
    let scope = ScopeCheck(
      schema, principal: template.principal.filled(with: link.principal), action: template.action,
      resource: template.resource.filled(with: link.resource))
    if let error = scope.error(in: link.id, at: template.span) { result.errors.append(error) }
  }
}

extension ScopeConstraint {
  /// The constraint with a value in the slot's place.
  fileprivate func filled(with value: EntityUID?) -> ScopeConstraint {
    guard let value else { return self }
    return switch self {
    case .equal(.slot): .equal(.entity(value))
    case .in(.slot): .in(.entity(value))
    case .isIn(let type, .slot): .isIn(type, .entity(value))
    default: self
    }
  }
}

/// What a validator found.
public struct ValidationResult: Sendable {
  /// Reasons why policies do not validate, policy by policy, in the order of their places.
  public internal(set) var errors: [ValidationError] = []
  /// Oddities; they never fail a validation.
  public internal(set) var warnings: [ValidationWarning] = []

  /// Whether no policy has an error.
  public var passed: Bool { errors.isEmpty }
}
