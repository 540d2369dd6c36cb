/// Who the client is when the connection's peer is a proxy of ours: the one place where forwarding fields are believed.
public enum ForwardedClient {
  /// Which field the trusted proxies write.
  public enum Source: Sendable {
    /// `X-Forwarded-For`.
    case xForwardedFor
    /// `Forwarded`, RFC 7239.
    case forwarded
  }

  /// The client's address, by the connection's peer and what the trusted proxies say.
  ///
  /// From the peer backwards: as long as an address is a trusted proxy's, the one before it counts. What stands before
  /// the first untrusted address was said by somebody untrusted.
  ///
  /// - Parameters:
  ///   - peer: the connection's peer.
  ///   - fields: of the request.
  ///   - source: the field to read; the other one is ignored.
  ///   - trusted: the proxies; empty trusts nobody.
  /// - Returns: the address; nil if a trusted proxy sent a field that is malformed, or an address that is hidden.
  public static func address(peer: IPAddress, fields: borrowing FieldSection, source: Source, trusted: [IPNetwork]) -> IPAddress? {
    func isTrusted(_ address: IPAddress) -> Bool { trusted.contains { $0.contains(address) } }
    guard isTrusted(peer) else { return peer }
    let chain: [IPAddress?]
    switch source {
    case .xForwardedFor:
      guard let addresses = XForwardedFor.addresses(fields.lineBytes(of: .xForwardedFor)) else { return nil }
      chain = addresses
    case .forwarded:
      guard let forwarded = Forwarded(lines: fields.lineBytes(of: .forwarded)) else { return nil }
      chain = forwarded.elements.map(\.forAddress)
    }
    var client = peer
    for address in chain.reversed() {
      guard let address else { return nil }
      client = address
      if !isTrusted(address) { break }
    }
    return client
  }
}

extension FieldSection {
  /// The value bytes of all lines of a known field, in the order received, also of fields that are not forwarded.
  func lineBytes(of field: KnownField) -> [[UInt8]] {
    guard has(field) else { return [] }
    return lines.filter { $0.known == field }.map { withBytes($0.value) { Array($0) } }
  }
}
