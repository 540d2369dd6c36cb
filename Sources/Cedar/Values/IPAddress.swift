internal import Bytes

/// An IP address or range (Cedar reference, "ipaddr"). Address and prefix length are compared, host bits are kept.
public struct IPAddress: Hashable, Sendable, CustomStringConvertible {
  /// Whether this is an IPv6 address.
  public let isIPv6: Bool
  /// The high 64 bits of an IPv6 address; 0 for IPv4.
  public let high: UInt64
  /// The low 64 bits of an IPv6 address; an IPv4 address in the low 32.
  public let low: UInt64
  /// The prefix length in bits, at most 32 or 128.
  public let prefix: UInt8
  /// The text it was constructed from, kept for printing; not part of equality.
  public let spelling: String?

  /// An IPv4 address or range; `prefix` above 32 counts as 32.
  public init(v4 address: UInt32, prefix: UInt8 = 32) {
    isIPv6 = false
    high = 0
    low = UInt64(address)
    self.prefix = min(prefix, 32)
    spelling = nil
  }

  /// An IPv6 address or range; `prefix` above 128 counts as 128.
  public init(v6 high: UInt64, _ low: UInt64, prefix: UInt8 = 128) {
    isIPv6 = true
    self.high = high
    self.low = low
    self.prefix = min(prefix, 128)
    spelling = nil
  }

  /// Reads `addr` or `addr/prefix`: four decimal octets without leading zeros, or RFC 4291 text without zone or
  /// embedded IPv4.
  public init(_ text: String) throws(ExtensionError) {
    let bytes = Array(text.utf8)
    let failure = ExtensionError(.ip, "invalid IP address: \(Text.escaped(text))")
    guard bytes.count <= 43 else { throw failure }
    let slash = bytes.firstIndex(of: UInt8(ascii: "/"))
    let address = bytes[..<(slash ?? bytes.count)]
    let width = slash.map { bytes[($0 + 1)...] }
    if let v4 = Self.v4(address) {
      isIPv6 = false
      high = 0
      low = UInt64(v4)
      guard let prefix = Self.prefix(width, bits: 32, digits: 2) else { throw failure }
      self.prefix = prefix
    } else if let (first, second) = Self.v6(address) {
      isIPv6 = true
      high = first
      low = second
      guard let prefix = Self.prefix(width, bits: 128, digits: 3) else { throw failure }
      self.prefix = prefix
    } else {
      throw failure
    }
    spelling = text
  }

  private static func prefix(_ text: ArraySlice<UInt8>?, bits: Int, digits: Int) -> UInt8? {
    guard let text else { return UInt8(bits) }
    guard !text.isEmpty, text.count <= digits, text.allSatisfy(ASCII.isDigit) else { return nil }
    if text.count > 1, text.first == 0x30 { return nil }
    let value = text.reduce(0) { $0 * 10 + Int($1 - 0x30) }
    return value <= bits ? UInt8(value) : nil
  }

  private static func v4(_ text: ArraySlice<UInt8>) -> UInt32? {
    var address: UInt32 = 0
    let octets = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard octets.count == 4 else { return nil }
    for octet in octets {
      guard (1...3).contains(octet.count), octet.allSatisfy(ASCII.isDigit), octet.count == 1 || octet.first != 0x30 else { return nil }
      let value = octet.reduce(UInt32(0)) { $0 * 10 + UInt32($1 - 0x30) }
      guard value <= 255 else { return nil }
      address = address << 8 | value
    }
    return address
  }

  private static func v6(_ text: ArraySlice<UInt8>) -> (UInt64, UInt64)? {
    var groups: [UInt16] = []
    var gap: Int?
    var index = text.startIndex
    let end = text.endIndex
    if text.starts(with: "::".utf8) {
      gap = 0
      index += 2
    }
    while index < end {
      var value: UInt32 = 0
      let start = index
      while index < end, index - start < 5, let digit = ASCII.hexValue(text[index]) {
        value = value << 4 | UInt32(digit)
        index += 1
      }
      guard (1...4).contains(index - start), groups.count < 8 else { return nil }
      groups.append(UInt16(truncatingIfNeeded: value))
      guard index < end else { break }
      guard text[index] == UInt8(ascii: ":") else { return nil }
      index += 1
      guard index < end else { return nil }
      if text[index] == UInt8(ascii: ":") {
        guard gap == nil else { return nil }
        gap = groups.count
        index += 1
      }
    }
    if let gap {
      guard groups.count < 8 else { return nil }
      groups.insert(contentsOf: [UInt16](repeating: 0, count: 8 - groups.count), at: gap)
    }
    guard groups.count == 8 else { return nil }
    let high = groups[..<4].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
    let low = groups[4...].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
    return (high, low)
  }

  /// Equality of family, address and prefix.
  public static func == (a: IPAddress, b: IPAddress) -> Bool {
    a.isIPv6 == b.isIPv6 && a.high == b.high && a.low == b.low && a.prefix == b.prefix
  }

  /// Hashes what equality compares.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(isIPv6)
    hasher.combine(high)
    hasher.combine(low)
    hasher.combine(prefix)
  }

  func compared(to other: IPAddress) -> Int {
    if isIPv6 != other.isIPv6 { return isIPv6 ? 1 : -1 }
    if high != other.high { return high < other.high ? -1 : 1 }
    if low != other.low { return low < other.low ? -1 : 1 }
    return Int(prefix) - Int(other.prefix)
  }

  /// As Cedar text, `ip("10.0.0.0/8")`.
  public var description: String { "ip(\(Text.quoted(spelling ?? canonical)))" }

  /// The address with its prefix unless that is the whole address.
  public var canonical: String {
    let address: String
    if isIPv6 {
      var groups: [String] = []
      for half in [high, low] {
        for shift: UInt64 in [48, 32, 16, 0] { groups.append(String(half >> shift & 0xffff, radix: 16)) }
      }
      address = groups.joined(separator: ":")
    } else {
      var octets: [String] = []
      for shift: UInt64 in [24, 16, 8, 0] { octets.append(String(low >> shift & 0xff)) }
      address = octets.joined(separator: ".")
    }
    return prefix == (isIPv6 ? 128 : 32) ? address : "\(address)/\(prefix)"
  }
}

extension IPAddress {
  /// `isLoopback()`: 127.0.0.0/8 with a prefix of at least 8; ::1 with all of its 128 bits.
  public var isLoopback: Bool {
    isIPv6 ? high == 0 && low == 1 && prefix == 128 : low >> 24 == 127 && prefix >= 8
  }

  /// `isMulticast()`: 224.0.0.0/4 with a prefix of at least 4; ff00::/8 with a prefix of at least 8.
  public var isMulticast: Bool {
    isIPv6 ? high >> 56 == 0xff && prefix >= 8 : low >> 28 == 0xe && prefix >= 4
  }

  /// `isInRange()`: every address of this range lies in the other; false across families.
  public func isInRange(_ range: IPAddress) -> Bool {
    guard isIPv6 == range.isIPv6, prefix >= range.prefix else { return false }
    if !isIPv6 {
      let mask = range.prefix == 0 ? 0 : UInt64(0xffff_ffff) << UInt64(32 - range.prefix) & 0xffff_ffff
      return low & mask == range.low & mask
    }
    let highMask = range.prefix == 0 ? 0 : UInt64.max << UInt64(64 - min(range.prefix, 64))
    let lowMask = range.prefix <= 64 ? 0 : UInt64.max << UInt64(128 - range.prefix)
    return high & highMask == range.high & highMask && low & lowMask == range.low & lowMask
  }
}
