public import Bytes
public import Cedar

/// Everything wrong with one schema, in the order of the text.
public struct SchemaErrors: Error, Sendable {
  /// At least one error.
  public let errors: [SchemaError]

  init(_ errors: [SchemaError], limit: Int = .max) {
    let sorted = errors.sorted { ($0.span.start, $0.span.end) < ($1.span.start, $1.span.end) }
    self.errors = Array(sorted.prefix(limit))
  }

  /// The same mistakes as the readers of policies report theirs.
  public var parseErrors: ParseErrors { ParseErrors(errors.map(\.parseError)) }
}

extension SchemaErrors: CustomStringConvertible {
  /// The messages, one a line.
  public var description: String { errors.map(\.message).joined(separator: "\n") }
}

/// One mistake in a schema: what, where, and what to do about it.
public struct SchemaError: Error, Sendable, Equatable {
  /// What kind of mistake. Names follow the reference where it has one.
  public enum Kind: String, Sendable {
    /// The text is not the Cedar schema syntax, or the JSON not of the schema's shape.
    case syntax
    /// Too large or too deep.
    case limit
    /// A reserved word or `__cedar` where a name is declared.
    case reservedName
    /// One thing declared twice.
    case duplicate
    /// `appliesTo` lacks a part, has it twice or leaves it empty.
    case appliesTo
    /// A name that refers to nothing.
    case undeclaredType
    /// An action's parent that is not an action.
    case undeclaredAction
    /// A declaration that would hide one of the empty namespace.
    case shadowing
    /// Common types that contain themselves.
    case commonTypeCycle
    /// Actions that are their own ancestors.
    case actionCycle
    /// A shape or context that is not a record.
    case notARecord
    /// An extension type that does not exist.
    case unknownExtensionType
    /// `Action` declared as an entity type.
    case actionEntityType
    /// Action attributes or open records.
    case unsupportedFeature
    /// The schema cannot be written in the Cedar syntax.
    case notExpressible
  }

  /// What kind of mistake.
  public var kind: Kind
  /// One sentence without a full stop.
  public var message: String
  /// What stands under the mark, such as ``expected `;` ``.
  public var label: String?
  /// What to try; nil where there is no good guess.
  public var help: String?
  /// Byte offsets in the text.
  public var span: SourceSpan
  /// Another place that belongs to the mistake: the first of two declarations.
  public var first: SourceSpan?

  init(
    _ kind: Kind, _ message: String, at span: SourceSpan, label: String? = nil, help: String? = nil, first: SourceSpan? = nil
  ) {
    self.kind = kind
    self.message = message
    self.label = label
    self.help = help
    self.span = span
    self.first = first
  }
}

extension SchemaError {
  /// The mistake for whoever shows it beside the text.
  public var diagnostic: Diagnostic {
    let related = first.map { [Diagnostic.Related($0.start..<$0.end, "first declared here")] } ?? []
    return Diagnostic(.error, message, at: span.start..<span.end, label: label, help: help, related: related)
  }

  /// The same mistake as the readers of policies report theirs.
  public var parseError: ParseError { ParseError(message, at: span, label: label, help: help) }
}

extension SchemaWarning {
  /// The oddity for whoever shows it beside the text.
  public var diagnostic: Diagnostic { Diagnostic(.warning, message, at: span.start..<span.end) }
}

/// Something odd in a schema that does not make it invalid.
public struct SchemaWarning: Sendable, Equatable {
  /// What kind of oddity.
  public enum Kind: String, Sendable {
    /// A type named like a primitive or an extension type.
    case shadowsBuiltin = "ShadowsBuiltin"
    /// A common type named like an entity type of the same namespace.
    case shadowsEntity = "ShadowsEntity"
  }

  /// What kind of oddity.
  public var kind: Kind
  /// The declared name.
  public var name: String
  /// Where it is declared.
  public var span: SourceSpan

  /// One sentence for a person.
  public var message: String {
    switch kind {
    case .shadowsBuiltin: "the name `\(name)` shadows a builtin Cedar name. You'll have to refer to the builtin as `__cedar::\(name)`"
    case .shadowsEntity: "the common type name \(name) shadows an entity type name"
    }
  }
}
