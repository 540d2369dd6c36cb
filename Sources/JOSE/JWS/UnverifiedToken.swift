internal import Bytes
internal import JSON

/// A token whose form is right and whose signature nobody has checked yet.
///
/// It tells what is needed to find keys, and nothing else: its claims are reachable only through `TokenVerifier`, so it cannot become
/// an identity.
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
  let claims: JSONValue

  /// Takes a compact JWS apart (RFC 7515 §7.1, RFC 7519 §7.2): strict base64url, strict JSON without repeated names, an algorithm from
  /// the closed list, no extensions, an `iss`.
  public static func parse(_ bytes: UnsafeRawBufferPointer) throws(TokenError) -> UnverifiedToken {
    let jws = try CompactJWS(bytes, byteLimit: byteLimit, depthLimit: depthLimit)
    let claims = try CompactJWS.json(jws.payload, .payload, depthLimit: depthLimit)
    guard claims.object != nil else { throw .notAnObject(.payload, found: claims.kindName) }
    guard let claim = claims["iss"] else { throw .missing("iss") }
    guard let issuer = claim.string else { throw .wrongType("iss", expected: "a string", found: claim.kindName) }
    return UnverifiedToken(issuer: issuer, jws: jws, claims: claims)
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
}

extension UnverifiedToken: CustomStringConvertible, CustomReflectable {
  /// That it is one, and whose it is said to be.
  public var description: String { "unverified token of \(ShownText.quoted(issuer))" }
  /// Nothing: a dump into a log shows the description alone.
  public var customMirror: Mirror { Mirror(self, children: [:]) }
}
