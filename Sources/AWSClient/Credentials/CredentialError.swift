internal import AWS

/// Why a source gives no credentials. Never says what it did give.
public struct CredentialError: Error, Sendable, CustomStringConvertible {
  /// What was asked, as `CredentialSource.description` has it.
  public let source: String
  /// What went wrong.
  public let reason: String

  init(_ source: CredentialSource, _ reason: String) {
    self.source = source.description
    self.reason = reason
  }

  /// One sentence.
  public var description: String { "\(source): \(reason)" }
}
