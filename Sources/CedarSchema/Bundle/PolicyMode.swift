internal import Bytes
public import Cedar

/// What `@mode("…")` before a policy says: whether it decides, or is only told of.
public enum PolicyMode: String, Sendable, CaseIterable {
  /// It decides, as a policy without the annotation does.
  case enforce
  /// It is evaluated and its answer is logged, and it decides nothing.
  case shadow

  /// The annotation's key.
  public static let annotation = "mode"

  /// The mode that a statement says; nil for a word that is no mode.
  init?(of statement: Policy) {
    guard let text = statement.annotation(Self.annotation) else {
      self = .enforce
      return
    }
    self.init(rawValue: text)
  }

  /// What to say of a statement whose mode is none: where, and what was probably meant.
  static func mistake(in statement: Policy) -> (span: SourceSpan, message: String, help: String) {
    let written = statement.annotations.first { exactlyEquals($0.key, annotation) }
    let words = allCases.map(\.rawValue)
    let near = Spelling.nearest(to: written?.value ?? "", among: words)
    return (
      written?.span ?? statement.span, written?.value.map { "\"\($0)\" is not a mode of a policy" } ?? "this annotation says no mode",
      near.map { "did you mean @mode(\"\($0)\")?" }
        ?? "write @mode(\"shadow\") for a policy that is evaluated and logged and not enforced, or leave the annotation out"
    )
  }
}

extension PolicyBundle {
  /// The policies that decide, with every template.
  public var policiesInForce: PolicySet { shadowed.isEmpty ? policies : policies.picking { !shadowed.contains($0) } }
  /// The policies in the shadow: evaluated and told of, and deciding nothing.
  public var policiesInShadow: PolicySet { policies.picking { shadowed.contains($0) } }
}
