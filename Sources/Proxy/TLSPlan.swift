internal import Bytes
internal import Glibc
internal import HTTP
public import Net
public import Pipeline

extension TLSContext {
  /// What clients of ours meet.
  convenience init(_ settings: TLSSettings) throws(NetError) {
    var options = ServerOptions()
    options.minimum = settings.speaksTLS12 ? .tls12 : .tls13
    options.cipherList = settings.ciphers
    options.cipherSuites = settings.suites
    options.clients =
      switch settings.clients {
      case .none: .none
      case .optional: .optional
      case .required: .required
      }
    options.clientRoots = settings.clientRoots?.bytes
    options.clientRevocations = settings.clientRevocations?.bytes
    try self.init(serverWith: settings.identities.map { Identity(chain: $0.chain.bytes, key: $0.key) }, options: options)
  }

  /// What services behind are judged by, and shown.
  convenience init(upstream settings: UpstreamTLSSettings?) throws(NetError) {
    try self.init(
      clientTrusting: settings?.roots.map { .pem($0.bytes) } ?? .system,
      identity: settings?.identity.map { Identity(chain: $0.chain.bytes, key: $0.key) },
      minimum: settings?.speaksTLS12 ?? true ? .tls12 : .tls13)
  }
}

extension Gateway {
  /// How TLS is spoken with a service behind.
  public static func tls(with settings: UpstreamTLSSettings) throws(NetError) -> TLSContext { try TLSContext(upstream: settings) }

  /// What is wrong with certificates, keys and ciphers for clients. A certificate whose time is over is refused: it would keep every
  /// client out, and must not take the place of a good one.
  @Sendable public static func problems(of settings: TLSSettings) -> [TLSProblem] {
    var problems: [TLSProblem] = []
    for (index, identity) in settings.identities.enumerated() { problems += Self.problems(of: identity, at: index, isShown: true) }
    guard problems.allSatisfy(\.isWarning), let first = settings.identities.first else { return problems }
    func attempt(_ part: TLSProblem.Part, help: String, _ change: (inout TLSSettings) -> Void) {
      var only = TLSSettings()
      only.identities = [first]
      change(&only)
      if let message = failure({ () throws(NetError) in try TLSContext(only) }) { problems.append(TLSProblem(part, message, help: help)) }
    }
    if let ciphers = settings.ciphers {
      attempt(.ciphers, help: "openssl ciphers -v 'ECDHE+AESGCM' shows what there is") { $0.ciphers = ciphers }
    }
    if let suites = settings.suites {
      attempt(.suites, help: "write names such as TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") { $0.suites = suites }
    }
    guard let roots = settings.clientRoots else { return problems }
    attempt(.clientRoots, help: "name a file with the certificates of who issues those of clients, in PEM form") {
      ($0.clients, $0.clientRoots) = (.required, roots)
    }
    guard problems.allSatisfy(\.isWarning), let lists = settings.clientRevocations else { return problems }
    attempt(.clientRevocations, help: "openssl crl -inform DER -in list.der -out list.pem makes one of another form") {
      ($0.clients, $0.clientRoots, $0.clientRevocations) = (.required, roots, lists)
    }
    return problems
  }

  /// The same for a service behind.
  @Sendable public static func problems(ofUpstream settings: UpstreamTLSSettings) -> [TLSProblem] {
    var problems: [TLSProblem] = []
    if let identity = settings.identity { problems = Self.problems(of: identity, at: 0, isShown: false) }
    if let roots = settings.roots, let message = failure({ () throws(NetError) in try TLSContext(clientTrusting: .pem(roots.bytes)) }) {
      problems.append(TLSProblem(.roots, message, help: "name a file with certificates in PEM form"))
    }
    if let name = settings.serverName, !isHost(name) {
      problems.append(TLSProblem(.serverName, "\"\(name)\" is not the name of a host", help: "write it without scheme and port"))
    }
    return problems
  }

  private static func isHost(_ name: String) -> Bool {
    do throws(NetError) {
      let url = try HTTPURL.parse("https://\(name)")
      return exactlyEquals(url.host, name) && url.target == "/"
    } catch {
      return false
    }
  }

