internal import AWS

/// Why a source gives no credentials. Never says what it did give.
public struct CredentialError: Error, Sendable, CustomStringConvertible {
  /// What was asked, as `CredentialSource.description` has it.
  public let source: String
  /// What went wrong.
  public let reason: String
  /// Whether the source could be asked, and gives whoever asks nothing.
  public let isRefusal: Bool

  init(_ source: CredentialSource, _ reason: String, isRefusal: Bool = false) {
    self.source = source.description
    self.reason = reason
    self.isRefusal = isRefusal
  }

  /// One sentence.
  public var description: String { "\(source): \(reason)" }
}
