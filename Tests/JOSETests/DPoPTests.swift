import Bytes
import Crypto
import JSON
import TestSupport
import Testing

@testable import JOSE

struct DPoPTests {
  static let now = TokenForge.now
  static let client = TokenForge.key(.es256)
  static let request = DPoPProof.Request(method: "GET", target: "https://api.example.org/orders/42")

  static func publicKey(_ key: PrivateKey) -> JSONValue { TokenForge.jwk(key, kid: nil, use: nil) }

  /// An access token bound to a key.
  static func token(boundTo key: PrivateKey = client, claims: [String: JSONValue?] = [:]) throws -> (
    bytes: [UInt8], verified: VerifiedToken
  ) {
    let thumbprint = Base64URL.encode(try JWK(publicKey(key)).thumbprint)
    var all: [String: JSONValue?] = ["cnf": .object(["jkt": .string(thumbprint)])]
    for (name, value) in claims { all[name] = value }
    var rules = TokenForge.rules
    rules.acceptsSenderConstrained = true
    let bytes = try TokenForge.token(claims: all)
    return (bytes, try TokenForge.verdict(bytes, rules: rules).get())
  }

  /// A proof for `request`, some claims or header members changed; nil takes one away.
  static func proof(
    for token: [UInt8], key: PrivateKey = client, algorithm: JWSAlgorithm = .es256, claims changes: [String: JSONValue?] = [:],
    header headerChanges: [String: JSONValue?] = [:]
  ) throws -> [UInt8] {
    var claims: [String: JSONValue] = [
      "jti": .string("p1"), "htm": .string("GET"), "htu": .string("https://api.example.org/orders/42"), "iat": .integer(now),
      "ath": .string(Base64URL.encode(Digest.sha256(token))),
    ]
    var header: [String: JSONValue] = ["typ": .string("dpop+jwt"), "alg": .string(algorithm.rawValue), "jwk": publicKey(key)]
    for (name, value) in changes { claims[name] = value }
    for (name, value) in headerChanges { header[name] = value }
    func text(_ members: [String: JSONValue]) -> String {
      JSONValue(.object(members.sorted { $0.key < $1.key }.map { JSONValue.Member(name: $0.key, value: $0.value) })).text
    }
    return try TokenForge.token(header: text(header), payload: text(claims), algorithm: algorithm, key: key)
  }

  static func error(
    _ proof: [UInt8], _ token: VerifiedToken, request: DPoPProof.Request = request, now: Int64 = now, nonces: DPoPNonce? = nil
  ) -> DPoPError? {
    do throws(DPoPError) {
      try read(proof).check(request, token: token, now: now, nonces: nonces)
      return nil
    } catch {
      return error
    }
  }

