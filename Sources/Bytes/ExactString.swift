/// A string that equals another only if their UTF-8 bytes are the same.
///
/// Swift's `String` compares by canonical equivalence: U+212A KELVIN SIGN equals `K`, U+037E equals `;`. For names
/// that decide who somebody is, that is one spelling too many. Keys of dictionaries and sets that hold what came from
/// outside are `ExactString`; single comparisons use `exactlyEquals`.
public struct ExactString: Hashable, Sendable, CustomStringConvertible {
  /// The string.
  public let string: String

  /// Wraps a string.
  @inlinable public init(_ string: String) { self.string = string }

  /// Byte equality.
  @inlinable public static func == (a: ExactString, b: ExactString) -> Bool { exactlyEquals(a.string, b.string) }

  /// Hashes the UTF-8 bytes.
  @inlinable public func hash(into hasher: inout Hasher) {
    var text = string
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    hasher.combine(UInt8(0xff))
  }

  /// The string.
  public var description: String { string }
}

/// Whether two strings have the same UTF-8 bytes.
@inlinable public func exactlyEquals(_ a: String, _ b: String) -> Bool {
  // Equal ASCII or equal-representation strings take the short way; otherwise the views are compared byte by byte.
  a.utf8.count == b.utf8.count && a.utf8.elementsEqual(b.utf8)
}
