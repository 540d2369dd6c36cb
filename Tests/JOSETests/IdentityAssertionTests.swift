import Bytes
import Crypto
import JSON
import Testing

@testable import JOSE

struct IdentityAssertionTests {
  static let now = TokenForge.now
  static let assertion = IdentityAssertion(
    subject: "main|alice", audience: "orders", groups: ["viewer"], clientID: "app", method: "GET", path: "/orders/42", decisionID: "01ABC")

  /// What a service does: our verifier refuses the type on purpose, so the signature and the claims are looked at apart.
  private func read(_ token: String, _ keys: AssertionKeys) throws -> (header: JOSEHeader, claims: JSONValue) {
    let set = try JWKSet.parse(keys.document.text.utf8)
    let jws = try Array(token.utf8).withUnsafeBytes { try CompactJWS($0, byteLimit: 32_768, depthLimit: 8) }
    try jws.verifySignature(keys: set, verifier: SignatureVerifier())
    return (jws.header, try JSONParser.parse(jws.payload))
  }

  @Test("an assertion is a typed ES256 token, bound to one request, that the published keys verify")
  func signed() throws {
    let keys = try AssertionKeys(issuer: "https://proxy.example")
    let (header, claims) = try read(keys.sign(Self.assertion, now: Self.now), keys)
    #expect(header.algorithm == .es256 && header.type == "stockade-assertion+jwt")
    #expect(claims["iss"]?.string == "https://proxy.example" && claims["aud"]?.string == "orders" && claims["sub"]?.string == "main|alice")
    #expect(claims["htm"]?.string == "GET" && claims["htp"]?.string == "/orders/42" && claims["jti"]?.string == "01ABC")
    #expect(
      claims["exp"]?.integer == Self.now + 30 && claims["groups"] == .array([.string("viewer")]) && claims["client_id"]?.string == "app")
  }

  @Test("an assertion is no bearer token: its type is refused")
  func notABearerToken() throws {
    let keys = try AssertionKeys(issuer: TokenForge.issuer)
    var rules = TokenForge.rules
    rules.audiences = [ExactString("orders")]
    let token = try keys.sign(Self.assertion, now: Self.now)
    let error = try TokenForge.error(Array(token.utf8), keys: JWKSet.parse(keys.document.text.utf8), rules: rules)
    #expect(error == .type(found: "stockade-assertion+jwt"))
  }

  @Test("a new key is shown before it signs, and an old one as long as its assertions live")
  func rotation() throws {
    var keys = try AssertionKeys(issuer: "i")
    let old = try keys.sign(Self.assertion, now: Self.now)
    try keys.rotate(now: Self.now)
    let announced = try JWKSet.parse(keys.document.text.utf8)
    #expect(announced.keys.count == 2)
    #expect(try read(keys.sign(Self.assertion, now: Self.now), keys).header.kid == read(old, keys).header.kid)
    // A second rotation while one is announced changes nothing.
    try keys.rotate(now: Self.now + 1)
    #expect(try JWKSet.parse(keys.document.text.utf8).fingerprint == announced.fingerprint)

    // Its time is whole seconds; a copy of the end of this one serves until the end of that one.
    keys.advance(now: Self.now + 300)
    #expect(try JWKSet.parse(keys.document.text.utf8).fingerprint == announced.fingerprint)
    keys.advance(now: Self.now + 301)
    let new = try keys.sign(Self.assertion, now: Self.now + 301)
    #expect(try read(new, keys).header.kid != read(old, keys).header.kid)
    // A service whose copy of the set is from the announcement knows the new key already.
    let jws = try Array(new.utf8).withUnsafeBytes { try CompactJWS($0, byteLimit: 32_768, depthLimit: 8) }
    try jws.verifySignature(keys: announced, verifier: SignatureVerifier())
    keys.advance(now: Self.now + 301 + 331)
    #expect(try JWKSet.parse(keys.document.text.utf8).keys.count == 1)
  }
}

struct ProtectedResourceMetadataTests {
  @Test("the document and its address are those of RFC 9728")
  func document() throws {
    let metadata = try #require(
      ProtectedResourceMetadata(
        resource: "https://api.example.com/orders", authorizationServers: ["https://issuer.example"], scopes: ["orders/read"],
        name: "Orders"))
    #expect(metadata.path == "/.well-known/oauth-protected-resource/orders")
    #expect(metadata.url == "https://api.example.com/.well-known/oauth-protected-resource/orders")
    #expect(
      metadata.document.text
        == #"{"resource":"https://api.example.com/orders","authorization_servers":["https://issuer.example"],"scopes_supported":["orders/read"],"bearer_methods_supported":["header"],"resource_name":"Orders"}"#
    )
    for resource in ["https://api.example.com", "https://api.example.com/"] {
      let metadata = try #require(ProtectedResourceMetadata(resource: resource, authorizationServers: ["i"]))
      #expect(metadata.url == "https://api.example.com/.well-known/oauth-protected-resource")
      #expect(metadata.document["resource"]?.string == resource)
    }
  }

  @Test("what could not stand in a challenge, and plain http elsewhere than on this machine, is refused")
  func refused() {
    for resource in [
      "", "api.example.com", "ftp://x", "http://api.example.com", "http://127.0.0.1.evil.example", "https://", "https:///x", "https://a/?b",
      "https://a/#b", "https://a\"b", "https://a\\b", "https://a b", "https://u@a", "https://é",
    ] { #expect(ProtectedResourceMetadata(resource: resource, authorizationServers: ["i"]) == nil, "\(resource)") }
    #expect(ProtectedResourceMetadata(resource: "https://a", authorizationServers: []) == nil)
    #expect(ProtectedResourceMetadata(resource: "http://127.0.0.1:8080", authorizationServers: ["i"]) != nil)
  }
}
