internal import Bytes
internal import Cedar

/// The annotations that mean something here, beside `@id` and `@mode`. All others are their authors' own.
public enum PolicyVocabulary {
  /// One annotation.
  public struct Word: Sendable {
    /// Its key.
    public let key: String
    /// One sentence for the documentation.
    public let meaning: String
  }

  /// Every annotation that is read.
  public static let words: [Word] = [
    Word(key: "id", meaning: "The policy's name, in answers, logs, tests and metrics."),
    Word(key: "mode", meaning: "shadow: the policy is evaluated and logged, and not enforced."),
    Word(key: "audit", meaning: "Decisions that the policy determines are marked in the log (\"audit\":true)."),
    Word(key: "owner", meaning: "Who answers for the policy; shown by why and explain."),
    Word(key: "deny_message", meaning: "What a caller is told whom this forbid refuses."),
    Word(key: "status", meaning: "The status of that answer: 403, 404, 409, 410, 423, 429 or 451."),
    Word(key: "step_up_acr", meaning: "The acr of a sign-in that would lift this forbid; the caller is asked for it (RFC 9470)."),
    Word(key: "step_up_max_age", meaning: "How recent a sign-in would lift this forbid, in seconds."),
    Word(key: "allow_lint", meaning: "Names of lints, separated by spaces, that check does not report for this policy."),
  ]

  /// The statuses that a policy may choose; none that is about credentials or about the form of the request.
  public static let statuses: [Int] = [403, 404, 409, 410, 423, 429, 451]

  /// What is wrong with a statement's annotations.
  static func mistakes(in statement: Policy) -> [(span: SourceSpan, message: String, help: String)] {
    var mistakes: [(span: SourceSpan, message: String, help: String)] = []
    for annotation in statement.annotations {
      func mistake(_ message: String, _ help: String) { mistakes.append((annotation.span, message, help)) }
      let value = annotation.value ?? ""
      switch annotation.key {
      case "owner": if value.isEmpty { mistake("@owner names nobody", "write @owner(\"team-orders\")") }
      case "audit": if !value.isEmpty { mistake("@audit has no value", "write @audit alone") }
      case "deny_message", "status":
        if statement.effect == .permit {
          mistake("@\(annotation.key) on a permit says nothing: it is for forbids", "move it to the forbid that refuses, or leave it out")
        } else if annotation.key == "deny_message", value.isEmpty || value.utf8.count > 500 {
          mistake("@deny_message says nothing, or too much", "write one sentence of at most 500 bytes for the caller")
        } else if annotation.key == "status", Int(value).map({ !statuses.contains($0) }) ?? true {
          mistake("\"\(value)\" is no status for a refusal", "write one of \(statuses.map(String.init).joined(separator: ", "))")
        }
      default: break
      }
    }
    return mistakes
  }
}
