import Bytes
import Crypto
import Development
import HTTP
import JOSE
import JSON
import Pipeline
import Telemetry

private let now: Int64 = 1_800_000_000

/// The page, from a parsed head to what it makes of it: first acceptance, and every refusal of a credential, by every algorithm.
enum PageCost {
  static func measure(_ report: inout Report) throws {
    for algorithm in JWSAlgorithm.allCases { try Desk(algorithm).measure(&report) }
  }
}

/// What the page needs to decide, without a socket.
private final class Desk {
  private let algorithm: JWSAlgorithm
  private let issuer: DevelopmentIssuer
  private let snapshot: Snapshot
  private let facts: Facts
  private let holder: Holder

  init(_ algorithm: JWSAlgorithm) throws {
    self.algorithm = algorithm
    issuer = try DevelopmentIssuer(url: "http://127.0.0.1:1")
    holder = try Holder(algorithm)
    let file = """
      { upstream: 'http://127.0.0.1:2', development: true, dpop: { nonce: false },
        routes: [
          { match: 'GET /vault', access: 'authenticated', dpop: true },
          { match: 'GET /recent', access: 'authenticated', step_up: { max_age: '5m' } },
          { match: 'GET /strong', access: 'authenticated', step_up: { acr: ['urn:example:strong'] } },
          { match: '* /{rest...}' },
        ],
        issuers: { main: { cognito: '\(issuer.poolID)', issuer: '\(issuer.issuer)', client_ids: ['demoapp'], id_prefix: 'demo',
          algorithms: ['\(algorithm)'] } } }
      """
    let configuration = try Configuration.read(file: SourceText(name: "bench.json5", file), flags: [:], surroundings: Surroundings())
    let policies = PolicyFiles(
      policies: [SourceText(name: "bench.cedar", "permit (principal in UserGroup::\"demo|viewer\", action, resource);")], schema: nil,
      entities: nil, hash: "bench")
    snapshot = try SnapshotBuilder.build(configuration, policies: policies, generation: 1)
    facts = Facts(issuers: 1, cacheKey: (RandomBytes.makeUInt64(), RandomBytes.makeUInt64()))
    // Keys are made when they are first asked for.
    _ = try token()
    facts.learn(.known(.init(set: issuer.keySet, generation: 1)), of: 0)
  }

  private func token(_ flaw: TokenFlaw = .none, boundTo thumbprint: String? = nil, at time: Int64 = now) throws -> String {
    guard let token = try issuer.token(of: "alice", flaw: flaw, algorithm: algorithm, boundTo: thumbprint, at: time) else {
      fatalError("there is no alice")
    }
    return token
  }

  private func exchange(_ path: String, _ token: String, scheme: String = "Bearer", _ fields: [String] = []) -> Exchange {
    var exchange = Exchange(peer: Peer(address: "127.0.0.1", octets: [127, 0, 0, 1]), under: snapshot)
    let lines = ["GET \(path) HTTP/1.1", "Host: api.example.com", "Authorization: \(scheme) \(token)"] + fields
    let bytes = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    _ = bytes.withUnsafeBytes { RequestHeadParser.parse($0, limits: snapshot.mapping.headLimits, into: &exchange.head) }
    begin(&exchange)
    return exchange
  }

  private func begin(_ exchange: inout Exchange) {
    exchange.begin(id: DecisionID(milliseconds: 1, random: (2, 3)), at: now, arrival: 1, under: snapshot)
  }

  private func decide(_ exchange: inout Exchange) -> Rejection? {
    switch exchange.decide(facts) {
    case .forward: return nil
    case .refuse(let rejection): return rejection
    case .answer: fatalError("no decision")
    case .wait: fatalError("it waits")
    }
  }

  /// A refusal that is the same however often it is asked for.
  private func refusal(_ name: String, _ exchange: Exchange, _ full: Double, _ report: inout Report, isProof: Bool = false) {
    var exchange = exchange
    guard let rejection = decide(&exchange) else { fatalError("\(name) was accepted") }
    let nanos = cost {
      begin(&exchange)
      _ = decide(&exchange)
    }
    note("\(name) (\(rejection.reason.rawValue))", nanos, full, &report, isProof: isProof)
  }

  private func note(_ name: String, _ nanos: Double, _ full: Double, _ report: inout Report, isProof: Bool = false) {
    report.line("refused: \(name)", nanos, against: full)
    report.note(algorithm.rawValue) { row in
      if isProof, nanos / full > row.worstProof.ratio { row.worstProof = (nanos / full, name) }
      if !isProof, nanos / full > row.worst.ratio { row.worst = (nanos / full, name) }
    }
  }

  func measure(_ report: inout Report) throws {
    let fresh = try (0..<700).map { _ in exchange("/orders/42", try token()) }
    let full = costOfEach(of: fresh) { exchange in
      var exchange = exchange
      guard decide(&exchange) == nil else { fatalError("a good token was refused") }
    }
    report.title("\(algorithm), the whole page", of: algorithm.rawValue)
    report.line("first acceptance, Cedar included", full)
    var hot = exchange("/orders/42", try token())
    let again = cost {
      begin(&hot)
      _ = decide(&hot)
    }
    report.line("hot", again, against: full)
    report.note(algorithm.rawValue) {
      $0.page = full
      $0.hot = again
    }
    for flaw in TokenFlaw.allCases where flaw != .none {
      refusal(flaw.rawValue, exchange("/orders/42", try token(flaw)), full, &report)
    }

    let stolen = try token()
    facts.learn(try RevocationList("[{\"jti\": \"\(try jti(of: stolen))\"}]".utf8))
    refusal("revoked", exchange("/orders/42", stolen), full, &report)
    facts.learn(.empty)

    // A good sign-in that is not good enough, each with a token that was not seen before.
    let old = try (0..<700).map { _ in exchange("/recent", try token(at: now - 400)) }
    note("sign-in too old, token cold", costOfEach(of: old) { refuse($0) }, full, &report)
    let weak = try (0..<700).map { _ in exchange("/strong", try token()) }
    note("sign-in too weak, token cold", costOfEach(of: weak) { refuse($0) }, full, &report)

    try measureProofs(&report)
  }

