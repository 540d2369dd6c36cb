import Bytes
import Crypto
import Development
import JOSE
import JSON
import Testing

@testable import Pipeline

/// An issuer's keys are good for its own tokens alone: whoever holds one issuer's key is nobody to another's users.
@Suite struct KeysOfAnotherIssuerTests {
  private static let other = "https://login.example"

  private func claims(_ issuer: String, client: String) -> JSONValue {
    .object([
      "iss": .string(issuer), "sub": .string("alice"), "aud": .string(client), "client_id": .string(client), "token_use": .string("access"),
      "iat": .integer(Desk.time), "exp": .integer(Desk.time + 600),
    ])
  }

  @Test func aKeySignsForItsOwnIssuerAlone() throws {
    let desk = try Desk(
      policies: "permit (principal, action, resource);", configuration: "",
      issuers: "other: { issuer: '\(Self.other)', client_ids: ['app'], id_prefix: 'other', algorithms: ['RS256'] },")
    let main = try #require(desk.snapshot.issuers.issuers.first { $0.name == "main" })
    let other = try #require(desk.snapshot.issuers.issuers.first { $0.name == "other" })
    let client = try #require(desk.issuer.directory.clients.first).id
    let kidOfMain = try #require(desk.issuer.keySet.keys.first?.kid)
    let key = try PrivateKey.generateRSA()
    // The other issuer publishes its key under its own name, and under one of the main issuer's.
    let signers = ["others", kidOfMain].map { JWSSigner(kid: $0, algorithm: .rs256, key: key) }
    let set = try JWKSet.parse(JSONValue.object(["keys": .array(signers.map(\.publicJWK))]).text.utf8)
    desk.facts.learn(.known(.init(set: set, generation: 1)), of: other.index)

    for signer in signers {
      let own = try signer.token(claims: claims(Self.other, client: "app"))
      #expect(try desk.verdict("GET /orders/42", token: own) == "forward")
      let foreign = try signer.token(claims: claims(main.rules.issuers[0], client: client))
      let expected = signer.kid == kidOfMain ? "401 token_signature" : "401 key_unknown"
      #expect(try desk.verdict("GET /orders/42", token: foreign) == expected)
    }
    // And the other way round.
    #expect(try desk.verdict("GET /orders/42", token: desk.token("alice")) == "forward")
    desk.facts.learn(.known(.init(set: desk.issuer.keySet, generation: 2)), of: other.index)
    desk.facts.learn(.known(.init(set: set, generation: 2)), of: main.index)
    #expect(try desk.verdict("GET /orders/42", token: desk.token("alice")) != "forward", "keys are of the issuer that they were learned of")
  }
}
