internal import Bytes

/// An IPv4 or IPv6 address, RFC 791 and RFC 4291, without zone.
public struct IPAddress: Hashable, Sendable, CustomStringConvertible {
  /// The address as eight groups in network order; an IPv4 address in the last two.
  private var high: UInt64
  private var low: UInt64
  /// Whether the address is an IPv4 one.
  public let isV4: Bool

  /// An IPv4 address of its four octets as a number.
  public init(v4 number: UInt32) {
    high = 0
    low = UInt64(number)
    isV4 = true
  }

  /// An IPv6 address of its sixteen octets as two numbers.
  public init(v6 high: UInt64, _ low: UInt64) {
    self.high = high
    self.low = low
    isV4 = false
  }

  /// The octets in network order: 4 or 16.
  public var octets: [UInt8] {
    let words = [high, low]
    return (isV4 ? 12..<16 : 0..<16).map { index in
      UInt8(truncatingIfNeeded: words[index / 8] >> UInt64(56 - 8 * (index % 8)))
    }
  }

  /// The IPv4 address that an IPv4-mapped IPv6 address (`::ffff:0:0/96`) stands for; itself otherwise.
  public var unmapped: IPAddress { !isV4 && high == 0 && low >> 32 == 0xffff ? IPAddress(v4: UInt32(truncatingIfNeeded: low)) : self }

  /// Reads an address in dotted-decimal or RFC 4291 §2.2 form; nil for anything else, octal-looking octets and zones included.
  public init?(_ text: String) {
    var copy = text
    guard let address = copy.withUTF8({ IPAddress(UnsafeRawBufferPointer($0)) }) else { return nil }
    self = address
  }

  /// As `init(_: String)`, of bytes.
  public init?(_ text: UnsafeRawBufferPointer) {
    guard let address = text.contains(UInt8(ascii: ":")) ? IPAddress(v6: text) : IPAddress(v4: text) else { return nil }
    self = address
  }

  /// Reads dotted-decimal.
  init?(v4 text: UnsafeRawBufferPointer) {
    guard let number = Self.dotted(text) else { return nil }
    self.init(v4: number)
  }

  private static func dotted(_ text: UnsafeRawBufferPointer) -> UInt32? {
    guard text.count >= 7, text.count <= 15 else { return nil }
    var number: UInt32 = 0
    var octets = 0
    var index = 0
    while index < text.count {
      var value: UInt32 = 0
      let start = index
      while index < text.count, ASCII.isDigit(text[index]), index - start < 3 {
        value = value * 10 + UInt32(text[index] &- 0x30)
        index += 1
      }
      guard index > start, value <= 255, index - start == 1 || text[start] != 0x30 else { return nil }
      number = number << 8 | value
      octets += 1
      if index == text.count { return octets == 4 ? number : nil }
      guard octets < 4, text[index] == UInt8(ascii: ".") else { return nil }
      index += 1
    }
    return nil
  }

  /// Reads RFC 4291 §2.2 form, the last 32 bits dotted if they are.
  init?(v6 text: UnsafeRawBufferPointer) {
    guard text.count >= 2, text.count <= 45 else { return nil }
    var groups: [UInt16] = []
    var gap: Int?
    var index = 0
    if text[0] == UInt8(ascii: ":") {
      guard text[1] == UInt8(ascii: ":") else { return nil }
      gap = 0
      index = 2
    }
    while index < text.count {
      guard groups.count < 8 else { return nil }
      let start = index
      var value: UInt32 = 0
      while index < text.count, index - start < 4, let digit = ASCII.hexValue(text[index]) {
        value = value << 4 | UInt32(digit)
        index += 1
      }
      if index < text.count, text[index] == UInt8(ascii: ".") {
        guard groups.count <= 6, let number = Self.dotted(text.part(start..<text.count)) else { return nil }
        groups.append(UInt16(truncatingIfNeeded: number >> 16))
        groups.append(UInt16(truncatingIfNeeded: number))
        index = text.count
        break
      }
      guard index > start else { return nil }
      groups.append(UInt16(truncatingIfNeeded: value))
      if index == text.count { break }
      guard text[index] == UInt8(ascii: ":") else { return nil }
      index += 1
      guard index < text.count else { return nil }
      if text[index] == UInt8(ascii: ":") {
        guard gap == nil else { return nil }
        gap = groups.count
        index += 1
      }
    }
    if let gap {
      guard groups.count < 8 else { return nil }
      groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap)
    }
    guard groups.count == 8 else { return nil }
    self.init(
      v6: groups[0..<4].reduce(0) { $0 << 16 | UInt64($1) }, groups[4..<8].reduce(0) { $0 << 16 | UInt64($1) })
  }

  /// Dotted-decimal, or the canonical text of RFC 5952.
  public var description: String {
    if isV4 { return octets.map { String($0) }.joined(separator: ".") }
    let groups = (0..<8).map { UInt16(truncatingIfNeeded: ($0 < 4 ? high : low) >> UInt64(48 - 16 * ($0 & 3))) }
    if high == 0, low >> 32 == 0xffff { return "::ffff:" + unmapped.description }
    // The longest run of at least two zero groups, the first of equals, becomes `::`.
    var best = 0..<0
    var start = 0
    for index in 0...8 where index == 8 || groups[index] != 0 {
      if index - start > best.count, index - start > 1 { best = start..<index }
      start = index + 1
    }
    func text(_ part: ArraySlice<UInt16>) -> String { part.map { String($0, radix: 16) }.joined(separator: ":") }
    return best.isEmpty ? text(groups[...]) : text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
  }
}
