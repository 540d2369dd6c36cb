import Bytes
import Crypto
import Foundation
import JSON
import TestSupport
import Testing

/// The public signature cases, where the shared folder is there.
struct WycheproofSignatureTests {
  @Test("every public signature case has its verdict; parameters that JWS does not allow verify under no algorithm")
  func signatures() throws {
    guard let file = TestData.sharedFile("vectors/jose/wycheproof-signatures.jsonl.gz") else { return }
    var ran = 0
    var wrong: [String] = []
    for line in try TestData.lines(of: file) {
      let group = try JSONParser.parse(line)
      let label = "\(group["file"]?.string ?? "?") \(group["group"]?.integer ?? -1)"
      let algorithm = group["jws"]?.string.flatMap(Self.algorithm)
      let key = group["jwk"].flatMap(Self.key)
      let supported = algorithm != nil && key != nil
      let verifier = SignatureVerifier()
      for test in group["tests"]?.array ?? [] {
        let message = Self.bytes(test["msg"])
        let signature = Self.bytes(test["sig"])
        let flags = test["flags"]?.array?.compactMap(\.string) ?? []
        let result = test["result"]?.string
        ran += 1
        guard let key else { continue }
        let accepted: Bool
        if let algorithm {
          accepted = verifier.verify(algorithm, key: key, message: message, signature: signature)
        } else {
          // Some of these hold a good PKCS #1 v1.5 signature to be refused as PSS.
          accepted = Self.all.dropFirst(3).contains { verifier.verify($0, key: key, message: message, signature: signature) }
        }
        let expected = supported && result == "valid"
        // MissingNull is open; a small public exponent is the key policy's to judge.
        if result == "acceptable" || flags.contains("SmallPublicKey") { continue }
        if accepted != expected { wrong.append("\(label) \(test["tcId"]?.integer ?? -1): \(test["comment"]?.string ?? "")") }
      }
      if key == nil, let name = group["jws"]?.string, name != "ES256K", group["jwk"]?["crv"]?.string != "Ed448" {
        wrong.append("\(label): the key of \(name) was not taken")
      }
    }
    #expect(wrong.isEmpty, "\(wrong.prefix(10))")
    #expect(ran > 3000)
    TestData.report("wycheproof signatures", ran: ran)
  }

  private static let all: [SignatureAlgorithm] =
    Digest.allCases.map(SignatureAlgorithm.rsaPKCS1) + Digest.allCases.map(SignatureAlgorithm.rsaPSS)
    + Curve.allCases.map(SignatureAlgorithm.ecdsa) + [.ed25519]

  private static func algorithm(_ name: String) -> SignatureAlgorithm? {
    let names = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
    return names.firstIndex(of: name).map { all[$0] }
  }

  private static func key(_ jwk: JSONValue) -> PublicKey? {
    func number(_ name: String) -> [UInt8] { jwk[name]?.string.flatMap { Base64URL.decode($0.utf8) } ?? [] }
    do {
      switch (jwk["kty"]?.string, jwk["crv"]?.string) {
      case ("RSA", _): return try PublicKey.rsa(modulus: number("n"), exponent: number("e"))
      case ("EC", "P-256"): return try PublicKey.ec(.p256, x: number("x"), y: number("y"))
      case ("EC", "P-384"): return try PublicKey.ec(.p384, x: number("x"), y: number("y"))
      case ("EC", "P-521"): return try PublicKey.ec(.p521, x: number("x"), y: number("y"))
      case ("OKP", "Ed25519"): return try PublicKey.ed25519(number("x"))
      default: return nil
      }
    } catch {
      return nil
    }
  }

  private static func bytes(_ value: JSONValue?) -> [UInt8] {
    value?.string.flatMap { Data(base64Encoded: $0) }.map(Array.init) ?? []
  }
}
