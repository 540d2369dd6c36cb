/// A range of bytes in a source text.
public struct SourceSpan: Hashable, Sendable {
  private let low: UInt32
  private let high: UInt32

  /// Byte offset of the first byte.
  public var start: Int { Int(low) }
  /// Byte offset after the last byte.
  public var end: Int { Int(high) }
  /// How many bytes.
  public var length: Int { end - start }

  /// A span; offsets outside 0 … 2³²−1 are brought inside.
  public init(_ start: Int, _ end: Int) {
    low = UInt32(clamping: start)
    high = UInt32(clamping: max(start, end))
  }

  /// The span of things that no text was written for.
  public static let none = SourceSpan(0, 0)

  /// The smallest span that covers both.
  public func union(_ other: SourceSpan) -> SourceSpan { SourceSpan(min(start, other.start), max(end, other.end)) }
}
