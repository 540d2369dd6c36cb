/// What is wrong with a configuration: each problem with the name of the thing and the remedy.
public struct ConfigurationError: Error, Sendable, CustomStringConvertible {
  /// One text a problem, ready for a person; may have several lines.
  public let problems: [String]

  /// Some problems.
  public init(_ problems: [String]) { self.problems = problems }

  /// All problems as they are shown: those drawn with their place as they are, others as one line.
  public var report: String { problems.map { $0.hasSuffix("\n") ? $0 : "error: \($0)\n" }.joined() }

  /// All problems, a line each.
  public var description: String { problems.joined(separator: "\n") }
}
