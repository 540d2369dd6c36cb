/// The question: may this principal do this with this resource, in this context?
public struct Request: Sendable, Equatable {
  /// Who.
  public var principal: EntityUID
  /// What.
  public var action: EntityUID
  /// With what.
  public var resource: EntityUID
  /// Under which circumstances.
  public var context: Record

  /// A question.
  public init(principal: EntityUID, action: EntityUID, resource: EntityUID, context: Record = .empty) {
    self.principal = principal
    self.action = action
    self.resource = resource
    self.context = context
  }
}

/// The answer.
public enum Decision: String, Sendable {
  case allow, deny
}

/// The answer with its reasons (Cedar reference, "authorization").
public struct Response: Sendable, Equatable {
  /// The answer.
  public var decision: Decision
  /// The satisfied forbids of a deny, the satisfied permits of an allow, in byte order; none if nothing applied.
  public var determining: [PolicyID]
  /// Every policy that failed, whatever the answer, in byte order of the ids.
  public var errors: [PolicyError]

  /// An answer.
  public init(decision: Decision, determining: [PolicyID], errors: [PolicyError]) {
    self.decision = decision
    self.determining = determining
    self.errors = errors
  }
}

/// A policy that could not be evaluated and was skipped.
public struct PolicyError: Sendable, Equatable, CustomStringConvertible {
  /// The policy or link.
  public let policy: PolicyID
  /// Why.
  public let error: EvaluationError

  /// A failed policy.
  public init(policy: PolicyID, error: EvaluationError) {
    self.policy = policy
    self.error = error
  }

  /// One line, in the reference's words.
  public var description: String { "error while evaluating policy `\(policy)`: \(error)" }
}

/// Why an expression has no value.
public struct EvaluationError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The kinds of failure.
  public enum Kind: String, Sendable {
    /// An operand of the wrong kind.
    case type
    /// An attribute or tag that is not there.
    case attributeMissing = "attr_missing"
    /// An entity that is not there.
    case entityMissing = "entity_missing"
    /// 64 bits were not enough.
    case overflow
    /// A wrong number of arguments.
    case arity
    /// An extension function that failed.
    case extensionFailed = "ext"
    /// An extension function that does not exist.
    case extensionLookup = "ext_lookup"
    /// An unknown, which has no value.
    case nonvalue
    /// A slot that was not filled.
    case slot
    /// Too deep.
    case recursion
  }

  /// What kind.
  public let kind: Kind
  /// What happened, in the reference's words where it has some.
  public let message: String
  /// Where in the policy's text.
  public let span: SourceSpan

  /// A failure. Messages quote values that came with a request; a long one is cut off, so that no log grows by it.
  public init(_ kind: Kind, _ message: String, at span: SourceSpan = .none) {
    self.kind = kind
    self.message = message.utf8.count <= Self.longest ? message : String(message.unicodeScalars.prefix(Self.longest / 4)) + "…"
    self.span = span
  }

  private static let longest = 1024

  /// The message.
  public var description: String { message }
}
