internal import Bytes

/// What a token is for. Cognito says it in `token_use`; elsewhere the verifier finds out (`ClaimRules`).
public enum TokenUse: String, Sendable, Hashable, CaseIterable {
  /// Says who signed in.
  case id
  /// Says what the bearer may ask for.
  case access

  /// The use of exactly that name.
  public init?(name: String) {
    guard let match = Self.allCases.first(where: { exactlyEquals($0.rawValue, name) }) else { return nil }
    self = match
  }
}
