import Bytes
import Crypto
import Development
import HTTP
import JOSE
import JSON
import Telemetry
import Testing

@testable import Pipeline

/// Proofs of possession on the page (RFC 9449), and what the service behind is told under our signature.
@Suite struct ProofPageTests {
  private static let routes = """
    routes: [ { match: 'GET /vault', access: 'authenticated', dpop: true }, { match: 'POST /vault', access: 'authenticated', dpop: true },
      { match: 'GET /trial', access: 'authenticated', dpop: true, mode: 'observe' }, { match: '* /{rest...}', access: 'authenticated' } ],
    """

  private final class Holder {
    let key: PrivateKey
    let jwk: JSONValue
    let thumbprint: String
    private var count = 0

    init() throws {
      let key = try PrivateKey.generateEC(.p256)
      self.key = key
      func number(_ number: PrivateKey.Number) -> JSONValue { .string(Base64URL.encode(key.number(number) ?? [])) }
      let jwk = JSONValue.object(["kty": .string("EC"), "crv": .string("P-256"), "x": number(.x), "y": number(.y)])
      self.jwk = jwk
      thumbprint = Base64URL.encode(try JWK(jwk).thumbprint)
    }

    func proof(
      for token: String, _ method: String = "GET", _ target: String = "http://api.example.com/vault", nonce: String? = nil,
      jti: String? = nil,
      at time: Int64 = Desk.time
    ) throws -> String {
      count += 1
      var claims: [JSONValue.Member] = [
        .init(name: "jti", value: .string(jti ?? "p\(count)")), .init(name: "htm", value: .string(method)),
        .init(name: "htu", value: .string(target)), .init(name: "iat", value: .integer(time)),
        .init(name: "ath", value: .string(Base64URL.encode(Digest.sha256(token.utf8)))),
      ]
      if let nonce { claims.append(.init(name: "nonce", value: .string(nonce))) }
      let header = JSONValue.object(["typ": .string("dpop+jwt"), "alg": .string("ES256"), "jwk": jwk])
      let signed = JWSSigner.part(header) + "." + JWSSigner.part(JSONValue(.object(claims)))
      return signed + "." + Base64URL.encode(try key.sign(Array(signed.utf8), by: JWSAlgorithm.es256.signature))
    }
  }

  private func desk(_ more: String = "dpop: { nonce: false },") throws -> Desk { try Desk(configuration: Self.routes + more) }

  private func verdict(_ desk: Desk, _ line: String, _ token: String, _ proofs: String..., at time: Int64 = Desk.time) throws -> String {
    try desk.verdict(line, ["Authorization: DPoP \(token)"] + proofs.map { "DPoP: \($0)" }, at: time)
  }

  @Test func aBoundTokenPassesWithAProofAndNotWithout() throws {
    let desk = try desk()
    let holder = try Holder()
    let token = try desk.token("alice", boundTo: holder.thumbprint)
    #expect(try verdict(desk, "GET /vault", token) == "401 dpop_proof", "no proof")
    #expect(try verdict(desk, "GET /vault", token, holder.proof(for: token)) == "forward")
    #expect(try verdict(desk, "GET /vault", token, holder.proof(for: token)) == "forward", "the token is hot, the proof is new")
    #expect(try verdict(desk, "GET /vault?a=1", token, holder.proof(for: token)) == "forward", "htu has no query")
    #expect(try verdict(desk, "GET /vault", token, holder.proof(for: token), holder.proof(for: token)) == "401 dpop_proof", "two proofs")
    #expect(try verdict(desk, "GET /vault", token, holder.proof(for: token, "POST")) == "401 dpop_proof")
    #expect(try verdict(desk, "GET /vault", token, holder.proof(for: token, "GET", "http://api.example.com/other")) == "401 dpop_proof")
    #expect(try verdict(desk, "GET /vault", token, holder.proof(for: token, "GET", "https://api.example.com/vault")) == "401 dpop_proof")
    #expect(try verdict(desk, "GET /vault", token, holder.proof(for: token, at: Desk.time - 61)) == "401 dpop_proof")
    #expect(try verdict(desk, "GET /vault", token, holder.proof(for: "another.access.token")) == "401 dpop_proof", "ath")
    #expect(try verdict(desk, "GET /vault", token, "not.a.proof") == "401 dpop_proof")
  }

  @Test func aProofIsUsedOnceHoweverOftenThePageRuns() throws {
    let desk = try desk()
    let holder = try Holder()
    let token = try desk.token("alice", boundTo: holder.thumbprint)
    let proof = try holder.proof(for: token)
    var exchange = try desk.exchange("GET /vault", ["Authorization: DPoP \(token)", "DPoP: \(proof)"])
    #expect(desk.verdict(&exchange) == "forward" && desk.verdict(&exchange) == "forward", "the same request, run again")
    exchange.beginAnew(under: desk.snapshot)
    #expect(desk.verdict(&exchange) == "forward", "under another load")
    #expect(try verdict(desk, "GET /vault", token, proof) == "401 dpop_proof", "another request")
  }

