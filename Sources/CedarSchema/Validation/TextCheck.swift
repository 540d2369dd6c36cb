internal import Bytes
internal import Cedar

/// Strings and identifiers that do not look like what they are (Unicode TR 36, TR 39).
enum TextCheck {
  /// The warnings on the texts of a condition, its scope included.
  static func warnings(_ condition: ConditionTree) -> [ValidationWarning] {
    var warnings: [ValidationWarning] = []
    let id = condition.policy.id
    let escapes = "remove the character, or write it as an escape such as `\\u{202e}` so that it can be seen"
    let mixed = "characters of several scripts can look alike; check that every character is the one that is meant"
    func identifier(_ text: String, _ span: SourceSpan) {
      if isPlain(text) { return }
      if hasBidi(text) {
        warnings.append(
          ValidationWarning(.bidiCharsInIdentifier, id, at: span, "identifier `\(text)` contains BIDI control characters", help: escapes))
      } else if let scalar = text.unicodeScalars.first(where: isConfusable) {
        let shown = Value.string(String(Character(scalar))).description.dropFirst().dropLast()
        warnings.append(
          ValidationWarning(
            .confusableIdentifier, id, at: span,
            "identifier `\(Value.string(text).description.dropFirst().dropLast())` contains the character `\(shown)` which is not a printable ASCII character and falls outside of the General Security Profile for Identifiers",
            help: escapes))
      } else if !ScriptSet.isSingleScript(text) {
        warnings.append(ValidationWarning(.mixedScriptIdentifier, id, at: span, "identifier `\(text)` contains mixed scripts", help: mixed))
      }
    }
    func string(_ text: String, _ span: SourceSpan) {
      if isPlain(text) { return }
      if hasBidi(text) {
        warnings.append(
          ValidationWarning(.bidiCharsInString, id, at: span, "string `\"\(text)\"` contains BIDI control characters", help: escapes))
      } else if !ScriptSet.isSingleScript(text) {
        warnings.append(ValidationWarning(.mixedScriptString, id, at: span, "string `\"\(text)\"` contains mixed scripts", help: mixed))
      }
    }
    for (index, node) in condition.expressions.nodes.enumerated() {
      let span = condition.expressions.spans[index]
      switch node {
      case .string(let text): string(text, span)
      case .entity(let uid): identifier(uid.id, span)
      case .attribute(_, let name): identifier(name, span)
      case .has(_, let path): for name in path { identifier(name, span) }
      case .like(_, let pattern): string(pattern.escaped, span)
      case .record(let fields): for field in fields { identifier(field.key, span) }
      default: break
      }
    }
    return warnings
  }

  /// Printable ASCII needs no look: one script, allowed everywhere.
  private static func isPlain(_ text: String) -> Bool { text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f } }

  /// Neither a printable ASCII character nor one that identifiers should have.
  private static func isConfusable(_ scalar: Unicode.Scalar) -> Bool {
    !(0x20..<0x7f).contains(scalar.value) && !ScriptSet.isAllowedInIdentifiers(scalar)
  }

  private static func hasBidi(_ text: String) -> Bool {
    text.unicodeScalars.contains { scalar in (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value) }
  }
}
