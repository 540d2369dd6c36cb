internal import Bytes

/// Times and sizes as people write them, each a number and its unit.
public enum Units {
  private static let times: [(unit: String, factor: Int64)] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)]
  private static let sizes: [(unit: String, factor: Int64)] = [
    ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("kB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000),
  ]

  /// Milliseconds of `250ms`, `30s`, `5m`, `1h`, `7d`; nil without a unit, for nobody knows of what, and beyond 64 bits.
  public static func millis(_ text: String) -> Int64? { read(text, times) }

  /// Bytes of `512B`, `64KiB`, `1MiB`; nil without a unit, and beyond 64 bits.
  public static func bytes(_ text: String) -> Int64? { read(text, sizes) }

  /// Milliseconds as they would be written.
  public static func duration(_ millis: Int64) -> String { shown(millis, times, none: "0s") }

  /// Bytes as they would be written.
  static func size(_ bytes: Int64) -> String { shown(bytes, Array(sizes.prefix(4)), none: "0B") }

  private static func read(_ text: String, _ units: [(unit: String, factor: Int64)]) -> Int64? {
    let digits = text.utf8.prefix { ASCII.isDigit($0) }
    let unit = text.utf8.dropFirst(digits.count)
    guard let number = Int64(String(decoding: digits, as: UTF8.self)) else { return nil }
    guard let factor = units.first(where: { $0.unit.utf8.elementsEqual(unit) })?.factor else { return nil }
    let (value, overflow) = number.multipliedReportingOverflow(by: factor)
    return overflow ? nil : value
  }

  private static func shown(_ value: Int64, _ units: [(unit: String, factor: Int64)], none: String) -> String {
    guard value != 0 else { return none }
    let fitting = units.last { value % $0.factor == 0 }
    return fitting.map { "\(value / $0.factor)\($0.unit)" } ?? "\(value)"
  }
}
