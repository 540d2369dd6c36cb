import Bytes
import Crypto
import JOSE
import JSON

// Two ways in: the bytes as a token, and the bytes as header and claims (split at the first NUL) behind a good signature, so that
// the rules for claims are reached too.

private let issuer = "https://issuer.example.org"
private let key: PrivateKey? = {
  do {
    return try PrivateKey.generateEd25519()
  } catch {
    return nil
  }
}()
private let keys: JWKSet = {
  let x = Base64URL.encode(key?.number(.x) ?? [])
  do {
    return try JWKSet.parse(Array(#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"\#(x)","kid":"k"}]}"#.utf8))
  } catch {
    return .empty
  }
}()
private let rules = [
  ClaimRules(issuers: [issuer], profile: .oidc, audiences: [ExactString("api")]),
  ClaimRules(issuers: [issuer], profile: .cognito, clientIDs: [ExactString("app")]),
]

private func judge(_ bytes: UnsafeRawBufferPointer, trusting: Bool) {
  do throws(TokenError) {
    let token = try UnverifiedToken.parse(bytes)
    precondition(bytes.count <= UnverifiedToken.byteLimit)
    for rules in rules {
      do throws(TokenError) {
        let verified = try TokenVerifier.verify(token, keys: keys, rules: rules, now: 1_800_000_000, verifier: SignatureVerifier())
        precondition(trusting, "a token that we did not sign was verified")
        precondition(!verified.subject.isEmpty && verified.expiresAt > 1_800_000_000 - 60)
        precondition(exactlyEquals(verified.issuer, issuer))
      } catch {
        precondition(error.description.utf8.count < 4096)
      }
    }
  } catch {
    precondition(error.description.utf8.count < 4096)
  }
}

/// One input of the fuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: start, count: count)
  judge(bytes, trusting: false)
  let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
  guard parts.count == 2, let key else { return 0 }
  let header = parts[0].isEmpty ? Array(#"{"alg":"EdDSA","kid":"k"}"#.utf8) : Array(parts[0])
  let signed = Base64URL.encode(header) + "." + Base64URL.encode(Array(parts[1]))
  do throws(KeyError) {
    let signature = try key.sign(Array(signed.utf8), by: .ed25519)
    Array((signed + "." + Base64URL.encode(signature)).utf8).withUnsafeBytes { judge($0, trusting: true) }
  } catch {
    preconditionFailure("cannot sign")
  }
  return 0
}
