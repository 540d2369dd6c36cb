internal import Bytes
internal import HTTP
internal import Net
internal import Pipeline
internal import Proxy

/// What all probes of a run share.
final class ProbeNet {
  let loop: EventLoop
  let resolver: Resolver
  let client: HTTPClient
  let tls: TLSContext

  init(_ loop: EventLoop, timeoutMillis: UInt64) throws(NetError) {
    self.loop = loop
    // The run's own timeout ends what takes too long: it knows which step that was.
    let patience = timeoutMillis + 1000
    var lookups = Resolver.Limits()
    lookups.lookupMillis = patience
    var limits = HTTPClient.Limits()
    limits.connectMillis = patience
    limits.totalMillis = patience
    resolver = try Resolver(loop, limits: lookups)
    tls = try TLSContext(clientTrusting: .system)
    // As `run` fetches keys: the same roots, the same rule, no redirect.
    client = HTTPClient(loop, resolver: resolver, tls: tls, rule: .noLinkLocal, limits: limits)
  }
}

/// Tries one place, step by step; the first step that fails is the last.
class Probe {
  let subject: String
  let net: ProbeNet
  /// How TLS is spoken there, and the name that is verified in place of the host.
  var tls: TLSContext { net.tls }
  var tlsName: String? { nil }
  private(set) var steps: [ProbeStep] = []
  private(set) var isDone = false
  private let finished: () -> Void
  private var current = (what: "DNS", target: "", since: UInt64(0))
  private var connector: Connector?

  init(_ subject: String, _ net: ProbeNet, finished: @escaping () -> Void) {
    self.subject = subject
    self.net = net
    self.finished = finished
  }

  /// Starts the first step.
  func begin() {}

  // MARK: - Steps

  func start(_ what: String, _ target: String) { current = (what, target, LoopClock.monotonicNanos()) }

  func succeed(_ detail: String) { steps.append(step(current.what, true, detail, nil)) }

  func fail(_ detail: String, help: String? = nil, as what: String? = nil) {
    guard !isDone else { return }
    steps.append(step(what ?? current.what, false, detail, help))
    finish()
  }

  func fail(_ error: NetError, as what: String? = nil) {
    fail(NetAdvice.namesPlace(error) ? error.description : "\(current.target): \(error)", help: NetAdvice.help(for: error), as: what)
  }

  func finish() {
    guard !isDone else { return }
    isDone = true
    connector?.cancel()
    finished()
  }

  /// The run's time is over.
  func giveUp(after millis: UInt64) {
    fail("\(current.target): no answer within \(millis) ms", help: "does a firewall drop what is sent there? --timeout gives it more time")
  }

  private func step(_ what: String, _ isGood: Bool, _ detail: String, _ help: String?) -> ProbeStep {
    ProbeStep(
      subject: subject, what: what, isGood: isGood, detail: detail, help: help,
      millis: (LoopClock.monotonicNanos() - current.since) / 1_000_000)
  }

  // MARK: - On the way to a server

  /// Looks the name up, connects and speaks TLS where the URL says so; nothing is sent over the connection.
  func approach(_ url: HTTPURL, rule: AddressRule, then: @escaping () -> Void) {
    if let path = url.socketPath { return connect([.unix(path: path)], url, then) }
    guard IPAddress(url.host) == nil else { return resolved(.success([IPAddress(url.host)].compactMap { $0 }), url, rule, then) }
    start("DNS", url.host)
    net.resolver.resolve(url.host) { [self] result in
      guard !isDone else { return }
      if case .success(let addresses) = result {
        let shown = addresses.prefix(4).map(\.description).joined(separator: ", ")
        succeed("\(url.host) is \(shown)\(addresses.count > 4 ? ", …" : "")")
      }
      resolved(result, url, rule, then)
    }
  }

  private func resolved(_ result: Result<[IPAddress], NetError>, _ url: HTTPURL, _ rule: AddressRule, _ then: @escaping () -> Void) {
    switch result {
    case .failure(let error): fail(error)
    case .success(let addresses):
      for address in addresses {
        if let kind = rule.refusal(of: address) {
          return fail(.addressRefused(host: url.host, address: address.description, kind: kind), as: "TCP")
        }
      }
      connect(addresses.map { .ip($0, port: url.port) }, url, then)
    }
  }

  private func connect(_ addresses: [SocketAddress], _ url: HTTPURL, _ then: @escaping () -> Void) {
    let place = url.socketPath.map { "unix:\($0)" } ?? "\(url.host):\(url.port)"
    start(url.isSecure ? "TLS" : "TCP", place)
    connector = Connector.connect(
      net.loop, to: addresses, host: tlsName ?? url.host, tls: url.isSecure ? tls : nil, timeoutMillis: net.client.limits.connectMillis
    ) { [self] result in
      connector = nil
      switch result {
      case .failure(let error): fail(error, as: Self.isConnecting(error) ? "TCP" : nil)
      case .success(let stream):
        succeed(stream.tlsVersion.map { "\(place) speaks \($0), and its certificate is trusted" } ?? "\(stream.peer) accepts connections")
        stream.close()
        then()
      }
    }
  }

  private static func isConnecting(_ error: NetError) -> Bool {
    switch error {
    case .unreachable, .connectFailed: true
    default: false
    }
  }
}

/// Tries a service behind. It is connected to and nothing more: no request is sent, so that nothing happens there.
final class UpstreamProbe: Probe {
  private let address: String
  private let context: TLSContext?
  private let settings: UpstreamSettings
  override var tls: TLSContext { context ?? net.tls }
  override var tlsName: String? { settings.tls?.serverName }

  init(
    _ subject: String, _ address: String, of settings: UpstreamSettings, _ net: ProbeNet, finished: @escaping () -> Void
  ) throws(NetError) {
    self.address = address
    self.settings = settings
    context = try settings.tls.map { (tls) throws(NetError) in try Gateway.tls(with: tls) }
    super.init(subject, net, finished: finished)
  }

  override func begin() {
    start("DNS", "")
    let url: HTTPURL
    do throws(NetError) { url = try HTTPURL.parse(address) } catch { return fail(ProbeText.problem(ofURL: error)) }
    approach(url, rule: .any) { [self] in finish() }
  }
}

/// Text of others as it may be shown.
enum ProbeText {
  /// A URL without its query, which may hold what is nobody's business.
  static func shown(_ url: HTTPURL) -> String { url.with(target: String(url.target.prefix { $0 != "?" })).description }

  /// Why a URL cannot be used, without the URL: a password may stand in it.
  static func problem(ofURL error: NetError) -> String {
    if case .invalidURL(_, let reason) = error { return "the address is not a usable URL: \(reason)" }
    return error.description
  }

  /// A few characters of a name that came from outside.
  static func short(_ text: String) -> String { text.unicodeScalars.count <= 64 ? text : String(text.prefix(63)) + "…" }
}
