internal import Bytes
internal import Cedar
public import CedarSchema

/// `check`: everything that is wrong with a policy folder, drawn with its place.
public enum Check {
  /// Reports on a folder.
  ///
  /// - Parameters:
  ///   - bundle: the folder's files, as read.
  ///   - folder: what the folder is called in the summary.
  ///   - denyWarnings: whether warnings fail the check as errors do.
  public static func run(_ bundle: PolicyBundle, folder: String, denyWarnings: Bool = false) -> ToolOutcome {
    var text = summary(of: bundle, folder) + shadows(of: bundle)
    for problem in bundle.problems.prefix(shown) { text += problem.rendered }
    if bundle.problems.count > shown { text += "... and \(bundle.problems.count - shown) more\n" }
    let errors = bundle.problems.count { $0.diagnostic.severity == .error }
    let warnings = bundle.problems.count { $0.diagnostic.severity == .warning }
    var counts: [String] = []
    if errors > 0 { counts.append(counted(errors, "error", "errors")) }
    if warnings > 0 { counts.append(counted(warnings, "warning", "warnings")) }
    if !counts.isEmpty { text += counts.joined(separator: ", ") + "\n" }
    return ToolOutcome(output: text, status: errors > 0 || (denyWarnings && warnings > 0) ? .invalid : .success)
  }

  // A file with thousands of mistakes has one cause; its first reports say it.
  private static let shown = 100

  // Somebody may believe that they protect.
  private static func shadows(of bundle: PolicyBundle) -> String {
    let names = bundle.policiesInShadow.ids.map { id in Diagnostic.printable("\(id)") + (bundle.place(of: id).map { "  (\($0))" } ?? "") }
    return names.map { "  shadow: \($0) is evaluated and logged, and NOT enforced\n" }.joined()
  }

  private static func summary(of bundle: PolicyBundle, _ folder: String) -> String {
    var parts = [counted(bundle.policies.policies.count, "policy", "policies")]
    if !bundle.policies.templates.isEmpty { parts.append(counted(bundle.policies.templates.count, "template", "templates")) }
    if !bundle.policies.links.isEmpty { parts.append(counted(bundle.policies.links.count, "link", "links")) }
    parts.append(bundle.sources.schema == nil ? "no schema" : bundle.schema == nil ? "schema not usable" : "schema ok")
    if bundle.sources.entities != nil { parts.append(counted(bundle.entities.count, "entity", "entities")) }
    return folder + String(repeating: " ", count: max(1, 17 - folder.unicodeScalars.count)) + parts.joined(separator: ", ") + "\n"
  }
}