  @Test func aBoundTokenIsWorthNothingInOtherHands() throws {
    let desk = try desk()
    let (holder, thief) = (try Holder(), try Holder())
    let token = try desk.token("alice", boundTo: holder.thumbprint)
    #expect(try verdict(desk, "GET /vault", token, holder.proof(for: token)) == "forward")
    #expect(try verdict(desk, "GET /vault", token, thief.proof(for: token)) == "401 token_binding")
    #expect(try desk.verdict("GET /vault", token: token) == "401 no_token", "not as a bearer token, though it is hot")
    #expect(try desk.verdict("GET /open", token: token) == "401 token_binding", "nor where no proof is demanded")
    #expect(try verdict(desk, "GET /open", token, holder.proof(for: token)) == "401 no_token", "where the scheme is Bearer")
    let unbound = try desk.token("alice")
    #expect(
      try verdict(desk, "GET /vault", unbound, holder.proof(for: unbound)) == "401 token_binding", "a token for everybody proves nothing")
    #expect(try desk.verdict("GET /open", token: unbound) == "forward")
  }

  @Test func withoutARouteThatDemandsProofsNoBoundTokenIsAccepted() throws {
    let desk = try Desk(configuration: "")
    #expect(try desk.verdict("GET /orders/1", token: desk.token("alice", boundTo: Holder().thumbprint)) == "401 token_binding")
  }

  @Test func aNonceIsAskedForAndGiven() throws {
    let desk = try desk("")
    let holder = try Holder()
    let token = try desk.token("alice", boundTo: holder.thumbprint)
    var exchange = try desk.exchange("GET /vault", ["Authorization: DPoP \(token)", "DPoP: \(try holder.proof(for: token))"])
    guard case .refuse(let rejection) = exchange.decide(desk.facts) else {
      Issue.record("it passed")
      return
    }
    #expect(rejection.reason == .dpopNonce)
    let answer = Answer(rejection, id: exchange.id, challenge: exchange.challenge(desk.facts))
    let challenge = answer.fields.first { $0.name == "WWW-Authenticate" }?.value ?? ""
    #expect(challenge.hasPrefix("DPoP realm=") && challenge.contains(#"error="use_dpop_nonce""#) && challenge.contains("algs=\"RS256"))
    let nonce = try #require(answer.fields.first { $0.name == "DPoP-Nonce" }?.value)
    #expect(try verdict(desk, "GET /vault", token, holder.proof(for: token, nonce: nonce)) == "forward")
    #expect(try verdict(desk, "GET /vault", token, holder.proof(for: token, nonce: nonce + "x")) == "401 dpop_nonce")
    let later = Desk.time + 121
    #expect(try verdict(desk, "GET /vault", token, holder.proof(for: token, nonce: nonce, at: later), at: later) == "401 dpop_nonce")
    // Who brings no token is told the scheme, and the nonce for the first try.
    let stranger = try desk.exchange("GET /vault")
    #expect(try desk.verdict("GET /vault") == "401 no_token" && stranger.nonce(desk.facts) == nil, "not matched yet")
  }

  @Test func observingLetsPassAndNamesNobody() throws {
    let desk = try desk()
    let holder = try Holder()
    let token = try desk.token("alice", boundTo: holder.thumbprint)
    var exchange = try desk.exchange("GET /trial", ["Authorization: DPoP \(token)"])
    #expect(desk.verdict(&exchange) == "would-refuse dpop_proof")
    #expect(try desk.forwarded(&exchange)?.contains("\r\nX-Stockade-Principal: \r\n") == true, "who did not prove it is nobody")
  }

  @Test func theOriginThatClientsWriteIsSetWhereTLSEndsInFront() throws {
    let desk = try desk("dpop: { nonce: false, origin: 'https://api.example.org' },")
    let holder = try Holder()
    let token = try desk.token("alice", boundTo: holder.thumbprint)
    #expect(try verdict(desk, "GET /vault", token, holder.proof(for: token, "GET", "https://api.example.org/vault")) == "forward")
    #expect(try verdict(desk, "GET /vault", token, holder.proof(for: token)) == "401 dpop_proof")
  }

  // MARK: what we sign

  @Test func theServiceIsToldWhoAsksUnderOurSignature() throws {
    let desk = try Desk(configuration: "identity_assertion: { audience: 'orders', issuer: 'https://proxy.example' },")
    let keys = try AssertionKeys(issuer: "https://proxy.example")
    var exchange = try desk.exchange("GET /orders/42?x=1", ["X-Stockade-Assertion: forged"], token: try desk.token("alice"))
    let head = try #require(try desk.forwarded(&exchange, signing: keys))
    #expect(!head.contains("forged"))
    let line = try #require(head.split(separator: "\r\n").first { $0.hasPrefix("X-Stockade-Assertion: ") })
    let token = line.dropFirst("X-Stockade-Assertion: ".count)
    let set = try JWKSet.parse(keys.document.text.utf8)
    let signature = try #require(Base64URL.decode(token.split(separator: ".")[2].utf8))
    let signed = Array(token.split(separator: ".").prefix(2).joined(separator: ".").utf8)
    let key = try #require(set.keys.first).publicKey
    #expect(SignatureVerifier().verify(JWSAlgorithm.es256.signature, key: key, message: signed, signature: signature))
    let claims = try JSONParser.parse(try #require(Base64URL.decode(token.split(separator: ".")[1].utf8)))
    #expect(claims["iss"]?.string == "https://proxy.example" && claims["aud"]?.string == "orders")
    #expect(claims["sub"]?.string?.hasPrefix("demo|") == true && claims["groups"]?.array?.compactMap(\.string) == ["viewer"])
    #expect(claims["htm"]?.string == "GET" && claims["htp"]?.string == "/orders/42" && claims["jti"]?.string == exchange.id.description)
    #expect(claims["exp"]?.integer == Desk.time + 30)
    // Nobody is nobody: on a public route nothing is signed, and what the client says is gone.
    let open = try Desk(configuration: "routes: [ { match: 'GET /x', access: 'public' } ], identity_assertion: 'orders',")
    var anybody = try open.exchange("GET /x", ["X-Stockade-Assertion: forged"])
    #expect(try open.forwarded(&anybody, signing: keys)?.contains("Assertion") == false)
  }
}
