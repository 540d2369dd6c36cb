internal import Bytes

/// The field names that only we may say to the upstream: identity, decision, and how the request came here.
///
/// A name from a client is an alias of an owned one if they are equal after `_` and `.` are read as `-` and letters
/// without case, as CGI, WSGI and several frameworks read names. No alias is ever forwarded.
public struct OwnedFields: Sendable {
  /// Names in folded form.
  private var names: [[UInt8]] = []
  private var prefixes: [[UInt8]] = []
  /// Which first bytes (folded, low five bits) owned names have: most lines are told apart by this alone.
  private var firstBytes: UInt32 = 0
  /// Owned names that are known fields, as bits.
  private(set) var known: UInt64 = 0

  /// What no client may say besides the configured names: forwarding fields of every kind, method overrides, our own prefix.
  private static let always = [
    "x-real-ip", "x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url", "x-forwarded",
    "forwarded",
    "x-client-ip", "x-cluster-client-ip", "true-client-ip", "x-host",
  ]
  private static let alwaysPrefixes = ["x-stockade-", "x-forwarded-", "x-original-", "x-rewrite-"]

  /// Owned names: the given ones, and those that are always owned.
  ///
  /// - Parameters:
  ///   - configured: names of identity fields, in any case.
  ///   - prefixes: beginnings of names that are owned as a whole.
  public init(_ configured: [String] = [], prefixes: [String] = []) {
    for name in configured + Self.always where !name.isEmpty { names.append(Self.fold(name)) }
    for prefix in prefixes + Self.alwaysPrefixes where !prefix.isEmpty { self.prefixes.append(Self.fold(prefix)) }
    for name in names {
      let field = name.withUnsafeBytes { KnownField(name: $0) }
      if field != .other { known |= field.bit }
    }
    for first in (names + self.prefixes).compactMap(\.first) { firstBytes |= 1 &<< UInt32(first & 31) }
  }

  private static func fold(_ name: String) -> [UInt8] { name.utf8.map { Self.fold($0) } }

  @inline(__always)
  private static func fold(_ byte: UInt8) -> UInt8 {
    byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".") ? UInt8(ascii: "-") : ASCII.lowercased(byte)
  }

  /// Whether a name from a client is, or is an alias of, an owned one.
  public func owns(_ name: UnsafeRawBufferPointer) -> Bool {
    guard let first = name.first, firstBytes & (1 &<< UInt32(Self.fold(first) & 31)) != 0 else { return false }
    for owned in names where owned.count == name.count && Self.matches(owned, name) { return true }
    for prefix in prefixes where prefix.count <= name.count && Self.matches(prefix, name) { return true }
    return false
  }

  /// As `owns(_:)`, of a string.
  public func owns(_ name: String) -> Bool {
    var copy = name
    return copy.withUTF8 { owns(UnsafeRawBufferPointer($0)) }
  }

  @inline(__always)
  private static func matches(_ folded: [UInt8], _ name: UnsafeRawBufferPointer) -> Bool {
    for index in folded.indices where folded[index] != fold(name[index]) { return false }
    return true
  }
}
