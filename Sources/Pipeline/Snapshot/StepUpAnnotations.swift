internal import Bytes
internal import Cedar
internal import JOSE

/// What a forbid says about lifting it: `@step_up_acr("urn:cognito:loa:2 urn:cognito:loa:3")` and `@step_up_max_age("5m")`.
///
/// The policy's own conditions decide; the annotations tell the client of a refused request which sign-in would have helped
/// (RFC 9470), where otherwise it would be told that it is not allowed.
enum StepUpAnnotations {
  static let acr = "step_up_acr"
  static let maximumAge = "step_up_max_age"

  /// A mistake in an annotation.
  struct Mistake: Error {
    let message: String
    let help: String
    let span: SourceSpan

    /// The mistake drawn where it is.
    func rendered(in source: SourceText?) -> String {
      let diagnostic = Diagnostic(.error, message, at: span.start..<max(span.end, span.start), help: help)
      return source.map { diagnostic.rendered(in: $0) } ?? "\(message); \(help)"
    }
  }

  /// The demand of a policy; nil if it has none.
  static func read(_ policy: Policy) throws(Mistake) -> StepUp? {
    var wanted: [String] = []
    var seconds: Int64?
    var first: Annotation?
    for annotation in policy.annotations {
      func mistake(_ message: String, _ help: String) -> Mistake {
        Mistake(message: "@\(annotation.key): \(message)", help: help, span: annotation.span)
      }
      let isACR = exactlyEquals(annotation.key, acr)
      guard isACR || exactlyEquals(annotation.key, maximumAge) else { continue }
      guard policy.effect == .forbid else {
        throw mistake("only a forbid can be lifted by another sign-in", "write a forbid with the condition that the permit misses")
      }
      first = first ?? annotation
      if isACR {
        wanted = (annotation.value ?? "").utf8.split(separator: ASCII.space).map { String(decoding: $0, as: UTF8.self) }
        guard !wanted.isEmpty else { throw mistake("names no acr", "write @step_up_acr(\"urn:cognito:loa:2\")") }
      } else {
        guard let millis = Units.millis(annotation.value ?? ""), millis >= 1000 else {
          throw mistake("is not a time of a second or more", "write @step_up_max_age(\"5m\")")
        }
        seconds = millis / 1000
      }
    }
    guard let first else { return nil }
    guard let stepUp = StepUp(acrValues: wanted, maximumAge: seconds) else {
      throw Mistake(
        message: "@\(first.key): a value of acr is visible ASCII without quotes and backslashes",
        help: "write @step_up_acr(\"urn:cognito:loa:2\")",
        span: first.span)
    }
    return stepUp
  }
}
