/// A policy would take more text than is written: `has` with a path is spelled out in places where the language has no
/// shorter form, and nested in itself that grows without bound.
public struct OutputTooLarge: Error, Sendable, Equatable, CustomStringConvertible {
  /// The most pieces that are written of one policy set.
  public let limit: Int

  /// One line for a person.
  public var description: String { "the policies would take more than \(limit) pieces of text" }
}
