internal import Bytes

/// The field names that only we may say to the upstream: identity, decision, and how the request came here.
///
/// A name from a client is an alias of an owned one if they are equal after `_` and `.` are read as `-` and letters
/// without case, as CGI, WSGI and several frameworks read names. No alias is ever forwarded.
public struct OwnedFields: Sendable {
  /// A name or a beginning of names: where it lies in `folded`, and its first eight bytes as a number under a mask.
  private struct Entry: Sendable {
    var start: Int
    var count: Int
    var isPrefix: Bool
    /// Whether the name itself goes on, and only its aliases are removed.
    var keepsExact: Bool
    var head: UInt64
    var mask: UInt64
  }

  private var folded: [UInt8] = []
  private var entries: [Entry] = []
  /// Which first bytes (folded, low five bits) entries have: most lines are told apart by this alone.
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
  ///   - evaluated: names whose values are decided on: the name itself goes on, an alias that the upstream might read
  ///     as the same field and nobody decided on does not.
  public init(_ configured: [String] = [], prefixes: [String] = [], evaluated: [String] = []) {
    for name in configured + Self.always { add(name, isPrefix: false) }
    for name in evaluated { add(name, isPrefix: false, keepsExact: true) }
    for prefix in prefixes + Self.alwaysPrefixes { add(prefix, isPrefix: true) }
  }

  private mutating func add(_ name: String, isPrefix: Bool, keepsExact: Bool = false) {
    let bytes = name.utf8.map { Self.fold($0) }
    guard let first = bytes.first else { return }
    firstBytes |= 1 &<< UInt32(first & 31)
    let (head, mask) = bytes.withUnsafeBytes { (Self.head(of: $0), $0.count < 8 ? ~0 &>> UInt64(64 - 8 * $0.count) : ~0) }
    entries.append(Entry(start: folded.count, count: bytes.count, isPrefix: isPrefix, keepsExact: keepsExact, head: head, mask: mask))
    folded += bytes
    let field = bytes.withUnsafeBytes { KnownField(name: $0) }
    if !isPrefix, !keepsExact, field != .other { known |= field.bit }
  }

  /// The first eight bytes, folded, the first in the lowest place.
  @inline(__always)
  private static func head(of name: UnsafeRawBufferPointer) -> UInt64 {
    var word: UInt64 = 0
    var index = min(name.count, 8)
    while index > 0 {
      index &-= 1
      word = word &<< 8 | UInt64(fold(name[index]))
    }
    return word
  }

  @inline(__always)
  private static func fold(_ byte: UInt8) -> UInt8 {
    byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".") ? UInt8(ascii: "-") : ASCII.lowercased(byte)
  }

  /// Whether a name from a client is, or is an alias of, an owned one.
  public func owns(_ name: UnsafeRawBufferPointer) -> Bool {
    guard let first = name.first, firstBytes & (1 &<< UInt32(Self.fold(first) & 31)) != 0 else { return false }
    let head = Self.head(of: name)
    for entry in entries where head & entry.mask == entry.head {
      guard entry.isPrefix ? name.count >= entry.count : name.count == entry.count else { continue }
      guard entry.count <= 8 || matches(entry, name) else { continue }
      if !entry.keepsExact || !Self.isExact(name) { return true }
    }
    return false
  }

  /// Whether a name is, or is an alias of, any of these names, those that go on as they are included.
  func matches(_ name: UnsafeRawBufferPointer) -> Bool {
    guard let first = name.first, firstBytes & (1 &<< UInt32(Self.fold(first) & 31)) != 0 else { return false }
    let head = Self.head(of: name)
    return entries.contains { entry in
      head & entry.mask == entry.head && (entry.isPrefix ? name.count >= entry.count : name.count == entry.count)
        && (entry.count <= 8 || matches(entry, name))
    }
  }

  /// As `owns(_:)`, of a string.
  public func owns(_ name: String) -> Bool {
    var copy = name
    return copy.withUTF8 { owns(UnsafeRawBufferPointer($0)) }
  }

  /// Whether a name has no stand-in for `-`: then a name that matches an entry is the entry's.
  private static func isExact(_ name: UnsafeRawBufferPointer) -> Bool {
    name.allSatisfy { $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: ".") }
  }

  private func matches(_ entry: Entry, _ name: UnsafeRawBufferPointer) -> Bool {
    for index in 8..<entry.count where folded[entry.start + index] != Self.fold(name[index]) { return false }
    return true
  }
}
