import Bytes
import Crypto
import JOSE
import JSON

// The bytes as a proof, and (split at the first NUL) as the header's further members and the claims of a proof that is signed by the
// key it brings, checked for a fixed request.

private let issuer = "https://issuer.example.org"
private let now: Int64 = 1_800_000_000

private struct World {
  let key: PrivateKey
  let jwk: String
  let token: (bytes: [UInt8], thumbprint: String)

  init?() {
    do {
      let key = try PrivateKey.generateEd25519()
      let x = Base64URL.encode(key.number(.x) ?? [])
      let jwk = #"{"kty":"OKP","crv":"Ed25519","x":"\#(x)"}"#
      let keys = try JWKSet.parse(Array(#"{"keys":[\#(jwk)]}"#.utf8))
      let thumbprint = Base64URL.encode(keys.keys.first?.thumbprint ?? [])
      let claims = JSONValue.object([
        "iss": .string(issuer), "sub": .string("alice"), "aud": .string("api"), "exp": .integer(now + 60),
        "cnf": .object(["jkt": .string(thumbprint)]),
      ])
      let text = try JWSSigner(kid: "k", algorithm: .edDSA, key: key).token(claims: claims)
      token = (Array(text.utf8), thumbprint)
      self.key = key
      self.jwk = jwk
    } catch {
      return nil
    }
  }
}

private let world = World()

private func judge(_ bytes: UnsafeRawBufferPointer, _ token: (bytes: [UInt8], thumbprint: String)) {
  do throws(DPoPError) {
    let proof = try DPoPProof(bytes, verifier: SignatureVerifier())
    precondition(proof.thumbprint.count == 32 && !proof.jti.isEmpty)
    var replays = DPoPReplayGuard()
    try replays.admit(proof, now: now)
    try proof.check(
      .init(method: "GET", target: "https://api.example.org/orders/42"), tokenDigest: Digest.sha256(token.bytes), boundTo: token.thumbprint,
      now: now)
  } catch {
    precondition(error.description.utf8.count < 4096)
  }
}

/// One input of the fuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard let world else { preconditionFailure("no token to bind to") }
  let bytes = UnsafeRawBufferPointer(start: start, count: count)
  judge(bytes, world.token)
  let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
  guard parts.count == 2 else { return 0 }
  let extra = parts[0].isEmpty ? [] : [UInt8(ascii: ",")] + Array(parts[0])
  let header = Array(#"{"alg":"EdDSA","typ":"dpop+jwt","jwk":\#(world.jwk)"#.utf8) + extra + [UInt8(ascii: "}")]
  let signed = Base64URL.encode(header) + "." + Base64URL.encode(Array(parts[1]))
  do throws(KeyError) {
    let signature = try world.key.sign(Array(signed.utf8), by: .ed25519)
    Array((signed + "." + Base64URL.encode(signature)).utf8).withUnsafeBytes { judge($0, world.token) }
  } catch {
    preconditionFailure("cannot sign")
  }
  return 0
}
