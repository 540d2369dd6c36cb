/// How demanding the validator is (Cedar reference, "validation mode").
public enum ValidationMode: String, Sendable {
  /// What policies should pass: no empty sets, no comparisons across types, no computed extension values.
  case strict
  /// Only what would be an error when evaluated.
  case permissive
}
