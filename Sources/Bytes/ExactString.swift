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
  guard a.utf8.count == b.utf8.count else { return false }
  var (a, b) = (a, b)
  return a.withUTF8 { a in b.withUTF8 { b in sameBytes(UnsafeRawBufferPointer(a), UnsafeRawBufferPointer(b)) } }
}

/// Whether two runs of bytes are the same, eight bytes at a time.
@inlinable func sameBytes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
  guard a.count == b.count else { return false }
  var index = 0
  while index &+ 8 <= a.count {
    if a.loadUnaligned(fromByteOffset: index, as: UInt64.self) != b.loadUnaligned(fromByteOffset: index, as: UInt64.self) { return false }
    index &+= 8
  }
  while index < a.count {
    if a[index] != b[index] { return false }
    index &+= 1
  }
  return true
}
