/// One mistake in a text, with its place and, where we know one, the way out.
public struct ParseError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What is wrong, in the reference's words where it has some.
  public var message: String
  /// Where, in bytes of the text.
  public var span: SourceSpan
  /// What stands under the mark, such as ``expected `{` ``.
  public var label: String?
  /// What to do about it.
  public var help: String?

  /// A mistake.
  public init(_ message: String, at span: SourceSpan, label: String? = nil, help: String? = nil) {
    self.message = message
    self.span = span
    self.label = label
    self.help = help
  }

  /// One line for a person, without the place.
  public var description: String {
    var text = message
    if let label { text += ": \(label)" }
    if let help { text += " (\(help))" }
    return text
  }
}

/// All mistakes of a text, in the order of their places; never empty.
public struct ParseErrors: Error, Sendable, Equatable, CustomStringConvertible {
  /// The mistakes.
  public var errors: [ParseError]

  /// More mistakes than this say that the text is no policy at all; the rest is not reported.
  public static let limit = 1000

  /// All mistakes of a text, the first `limit` of them.
  public init(_ errors: [ParseError]) {
    self.errors = Array(errors.sorted { ($0.span.start, $0.span.end) < ($1.span.start, $1.span.end) }.prefix(Self.limit))
  }

  /// The mistakes, one a line, without places.
  public var description: String { errors.map(\.description).joined(separator: "\n") }
}
