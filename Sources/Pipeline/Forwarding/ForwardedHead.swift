internal import Cedar
public import Crypto
public import HTTP
public import JOSE
public import Telemetry

/// Writes the head of an allowed request as the upstream gets it. The only way to forward a request, and it takes a permit.
public struct ForwardedHead: Sendable {
  private let upstreamAuthority: String
  private let plain: FieldBlock
  private let secure: FieldBlock

  // Where a request comes from, and its decision's name.
  private static let usualBytes = 192

  /// For one upstream.
  ///
  /// - Parameter upstreamAuthority: the `Host` for clients that sent none (HTTP/1.0); others keep theirs.
  public init(upstreamAuthority: String) {
    self.upstreamAuthority = upstreamAuthority
    func proto(_ scheme: Client.Scheme) -> FieldBlock {
      var block = FieldBlock()
      block.append("X-Forwarded-Proto", scheme.rawValue)
      return block
    }
    plain = proto(.http)
    secure = proto(.https)
  }

  /// Appends the head, with what `keys` sign about who asks, and signed for the service if the route says so. The permit is used up.
  ///
  /// - Parameter seconds: the time of a signature, since 1970.
  public func append(
    _ exchange: borrowing Exchange, with permit: consuming Permit, signing keys: AssertionKeys? = nil, at seconds: Int64,
    to out: inout [UInt8]
  ) throws(KeyError) {
    var lines = FieldBlock(capacity: Self.usualBytes)
    if let path = exchange.client.path ?? exchange.peer.address { lines.append("X-Forwarded-For", path) }
    lines.append(IdentityHeaders.decisionID, exchange.id)
    let headers = exchange.snapshot.identityHeaders
    if let keys, let settings = exchange.snapshot.assertion, let identity = permit.identity {
      let assertion = IdentityAssertion(
        subject: identity.principal.id, audience: settings.audience, groups: identity.groupNames, clientID: identity.clientID,
        method: exchange.head.methodText, path: exchange.head.rawPath, decisionID: exchange.id.description)
      lines.append(headers.assertion, try keys.sign(assertion, now: exchange.time))
    }
    let proto = exchange.client.scheme == .https ? secure : plain
    let identity = permit.identity?.headers ?? headers.nobody
    if let trace = exchange.trace { lines.append("traceparent", trace.upstream.description) }
    if let signature = permit.signature {
      var rewrite = headers.signedRewrite
      rewrite.host = upstreamAuthority
      rewrite.framing = exchange.forwardedFraming
      if let trace = exchange.trace {
        rewrite.replacesTraceParent = true
        rewrite.dropsTraceState = !trace.keepsState
      }
      if exchange.hasContinued { rewrite.keepsExpect = false }
      signature.appendFields(to: &lines, at: seconds)
      let start = out.count
      HeadWriter.appendRequest(exchange.head, rewrite, adding: proto, lines, identity, to: &out)
      return signature.sign(&out, from: start, at: seconds)
    }
    guard exchange.head.fields.has(.host), !exchange.hasContinued, exchange.trace == nil else {
      var rewrite = headers.rewrite
      if let trace = exchange.trace {
        rewrite.replacesTraceParent = true
        rewrite.dropsTraceState = !trace.keepsState
      }
      if !exchange.head.fields.has(.host) { rewrite.host = upstreamAuthority }
      if exchange.hasContinued { rewrite.keepsExpect = false }
      return HeadWriter.appendRequest(exchange.head, rewrite, adding: proto, lines, identity, to: &out)
    }
    HeadWriter.appendRequest(exchange.head, headers.rewrite, adding: proto, lines, identity, to: &out)
  }

  /// Appends those of the lines behind a body that may be said behind it too. None on a route that signs: what goes out in our name
  /// is what was signed.
  public func appendTrailers(_ lines: [UInt8], of exchange: borrowing Exchange, to out: inout [UInt8]) {
    guard exchange.route?.signing == nil else { return }
    TrailerSection.append(lines, of: exchange.head.fields, owned: exchange.snapshot.identityHeaders.rewrite.owned, to: &out)
  }
}

extension FieldBlock {
  /// Adds a line for a decision's name, without making a string of it.
  public mutating func append(_ name: String, _ id: DecisionID) {
    withUnsafeTemporaryAllocation(byteCount: DecisionID.textLength, alignment: 1) { text in
      id.write(to: text)
      append(name, UnsafeRawBufferPointer(text))
    }
  }
}