  private func refuse(_ exchange: Exchange) {
    var exchange = exchange
    guard decide(&exchange) != nil else { fatalError("it was accepted") }
  }

  /// Proofs of possession, signed by the same algorithm; the token is bound, and hot after the first.
  private func measureProofs(_ report: inout Report) throws {
    let bound = try token(boundTo: holder.thumbprint)
    let good = try (0..<700).map { _ in exchange("/vault", bound, scheme: "DPoP", ["DPoP: \(try holder.proof(for: bound))"]) }
    let accepted = costOfEach(of: good) { exchange in
      var exchange = exchange
      guard decide(&exchange) == nil else { fatalError("a good proof was refused") }
    }
    report.line("a proof accepted, its token hot", accepted)
    let thief = try Holder(algorithm)
    let cases: [(String, [String])] = [
      ("no proof", []), ("two proofs", [try holder.proof(for: bound), try holder.proof(for: bound)]),
      ("a proof that is no token", ["x"]), ("a proof by another key", [try thief.proof(for: bound)]),
      ("a proof with another's key in it", [try thief.proof(for: bound, showing: holder)]),
      ("a proof for another path", [try holder.proof(for: bound, path: "/other")]),
      ("a proof for another token", [try holder.proof(for: "other")]), ("an old proof", [try holder.proof(for: bound, at: now - 3600)]),
    ]
    for (name, proofs) in cases {
      refusal(name, exchange("/vault", bound, scheme: "DPoP", proofs.map { "DPoP: \($0)" }), accepted, &report, isProof: true)
    }
    let once = exchange("/vault", bound, scheme: "DPoP", ["DPoP: \(try holder.proof(for: bound))"])
    use(once)
    refusal("a replayed proof", once, accepted, &report, isProof: true)
    refusal("a bound token as bearer token", exchange("/orders/42", bound), accepted, &report, isProof: true)
    // The costliest: neither token nor proof was seen before, and the proof is bad at the very end.
    let cold = try (0..<700).map { _ in
      let token = try token(boundTo: holder.thumbprint)
      return exchange("/vault", token, scheme: "DPoP", ["DPoP: \(try holder.proof(for: token, path: "/other"))"])
    }
    let both = try (0..<700).map { _ in
      let token = try token(boundTo: holder.thumbprint)
      return exchange("/vault", token, scheme: "DPoP", ["DPoP: \(try holder.proof(for: token))"])
    }
    let first = costOfEach(of: both) { exchange in
      var exchange = exchange
      guard decide(&exchange) == nil else { fatalError("a good proof was refused") }
    }
    report.line("first acceptance with a proof", first)
    note("a proof for another path, token cold", costOfEach(of: cold) { refuse($0) }, first, &report, isProof: true)
  }

  private func use(_ exchange: Exchange) {
    var once = exchange
    guard decide(&once) == nil else { fatalError("a good proof was refused") }
  }

  private func jti(of token: String) throws -> String {
    guard let part = token.split(separator: ".").dropFirst().first, let payload = Base64URL.decode(part.utf8),
      let jti = try JSONParser.parse(payload)["jti"]?.string
    else { fatalError("a token without jti") }
    return jti
  }
}

/// Who holds a key and proves it, RFC 9449.
private final class Holder {
  private let key: PrivateKey
  private let algorithm: JWSAlgorithm
  private let jwk: JSONValue
  let thumbprint: String

  init(_ algorithm: JWSAlgorithm) throws {
    self.algorithm = algorithm
    let key =
      switch algorithm.signature {
      case .rsaPKCS1, .rsaPSS: try PrivateKey.generateRSA()
      case .ecdsa(let curve): try PrivateKey.generateEC(curve)
      case .ed25519: try PrivateKey.generateEd25519()
      }
    self.key = key
    jwk = JWSSigner(kid: "proof", algorithm: algorithm, key: key).publicJWK
    thumbprint = Base64URL.encode(try JWK(jwk).thumbprint)
  }

  func proof(for token: String, path: String = "/vault", at time: Int64 = now, showing other: Holder? = nil) throws -> String {
    let claims = JSONValue.object([
      "jti": .string(RandomBytes.makeUUID()), "htm": .string("GET"), "htu": .string("http://api.example.com\(path)"), "iat": .integer(time),
      "ath": .string(Base64URL.encode(Digest.sha256(token.utf8))),
    ])
    let header = JSONValue.object(["typ": .string("dpop+jwt"), "alg": .string(algorithm.rawValue), "jwk": (other ?? self).jwk])
    let signed = JWSSigner.part(header) + "." + JWSSigner.part(claims)
    return signed + "." + Base64URL.encode(try key.sign(Array(signed.utf8), by: algorithm.signature))
  }
}
