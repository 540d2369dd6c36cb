import Bytes
import Crypto
import Foundation
import JSON
import TestSupport
import Testing

@testable import JOSE

/// The public token cases, where the shared folder is there.
struct SharedTokenTests {
  @Test("every made token has its verdict, and an accepted one its subject")
  func madeTokens() throws {
    guard let cases = TestData.sharedFile("vectors/jose/made-jwt.jsonl.gz"), let sets = TestData.sharedFile("vectors/jose/made-jwks.json")
    else { return }
    let keySets = try JSONParser.parse(TestData.contents(of: sets))
    var wrong: [String] = []
    var ran = 0
    for line in try TestData.lines(of: cases) {
      let test = try JSONParser.parse(line)
      let id = test["id"]?.string ?? "?"
      let config = try #require(test["config"])
      let algorithms = config["algorithms"]?.array?.compactMap(\.string).compactMap(JWSAlgorithm.init(name:)) ?? []
      var rules = ClaimRules(
        issuers: [config["issuer"]?.string].compactMap { $0 }, profile: .oidc,
        audiences: Set([config["audience"]?.string].compactMap { $0 }.map(ExactString.init)), algorithms: Set(algorithms), clockSkew: 0)
      rules.maximumLifetime = nil
      let set = try #require(keySets[test["jwks"]?.string ?? ""])
      let outcome = Self.outcome(
        Array(try #require(test["jwt"]?.string).utf8), set: set, rules: rules, now: try #require(test["now"]?.integer),
        signatureOnly: config["signatureOnly"]?.bool ?? false)
      ran += 1
      switch (test["expect"]?.string, outcome) {
      case ("accept", .failure(let error)): wrong.append("\(id): \(error)")
      case ("reject", .success): wrong.append("\(id): accepted")
      case (_, .success(let subject?)):
        if let expected = test["sub"]?.string, !exactlyEquals(expected, subject) { wrong.append("\(id): subject \(subject)") }
      default: break
      }
    }
    #expect(wrong.isEmpty, "\(wrong)")
    #expect(ran > 100)
    TestData.report("made tokens", ran: ran)
  }

  private static func outcome(
    _ token: [UInt8], set: JSONValue, rules: ClaimRules, now: Int64, signatureOnly: Bool
  ) -> Result<String?, any Error> {
    Result {
      let keys = try JWKSet.parse(Array(set.text.utf8))
      if signatureOnly {
        let jws = try token.withUnsafeBytes { try CompactJWS($0, byteLimit: 32768, depthLimit: 32) }
        guard rules.algorithms.contains(jws.header.algorithm) else { throw TokenError.partCount(0) }
        try jws.verifySignature(keys: keys, verifier: SignatureVerifier())
        return nil
      }
      return try TokenVerifier.verify(UnverifiedToken.parse(token), keys: keys, rules: rules, now: now, verifier: SignatureVerifier())
        .subject
    }
  }

  @Test("every Cognito token has its verdict under the rules of its pool")
  func cognitoTokens() throws {
    guard let cases = TestData.sharedFile("vectors/cognito/signed-tokens.json"), let sets = TestData.sharedFile("vectors/cognito/jwks.json")
    else { return }
    let usable = try #require(try JSONParser.parse(TestData.contents(of: sets))["usable"])
    let keys = try JWKSet.parse(Array(usable.text.utf8))
    #expect(keys.keys.count == 2)
    var wrong: [String] = []
    let tests = try #require(try JSONParser.parse(TestData.contents(of: cases))["cases"]?.array)
    for test in tests {
      let id = test["id"]?.string ?? "?"
      let config = try #require(test["config"])
      let pool = try #require(CognitoUserPool(id: config["userPoolId"]?.string ?? ""))
      let clients = config["clientIds"]?.array.map { Set($0.compactMap(\.string).map(ExactString.init)) }
      let uses = config["tokenUse"]?.string.flatMap(TokenUse.init(name:)).map { Set([$0]) } ?? [.id, .access]
      let rules = ClaimRules.cognito(pool, clientIDs: clients, tokenUses: uses)
      let outcome = Self.outcome(
        Array(try #require(test["jwt"]?.string).utf8), set: usable, rules: rules, now: try #require(test["now"]?.integer),
        signatureOnly: false)
      switch (test["expect"]?.string, outcome) {
      case ("accept", .failure(let error)): wrong.append("\(id): \(error)")
      case ("reject", .success): wrong.append("\(id): accepted")
      default: break
      }
    }
    #expect(wrong.isEmpty, "\(wrong)")
    TestData.report("Cognito tokens", ran: tests.count)
  }

  @Test("every public JWS has its verdict; errata are those the collection documents")
  func wycheproofJWS() throws {
    guard let file = TestData.sharedFile("vectors/jose/wycheproof-jws.jsonl.gz") else { return }
    // Marked valid, and rightly refused: ? is outside the alphabet (372, 373), the key's alg differs (346, 350) or is no algorithm (347, 351).
    let errata: Set<Int64> = [372, 373, 346, 350, 347, 351]
    var wrong: [String] = []
    var ran = 0
    for line in try TestData.lines(of: file) {
      let group = try JSONParser.parse(line)
      let isPublic = group["public"]?.object != nil
      let keyValue = try #require(isPublic ? group["public"] : group["private"])
      let set = keyValue["keys"] == nil ? JSONValue.object(["keys": .array([keyValue])]) : keyValue
      for test in group["tests"]?.array ?? [] {
        ran += 1
        let number = test["tcId"]?.integer ?? -1
        // Some are JSON serializations on purpose, which are no bearer tokens.
        let text = test["jws"]?.string ?? test["jws"]?.text ?? ""
        let outcome = Result {
          let keys = try JWKSet.parse(Array(set.text.utf8))
          let jws = try Array(text.utf8).withUnsafeBytes { try CompactJWS($0, byteLimit: 32768, depthLimit: 32) }
          try jws.verifySignature(keys: keys, verifier: SignatureVerifier())
        }
        let valid = test["result"]?.string == "valid" && isPublic && !errata.contains(number)
        switch outcome {
        case .success where !valid: wrong.append("\(group["comment"]?.string ?? "") \(number) \(test["comment"]?.string ?? ""): accepted")
        case .failure(let error) where valid:
          wrong.append("\(group["comment"]?.string ?? "") \(number) \(test["comment"]?.string ?? ""): \(error)")
        default: break
        }
      }
    }
    #expect(wrong.isEmpty, "\(wrong)")
    TestData.report("wycheproof JWS", ran: ran)
  }

  @Test("EC keys are taken if and only if they are on the curve that they name")
  func ecKeys() throws {
    guard let file = TestData.sharedFile("vectors/jose/wycheproof-ec-jwk.jsonl.gz") else { return }
    var ran = 0
    for line in try TestData.lines(of: file) {
      let test = try JSONParser.parse(line)
      let key = try #require(test["jwk"])
      let set = try JWKSet.parse(Array(JSONValue.object(["keys": .array([key])]).text.utf8))
      #expect((set.keys.count == 1) == (test["onNamedCurve"]?.bool == true), "\(test["tcId"]?.integer ?? -1)")
      ran += 1
    }
    TestData.report("EC keys", ran: ran)
  }

  @Test("the cookbook's compact signatures verify with public keys, and everything else of it is refused")
  func cookbook() throws {
    guard let file = TestData.sharedFile("vectors/jose/cookbook.json") else { return }
    let verifying: Set<String> = [
      "curve25519/jws.json", "jws/4_1.rsa_v15_signature.json", "jws/4_2.rsa-pss_signature.json", "jws/4_3.ecdsa_signature.json",
    ]
    var ran = 0
    for member in try #require(try JSONParser.parse(TestData.contents(of: file)).object) where member.value["input"] != nil {
      let key = try #require(member.value["input"]?["key"])
      let publicKey = Self.bare(key)
      let text = member.value["output"]?["compact"]?.string ?? member.value["output"]?["json"]?.text ?? ""
      let outcome = Result {
        let keys = try JWKSet.parse(Array(JSONValue.object(["keys": .array([publicKey])]).text.utf8))
        let jws = try Array(text.utf8).withUnsafeBytes { try CompactJWS($0, byteLimit: 32768, depthLimit: 32) }
        try jws.verifySignature(keys: keys, verifier: SignatureVerifier())
      }
      let accepted = if case .success = outcome { true } else { false }
      #expect(accepted == verifying.contains(member.name), "\(member.name): \(outcome)")
      ran += 1
    }
    TestData.report("cookbook", ran: ran)
  }

  @Test("the signatures and thumbprints that RFCs print are ours too")
  func rfcExamples() throws {
    guard let file = TestData.sharedFile("vectors/jose/rfc-examples.json") else { return }
    var ran = 0
    for example in try #require(try JSONParser.parse(TestData.contents(of: file))["examples"]?.array) {
      let name = example["name"]?.string ?? "?"
      let keyType = example["jwk"]?["kty"]?.string
      if let expected = example["thumbprint"]?.string, keyType != "oct" {
        let key = try JWK(Self.bare(try #require(example["jwk"])))
        #expect(Base64URL.encode(key.thumbprint) == expected, "\(name)")
        ran += 1
      }
      if let text = example["compact"]?.string {
        let key = example["jwk"].map(Self.bare)
        let outcome = Result {
          let keys = try JWKSet.parse(Array(JSONValue.object(["keys": .array(key.map { [$0] } ?? [])]).text.utf8))
          let jws = try Array(text.utf8).withUnsafeBytes { try CompactJWS($0, byteLimit: 32768, depthLimit: 32) }
          try jws.verifySignature(keys: keys, verifier: SignatureVerifier())
        }
        let accepted = if case .success = outcome { true } else { false }
        #expect(accepted == (example["signature"]?.string == "valid" && keyType != "oct"), "\(name): \(outcome)")
        ran += 1
      }
    }
    TestData.report("RFC examples", ran: ran)
  }

  private static func bare(_ key: JSONValue) -> JSONValue {
    JSONValue(.object((key.object ?? []).filter { !["d", "p", "q", "dp", "dq", "qi", "use"].contains($0.name) }))
  }
}
