/// How a tool ended; the raw values are the product's exit codes.
public enum ToolStatus: Int32, Sendable {
  /// Done, valid, or allowed.
  case success = 0
  /// Denied.
  case denied = 2
  /// A policy, a schema, entities or the request are invalid.
  case invalid = 3
  /// A check found what should be changed.
  case differs = 4
}

/// What a tool has to say. Tools are pure: files are read and written, and texts printed, by who calls them.
public struct ToolOutcome: Sendable, Equatable {
  /// What was asked for, for standard output.
  public var output: String
  /// What went wrong, for standard error.
  public var messages: String
  /// How it ended.
  public var status: ToolStatus

  /// An outcome.
  public init(output: String = "", messages: String = "", status: ToolStatus = .success) {
    self.output = output
    self.messages = messages
    self.status = status
  }
}

/// `1 policy`, `2 policies`.
func counted(_ count: Int, _ one: String, _ many: String) -> String { "\(count) \(count == 1 ? one : many)" }
