/// A range of addresses with a common beginning, RFC 4632 and RFC 4291 §2.3: `10.0.0.0/8`, `fd00::/8`, or one address.
public struct IPNetwork: Hashable, Sendable, CustomStringConvertible {
  /// The first address.
  public let address: IPAddress
  /// How many bits addresses have in common with the first.
  public let prefixLength: Int

  /// Reads a network; nil for anything else, a prefix beyond the address's length, or bits set behind the prefix.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let address = IPAddress(String(first)) else { return nil }
    let longest = address.isV4 ? 32 : 128
    var length = longest
    if parts.count == 2 {
      let digits = parts[1].utf8
      guard !digits.isEmpty, digits.count <= 3, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
      length = digits.reduce(0) { $0 * 10 + Int($1 &- 0x30) }
      guard length <= longest, digits.count == 1 || digits.first != 0x30 else { return nil }
    }
    guard Self.prefix(of: address, length) == address.octets else { return nil }
    self.address = address
    prefixLength = length
  }

  /// Whether an address lies in the range; an IPv4-mapped IPv6 address counts as the IPv4 one.
  public func contains(_ other: IPAddress) -> Bool {
    let other = other.unmapped
    let own = address.unmapped
    guard other.isV4 == own.isV4 else { return false }
    let length = own.isV4 && !address.isV4 ? prefixLength - 96 : prefixLength
    return length >= 0 && Self.prefix(of: other, length) == Self.prefix(of: own, length)
  }

  /// The octets of an address with the bits behind a prefix set to zero.
  private static func prefix(of address: IPAddress, _ length: Int) -> [UInt8] {
    address.octets.enumerated().map { index, octet in
      let kept = min(max(length - index * 8, 0), 8)
      return octet & UInt8(truncatingIfNeeded: 0xff00 >> kept)
    }
  }

  /// `address/length`.
  public var description: String { "\(address)/\(prefixLength)" }
}
