internal import Bytes

/// A fixed-point number with four fraction digits (Cedar reference, "decimal").
public struct Decimal: Hashable, Sendable, CustomStringConvertible {
  /// The number times 10,000.
  public let scaled: Int64
  /// The text it was constructed from, kept for printing; not part of equality.
  public let spelling: String?

  /// A decimal from its scaled value.
  public init(scaled: Int64) {
    self.scaled = scaled
    spelling = nil
  }

  /// Reads `-?D+.D{1,4}`, the whole text.
  public init(_ text: String) throws(ExtensionError) {
    let bytes = Array(text.utf8)
    var index = 0
    let negative = bytes.first == UInt8(ascii: "-")
    if negative { index = 1 }
    // Accumulated as a negative number, whose range is one wider.
    var value: Int64 = 0
    var overflow = false
    func shift(_ digit: UInt8) {
      let (product, tooBig) = value.multipliedReportingOverflow(by: 10)
      let (sum, tooSmall) = product.subtractingReportingOverflow(Int64(digit))
      overflow = overflow || tooBig || tooSmall
      value = sum
    }
    let integerStart = index
    while index < bytes.count, ASCII.isDigit(bytes[index]) {
      shift(bytes[index] - 0x30)
      index += 1
    }
    guard index > integerStart, index < bytes.count, bytes[index] == UInt8(ascii: ".") else {
      throw ExtensionError(.decimal, "`\(Text.escaped(text))` is not a well-formed decimal value")
    }
    index += 1
    let fractionStart = index
    while index < bytes.count, ASCII.isDigit(bytes[index]) {
      if index - fractionStart < 4 { shift(bytes[index] - 0x30) }
      index += 1
    }
    let digits = index - fractionStart
    guard digits > 0, index == bytes.count else {
      throw ExtensionError(.decimal, "`\(Text.escaped(text))` is not a well-formed decimal value")
    }
    guard digits <= 4 else {
      throw ExtensionError(.decimal, "too many digits after the decimal in `\(Text.escaped(text))`: at most 4 are allowed")
    }
    for _ in digits..<4 { shift(0) }
    if !negative {
      let (positive, tooBig) = Int64(0).subtractingReportingOverflow(value)
      overflow = overflow || tooBig
      value = positive
    }
    guard !overflow else { throw ExtensionError(.decimal, "overflow when converting `\(Text.escaped(text))` to decimal") }
    scaled = value
    spelling = text
  }

  /// Equality of the numbers.
  public static func == (a: Decimal, b: Decimal) -> Bool { a.scaled == b.scaled }
  /// Hashes the number.
  public func hash(into hasher: inout Hasher) { hasher.combine(scaled) }

  /// The number with four fraction digits, `-0.5000`.
  public var canonical: String {
    let magnitude = scaled.magnitude
    let fraction = String(magnitude % 10_000)
    return (scaled < 0 ? "-" : "") + String(magnitude / 10_000) + "." + String(repeating: "0", count: 4 - fraction.utf8.count) + fraction
  }

  /// As Cedar text, `decimal("1.5")`.
  public var description: String { "decimal(\(Text.quoted(spelling ?? canonical)))" }
}
