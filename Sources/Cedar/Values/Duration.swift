internal import Bytes

/// A span of time in milliseconds (Cedar reference, "duration").
public struct Duration: Hashable, Sendable, CustomStringConvertible {
  /// Milliseconds, negative for a span backwards.
  public let milliseconds: Int64
  /// The text it was constructed from, kept for printing; not part of equality.
  public let spelling: String?

  /// A duration of some milliseconds.
  public init(milliseconds: Int64) {
    self.milliseconds = milliseconds
    spelling = nil
  }

  /// Reads `-?` and `<n>d<n>h<n>m<n>s<n>ms`, each unit at most once, in this order, at least one.
  public init(_ text: String) throws(ExtensionError) {
    let malformed = ExtensionError(.duration, "`\(Text.escaped(text))` is not a well-formed duration: write `1d2h3m4s5ms` or a part of it")
    let overflow = ExtensionError(.duration, "overflow when converting `\(Text.escaped(text))` to duration")
    let bytes = Array(text.utf8)
    var index = 0
    let negative = bytes.first == UInt8(ascii: "-")
    if negative { index = 1 }
    guard index < bytes.count else { throw malformed }
    // Amounts by unit in the order of `Self.units`; the sum is built from the smallest unit up, as the reference does.
    var amounts = [UInt64](repeating: 0, count: 5)
    var next = 0
    var tooLarge = false
    while index < bytes.count {
      let start = index
      var amount: UInt64 = 0
      while index < bytes.count, ASCII.isDigit(bytes[index]) {
        let (product, big) = amount.multipliedReportingOverflow(by: 10)
        let (sum, bigger) = product.addingReportingOverflow(UInt64(bytes[index] - 0x30))
        tooLarge = tooLarge || big || bigger
        amount = sum
        index += 1
      }
      guard index > start else { throw malformed }
      let rest = bytes[index...]
      let unit: Int
      if rest.starts(with: "ms".utf8) {
        unit = 4
      } else {
        switch rest.first {
        case UInt8(ascii: "d"): unit = 0
        case UInt8(ascii: "h"): unit = 1
        case UInt8(ascii: "m"): unit = 2
        case UInt8(ascii: "s"): unit = 3
        default: throw malformed
        }
      }
      guard unit >= next else { throw malformed }
      next = unit + 1
      index += unit == 4 ? 2 : 1
      amounts[unit] = amount
    }
    if tooLarge { throw overflow }
    var total: Int64 = 0
    for unit in stride(from: 4, through: 0, by: -1) {
      let product = amounts[unit].multipliedFullWidth(by: Self.unitMilliseconds[unit])
      guard product.high == 0 else { throw overflow }
      if negative {
        guard product.low <= UInt64(1) << 63 else { throw overflow }
        let (sum, big) = total.subtractingReportingOverflow(Int64(truncatingIfNeeded: product.low))
        // -2^63 itself has no positive counterpart to subtract: it is its own negation.
        if product.low == UInt64(1) << 63 {
          guard total == 0 else { throw overflow }
          total = Int64.min
        } else {
          if big { throw overflow }
          total = sum
        }
      } else {
        guard product.low <= UInt64(Int64.max) else { throw overflow }
        let (sum, big) = total.addingReportingOverflow(Int64(product.low))
        if big { throw overflow }
        total = sum
      }
    }
    milliseconds = total
    spelling = text
  }

  private static let unitMilliseconds: [UInt64] = [86_400_000, 3_600_000, 60_000, 1_000, 1]

  /// Equality of the spans.
  public static func == (a: Duration, b: Duration) -> Bool { a.milliseconds == b.milliseconds }
  /// Hashes the span.
  public func hash(into hasher: inout Hasher) { hasher.combine(milliseconds) }

  /// As Cedar text, `duration("1h")`.
  public var description: String { "duration(\"\(spelling.map(Text.escaped) ?? "\(milliseconds)ms")\")" }
}
