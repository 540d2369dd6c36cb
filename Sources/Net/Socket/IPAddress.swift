internal import CSystem

/// An IPv4 or IPv6 address. IPv4 addresses in IPv6 clothes (`::ffff:a.b.c.d`) are IPv4 here.
public struct IPAddress: Hashable, Sendable, CustomStringConvertible {
  /// Whether it is an IPv4 address, whose 32 bits are the low ones of `low`.
  public let isIPv4: Bool
  /// The upper 64 bits of an IPv6 address; 0 for IPv4.
  public let high: UInt64
  /// The lower 64 bits.
  public let low: UInt64

  /// An IPv4 address.
  public init(v4 bits: UInt32) {
    isIPv4 = true
    high = 0
    low = UInt64(bits)
  }

  /// An IPv6 address; an IPv4-mapped one becomes IPv4.
  public init(v6High: UInt64, low: UInt64) {
    let isMapped = v6High == 0 && low >> 32 == 0xffff
    isIPv4 = isMapped
    high = v6High
    self.low = isMapped ? low & 0xffff_ffff : low
  }

  /// Reads an address literal strictly: dotted decimal of four parts without leading zeros, or RFC 4291 §2.2 text without
  /// brackets and zone. Nil for anything else.
  public init?(_ text: String) {
    // 45 is the longest form; a NUL inside would end the C string early.
    guard text.utf8.count <= 45, !text.utf8.contains(0) else { return nil }
    var address = csystem_address()
    if csystem_parse_ip(4, text, &address) == 1 {
      self.init(v4: UInt32(truncatingIfNeeded: address.low))
    } else if csystem_parse_ip(6, text, &address) == 1 {
      self.init(v6High: address.high, low: address.low)
    } else {
      return nil
    }
  }

  /// `127.0.0.1`.
  public static let loopbackV4 = IPAddress(v4: 0x7f00_0001)
  /// `::1`.
  public static let loopbackV6 = IPAddress(v6High: 0, low: 1)

  /// 127.0.0.0/8 or ::1.
  public var isLoopback: Bool { isIPv4 ? low >> 24 == 127 : high == 0 && low == 1 }
  /// 0.0.0.0 or ::.
  public var isUnspecified: Bool { high == 0 && low == 0 }

  /// Text in the canonical form (RFC 5952).
  public var description: String {
    var address = csystem_address()
    address.family = isIPv4 ? 4 : 6
    address.high = high
    address.low = low
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
      guard let start = buffer.baseAddress else { return "" }
      csystem_format_ip(&address, start, buffer.count)
      return String(cString: start)
    }
  }
}

/// Which addresses a client may connect to, asked after names are resolved.
public enum AddressRule: Sendable {
  /// Any address.
  case any
  /// None that are link-local, or where clouds keep their metadata services: what a URL from configuration or from a
  /// document must never lead to.
  case noLinkLocal

  /// Nil if the address is allowed, else what kind of address it is.
  public func refusal(of address: IPAddress) -> String? {
    switch self {
    case .any: return nil
    case .noLinkLocal: return Self.forbiddenKind(address)
    }
  }

  private static func forbiddenKind(_ address: IPAddress) -> String? {
    if address.isUnspecified { return "unspecified" }
    if address.isIPv4 {
      let bits = UInt32(truncatingIfNeeded: address.low)
      if bits >> 16 == 0xa9fe { return "link-local" }
      // Not link-local, but metadata all the same: 100.100.100.200, 168.63.129.16, 192.0.0.192.
      if bits == 0x6464_64c8 || bits == 0xa83f_8110 || bits == 0xc000_00c0 { return "metadata" }
      // The rest of "this network", 0.0.0.0/8, is delivered locally.
      return bits >> 24 == 0 ? "unspecified" : nil
    }
    if address.high >> 54 == 0xfe80 >> 6 { return "link-local" }
    // fd00:ec2::/32.
    if address.high >> 32 == 0xfd00_0ec2 { return "metadata" }
    // IPv4 inside IPv6: compatible ::/96, translated ::ffff:0:0/96 and 64:ff9b::/96, 6to4 2002::/16.
    if address.high == 0, !address.isLoopback, address.low >> 32 == 0 {
      return forbiddenKind(IPAddress(v4: UInt32(truncatingIfNeeded: address.low)))
    }
    if address.high == 0, address.low >> 32 == 0xffff_0000 {
      return forbiddenKind(IPAddress(v4: UInt32(truncatingIfNeeded: address.low)))
    }
    if address.high == 0x0064_ff9b_0000_0000 { return forbiddenKind(IPAddress(v4: UInt32(truncatingIfNeeded: address.low))) }
    if address.high >> 48 == 0x2002 { return forbiddenKind(IPAddress(v4: UInt32(truncatingIfNeeded: address.high >> 16))) }
    return nil
  }
}
