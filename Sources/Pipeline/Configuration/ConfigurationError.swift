/// What is wrong with a configuration: each problem with the name of the thing and the remedy.
public struct ConfigurationError: Error, Sendable, CustomStringConvertible {
  /// One text a problem, ready for a person; may have several lines.
  public let problems: [String]

  /// Some problems.
  public init(_ problems: [String]) { self.problems = problems }

  /// All problems, a line each.
  public var description: String { problems.joined(separator: "\n") }
}
