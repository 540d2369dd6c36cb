public import Bytes

/// A text in PEM form that the configuration names.
public struct PEMFile: Sendable, Equatable {
  /// Where it is.
  public let path: String
  /// What it holds.
  public let bytes: [UInt8]

  /// A file.
  public init(path: String, bytes: [UInt8]) {
    self.path = path
    self.bytes = bytes
  }
}

/// A certificate of ours with its key.
public struct TLSIdentity: Sendable, Equatable {
  /// The certificate, and the rest of its chain.
  public let chain: PEMFile
  /// Where the key is.
  public let keyPath: String
  /// The key.
  public let key: Secret<[UInt8]>

  /// An identity.
  public init(chain: PEMFile, keyPath: String, key: Secret<[UInt8]>) {
    self.chain = chain
    self.keyPath = keyPath
    self.key = key
  }

  /// Whether both are the same.
  public static func == (a: TLSIdentity, b: TLSIdentity) -> Bool {
    a.chain == b.chain && a.keyPath == b.keyPath && constantTimeEquals(a.key.exposed, b.key.exposed)
  }
}

/// How clients speak TLS with us.
public struct TLSSettings: Sendable, Equatable {
  /// What clients are asked for.
  public enum Clients: String, Sendable, CaseIterable {
    /// Nothing.
    case none
    /// A certificate, if they have one.
    case optional
    /// A certificate.
    case required
  }

  /// The certificates; the first is for clients that ask for no name, or for one that none is good for.
  public var identities: [TLSIdentity] = []
  /// Whether TLS 1.2 is spoken beside 1.3.
  public var speaksTLS12 = true
  /// The ciphers of TLS 1.2, in OpenSSL's notation; nil for the usual.
  public var ciphers: String?
  /// The suites of TLS 1.3; nil for the usual.
  public var suites: String?
  /// What clients are asked for.
  public var clients = Clients.none
  /// Who issues certificates of clients.
  public var clientRoots: PEMFile?
  /// Which of them are revoked.
  public var clientRevocations: PEMFile?

  /// Nothing yet.
  public init() {}
}

/// How we speak TLS with a service behind.
public struct UpstreamTLSSettings: Sendable, Equatable {
  /// Who issues its certificates; nil for whom the system trusts.
  public var roots: PEMFile?
  /// What we show it.
  public var identity: TLSIdentity?
  /// The name that is asked for and verified; nil for the host of its address.
  public var serverName: String?
  /// Whether TLS 1.2 is spoken beside 1.3.
  public var speaksTLS12 = true

  /// The usual.
  public init() {}
}

/// What is wrong with what a configuration says of TLS, found by whoever speaks it.
public struct TLSProblem: Sendable {
  /// What it is about.
  public enum Part: Sendable, Equatable {
    /// A certificate, by its place.
    case certificate(Int)
    /// Its key.
    case key(Int)
    /// The ciphers of TLS 1.2.
    case ciphers
    /// The suites of TLS 1.3.
    case suites
    /// Who issues certificates of clients.
    case clientRoots
    /// Which of them are revoked.
    case clientRevocations
    /// Who issues those of a service behind.
    case roots
    /// The name of a service behind.
    case serverName
  }

  /// What it is about.
  public let part: Part
  /// What is wrong.
  public let message: String
  /// What to do.
  public let help: String?
  /// Whether it is only odd.
  public let isWarning: Bool

  /// A problem.
  public init(_ part: Part, _ message: String, help: String? = nil, isWarning: Bool = false) {
    self.part = part
    self.message = message
    self.help = help
    self.isWarning = isWarning
  }
}

/// Reads what a configuration says of TLS, with the files that it names.
struct TLSReader {
  let surroundings: Surroundings
  /// A path as its text says it, with where it begins.
  let place: (String, Setting.Origin) -> String

  private func file(_ setting: Setting?, _ what: String, _ report: inout ConfigurationReport) -> PEMFile? {
    guard let setting, let text = setting.text else { return nil }
    let path = place(text, setting.origin)
    let (contents, problem) = surroundings.readFile(path)
    guard let contents else {
      report.add(setting, problem, help: "name a file with \(what) in PEM form")
      return nil
    }
    return PEMFile(path: path, bytes: Array(contents.utf8))
  }

