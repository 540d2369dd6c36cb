internal import Bytes
internal import Crypto
internal import HTTP
internal import JOSE
internal import JSON
public import Pipeline
internal import Telemetry

/// Runs policy tests through the page that decides real requests, with real tokens: signed by a key that is made for the run, known
/// to the run's copy of the issuers, and gone afterwards.
public struct PolicyTests {
  /// How many went as expected.
  public private(set) var passed = 0
  /// How many did not.
  public private(set) var failed = 0

  private let snapshot: Snapshot
  private let facts: Facts
  private let signers: [JWSSigner]
  private let stray: JWSSigner

  /// Tests against a snapshot.
  public init(_ snapshot: Snapshot) throws(ConfigurationError) {
    self.snapshot = snapshot
    facts = Facts(issuers: snapshot.issuers.issuers.count, cacheKey: (0, 0))
    do throws(KeyError) {
      let rsa = try PrivateKey.generateRSA()
      var signers: [JWSSigner] = []
      for issuer in snapshot.issuers.issuers { signers.append(try Self.signer(for: issuer.rules.algorithms, rsa)) }
      self.signers = signers
      stray = JWSSigner(kid: "policy-tests", algorithm: .rs256, key: rsa)
    } catch {
      throw ConfigurationError(["no key could be made for the tests: \(error)"])
    }
    for (index, signer) in signers.enumerated() {
      let set: JWKSet
      do throws(JWKSetError) { set = try JWKSet.parse(Array(JSONValue.object(["keys": .array([signer.publicJWK])]).text.utf8)) } catch {
        throw ConfigurationError(["no key set could be made for the tests: \(error)"])
      }
      facts.learn(.known(.init(set: set, generation: 1)), of: index)
    }
  }

  private static func signer(for algorithms: Set<JWSAlgorithm>, _ rsa: PrivateKey) throws(KeyError) -> JWSSigner {
    let choice = JWSAlgorithm.allCases.first { algorithms.contains($0) } ?? .rs256
    let key: PrivateKey
    switch choice {
    case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: key = rsa
    case .es256: key = try PrivateKey.generateEC(.p256)
    case .es384: key = try PrivateKey.generateEC(.p384)
    case .es512: key = try PrivateKey.generateEC(.p521)
    case .edDSA: key = try PrivateKey.generateEd25519()
    }
    return JWSSigner(kid: "policy-tests", algorithm: choice, key: key)
  }

  /// Runs the tests of a file; returns what they said.
  public mutating func run(_ file: PolicyTestFile) -> String {
    var output = Diagnostic.printable(file.source.name) + "\n"
    for item in file.cases {
      let complaint = complaint(about: item)
      if let complaint {
        failed += 1
        output +=
          "  x \(Diagnostic.printable(item.name))\n      \(Diagnostic.printable(complaint))  (\(file.source.name):\(file.source.position(of: item.span.lowerBound).line))\n"
      } else {
        passed += 1
        output += "  + \(Diagnostic.printable(item.name))\n"
      }
    }
    return output
  }

  private func complaint(about item: PolicyTestFile.Case) -> String? {
    guard let address = HTTP.IPAddress(item.ip) else { return "\"\(item.ip)\" is not an IP address" }
    var exchange = Exchange(peer: Peer(address: item.ip, octets: address.octets), under: snapshot)
    var lines = ["\(item.method) \(item.target) HTTP/1.1"]
    if !item.headers.contains(where: { ASCII.equalsIgnoringCase($0.name.utf8, "host".utf8) }) { lines.append("Host: localhost") }
    lines += item.headers.map { "\($0.name): \($0.value)" }
    if let body = item.body {
      let hasType = item.headers.contains { ASCII.equalsIgnoringCase($0.name.utf8, "content-type".utf8) }
      lines += (hasType ? [] : ["Content-Type: application/json"]) + ["Content-Length: \(body.count)"]
    }
    if let principal = item.principal {
      do throws(KeyError) { lines.append("Authorization: Bearer \(try token(of: principal, at: item.time))") } catch {
        return "no token: \(error)"
      }
    }
    let bytes = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    let outcome = bytes.withUnsafeBytes { RequestHeadParser.parse($0, limits: snapshot.mapping.headLimits, into: &exchange.head) }
    exchange.begin(id: DecisionID(milliseconds: 0, random: (0, 0)), at: item.time, under: snapshot)
    switch outcome {
    case .complete: decide(&exchange, item)
    case .refused(let refusal): exchange.refused(.syntax(refusal))
    case .incomplete: return "the request is not whole"
    }
    return Self.difference(item, exchange.record(status: 0, wallMillis: 0, observed: false))
  }

