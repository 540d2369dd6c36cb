import Bytes
import Crypto
import JOSE
import JSON
import TestSupport
import Testing

@testable import Pipeline

/// Keys from a file beside the configuration.
@Suite struct KeyFileTests {
  private static func configuration(_ issuer: String) -> String {
    "{ upstream: 'http://127.0.0.1:1', issuers: { main: { issuer: 'https://login.example.com', client_ids: ['web'], \(issuer) } } }"
  }

  private static func publicSet() throws -> String {
    let signer = JWSSigner(kid: "k", algorithm: .rs256, key: try PrivateKey.generateRSA())
    return JSONValue.object(["keys": .array([signer.publicJWK])]).text
  }

  @Test func theKeysAreThoseOfTheFile() throws {
    let set = try Self.publicSet()
    let configuration = try ConfigurationTests.read(
      Self.configuration("jwks_file: 'keys.json'"), name: "/etc/stockade/stockade.json5", files: ["/etc/stockade/keys.json": set])
    let snapshot = try SnapshotBuilder.build(configuration, policies: Desk.files("permit (principal, action, resource);"), generation: 1)
    guard case .file(let file) = snapshot.issuers.issuers[0].keys else {
      Issue.record("\(snapshot.issuers.issuers[0].keys)")
      return
    }
    #expect(file.path == "/etc/stockade/keys.json" && file.set.keys.map(\.kid) == ["k"])
    let other = try ConfigurationTests.read(
      Self.configuration("jwks_file: 'keys.json'"), name: "/etc/stockade/stockade.json5", files: ["/etc/stockade/keys.json": set + " "])
    #expect(configuration.fingerprint != other.fingerprint, "a file that changed is another configuration")
  }

  @Test func everyMistakeInAKeyFileIsToldWithItsPlaceAndWithoutTheKey() throws {
    let rsa = #""kty":"RSA","e":"AQAB","n":"\#(String(repeating: "wxyz", count: 90))""#
    let cases = [
      ("not JSON", #"{"keys":[}"#),
      ("PEM", "-----BEGIN PRIVATE KEY-----\n" + String(repeating: "MIIE", count: 16) + "\n-----END PRIVATE KEY-----\n"),
      ("half a private key", #"{"keys":[{"kty":"RSA","d":"\#(String(repeating: "s3cr", count: 20))"#),
      ("no set", "[]"), ("a single key", "{\(rsa)}"), ("no list", #"{"keys":{}}"#), ("no keys", #"{"keys":[]}"#),
      ("only keys for something else", #"{"keys":[{\#(rsa),"use":"enc"}]}"#),
      ("a private key", #"{"keys":[{\#(rsa),"d":"s3cret"}]}"#),
      ("a private key for something else", #"{"keys":[{\#(rsa),"use":"enc","d":"s3cret"}]}"#),
      ("a symmetric key", #"{"keys":[{"kty":"oct","k":"s3cret"}]}"#),
      ("a key that lacks something", #"{"keys":[{"kty":"RSA","kid":"a","e":"AQAB"}]}"#),
      ("two mistakes", #"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"oct","k":"s3cret"}]}"#),
      ("a development issuer's keys", #"{"stockade_development":true,"keys":[]}"#),
    ]
    var text = ""
    for (name, file) in cases {
      text += "# \(name)\n"
      do throws(ConfigurationError) {
        _ = try ConfigurationTests.read(Self.configuration("jwks_file: 'keys.json'"), files: ["keys.json": file])
        Issue.record("\(name) is taken")
      } catch {
        text += error.report + "\n"
        for line in error.problems { #expect(line.contains("keys.json:"), "no place for: \(line)") }
      }
    }
    #expect(!text.contains("s3cr") && !text.contains("MIIEMIIE"), "a key in a message is a key in a log")
    #expect(Golden.difference(text, from: "key-files.txt") == nil)
  }
}
