public import Bytes
public import Cedar

/// `format`: policy texts laid out as the reference does.
public enum Format {
  /// One file and what it should be.
  public struct File: Sendable {
    /// The file's name.
    public let name: String
    /// The text laid out; nil if the file has mistakes.
    public let formatted: String?
    /// Whether the text differs from what it was.
    public let isChanged: Bool
  }

  /// Lays out some files.
  ///
  /// - Parameters:
  ///   - sources: policy texts in Cedar syntax.
  ///   - options: width and indent.
  ///   - checkOnly: whether nothing is to be written: a file that would change then is a difference, and is named.
  /// - Returns: each file, and an outcome with the mistakes and the names of files that differ.
  public static func run(
    _ sources: [SourceText], options: PolicyFormatter.Options = .init(), checkOnly: Bool = false
  ) -> (files: [File], outcome: ToolOutcome) {
    var files: [File] = []
    var outcome = ToolOutcome()
    for source in sources {
      guard let text = String(validating: source.bytes, as: UTF8.self) else {
        outcome.messages += Diagnostic(.error, "invalid UTF-8").rendered(in: source)
        outcome.status = .invalid
        files.append(File(name: source.name, formatted: nil, isChanged: false))
        continue
      }
      do throws(ParseErrors) {
        let formatted = try PolicyFormatter.format(text, options: options)
        let isChanged = !exactlyEquals(formatted, text)
        files.append(File(name: source.name, formatted: formatted, isChanged: isChanged))
        if isChanged, checkOnly {
          outcome.messages += "\(source.name): not formatted\n"
          if outcome.status == .success { outcome.status = .differs }
        }
      } catch {
        outcome.messages += error.diagnostics.rendered(in: source)
        outcome.status = .invalid
        files.append(File(name: source.name, formatted: nil, isChanged: false))
      }
    }
    return (files, outcome)
  }
}