  // What the page waits for is what the test says: the body, and the answer to a look-up, at most once each.
  private func decide(_ exchange: inout Exchange, _ item: PolicyTestFile.Case) {
    for _ in 0..<4 {
      guard case .wait(let dependency) = exchange.decide(facts) else { return }
      switch dependency {
      case .body: (item.body ?? []).withUnsafeBytes { exchange.bodyArrived($0) }
      case .decision: exchange.decisionArrived(.failed("tests ask no service; policies in files decide routes with engine: { local: {} }"))
      case .entities(let lookup): exchange.entitiesArrived(item.entities.map { lookup.answer($0) } ?? .entities([], size: 0))
      // A test's tokens are alive.
      case .introspection(let question):
        facts.learn(IntrospectionAnswer(isActive: true, problem: nil, askedAt: .max, until: .max), to: question, at: item.time)
      case .keys, .loadBalancerKey: return
      }
    }
  }

  private static func difference(_ item: PolicyTestFile.Case, _ record: DecisionRecord) -> String? {
    let policies = record.policies.isEmpty ? "" : " by " + record.policies.joined(separator: ", ")
    let got = "\(record.decision.rawValue)\(policies) (\(record.reason.rawValue)\(record.detail.map { ": \($0)" } ?? ""))"
    guard exactlyEquals(record.decision.rawValue, item.expected) else { return "expected \(item.expected), got \(got)" }
    if let by = item.by {
      let wanted = Set(by.map { ExactString($0) })
      guard Set(record.policies.map { ExactString($0) }) == wanted else {
        return "expected \(item.expected) by \(by.isEmpty ? "no policy" : by.joined(separator: ", ")), got \(got)"
      }
    }
    if let reason = item.reason, !exactlyEquals(record.reason.rawValue, reason) { return "expected the reason \(reason), got \(got)" }
    return nil
  }

  // What a token of the issuer has, with the test's claims over it.
  private func token(of principal: PolicyTestFile.Principal, at time: Int64) throws(KeyError) -> String {
    let claims = principal.claims
    guard let issuer = snapshot.issuers.issuers.first(where: { exactlyEquals($0.name, principal.issuer) }) else {
      // Of an issuer that nobody configured: such a token must be refused.
      return try stray.token(
        claims: .object(["iss": .string("https://\(principal.issuer).invalid"), "sub": .string("x"), "exp": .integer(time + 300)]))
    }
    let client = claims["client_id"]?.string ?? issuer.rules.clientIDs?.map(\.string).min() ?? "policy-tests"
    var base: [JSONValue.Member] = []
    func add(_ name: String, _ value: JSONValue) {
      if claims[name] == nil { base.append(JSONValue.Member(name: name, value: value)) }
    }
    add("iss", .string(issuer.rules.issuers.first ?? ""))
    add("sub", .string(client))
    add("iat", .integer(time))
    add("exp", .integer(time + 300))
    var header: KeyValuePairs<String, JSONValue> = [:]
    switch issuer.rules.profile {
    case .cognito:
      add("token_use", .string(principal.isIDToken ? "id" : "access"))
      if principal.isIDToken { add("aud", .string(client)) } else { add("client_id", .string(client)) }
    case .oidc:
      add("aud", .string(principal.isIDToken ? client : issuer.rules.audiences.map(\.string).min() ?? client))
      if principal.isIDToken { add("nonce", .string("policy-tests")) } else { header = ["typ": .string("at+jwt")] }
    }
    return try signers[issuer.index].token(claims: JSONValue(.object(base + (claims.object ?? []))), header: header)
  }
}