  private func identity(_ setting: Setting, _ report: inout ConfigurationReport) -> TLSIdentity? {
    guard setting["certificate"] != nil, setting["key"] != nil else {
      let lacks = setting["certificate"] == nil ? "certificate" : "key"
      report.add(setting, "has no \(lacks)", help: "write { certificate: 'tls/api.pem', key: 'tls/api.key' }")
      return nil
    }
    let chain = file(setting["certificate"], "the certificate and the rest of its chain", &report)
    let key = file(setting["key"], "the private key, without a passphrase,", &report)
    guard let chain, let key else { return nil }
    return TLSIdentity(chain: chain, keyPath: key.path, key: Secret(key.bytes))
  }

  /// The listener's; nil without.
  func listener(_ setting: Setting?, _ report: inout ConfigurationReport) -> TLSSettings? {
    guard let setting, setting.origin != .byDefault else { return nil }
    let list = setting["certificates"]?.members.map(\.setting) ?? []
    guard !list.isEmpty else {
      report.add(setting, "names no certificate", help: "write tls: { certificates: [{ certificate: 'tls/api.pem', key: 'tls/api.key' }] }")
      return nil
    }
    var settings = TLSSettings()
    settings.identities = list.compactMap { identity($0, &report) }
    settings.speaksTLS12 = setting.text("minimum_version") != "1.3"
    settings.ciphers = setting.text("ciphers")
    settings.suites = setting.text("cipher_suites")
    let clients = setting["client_certificates"]
    settings.clients = clients?.text("ask").flatMap(TLSSettings.Clients.init) ?? .none
    settings.clientRoots = file(clients?["ca"], "the certificates of who issues them", &report)
    settings.clientRevocations = file(clients?["crl"], "lists of revoked certificates", &report)
    checkClients(settings, clients, &report)
    if !settings.speaksTLS12, let ciphers = setting["ciphers"] {
      report.add(ciphers, "TLS 1.2 is not spoken, so this has no effect", help: "leave it out; suites of TLS 1.3 are cipher_suites")
    }
    guard settings.identities.count == list.count, !report.hasFailed("tls") else { return settings }
    for problem in surroundings.problemsOfTLS(settings) {
      let at: Setting? =
        switch problem.part {
        case .certificate(let index): list[index]["certificate"]
        case .key(let index): list[index]["key"]
        case .ciphers: setting["ciphers"]
        case .suites: setting["cipher_suites"]
        case .clientRoots, .roots: clients?["ca"]
        case .clientRevocations: clients?["crl"]
        case .serverName: setting
        }
      add(problem, at ?? setting, &report)
    }
    return settings
  }

  private func checkClients(_ settings: TLSSettings, _ setting: Setting?, _ report: inout ConfigurationReport) {
    guard settings.clients == .none else {
      if setting?["ca"] == nil {
        report.add(
          setting, "client certificates are asked for, and it is not said who issues them",
          help: "write client_certificates: { ask: '\(settings.clients.rawValue)', ca: 'tls/clients.pem' }")
      }
      return
    }
    for name in ["ca", "crl"] {
      guard let useless = setting?[name] else { continue }
      report.add(
        useless, "clients are not asked for a certificate, so this has no effect", help: "write ask: 'required' or 'optional' beside it")
    }
  }

  /// A service's; nil without.
  func upstream(_ service: Setting?, addresses: [String], _ report: inout ConfigurationReport) -> UpstreamTLSSettings? {
    guard let setting = service?["tls"], setting.origin != .byDefault else { return nil }
    if !addresses.contains(where: { $0.utf8.starts(with: "https://".utf8) }) {
      report.add(setting, "the service is reached without TLS, so this has no effect", help: "write its address with https://")
      return nil
    }
    var settings = UpstreamTLSSettings()
    settings.roots = file(setting["ca"], "the certificates of who issues the service's", &report)
    if setting["certificate"] != nil || setting["key"] != nil { settings.identity = identity(setting, &report) }
    settings.serverName = setting.text("server_name")
    settings.speaksTLS12 = setting.text("minimum_version") != "1.3"
    guard !report.hasFailed(setting.path) else { return settings }
    for problem in surroundings.problemsOfUpstreamTLS(settings) {
      let at: Setting? =
        switch problem.part {
        case .certificate: setting["certificate"]
        case .key: setting["key"]
        case .roots, .clientRoots: setting["ca"]
        case .serverName: setting["server_name"]
        case .ciphers, .suites, .clientRevocations: setting
        }
      add(problem, at ?? setting, &report)
    }
    return settings
  }

  private func add(_ problem: TLSProblem, _ setting: Setting, _ report: inout ConfigurationReport) {
    guard problem.isWarning else { return report.add(setting, problem.message, help: problem.help) }
    report.warnings.append("\(setting.path): \(problem.message)" + (problem.help.map { "; \($0)" } ?? ""))
  }
}
