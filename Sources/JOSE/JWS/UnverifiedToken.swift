internal import Bytes
internal import JSON

/// A token whose form is right and whose signature nobody has checked yet.
///
/// It tells what is needed to find keys, and nothing else. Its claims are not even read before `TokenVerifier` finds the signature good,
/// so it cannot become an identity, and a stranger cannot make us read much.
public struct UnverifiedToken: Sendable {
  /// Most bytes of a token. A hundred groups of 128 characters fit.
  public static let byteLimit = 32 * 1024
  /// Deepest nesting of a claim.
  public static let depthLimit = 32

  /// `iss`: who is said to have issued it.
  public let issuer: String
  /// `kid`: the key that is said to have signed it.
  public var kid: String? { jws.header.kid }
  /// `alg`: how it is said to be signed.
  public var algorithm: JWSAlgorithm { jws.header.algorithm }

  let jws: CompactJWS

  // Above this size a payload without a readable `iss` is not worth the reading that would say why.
  private static let explainedPayload = 4096

  /// Takes a compact JWS apart (RFC 7515 §7.1): strict base64url, a strict header without repeated names, an algorithm from the closed
  /// list, no extensions, an `iss`. The other claims are judged later.
  public static func parse(_ bytes: UnsafeRawBufferPointer) throws(TokenError) -> UnverifiedToken {
    let jws = try CompactJWS(bytes, byteLimit: byteLimit, depthLimit: depthLimit)
    guard let issuer = IssuerScan.issuer(in: jws.payload) else { throw try whyNoIssuer(jws.payload) }
    return UnverifiedToken(issuer: issuer, jws: jws)
  }

  /// As above, for bytes that may not lie in one piece.
  public static func parse(_ bytes: some Collection<UInt8>) throws(TokenError) -> UnverifiedToken {
    // One byte past the limit is enough to be refused for it.
    let copy = Array(bytes.prefix(byteLimit + 1))
    let result: Result<UnverifiedToken, TokenError> = copy.withUnsafeBytes { raw in
      do throws(TokenError) {
        return .success(try parse(raw))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// The claims, read in full and strictly (RFC 7519 §7.2). For `TokenVerifier` alone, behind a good signature.
  func readClaims() throws(TokenError) -> JSONValue {
    let claims = try CompactJWS.json(jws.payload, .payload, depthLimit: Self.depthLimit)
    // The keys were chosen by an issuer that was found in passing; it must be the one that the claims name.
    guard let named = claims["iss"]?.string, exactlyEquals(named, issuer) else { throw .missing("iss") }
    return claims
  }

  private static func whyNoIssuer(_ payload: [UInt8]) throws(TokenError) -> TokenError {
    guard payload.count <= explainedPayload else { return .missing("iss") }
    let claims = try CompactJWS.json(payload, .payload, depthLimit: depthLimit)
    guard claims.object != nil else { return .notAnObject(.payload, found: claims.kindName) }
    return claims["iss"].map { .wrongType("iss", expected: "a string", found: $0.kindName) } ?? .missing("iss")
  }
}

extension UnverifiedToken: CustomStringConvertible, CustomReflectable {
  /// That it is one, and whose it is said to be.
  public var description: String { "unverified token of \(ShownText.quoted(issuer))" }
  /// Nothing: a dump into a log shows the description alone.
  public var customMirror: Mirror { Mirror(self, children: [:]) }
}
