internal import Bytes
internal import Cedar

/// Strings and identifiers that do not look like what they are (Unicode TR 36, TR 39).
enum TextCheck {
  /// The warnings on the texts of a condition, its scope included.
  static func warnings(_ condition: ConditionTree) -> [ValidationWarning] {
    var warnings: [ValidationWarning] = []
    let id = condition.policy.id
    func identifier(_ text: String, _ span: SourceSpan) {
      guard !isASCII(text) else { return }
      if hasBidi(text) {
        warnings.append(ValidationWarning(.bidiCharsInIdentifier, id, at: span, "identifier `\(text)` contains BIDI control characters"))
      }
    }
    func string(_ text: String, _ span: SourceSpan) {
      guard !isASCII(text) else { return }
      if hasBidi(text) {
        warnings.append(ValidationWarning(.bidiCharsInString, id, at: span, "string `\"\(text)\"` contains BIDI control characters"))
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

  private static func isASCII(_ text: String) -> Bool { text.utf8.allSatisfy { $0 < 0x80 } }

  private static func hasBidi(_ text: String) -> Bool {
    text.unicodeScalars.contains { scalar in (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value) }
  }
}
