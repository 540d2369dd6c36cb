public import Bytes
internal import COpenSSL

/// What TLS sessions of one purpose share: trusted roots, our certificate, versions. TLS 1.2 or later, ALPN http/1.1, no
/// renegotiation, no early data.
public final class TLSContext: Sendable {
  /// Whose certificates a client believes.
  public enum Trust: Sendable {
    /// The system's roots.
    case system
    /// These only: PEM, one or more certificates.
    case pem([UInt8])
    /// The system's roots and these.
    case systemAnd(pem: [UInt8])
  }

  /// Our own certificate.
  public struct Identity: Sendable {
    /// PEM: the certificate, then the rest of its chain.
    public let chain: [UInt8]
    /// PEM: the private key, without a passphrase.
    public let key: Secret<[UInt8]>

    /// An identity from PEM texts.
    public init(chain: [UInt8], key: Secret<[UInt8]>) {
      self.chain = chain
      self.key = key
    }
  }

  /// The lowest version that is spoken.
  public enum Version: Int32, Sendable {
    /// TLS 1.2.
    case tls12 = 12
    /// TLS 1.3.
    case tls13 = 13
  }

  /// What a server asks of its clients.
  public enum ClientCertificates: Int32, Sendable {
    /// Nothing.
    case none = 0
    /// A certificate, if they have one.
    case optional = 1
    /// A certificate.
    case required = 2
  }

  /// How a server speaks, and what it asks for.
  public struct ServerOptions: Sendable {
    /// The lowest version.
    public var minimum = Version.tls12
    /// Whether clients show certificates.
    public var clients = ClientCertificates.none
    /// The roots of client certificates, PEM.
    public var clientRoots: [UInt8]?
    /// Revocation lists, PEM; if given, a client certificate whose issuer has no current list is refused, too.
    public var clientRevocations: [UInt8]?
    /// Ciphers of TLS 1.2 in OpenSSL's notation; nil: ECDHE with AES-GCM or ChaCha20.
    public var cipherList: String?
    /// Suites of TLS 1.3 in OpenSSL's notation; nil: OpenSSL's own.
    public var cipherSuites: String?

    /// The defaults.
    public init() {}
  }

  // Configured in init and never after; libssl counts references and locks inside, so threads may share it.
  nonisolated(unsafe) let pointer: OpaquePointer
  let isServer: Bool

  /// A client's context.
  public init(clientTrusting trust: Trust = .system, identity: Identity? = nil, minimum: Version = .tls12) throws(NetError) {
    pointer = try Self.make(isServer: false)
    isServer = false
    _ = copenssl_tls_minimum_version(pointer, minimum.rawValue)
    switch trust {
    case .system: try trustSystem()
    case .pem(let pem): try trustPEM(pem)
    case .systemAnd(let pem):
      try trustSystem()
      try trustPEM(pem)
    }
    if let identity { try use(identity) }
  }

  /// A server's context with one certificate. `clientRoots` (PEM) are needed where client certificates are asked for.
  public convenience init(
    serverWith identity: Identity, clients: ClientCertificates = .none, clientRoots: [UInt8]? = nil, minimum: Version = .tls12
  ) throws(NetError) {
    var options = ServerOptions()
    options.clients = clients
    options.clientRoots = clientRoots
    options.minimum = minimum
    try self.init(serverWith: [identity], options: options)
  }

  /// A server's context. The first certificate is shown to clients that ask for no name, or for one that none is good for.
  /// Session tickets are sealed with keys of this context, renewed every two hours; where client certificates are asked for
  /// there are none, so that each handshake verifies.
  public init(serverWith identities: [Identity], options: ServerOptions) throws(NetError) {
    pointer = try Self.make(isServer: true)
    isServer = true
    _ = copenssl_tls_minimum_version(pointer, options.minimum.rawValue)
    guard !identities.isEmpty else { throw .tls(TLSFailure(.configuration, "a server needs a certificate")) }
    for identity in identities { try use(identity) }
    if options.cipherList != nil || options.cipherSuites != nil {
      try configure("ciphers") { copenssl_tls_ciphers(pointer, options.cipherList, options.cipherSuites, $0, $1) }
    }
    if options.clients != .none {
      guard let roots = options.clientRoots else {
        throw .tls(TLSFailure(.configuration, "client certificates are asked for, but no roots are given"))
      }
      try trustPEM(roots)
      if let lists = options.clientRevocations {
        try configure("revocation lists") { text, capacity in
          lists.withUnsafeBytes { copenssl_tls_revoke_pem(pointer, $0.baseAddress, $0.count, text, capacity) }
        }
      }
    }
    copenssl_tls_verify_clients(pointer, options.clients.rawValue)
  }

  deinit { copenssl_tls_context_free(pointer) }

  private static func make(isServer: Bool) throws(NetError) -> OpaquePointer {
    guard let pointer = copenssl_tls_context_new(isServer ? 1 : 0) else {
      throw .tls(TLSFailure(.configuration, "libssl cannot make a context"))
    }
    return pointer
  }

  private func trustSystem() throws(NetError) {
    try configure("the system's roots") { copenssl_tls_trust_system(pointer, $0, $1) }
  }

  private func trustPEM(_ pem: [UInt8]) throws(NetError) {
    try configure("trusted certificates") { text, capacity in
      pem.withUnsafeBytes { copenssl_tls_trust_pem(pointer, $0.baseAddress, $0.count, text, capacity) }
    }
  }

  private func use(_ identity: Identity) throws(NetError) {
    try configure("our certificate") { text, capacity in
      identity.chain.withUnsafeBytes { chain in
        identity.key.exposed.withUnsafeBytes { key in
          copenssl_tls_use_certificate(pointer, chain.baseAddress, chain.count, key.baseAddress, key.count, text, capacity)
        }
      }
    }
  }

  private func configure(_ what: String, _ call: (UnsafeMutablePointer<CChar>, Int) -> Int32) throws(NetError) {
    var reason = ""
    let done = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer -> Bool in
      guard let start = buffer.baseAddress else { return false }
      start.initialize(repeating: 0, count: buffer.count)
      if call(start, buffer.count) == 1 { return true }
      reason = String(cString: start)
      return false
    }
    guard done else { throw .tls(TLSFailure(.configuration, "\(what): \(reason)")) }
  }
}
