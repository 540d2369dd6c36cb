internal import Bytes

/// The field section of a head, RFC 9110 §5, with the bytes of the whole head: lines in the order received, nothing decoded.
///
/// Reused from message to message: the arrays keep their memory.
public struct FieldSection: Sendable {
  /// The bytes of the head, from the start line to the empty line.
  public internal(set) var bytes: [UInt8] = []
  /// The field lines in the order received.
  public internal(set) var lines: [FieldLine] = []
  /// Known fields with at least one line, as bits.
  var present: UInt64 = 0
  /// Known fields with more than one line, as bits.
  var repeated: UInt64 = 0

  /// A section without lines.
  public init() {}

  mutating func removeAll() {
    bytes.removeAll(keepingCapacity: bytes.capacity <= Self.keptCapacity)
    lines.removeAll(keepingCapacity: true)
    present = 0
    repeated = 0
  }

  // A connection that once carried a long head gives that memory back.
  private static let keptCapacity = 16 * 1024

  mutating func note(_ known: KnownField) {
    let bit = known.bit
    repeated |= present & bit
    present |= bit
  }

  /// Whether at least one line has this name.
  public func has(_ field: KnownField) -> Bool { field != .other && present & field.bit != 0 }

  /// Whether more than one line has this name.
  public func isRepeated(_ field: KnownField) -> Bool { field != .other && repeated & field.bit != 0 }

  /// Where the value of the first line of this name lies in `bytes`; nil if there is none.
  public func range(of field: KnownField) -> Range<Int>? {
    guard has(field) else { return nil }
    for line in lines where line.known == field { return line.value }
    return nil
  }

  /// The value of the only line of this name; nil if there is none or more than one.
  ///
  /// For fields whose grammar is a single value. Bytes that are not UTF-8 are replaced: for printing and comparing with
  /// ASCII, not for handing on.
  public func value(of field: KnownField) -> String? {
    guard !isRepeated(field), let range = range(of: field) else { return nil }
    return text(range)
  }

  /// Lends the value of the first line of this name; the result is nil if there is none.
  public func withValue<R>(of field: KnownField, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R? {
    guard let range = range(of: field) else { return nil }
    return try withBytes(range, body)
  }

  /// The values of all lines of this name, in the order received.
  public func values(of field: KnownField) -> [String] {
    guard has(field) else { return [] }
    return lines.filter { $0.known == field }.map { text($0.value) }
  }

  /// The value of the only line with a name, as `values(named:)`; nil without one, or with several.
  public func onlyValue(named name: String) -> String? {
    let wanted = name.utf8
    var found: FieldLine?
    for line in lines where line.isEvaluated && line.name.count == wanted.count {
      guard withBytes(line.name, { ASCII.equalsIgnoringCase($0, wanted) }) else { continue }
      guard found == nil else { return nil }
      found = line
    }
    return found.map { text($0.value) }
  }

  /// The values of all lines with a name, letters compared without case, in the order received; lines that are not
  /// forwarded as they are (hop-by-hop, forwarding fields) are left out, so that what is evaluated is what is forwarded.
  public func values(named name: String) -> [String] {
    let wanted = name.utf8
    return lines.filter { line in
      line.isEvaluated && line.name.count == wanted.count && withBytes(line.name) { ASCII.equalsIgnoringCase($0, wanted) }
    }
    .map { text($0.value) }
  }

  /// The value bytes of all lines with a name; as `values(named:)`, for values that need not be UTF-8.
  public func valueBytes(named name: String) -> [[UInt8]] {
    let wanted = name.utf8
    return lines.filter { line in
      line.isEvaluated && line.name.count == wanted.count && withBytes(line.name) { ASCII.equalsIgnoringCase($0, wanted) }
    }
    .map { Array(bytes[clamped($0.value)]) }
  }

  /// Lends a part of the head's bytes; a range that lies outside is clamped.
  public func withBytes<R>(_ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try bytes.withUnsafeBytes { try body($0.part(range)) }
  }

  /// A part of the head's bytes as text, what is not UTF-8 replaced.
  public func text(_ range: Range<Int>) -> String { String(decoding: bytes[clamped(range)], as: UTF8.self) }

  private func clamped(_ range: Range<Int>) -> Range<Int> { range.clamped(to: 0..<bytes.count) }
}
