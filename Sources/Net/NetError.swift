internal import CSystem

/// What went wrong on the network, as it was seen. The description is a sentence for an operator; it names addresses and
/// hosts, never contents.
public indirect enum NetError: Error, Hashable, Sendable, CustomStringConvertible {
  /// A system call that should have worked did not.
  case system(call: String, errno: Int32)
  /// Text that should be an address is none.
  case invalidAddress(String, reason: String)
  /// Text that should be an http or https URL is none.
  case invalidURL(String, reason: String)
  /// A request that cannot be written: a field or method with forbidden bytes.
  case invalidRequest(String)
  /// Nothing can be bound to an address.
  case listenFailed(SocketAddress, errno: Int32)
  /// No connection to an address.
  case connectFailed(SocketAddress, errno: Int32)
  /// No address of a host could be connected to; the last error.
  case unreachable(host: String, last: NetError)
  /// A name that does not resolve.
  case unresolved(host: String, reason: String)
  /// A name resolves only to addresses that must not be connected to.
  case addressRefused(host: String, address: String, kind: String)
  /// Something took longer than it may: `what` is "connecting", "the TLS handshake", "the response".
  case timedOut(what: String, millis: UInt64)
  /// An established connection broke.
  case connectionLost(errno: Int32)
  /// The peer closed before a message was complete.
  case closedEarly(String)
  /// TLS failed.
  case tls(TLSFailure)
  /// The peer's HTTP is not acceptable.
  case malformedResponse(String)
  /// A response is larger than it may be.
  case responseTooLarge(limitBytes: Int)
  /// A proxy does not lead where it is asked to.
  case proxyRefused(proxy: String, status: Int)
  /// The stream or call was closed by our side.
  case closed

  /// Whether this process has no descriptor or no memory for a socket, whoever is called.
  public var isExhaustion: Bool {
    switch self {
    case .system(_, let errno), .connectFailed(_, let errno):
      [csystem_emfile, csystem_enfile, csystem_enobufs, csystem_enomem].contains(errno)
    case .unreachable(_, let last): last.isExhaustion
    default: false
    }
  }

  /// The sentence.
  public var description: String {
    switch self {
    case .system(let call, let errno): return "\(call): \(systemErrorText(errno))"
    case .invalidAddress(let text, let reason): return "`\(text)` is not an address: \(reason)"
    case .invalidURL(let text, let reason): return "`\(text)` is not a usable URL: \(reason)"
    case .invalidRequest(let reason): return "the request cannot be written: \(reason)"
    case .listenFailed(let address, let errno): return "cannot listen on \(address): \(systemErrorText(errno))"
    case .connectFailed(let address, let errno): return "cannot connect to \(address): \(systemErrorText(errno))"
    case .unreachable(let host, let last): return "cannot reach \(host): \(last)"
    case .unresolved(let host, let reason): return "cannot resolve \(host): \(reason)"
    case .addressRefused(let host, let address, let kind): return "\(host) is \(address), a \(kind) address, which is not allowed here"
    case .timedOut(let what, let millis): return "\(what) took longer than \(millis) ms"
    case .connectionLost(let errno): return "the connection broke: \(systemErrorText(errno))"
    case .closedEarly(let what): return "the connection was closed \(what)"
    case .tls(let failure): return failure.description
    case .malformedResponse(let reason): return "the response is not acceptable: \(reason)"
    case .responseTooLarge(let limit): return "the response is larger than \(limit) bytes"
    case .proxyRefused(let proxy, let status): return "the proxy \(proxy) refuses to connect, with status \(status)"
    case .closed: return "closed"
    }
  }
}

/// Why TLS failed, from libssl's error queue and the certificate that was shown.
public struct TLSFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// Which kind of failure.
  public enum Kind: Hashable, Sendable {
    /// The certificate's time is over.
    case certificateExpired
    /// The certificate's time has not come.
    case certificateNotYetValid
    /// The certificate is for other names.
    case wrongName
    /// No chain to a trusted root.
    case untrusted
    /// Some other fault of a certificate.
    case badCertificate
    /// The handshake failed for another reason.
    case handshake
    /// An established session broke.
    case session
    /// A certificate or key file of ours cannot be used.
    case configuration
    /// The client speaks HTTP without TLS.
    case plainHTTP
    /// The client left without having said anything.
    case nothing
  }

  /// Which kind of failure.
  public let kind: Kind
  /// A sentence: "certificate expired 3 days ago".
  public let message: String

  /// A failure.
  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  /// The sentence.
  public var description: String { "TLS: \(message)" }
}

func systemErrorText(_ errno: Int32) -> String {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
    guard let start = buffer.baseAddress else { return "error \(errno)" }
    csystem_error_text(errno, start, buffer.count)
    return String(cString: start)
  }
}
