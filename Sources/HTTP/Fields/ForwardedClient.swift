/// Who the client is when the connection's peer is a proxy of ours: the one place where forwarding fields are believed.
public enum ForwardedClient {
  /// Which field the trusted proxies write.
  public enum Source: String, Sendable, CaseIterable {
    /// `X-Forwarded-For`.
    case xForwardedFor = "x-forwarded-for"
    /// `Forwarded`, RFC 7239.
    case forwarded
  }

  /// The way from the client to the trusted proxy that the request came from: the client first, without that proxy.
  ///
  /// From the peer backwards: as long as an address is a trusted proxy's, the one before it counts. What stands before
  /// the first untrusted address was said by somebody untrusted.
  ///
  /// - Parameters:
  ///   - fields: of the request, whose peer is trusted.
  ///   - source: the field to read; the other one is ignored.
  ///   - trusted: the proxies.
  /// - Returns: the addresses; empty if the proxy speaks for itself; nil if the field is malformed, or an address is hidden.
  public static func chain(fields: borrowing FieldSection, source: Source, trusted: [IPNetwork]) -> [IPAddress]? {
    let said: [IPAddress?]
    switch source {
    case .xForwardedFor:
      guard let addresses = XForwardedFor.addresses(fields.lineBytes(of: .xForwardedFor)) else { return nil }
      said = addresses
    case .forwarded:
      guard let forwarded = Forwarded(lines: fields.lineBytes(of: .forwarded)) else { return nil }
      said = forwarded.elements.map(\.forAddress)
    }
    var chain: [IPAddress] = []
    for address in said.reversed() {
      guard let address else { return nil }
      chain.append(address)
      if !trusted.contains(where: { $0.contains(address) }) { break }
    }
    return chain.reversed()
  }
}

extension FieldSection {
  /// The value bytes of all lines of a known field, in the order received, also of fields that are not forwarded.
  func lineBytes(of field: KnownField) -> [[UInt8]] {
    guard has(field) else { return [] }
    return lines.filter { $0.known == field }.map { withBytes($0.value) { Array($0) } }
  }
}
