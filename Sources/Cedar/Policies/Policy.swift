internal import Bytes

/// A policy's id within its set; compared by bytes.
public struct PolicyID: Hashable, Comparable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
  /// The text.
  public let text: String

  /// An id.
  public init(_ text: String) { self.text = text }
  /// An id.
  public init(stringLiteral value: String) { text = value }

  /// The text.
  public var description: String { text }
  /// Byte equality.
  public static func == (a: PolicyID, b: PolicyID) -> Bool { exactlyEquals(a.text, b.text) }
  /// Byte order.
  public static func < (a: PolicyID, b: PolicyID) -> Bool { Text.precedes(a.text, b.text) }
  /// Hashes the bytes.
  public func hash(into hasher: inout Hasher) { Text.hash(text, into: &hasher) }
}

/// What a satisfied policy does.
public enum Effect: String, Sendable {
  case permit, forbid
}

/// `@key("value")`; without a value it means the empty string.
public struct Annotation: Sendable, Equatable {
  /// The key, any word.
  public let key: String
  /// The value; nil if none is written.
  public let value: String?
  /// Where it stands.
  public let span: SourceSpan

  /// An annotation.
  public init(key: String, value: String?, span: SourceSpan = .none) {
    self.key = key
    self.value = value
    self.span = span
  }
}

/// One `when` or `unless` clause.
public struct Condition: Sendable {
  /// Which of the two.
  public enum Kind: String, Sendable {
    case when, unless
  }

  /// Which of the two.
  public let kind: Kind
  /// The expression, in the policy's tree.
  public let body: ExprID
  /// Where the clause stands.
  public let span: SourceSpan

  /// A clause.
  public init(_ kind: Kind, _ body: ExprID, span: SourceSpan = .none) {
    self.kind = kind
    self.body = body
    self.span = span
  }
}

/// One statement: a static policy, or a template if its scope has slots (Cedar reference, "policy syntax").
public struct Policy: Sendable {
  /// Its id; the parser numbers all statements of a text, `policy0` the first.
  public var id: PolicyID
  /// What it does when satisfied.
  public let effect: Effect
  /// Its annotations in order; keys are unique.
  public let annotations: [Annotation]
  /// The constraint on the principal.
  public let principal: ScopeConstraint
  /// The constraint on the action.
  public let action: ActionConstraint
  /// The constraint on the resource.
  public let resource: ScopeConstraint
  /// The clauses in order.
  public let conditions: [Condition]
  /// The clauses' expressions.
  public let expressions: ExprTree
  /// Where it stands, annotations included.
  public let span: SourceSpan
  /// Where the parts of the scope stand.
  public let scopeSpans: (principal: ScopeSpans, action: ScopeSpans, resource: ScopeSpans)
  /// The file or other origin of the text, as whoever reads files names it.
  public var origin: String?

  /// A statement.
  public init(
    id: PolicyID, effect: Effect, annotations: [Annotation] = [], principal: ScopeConstraint = .any, action: ActionConstraint = .any,
    resource: ScopeConstraint = .any, conditions: [Condition] = [], expressions: ExprTree = ExprTree(), span: SourceSpan = .none,
    scopeSpans: (principal: ScopeSpans, action: ScopeSpans, resource: ScopeSpans) = (ScopeSpans(), ScopeSpans(), ScopeSpans()),
    origin: String? = nil
  ) {
    self.id = id
    self.effect = effect
    self.annotations = annotations
    self.principal = principal
    self.action = action
    self.resource = resource
    self.conditions = conditions
    self.expressions = expressions
    self.span = span
    self.scopeSpans = scopeSpans
    self.origin = origin
  }

  /// The slots of its scope; a static policy has none.
  public var slots: [SlotID] {
    (principal.hasSlot ? [.principal] : []) + (resource.hasSlot ? [.resource] : [])
  }

  /// The value of an annotation: nil without it, empty if it has no value.
  public func annotation(_ key: String) -> String? {
    annotations.first { exactlyEquals($0.key, key) }.map { $0.value ?? "" }
  }
}
