import Bytes
import Crypto
import JSON
import Testing

@testable import JOSE

struct JWKSetTests {
  let key = TokenForge.jwk(TokenForge.rsa)

  private func parse(_ text: String) throws -> JWKSet { try JWKSet.parse(Array(text.utf8)) }

  @Test("a broken key is left out and reported, and the rest of the set works")
  func oneBroken() throws {
    let good = key.text
    let broken: [(String, JWKError)] = [
      ("1", .notAnObject(found: "a number")), ("null", .notAnObject(found: "null")), ("{}", .missing("kty")),
      (#"{"kty":"RSA","kid":"b","e":"AQAB"}"#, .missing("n")), (#"{"kty":"RSA","n":1,"e":"AQAB"}"#, .wrongType("n", found: "a number")),
      (#"{"kty":"RSA","n":"AQ==","e":"AQAB"}"#, .notBase64URL("n")), (#"{"kty":"RSA","n":"+/","e":"AQAB"}"#, .notBase64URL("n")),
      (#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#, .unusable(.modulusTooSmall(bits: 17))), (#"{"kty":"oct","k":"AAAA"}"#, .symmetric),
      (#"{"kty":"AKP","pub":"AAAA"}"#, .unsupported("kty \"AKP\"")), (#"{"kty":"rsa"}"#, .unsupported("kty \"rsa\"")),
      (#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}"#, .unsupported("crv \"secp256k1\"")),
      (#"{"kty":"OKP","crv":"Ed448","x":"AA"}"#, .unsupported("crv \"Ed448\"")),
      (#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#, .unusable(.lengthWrong(found: 1, expected: 32))),
      (#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#, .unusable(.lengthWrong(found: 1, expected: 32))),
      (#"{"kty":"RSA","kty":"oct","n":"AQAB","e":"AQAB"}"#, .duplicateMember("kty")),
      (#"{"kty":"RSA","kid":7}"#, .wrongType("kid", found: "a number")),
    ]
    for (text, error) in broken {
      let set = try parse(#"{"keys":[\#(text),\#(good)]}"#)
      #expect(set.keys.count == 1, "\(text)")
      #expect(set.problems.map(\.error) == [error], "\(text)")
      #expect(set.problems.first?.index == 0)
      #expect(try TokenForge.error(TokenForge.token(), keys: set) == nil)
    }
  }

  @Test("use, key_ops and alg decide whether a key checks signatures")
  func purpose() throws {
    func count(use: String? = nil, alg: String? = nil, extra: [(String, JSONValue)] = []) throws -> Int {
      try TokenForge.set([TokenForge.jwk(TokenForge.rsa, alg: alg, use: use, extra: extra)]).keys.count
    }
    #expect(try count() == 1)
    #expect(try count(use: "sig") == 1)
    #expect(try count(use: "enc") == 0)
    #expect(try count(use: "SIG") == 0)
    #expect(try count(alg: "RS512") == 1)
    #expect(try count(alg: "RSA-OAEP") == 0)
    #expect(try count(alg: "ES256") == 0)
    #expect(try count(alg: "none") == 0)
    #expect(try count(alg: "HS256") == 0)
    #expect(try count(extra: [("key_ops", .array([.string("verify")]))]) == 1)
    #expect(try count(extra: [("key_ops", .array([.string("encrypt")]))]) == 0)
    #expect(try count(extra: [("key_ops", .array([]))]) == 0)
    #expect(try count(extra: [("key_ops", .string("verify"))]) == 0)
    #expect(try count(extra: [("x5c", .array([.string("AAAA")])), ("made-up", .integer(1))]) == 1)
  }

  @Test("a key whose private half the set shows is not used")
  func published() throws {
    let set = try TokenForge.set([TokenForge.jwk(TokenForge.rsa, extra: [("d", .string("AQAB"))])])
    #expect(set.keys.isEmpty)
    #expect(set.problems.map(\.error) == [.privateKeyPublished])
  }

  @Test("keys of one kid are told apart by algorithm, and at most four of a kid are kept")
  func sharedKid() throws {
    let mixed = try TokenForge.set([TokenForge.jwk(TokenForge.key(.es256)), key, TokenForge.jwk(TokenForge.key(.edDSA))])
    for algorithm in [JWSAlgorithm.rs256, .es256, .edDSA] { #expect(try TokenForge.error(TokenForge.token(algorithm), keys: mixed) == nil) }
    let two = try TokenForge.set([TokenForge.jwk(TokenForge.otherRSA), key])
    #expect(two.candidates(kid: "k1", algorithm: .rs256).count == 2)
    #expect(try TokenForge.error(TokenForge.token(), keys: two) == nil)
    let same = try TokenForge.set([key, key])
    #expect(same.keys.count == 1)
    #expect(same.problems.isEmpty)
    let many = try TokenForge.set(JWSAlgorithm.allCases.map { TokenForge.jwk(TokenForge.key($0), alg: $0.rawValue) })
    #expect(many.keys.count == JWKSet.sharedKidLimit)
    #expect(many.problems.count == JWSAlgorithm.allCases.count - JWKSet.sharedKidLimit)
  }

  @Test("a set has at most a hundred keys; what follows is reported once")
  func manyKeys() throws {
    let keys = (0..<130).map { TokenForge.jwk(TokenForge.key(.edDSA), kid: "k\($0)") }
    let set = try TokenForge.set(keys)
    #expect(set.keys.count == 100)
    #expect(set.problems.map(\.error) == [.tooManyKeys(limit: 100)])
  }

  @Test("what is not a key set at all is an error that says so")
  func notASet() {
    #expect(throws: JWKSetError.notAnObject(found: "an array")) { try parse("[]") }
    #expect(throws: JWKSetError.noKeys) { try parse("{}") }
    #expect(throws: JWKSetError.keysNotAnArray(found: "an object")) { try parse(#"{"keys":{}}"#) }
    #expect(throws: JWKSetError.duplicateKeys) { try parse(#"{"keys":[],"keys":[]}"#) }
    for text in ["", "<html>", "{", "\u{feff}{}", #"{"keys":[]} x"#, #"{"keys":"# + String(repeating: "[", count: 200)] {
      #expect(throws: JWKSetError.self) { try parse(text) }
    }
    #expect(throws: JWKSetError.self) { try JWKSet.parse([UInt8](repeating: 0x20, count: JWKSet.byteLimit + 1)) }
  }

  @Test("a fresh copy of the set is worth asking for if no key has the name, or for a token without kid if there is no key")
  func worthAsking() throws {
    let set = try TokenForge.set([key])
    #expect(set.hasKey(kid: "k1") && !set.hasKey(kid: "k2") && set.hasKey(kid: nil))
    #expect(!JWKSet.empty.hasKey(kid: "k1") && !JWKSet.empty.hasKey(kid: nil))
  }

  @Test("a set says whether it is a development issuer's")
  func development() throws {
    #expect(try parse(#"{"keys":[],"stockade_development":true}"#).isDevelopment)
    #expect(try !parse(#"{"keys":[],"stockade_development":"true"}"#).isDevelopment)
    #expect(try !parse(#"{"keys":[]}"#).isDevelopment)
  }

  @Test("an empty set is a set")
  func empty() throws {
    #expect(try parse(#"{"keys":[]}"#).keys.isEmpty)
    #expect(JWKSet.empty.candidates(kid: "k1", algorithm: .rs256).isEmpty)
  }

  @Test("the fingerprint changes with the usable keys and their names, and with nothing else")
  func fingerprint() throws {
    let base = try TokenForge.set([key]).fingerprint
    #expect(try TokenForge.set([TokenForge.jwk(TokenForge.rsa, extra: [("x", .integer(1))])]).fingerprint == base)
    #expect(try TokenForge.set([key, .object(["kty": .string("AKP")])]).fingerprint == base)
    #expect(try TokenForge.set([TokenForge.jwk(TokenForge.rsa, kid: "k2")]).fingerprint != base)
    #expect(try TokenForge.set([TokenForge.jwk(TokenForge.rsa, kid: nil)]).fingerprint != base)
    #expect(try TokenForge.set([TokenForge.jwk(TokenForge.rsa, alg: "RS256")]).fingerprint != base)
    #expect(try TokenForge.set([TokenForge.jwk(TokenForge.otherRSA)]).fingerprint != base)
    #expect(JWKSet.empty.fingerprint != base)
  }
}
