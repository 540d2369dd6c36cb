internal import Bytes
internal import Crypto
internal import JOSE
internal import JSON
public import Pipeline

/// Under what the requests of policy tests are decided: a snapshot, and keys that are made for it and known to its issuers.
public struct PolicyTestStage {
  let snapshot: Snapshot
  let facts: Facts
  private let signers: [JWSSigner]
  private let stray: JWSSigner

  /// A stage for a snapshot.
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

  // What a token of the issuer has, with the test's claims over it.
  func token(of principal: PolicyTestFile.Principal, at time: Int64) throws(KeyError) -> String {
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
