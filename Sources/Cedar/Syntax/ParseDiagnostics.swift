public import Bytes

extension ParseError {
  /// The mistake as a report to be drawn over its text.
  public var diagnostic: Diagnostic {
    Diagnostic(.error, message, at: span.start..<span.end, label: label, help: help)
  }
}

extension ParseErrors {
  /// All mistakes as reports to be drawn over their text.
  public var diagnostics: [Diagnostic] { errors.map(\.diagnostic) }
}
