/// Something to tell the author of a text: what is wrong, where, and what to do about it.
///
/// One shape for policies, schemas, entities and configuration:
///
///     policies/orders.cedar:6:16: error: attribute `scope` not found
///       6 | when { context.scope.contains("x") };
///         |                ^^^^^
///       help: did you mean `scopes`?
public struct Diagnostic: Sendable, Equatable {
  /// How bad it is.
  public enum Severity: String, Sendable, Equatable, Comparable {
    case error, warning, note

    /// Errors before warnings before notes.
    public static func < (a: Severity, b: Severity) -> Bool { a.rank < b.rank }

    private var rank: Int {
      switch self {
      case .error: 0
      case .warning: 1
      case .note: 2
      }
    }
  }

  /// Another place that belongs to the matter, such as the first of two definitions.
  public struct Related: Sendable, Equatable {
    /// Byte offsets of the place in the same text.
    public var span: Range<Int>
    /// What it has to do with the matter.
    public var message: String

    /// A place and what it has to do with the matter.
    public init(_ span: Range<Int>, _ message: String) {
      self.span = span
      self.message = message
    }
  }

  /// How bad it is.
  public var severity: Severity
  /// What is wrong, one sentence without a final stop.
  public var message: String
  /// Byte offsets of the place; nil if the matter concerns the whole text.
  public var span: Range<Int>?
  /// A few words that stand behind the underline, such as what was expected there.
  public var label: String?
  /// What to do about it.
  public var help: String?
  /// Other places that belong to the matter.
  public var related: [Related]

  /// Something to tell; see the members.
  public init(
    _ severity: Severity, _ message: String, at span: Range<Int>? = nil, label: String? = nil, help: String? = nil,
    related: [Related] = []
  ) {
    self.severity = severity
    self.message = message
    self.span = span
    self.label = label
    self.help = help
    self.related = related
  }

  /// The report as text that ends with a newline; positions, line and underline are drawn from `source`.
  ///
  /// Control characters and direction overrides of the source or message are shown as visible stand-ins, so a file
  /// cannot write to the terminal of the person who reads about it.
  public func rendered(in source: SourceText) -> String {
    var out = header(source, severity.rawValue, message, span)
    if let span { out += Excerpt(source, span, label: label).text }
    for other in related {
      out += header(source, Severity.note.rawValue, other.message, other.span)
      out += Excerpt(source, other.span, label: nil).text
    }
    if let help { out += "  help: \(Excerpt.printable(help))\n" }
    return out
  }

  /// Text as it can be shown on a terminal: what a terminal would act on, or would show in another order, is written
  /// `\\u{…}`.
  public static func printable(_ text: String) -> String { Excerpt.printable(text) }

  private func header(_ source: SourceText, _ kind: String, _ message: String, _ span: Range<Int>?) -> String {
    let place = span.map { ":\(source.position(of: $0.lowerBound))" } ?? ""
    return "\(Excerpt.printable(source.name))\(place): \(kind): \(Excerpt.printable(message))\n"
  }
}

extension Sequence<Diagnostic> {
  /// All reports over one text, in the order of their places; reports about the whole text come first.
  public func rendered(in source: SourceText) -> String {
    sorted { ($0.span?.lowerBound ?? -1, $0.severity) < ($1.span?.lowerBound ?? -1, $1.severity) }.map { $0.rendered(in: source) }.joined()
  }
}
