internal import HTTP
internal import Net
internal import Pipeline

/// Clients that speak something else: they are refused like any other bytes that are no request, and the operator is told what to
/// change, which a record of each refusal cannot.
extension Worker {
  // A stranger can do this at will: each kind is told once in so long.
  private static let notedEveryMillis: UInt64 = 60_000

  /// Says so, if what was refused is the beginning of another protocol.
  func heardOtherProtocol(_ refusal: HTTPRefusal, from peer: Peer) {
    let what: String
    switch refusal {
    case .http2Preface:
      what =
        "began with the preface of HTTP/2, and HTTP/1.1 is spoken here: set the client, or its load balancer's target group, to HTTP/1.1"
    case .tlsHandshake:
      what = "began a TLS handshake, and this port speaks plain HTTP: ask for http:// and not https://"
    default: return
    }
    tell(refusal, from: peer, what)
  }

  /// The same at a port that speaks TLS.
  func heardPlainHTTP(from peer: Peer) {
    tell(.versionUnsupported, from: peer, "spoke HTTP without TLS, and this port speaks TLS: ask for https:// and not http://")
  }

  private func tell(_ refusal: HTTPRefusal, from peer: Peer, _ what: String) {
    if let notedAt = otherProtocolNotedAt[refusal], loop.now < notedAt + Self.notedEveryMillis { return }
    otherProtocolNotedAt[refusal] = loop.now
    control.post(.failed(.otherProtocol, "a client at \(peer.address ?? "a Unix socket") \(what)"))
  }
}
