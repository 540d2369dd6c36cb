public import Bytes
public import Cedar

/// Something about a policy that is allowed and probably not meant.
public struct ValidationWarning: Sendable, Hashable {
  /// What kind of oddity; the raw values are the reference's names.
  public enum Kind: String, Sendable {
    case impossiblePolicy = "ImpossiblePolicy"
    case bidiCharsInString = "BidiCharsInString"
    case bidiCharsInIdentifier = "BidiCharsInIdentifier"
    case mixedScriptString = "MixedScriptString"
    case mixedScriptIdentifier = "MixedScriptIdentifier"
    case confusableIdentifier = "ConfusableIdentifier"
  }

  /// What kind of oddity.
  public let kind: Kind
  /// The policy or template.
  public let policy: PolicyID
  /// One sentence, in the reference's words.
  public let message: String
  /// What to try.
  public let help: String?
  /// Where in the policy's text.
  public let span: SourceSpan

  init(_ kind: Kind, _ policy: PolicyID, at span: SourceSpan, _ message: String, help: String? = nil) {
    self.kind = kind
    self.policy = policy
    self.message = "for policy `\(policy)`, \(message)"
    self.help = help
    self.span = span
  }

  /// The oddity for whoever shows it beside the text.
  public var diagnostic: Diagnostic { Diagnostic(.warning, message, at: span.start..<span.end, help: help) }
}