  private static func failure(_ attempt: () throws(NetError) -> TLSContext) -> String? {
    do throws(NetError) {
      _ = try attempt()
      return nil
    } catch {
      guard case .tls(let failure) = error else { return error.description }
      // Whose certificate it is, the place says.
      return failure.message.replacing("our certificate: ", with: "")
    }
  }

  private static func problems(of identity: TLSIdentity, at index: Int, isShown: Bool) -> [TLSProblem] {
    let path = identity.chain.path
    guard let certificate = PeerCertificate(pem: identity.chain.bytes) else {
      let help = "a file in PEM form begins with -----BEGIN CERTIFICATE-----"
      return [TLSProblem(.certificate(index), "\(path) holds no certificate that can be read", help: help)]
    }
    let one = TLSContext.Identity(chain: identity.chain.bytes, key: identity.key)
    if let message = failure({ () throws(NetError) in try TLSContext(serverWith: one) }) {
      let isKeys = message.contains("private key")
      return [
        TLSProblem(
          isKeys ? .key(index) : .certificate(index), "\(isKeys ? identity.keyPath : path): \(message)",
          help: isKeys ? "name the key that \(path) was made for, in PEM form and without a passphrase" : nil)
      ]
    }
    var problems: [TLSProblem] = []
    let now = Int64(time(nil))
    if let validity = certificate.validity {
      let life = validity.last - now
      if life < 0 {
        problems.append(TLSProblem(.certificate(index), "\(path): the certificate expired \(span(-life)) ago", help: "renew it"))
      } else if validity.first > now {
        problems.append(
          TLSProblem(.certificate(index), "\(path): the certificate is not valid yet, but in \(span(validity.first - now))"))
      } else if life < soonSeconds {
        problems.append(
          TLSProblem(.certificate(index), "\(path): the certificate expires in \(span(life))", help: "renew it", isWarning: true))
      }
    }
    if isShown, certificate.names.isEmpty {
      problems.append(
        TLSProblem(
          .certificate(index), "\(path): the certificate has no alternative names, and clients look at nothing else", isWarning: true))
    }
    if let problem = problem(ofKeyFile: identity.keyPath) {
      problems.append(TLSProblem(.key(index), problem, help: "chmod 600 \(identity.keyPath)", isWarning: true))
    }
    return problems
  }

  private static let soonSeconds: Int64 = 7 * 86_400

  private static func span(_ seconds: Int64) -> String {
    func words(_ count: Int64, _ unit: String) -> String { "\(count) \(unit)\(count == 1 ? "" : "s")" }
    if seconds >= 86_400 { return words(seconds / 86_400, "day") }
    if seconds >= 3600 { return words(seconds / 3600, "hour") }
    return seconds >= 60 ? words(seconds / 60, "minute") : words(seconds, "second")
  }

  // A key that we may read only as a member of its group belongs to somebody who has given it to that group.
  private static func problem(ofKeyFile path: String) -> String? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    let isOurs = status.st_uid == geteuid()
    let others = status.st_mode & (isOurs ? 0o077 : 0o007)
    guard others != 0 else { return nil }
    return "\(path) can be read by others than us (its mode is \(String(status.st_mode & 0o777, radix: 8)))"
  }
}

extension Peer {
  /// A peer whose handshake is done.
  mutating func adoptTLS(of stream: ByteStream) {
    isSecure = true
    guard let shown = stream.peerCertificate else { return }
    var (dns, uris, emails): ([String], [String], [String]) = ([], [], [])
    var ips: [IPAddress] = []
    for name in shown.names {
      switch name {
      case .dns(let text): dns.append(text)
      case .ip(let address): ips.append(address)
      case .uri(let text): uris.append(text)
      case .email(let text): emails.append(text)
      }
    }
    certificate = ClientCertificate(
      subject: shown.subject, issuer: shown.issuer, serial: shown.serial, thumbprint: shown.thumbprint, dns: dns, ips: ips, uris: uris,
      emails: emails)
  }
}
