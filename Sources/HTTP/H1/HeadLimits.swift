/// What bounds a message head.
public struct HeadLimits: Sendable {
  /// Bytes of the whole head, start line and field lines: 64 KiB (decisions.md: a token of 32 KiB must pass).
  public var headBytes = 64 * 1024
  /// Field lines: 128.
  public var fieldLines = 128
  /// Bytes of the request target: 8 KiB.
  public var targetBytes = 8 * 1024
  /// Ambiguities of the path that some route declares to be data; none.
  public var path = PathRules.strict

  /// The defaults.
  public init() {}
}