  static func read(_ proof: [UInt8]) throws(DPoPError) -> DPoPProof {
    let result: Result<DPoPProof, DPoPError> = proof.withUnsafeBytes { bytes in
      do throws(DPoPError) {
        return .success(try DPoPProof(bytes, verifier: SignatureVerifier()))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  @Test("a proof for this request, token, key and moment is accepted, with keys of every kind", arguments: JWSAlgorithm.allCases)
  func accepted(algorithm: JWSAlgorithm) throws {
    let key = TokenForge.key(algorithm)
    let (bytes, verified) = try Self.token(boundTo: key)
    #expect(Self.error(try Self.proof(for: bytes, key: key, algorithm: algorithm), verified) == nil)
  }

  @Test("typ must be dpop+jwt, so no access or ID token serves as a proof")
  func type() throws {
    let (bytes, verified) = try Self.token()
    for type in [nil, .string("JWT"), .string("at+jwt")] as [JSONValue?] {
      #expect(Self.error(try Self.proof(for: bytes, header: ["typ": type]), verified)?.isOfTheProof == true)
    }
    #expect(Self.error(bytes, verified) == .type(found: nil))
  }

  @Test("the proof must bring a public key that made it")
  func key() throws {
    let (bytes, verified) = try Self.token()
    #expect(Self.error(try Self.proof(for: bytes, header: ["jwk": nil]), verified) == .key(nil))
    #expect(Self.error(try Self.proof(for: bytes, header: ["jwk": .string("x")]), verified) == .key(.notAnObject(found: "a string")))
    #expect(
      Self.error(try Self.proof(for: bytes, header: ["jwk": Self.publicKey(TokenForge.rsa)]), verified) == .key(.algorithmUnfit(.es256)))
    let other = try PrivateKey.generateEC(.p256)
    #expect(Self.error(try Self.proof(for: bytes, header: ["jwk": Self.publicKey(other)]), verified) == .signature)
    let leaked = TokenForge.jwk(Self.client, kid: nil, use: nil, extra: [("d", .string("AA"))])
    #expect(Self.error(try Self.proof(for: bytes, header: ["jwk": leaked]), verified) == .key(.privateKeyPublished))
    #expect(Self.error(try Self.proof(for: bytes, key: other), verified) == .otherKey)
  }

  @Test("a token that is bound to nothing cannot be used with a proof")
  func unbound() throws {
    let (bytes, verified) = try Self.token(claims: ["cnf": nil])
    #expect(Self.error(try Self.proof(for: bytes), verified) == .otherKey)
    let odd = try Self.token(claims: ["cnf": .string("x")])
    #expect(Self.error(try Self.proof(for: odd.bytes), odd.verified) == .otherKey)
  }

  @Test("htm and htu must be the request's; query, fragment, case of the host and default port do not count")
  func target() throws {
    let (bytes, verified) = try Self.token()
    func error(htm: String = "GET", htu: String) throws -> DPoPError? {
      Self.error(try Self.proof(for: bytes, claims: ["htm": .string(htm), "htu": .string(htu)]), verified)
    }
    for htu in [
      "https://api.example.org/orders/42", "HTTPS://API.example.org:443/orders/42", "https://api.example.org/orders/42?a=b#c",
      "https://api.example.org/%6frders/42",
    ] { #expect(try error(htu: htu) == nil, "\(htu)") }
    for htu in [
      "http://api.example.org/orders/42", "https://api.example.org:444/orders/42", "https://api.example.org/orders/43",
      "https://api.example.org/Orders/42", "https://api.example.org/orders/42/", "https://evil.example/orders/42", "/orders/42", "",
      "https://user@api.example.org/orders/42", "https:///orders/42", "https://api.example.org/orders%2F42",
      "https://api.example.org/orders/4%",
      "javascript:alert(1)",
    ] { #expect(try error(htu: htu) == .target(found: htu), "\(htu)") }
    #expect(try error(htm: "get", htu: "https://api.example.org/orders/42") == .method(found: "get"))
  }

  @Test("a proof lives a minute, and its clock may be a minute ahead")
  func time() throws {
    let (bytes, verified) = try Self.token()
    for (offset, accepted) in [(0, true), (-60, true), (-61, false), (60, true), (61, false)] as [(Int64, Bool)] {
      let proof = try Self.proof(for: bytes, claims: ["iat": .integer(Self.now + offset)])
      #expect((Self.error(proof, verified) == nil) == accepted, "\(offset)")
    }
    for edge in [Int64.min, .max] { #expect(Self.error(try Self.proof(for: bytes, claims: ["iat": .integer(edge)]), verified) != nil) }
  }

  @Test("every claim must be there and of its type")
  func claims() throws {
    let (bytes, verified) = try Self.token()
    for claim in ["jti", "htm", "htu", "iat", "ath"] {
      #expect(Self.error(try Self.proof(for: bytes, claims: [claim: nil]), verified) == .missing(claim))
      #expect(Self.error(try Self.proof(for: bytes, claims: [claim: .array([])]), verified) == .wrongType(claim))
    }
    #expect(Self.error(try Self.proof(for: bytes, claims: ["jti": .string("")]), verified) == .missing("jti"))
    #expect(Self.error(try Self.proof(for: bytes, claims: ["nonce": .integer(1)]), verified) == .wrongType("nonce"))
  }

  @Test("a proof for one access token is none for another, though both are bound to the key")
  func otherToken() throws {
    let first = try Self.token()
    let second = try Self.token(claims: ["jti": .string("other")])
    #expect(Self.error(try Self.proof(for: first.bytes), second.verified) == .otherToken)
  }

  @Test("where a nonce is demanded, the one of now and the one before are fresh, and nothing else is")
  func nonce() throws {
    let (bytes, verified) = try Self.token()
    let nonces = DPoPNonce(key: RandomBytes.make(32))
    func error(_ nonce: String?) throws -> DPoPError? {
      Self.error(try Self.proof(for: bytes, claims: ["nonce": nonce.map { .string($0) }]), verified, nonces: nonces)
    }
    #expect(try error(nonces.issue(now: Self.now)) == nil)
    #expect(try error(nonces.issue(now: Self.now - DPoPNonce.period)) == nil)
    for nonce in [
      nil, "", nonces.issue(now: Self.now - 2 * DPoPNonce.period), nonces.issue(now: Self.now + DPoPNonce.period),
      DPoPNonce(key: RandomBytes.make(32)).issue(now: Self.now), nonces.issue(now: Self.now) + "A",
    ] { #expect(try error(nonce) == .nonce) }
  }

  @Test("a proof is admitted once for as long as it could be used, and forgotten afterwards")
  func replay() throws {
    let token = try Self.token().bytes
    let proof = try Self.read(Self.proof(for: token))
    var guardian = DPoPReplayGuard()
    try guardian.admit(proof, now: Self.now)
    for later in [0, 1, 60, 119, 120] as [Int64] {
      #expect(throws: DPoPError.replayed) { try guardian.admit(proof, now: Self.now + later) }
    }
    // Every moment of a proof's life, whenever the generations turn.
    for start in stride(from: Int64(0), to: 300, by: 7) {
      var guardian = DPoPReplayGuard()
      try guardian.admit(Self.read(Self.proof(for: token, claims: ["jti": .string("first")])), now: Self.now)
      try guardian.admit(proof, now: Self.now + start)
      for later in stride(from: start, through: start + 120, by: 10) {
        #expect(throws: DPoPError.replayed) { try guardian.admit(proof, now: Self.now + later) }
      }
    }
    try guardian.admit(proof, now: Self.now + 500)
    #expect(guardian.count == 1)
  }

  @Test("one jti of two keys is two proofs; when it can remember no more it refuses and forgets nothing")
  func replayLimits() throws {
    let token = try Self.token().bytes
    let first = try Self.read(Self.proof(for: token))
    let other = try Self.read(Self.proof(for: token, key: PrivateKey.generateEC(.p256)))
    var guardian = DPoPReplayGuard(limit: 2)
    try guardian.admit(first, now: Self.now)
    try guardian.admit(other, now: Self.now)
    let third = try Self.read(Self.proof(for: token, claims: ["jti": .string("p3")]))
    #expect(throws: DPoPError.overloaded) { try guardian.admit(third, now: Self.now) }
    #expect(throws: DPoPError.replayed) { try guardian.admit(first, now: Self.now) }
    // A clock set back forgets nothing either.
    #expect(throws: DPoPError.replayed) { try guardian.admit(first, now: Self.now - 100_000) }
  }

  @Test("what is no proof at all is an error without a trap")
  func form() throws {
    let (bytes, verified) = try Self.token()
    let good = try Self.proof(for: bytes)
    for text in [[], Array("a.b.c".utf8), Array(good.dropLast(90)), good + good, [UInt8](repeating: 0x2e, count: 20_000)] {
      #expect(Self.error(text, verified)?.isOfTheProof == true)
    }
    #expect(Self.error(try Self.proof(for: bytes, claims: ["x": .string(String(repeating: "x", count: 9000))]), verified) != nil)
  }

  @Test("the proofs that RFC 9449 prints are read, with the thumbprint that it prints")
  func rfcExamples() throws {
    guard let file = TestData.sharedFile("vectors/jose/rfc-examples.json") else { return }
    var ran = 0
    for example in try #require(try JSONParser.parse(TestData.contents(of: file))["examples"]?.array) {
      guard let thumbprint = example["jkt"]?.string, let text = example["compact"]?.string else { continue }
      let proof = try Self.read(Array(text.utf8))
      #expect(Base64URL.encode(proof.thumbprint) == thumbprint)
      #expect(proof.jti == example["payload"]?["jti"]?.string)
      ran += 1
    }
    #expect(ran == 3)
    TestData.report("RFC 9449 proofs", ran: ran)
  }
}

extension DPoPProof {
  func check(
    _ request: Request, token: VerifiedToken, now: Int64, nonces: DPoPNonce? = nil, window: Int64 = 60, clockSkew: Int64 = 60
  ) throws(DPoPError) {
    try check(
      request, tokenDigest: Digest.sha256(token.bytes.exposed), boundTo: token.keyThumbprint, now: now, nonces: nonces, window: window,
      clockSkew: clockSkew)
  }
}

extension DPoPError {
  fileprivate var isOfTheProof: Bool {
    switch self {
    case .nonce, .otherKey, .overloaded: false
    default: true
    }
  }
}
