public import HTTP

/// Which addresses a client may connect to, asked after names are resolved.
public enum AddressRule: Sendable {
  /// Any address.
  case any
  /// None that are link-local, unspecified, or where clouds keep their metadata services: what a URL from configuration or
  /// from a document must never lead to.
  case noLinkLocal

  /// Nil if the address is allowed, else what kind of address it is: `link-local`, `metadata` or `unspecified`.
  public func refusal(of address: IPAddress) -> String? {
    switch self {
    case .any: return nil
    case .noLinkLocal: return Self.forbiddenKind(address)
    }
  }

  private static func forbiddenKind(_ address: IPAddress) -> String? {
    let octets = address.octets
    if octets.count == 4 { return forbiddenKind(v4: octets[...]) }
    guard octets.count == 16 else { return "unspecified" }
    if octets[0] == 0xfe, octets[1] & 0xc0 == 0x80 { return "link-local" }
    if octets.starts(with: [0xfd, 0x00, 0x0e, 0xc2]) { return "metadata" }
    if octets.allSatisfy({ $0 == 0 }) { return "unspecified" }
    if address.isLoopback { return nil }
    // IPv4 in IPv6 clothes: compatible ::/96, mapped ::ffff:0:0/96, translated ::ffff:0:0:0/96 and 64:ff9b::/96, 6to4.
    let zeros = [UInt8](repeating: 0, count: 8)
    let prefixes: [[UInt8]] = [
      zeros + [0, 0, 0, 0], zeros + [0, 0, 0xff, 0xff], zeros + [0xff, 0xff, 0, 0], [0x00, 0x64, 0xff, 0x9b] + zeros,
    ]
    if prefixes.contains(where: { octets.starts(with: $0) }) { return forbiddenKind(v4: octets[12...]) }
    if octets.starts(with: [0x20, 0x02]) { return forbiddenKind(v4: octets[2..<6]) }
    return nil
  }

  private static func forbiddenKind(v4 octets: ArraySlice<UInt8>) -> String? {
    // "This network", 0.0.0.0/8, is delivered to this machine.
    if octets.first == 0 { return "unspecified" }
    if octets.starts(with: [169, 254]) { return "link-local" }
    let metadata: [[UInt8]] = [[100, 100, 100, 200], [168, 63, 129, 16], [192, 0, 0, 192]]
    return metadata.contains(where: { octets.elementsEqual($0) }) ? "metadata" : nil
  }
}

extension IPAddress {
  /// `127.0.0.1`.
  public static let loopbackV4 = IPAddress(v4: 0x7f00_0001)
  /// `::1`.
  public static let loopbackV6 = IPAddress(v6: 0, 1)

  /// 127.0.0.0/8 or ::1, mapped or not.
  public var isLoopback: Bool {
    let plain = unmapped
    return plain.isV4 ? plain.octets.first == 127 : plain == .loopbackV6
  }

  /// 0.0.0.0 or ::.
  public var isUnspecified: Bool { octets.allSatisfy { $0 == 0 } }
}
