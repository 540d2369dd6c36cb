import Bytes
import JOSE

// The bytes as what an issuer says of a token, judged by rules of its own, of another's and of none.

private let now: Int64 = 1_800_000_000
private let token = Secret(Array("opaque".utf8))
private let rules = [
  ClaimRules(issuers: ["https://issuer.example.org"], profile: .oidc, clientIDs: [ExactString("app")], audiences: [ExactString("api")]),
  ClaimRules(issuers: ["https://issuer.example.org"], profile: .oidc, clientIDs: [ExactString("app")], acceptsSenderConstrained: true),
  ClaimRules(issuers: [], profile: .oidc),
]

/// One input of the fuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: start, count: count)
  _ = OpaqueToken.isOpaque(bytes)
  do throws(IntrospectionResponse.ParseError) {
    let said = try IntrospectionResponse.parse(bytes)
    precondition(said.isActive == (said.claims != nil))
    guard let claims = said.claims else { return 0 }
    for rules in rules {
      do throws(TokenError) {
        let verified = try TokenVerifier.verify(token, introspected: claims, rules: rules, now: now)
        precondition(verified.tokenUse == .access && !verified.subject.isEmpty && verified.expiresAt > now - 60)
        precondition(exactlyEquals(verified.issuer, "https://issuer.example.org"))
        precondition(claims.expiresAt == verified.expiresAt)
        precondition(rules.acceptsSenderConstrained || !verified.isSenderConstrained)
      } catch {
        precondition(error.description.utf8.count < 4096)
      }
    }
  } catch {
    precondition(error.description.utf8.count < 4096)
  }
  return 0
}
