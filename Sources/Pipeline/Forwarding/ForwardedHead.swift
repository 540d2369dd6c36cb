internal import HTTP
internal import Telemetry

/// Writes the head of an allowed request as the upstream gets it. The only way to forward a request, and it takes a permit.
public struct ForwardedHead: Sendable {
  private let rewrite: RequestRewrite
  private let rewriteWithoutHost: RequestRewrite
  private let proto: FieldBlock

  /// For one upstream.
  ///
  /// - Parameter upstreamAuthority: the `Host` for clients that sent none (HTTP/1.0); others keep theirs.
  public init(upstreamAuthority: String) {
    var rewrite = RequestRewrite(owned: OwnedFields(IdentityHeaders.names))
    // The upstream answers it, and its 100 is relayed: whether a body is wanted is the upstream's to say.
    rewrite.keepsExpect = true
    self.rewrite = rewrite
    rewrite.host = upstreamAuthority
    rewriteWithoutHost = rewrite
    var proto = FieldBlock()
    proto.append("X-Forwarded-Proto", "http")
    self.proto = proto
  }

  /// Appends the head. The permit is used up.
  public func append(_ exchange: borrowing Exchange, with permit: consuming Permit, to out: inout [UInt8]) {
    var lines = FieldBlock()
    if let address = exchange.peer.address { lines.append("X-Forwarded-For", address) }
    lines.append(IdentityHeaders.decisionID, exchange.id.description)
    let identity = permit.identity?.headers ?? IdentityHeaders.nobody
    let rewrite = exchange.head.fields.has(.host) ? rewrite : rewriteWithoutHost
    HeadWriter.appendRequest(exchange.head, rewrite, adding: proto, lines, identity, to: &out)
  }
}
