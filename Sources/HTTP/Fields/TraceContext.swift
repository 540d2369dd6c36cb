internal import Bytes

/// What `traceparent` says: W3C Trace Context (Recommendation of 23 November 2021) §3.2.
public struct TraceParent: Sendable, Equatable {
  /// The trace's 128 bits, the most significant half first; never all zero.
  public let trace: (high: UInt64, low: UInt64)
  /// The span's 64 bits; never zero.
  public let span: UInt64
  /// Whether whoever called records this trace.
  public let isSampled: Bool

  /// A trace context from its parts. An id of zeros means "none", so one that is zero becomes one.
  public init(trace: (high: UInt64, low: UInt64), span: UInt64, isSampled: Bool) {
    self.trace = (trace.high, trace.high | trace.low == 0 ? 1 : trace.low)
    self.span = max(span, 1)
    self.isSampled = isSampled
  }

  /// Reads a field's value; nil for what is not exactly the grammar. §3.2.2: a version after 00 may go on after a hyphen, and is
  /// read as far as 00 goes; ff is no version. §3.2.2.3 to 3.2.2.5: lower-case digits alone, and no id of zeros.
  public init?(_ value: UnsafeRawBufferPointer) {
    guard value.count >= Self.length else { return nil }
    let hyphen = UInt8(ascii: "-")
    guard value[2] == hyphen, value[35] == hyphen, value[52] == hyphen else { return nil }
    guard let version = Self.number(value, 0..<2), version != 0xff else { return nil }
    guard version == 0 ? value.count == Self.length : value.count == Self.length || value[Self.length] == hyphen else { return nil }
    guard let high = Self.number(value, 3..<19), let low = Self.number(value, 19..<35), let span = Self.number(value, 36..<52),
      let flags = Self.number(value, 53..<55), high | low != 0, span != 0
    else { return nil }
    // Of the flags one has a meaning that is settled; the others are not handed on (§3.2.2.5.2).
    self.init(trace: (high, low), span: span, isSampled: flags & 1 == 1)
  }

  /// The context that a request's fields carry; nil if there is none, or it is not valid. Said twice, nothing was said.
  public init?(of fields: FieldSection) {
    guard !fields.isRepeated(.traceparent), let parsed = fields.withValue(of: .traceparent, { TraceParent($0) }) ?? nil else { return nil }
    self = parsed
  }

  /// The field's value, version 00.
  public var description: String { "00-\(traceText)-\(spanText)-\(isSampled ? "01" : "00")" }
  /// The trace's id, 32 digits.
  public var traceText: String { Self.text(trace.high) + Self.text(trace.low) }
  /// The span's id, 16 digits.
  public var spanText: String { Self.text(span) }

  /// Sixteen lower-case digits.
  public static func text(_ number: UInt64) -> String {
    String(unsafeUninitializedCapacity: 16) { digits in
      for index in 0..<16 { digits[index] = Hex.digit(UInt8(truncatingIfNeeded: number >> UInt64(60 - 4 * index)) & 0xf) }
      return 16
    }
  }

  /// Whether both say the same.
  public static func == (one: TraceParent, other: TraceParent) -> Bool {
    one.trace == other.trace && one.span == other.span && one.isSampled == other.isSampled
  }

  private static let length = 55

  private static func number(_ value: UnsafeRawBufferPointer, _ range: Range<Int>) -> UInt64? {
    var number: UInt64 = 0
    for index in range {
      let byte = value[index]
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): number = number << 4 | UInt64(byte - UInt8(ascii: "0"))
      case UInt8(ascii: "a")...UInt8(ascii: "f"): number = number << 4 | UInt64(byte - UInt8(ascii: "a") + 10)
      default: return nil
      }
    }
    return number
  }
}

/// What `tracestate` says, as far as whoever hands it on must know: W3C Trace Context §3.3.
public enum TraceState {
  /// Whether the lines of a request make one list that is valid: then it goes on as it came, and else not at all. Absent, and
  /// empty, it is valid.
  public static func isValid(in fields: FieldSection) -> Bool {
    guard fields.has(.tracestate) else { return true }
    var keys: [ArraySlice<UInt8>] = []
    for line in fields.lines where line.known == .tracestate {
      let value = line.value.clamped(to: 0..<fields.bytes.count)
      for member in fields.bytes[value].split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
        let member = trimmed(member)
        // §3.3.1.1: an empty member is allowed and means nothing.
        if member.isEmpty { continue }
        guard let equals = member.firstIndex(of: UInt8(ascii: "=")) else { return false }
        let key = member[..<equals]
        guard isKey(key), isText(member[(equals + 1)...]), keys.count < longestList, !keys.contains(key) else { return false }
        keys.append(key)
      }
    }
    return true
  }

  /// The list as one value, for a span; nil if there is none.
  public static func text(in fields: FieldSection) -> String? {
    guard fields.has(.tracestate) else { return nil }
    return fields.values(of: .tracestate).joined(separator: ",")
  }

  // §3.3.1.1.
  private static let longestList = 32

  private static func trimmed(_ member: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    func isSpace(_ byte: UInt8) -> Bool { byte == ASCII.space || byte == ASCII.tab }
    let start = member.drop(while: isSpace)
    guard let last = start.lastIndex(where: { !isSpace($0) }) else { return start }
    return start[...last]
  }

  // §3.3.1.2: simple-key, or tenant@system.
  private static func isKey(_ key: ArraySlice<UInt8>) -> Bool {
    guard let at = key.firstIndex(of: UInt8(ascii: "@")) else { return isName(key, upTo: 256, mayBeginWithDigit: false) }
    return isName(key[..<at], upTo: 241, mayBeginWithDigit: true) && isName(key[(at + 1)...], upTo: 14, mayBeginWithDigit: false)
  }

  private static func isName(_ name: ArraySlice<UInt8>, upTo limit: Int, mayBeginWithDigit: Bool) -> Bool {
    guard let first = name.first, name.count <= limit, isLetter(first) || mayBeginWithDigit && isDigit(first) else { return false }
    return name.allSatisfy { isLetter($0) || isDigit($0) || "_-*/".utf8.contains($0) }
  }

  private static func isLetter(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
  private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

  // §3.3.1.3: up to 256 printable characters without comma and equals sign, the last of them no space.
  private static func isText(_ value: ArraySlice<UInt8>) -> Bool {
    guard let last = value.last, value.count <= 256, last != ASCII.space else { return false }
    return value.allSatisfy { (0x20...0x7e).contains($0) && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "=") }
  }
}
