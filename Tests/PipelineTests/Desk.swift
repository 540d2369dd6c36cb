import Bytes
import Cedar
import Crypto
import HTTP
import JOSE
import Telemetry
import Testing

@testable import Development
@testable import Pipeline

/// What the page needs to decide, without a socket: an issuer, policies, and requests written as bytes.
final class Desk {
  static let time: Int64 = 1_800_000_000
  static let policies = """
    @id("viewers-read") permit (principal in UserGroup::"demo|viewer", action in Action::"read", resource in Path::"/orders");
    @id("editors-write") permit (principal in UserGroup::"demo|editor", action, resource in Path::"/orders");
    @id("machines") permit (principal, action in Action::"read", resource in Path::"/orders")
      when { context has token.scope && context.token.scope.contains("orders/read") };
    @id("local-only") forbid (principal, action, resource in Path::"/orders/local")
      unless { context has client && context.client.ip.isLoopback() };
    @id("department") permit (principal, action, resource in Path::"/sales") when { principal["custom:department"] == "sales" };
    """

  let issuer: DevelopmentIssuer
  let snapshot: Snapshot
  let facts: Facts

  init(
    policies: String = Desk.policies, mode: Snapshot.Mode = .enforce, onPolicyError: Authorization.OnPolicyError = .deny,
    hasKeys: Bool = true
  ) throws {
    issuer = try Self.issuer()
    var configuration = Configuration(upstream: "http://127.0.0.1:2")
    configuration.mode = mode
    configuration.onPolicyError = onPolicyError
    configuration.isDevelopment = true
    configuration.issuers = [Self.pool(issuer)]
    snapshot = try SnapshotBuilder.build(configuration, policies: Self.files(policies), generation: 1)
    facts = Facts(issuers: 1, cacheKey: (1, 2))
    if hasKeys { learnKeys() }
  }

  /// A desk under a configuration as a file would say it, for the issuer's pool with the prefix `demo`.
  init(
    policies: String = Desk.policies, schema: String? = nil, entities: String? = nil, configuration text: String, issuer more: String = "",
    issuers others: String = ""
  ) throws {
    issuer = try Self.issuer()
    let clients = issuer.directory.clients.map { "'\($0.id)'" }.joined(separator: ", ")
    let file = """
      { \(text) upstream: 'http://127.0.0.1:2', development: true,
        issuers: { \(others) main: { cognito: '\(issuer.poolID)', issuer: '\(issuer.issuer)', client_ids: [\(clients)], id_prefix: 'demo', \(more) } } }
      """
    let configuration = try Configuration.read(file: SourceText(name: "stockade.json5", file), flags: [:], surroundings: Surroundings())
    var files = Self.files(policies)
    files.entities = entities.map { SourceText(name: "entities.json", $0) }
    files.schema = schema.map { SourceText(name: "schema.cedarschema", $0) }
    snapshot = try SnapshotBuilder.build(configuration, policies: files, generation: 1)
    facts = Facts(issuers: snapshot.issuers.issuers.count, cacheKey: (1, 2))
    learnKeys()
  }

  // RSA keys take their time to be made: those of one ring serve every desk.
  private static let keys = Result { () throws(KeyError) in
    var ring = try KeyRing()
    _ = try ring.stray(.rs256)
    return ring
  }

  private static func issuer() throws -> DevelopmentIssuer {
    DevelopmentIssuer(
      url: "http://127.0.0.1:1", poolID: DevelopmentIssuer.defaultPoolID, issuer: nil, directory: UserDirectory(), keys: try keys.get())
  }

  static func pool(_ issuer: DevelopmentIssuer) -> IssuerConfiguration {
    var pool = IssuerConfiguration(name: "main", kind: .cognito(poolID: issuer.poolID, issuer: issuer.issuer))
    pool.clientIDs = issuer.directory.clients.map(\.id)
    pool.idPrefix = "demo"
    pool.isDevelopment = true
    return pool
  }

  static func files(_ policies: String) -> PolicyFiles {
    PolicyFiles(policies: [SourceText(name: "test.cedar", policies)], schema: nil, entities: nil, hash: "sha256:test")
  }

  func learnKeys(
    generation: UInt64 = 1, askedAt: UInt64 = .max, failedAt: UInt64 = 0, usableUntil: Int64 = .max, isStale: Bool = false
  ) {
    facts.learn(
      .known(
        .init(
          set: issuer.keySet, generation: generation, askedAt: askedAt, failedAt: failedAt, usableUntil: usableUntil, isStale: isStale)),
      of: snapshot.issuers.issuers.first { $0.name == "main" }?.index ?? 0)
  }

  func token(
    _ name: String, _ use: TokenUse = .access, _ flaw: TokenFlaw = .none, boundTo thumbprint: String? = nil, at time: Int64 = Desk.time
  )
    throws -> String
  {
    try #require(try issuer.token(of: name, use: use, flaw: flaw, boundTo: thumbprint, at: time))
  }

  /// An exchange whose head was parsed from these lines.
  func exchange(
    _ requestLine: String, _ fields: [String] = [], token: String? = nil, from octets: [UInt8] = [127, 0, 0, 1], at time: Int64 = Desk.time,
    arrival: UInt64 = 0
  ) throws -> Exchange {
    let address = octets.isEmpty ? nil : octets.map(String.init).joined(separator: ".")
    var exchange = Exchange(peer: Peer(address: address, octets: octets), under: snapshot)
    let lines = ["\(requestLine) HTTP/1.1", "Host: api.example.com"] + fields + (token.map { ["Authorization: Bearer \($0)"] } ?? [])
    let bytes = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    let outcome = bytes.withUnsafeBytes { RequestHeadParser.parse($0, limits: snapshot.mapping.headLimits, into: &exchange.head) }
    exchange.begin(id: DecisionID(milliseconds: 1, random: (2, 3)), at: time, arrival: arrival, under: snapshot)
    switch outcome {
    case .complete: break
    case .refused(let refusal): exchange.refused(.syntax(refusal))
    case .incomplete: Issue.record("not a head: \(requestLine)")
    }
    return exchange
  }

  /// What the page says, in one word.
  func verdict(_ exchange: inout Exchange) -> String {
    if let refused = exchange.trail.rejection { return "\(refused.status.code) \(refused.reason.rawValue)" }
    return switch exchange.decide(facts) {
    case .forward(let permit): permit.refusalObserved.map { "would-refuse \($0.reason.rawValue)" } ?? "forward"
    case .refuse(let rejection): "\(rejection.status.code) \(rejection.reason.rawValue)"
    case .answer(let answer): "answer \(answer.status.code)"
    case .wait(let dependency): "wait \(dependency)"
    }
  }

  func verdict(
    _ requestLine: String, _ fields: [String] = [], token: String? = nil, from octets: [UInt8] = [127, 0, 0, 1], at time: Int64 = Desk.time
  ) throws -> String {
    var exchange = try exchange(requestLine, fields, token: token, from: octets, at: time)
    return verdict(&exchange)
  }

  /// The head that the upstream would get.
  func forwarded(_ exchange: inout Exchange, signing keys: AssertionKeys? = nil) throws -> String? {
    guard case .forward(let permit) = exchange.decide(facts) else { return nil }
    var out: [UInt8] = []
    try ForwardedHead(upstreamAuthority: "upstream:80").append(exchange, with: permit, signing: keys, at: Desk.time, to: &out)
    return String(decoding: out, as: UTF8.self)
  }
}
