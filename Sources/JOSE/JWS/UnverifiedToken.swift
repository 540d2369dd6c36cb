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
  public let kid: String?
  /// `alg`: how it is said to be signed.
  public let algorithm: JWSAlgorithm

  let type: String?
  let claims: JSONValue
  /// The token itself, kept out of every description.
  let bytes: Secret<[UInt8]>
  /// How many of the bytes the signature covers: header, dot, payload (RFC 7515 §5.2).
  let signedCount: Int
  let signature: [UInt8]

  /// Takes a compact JWS apart (RFC 7515 §7.1, RFC 7519 §7.2): strict base64url, strict JSON without repeated names, an algorithm from
  /// the closed list, no extensions, an `iss`.
  public static func parse(_ bytes: UnsafeRawBufferPointer) throws(TokenError) -> UnverifiedToken {
    guard bytes.count <= byteLimit else { throw .tooLarge(bytes: bytes.count, limit: byteLimit) }
    let (first, second) = try dots(in: bytes)
    let header = try JOSEHeader(json(bytes[..<first], .header))
    guard let algorithm = JWSAlgorithm(name: header.algorithmName) else {
      throw .algorithm(found: header.algorithmName, expected: JWSAlgorithm.allCases)
    }
    let claims = try json(bytes[(first + 1)..<second], .payload)
    guard claims.object != nil else { throw .notAnObject(.payload, found: claims.kindName) }
    guard let issuerClaim = claims["iss"] else { throw .missing("iss") }
    guard let issuer = issuerClaim.string else { throw .wrongType("iss", expected: "a string", found: issuerClaim.kindName) }
    guard let signature = Base64URL.decode(UnsafeRawBufferPointer(rebasing: bytes[(second + 1)...])) else {
      throw .notBase64URL(.signature)
    }
    return UnverifiedToken(
      issuer: issuer, kid: header.kid, algorithm: algorithm, type: header.type, claims: claims, bytes: Secret(Array(bytes)),
      signedCount: second, signature: signature)
  }

  /// As above, for bytes that lie in one piece or can be copied.
  public static func parse(_ bytes: some Collection<UInt8>) throws(TokenError) -> UnverifiedToken {
    let copy = Array(bytes.prefix(byteLimit + 1))
    guard copy.count <= byteLimit else { throw .tooLarge(bytes: bytes.count, limit: byteLimit) }
    let result: Result<UnverifiedToken, TokenError> = copy.withUnsafeBytes { raw in
      do throws(TokenError) {
        return .success(try parse(raw))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  private static func dots(in bytes: UnsafeRawBufferPointer) throws(TokenError) -> (Int, Int) {
    var first = -1
    var second = -1
    var count = 0
    for index in bytes.indices where bytes[index] == UInt8(ascii: ".") {
      count += 1
      if count == 1 { first = index } else if count == 2 { second = index }
    }
    guard count == 2 else { throw .partCount(count + 1) }
    return (first, second)
  }

  private static func json(_ part: Slice<UnsafeRawBufferPointer>, _ name: TokenError.Part) throws(TokenError) -> JSONValue {
    guard let text = Base64URL.decode(UnsafeRawBufferPointer(rebasing: part)) else { throw .notBase64URL(name) }
    do throws(JSONError) {
      return try JSONParser.parse(text, limits: .init(depth: depthLimit, bytes: byteLimit))
    } catch {
      throw .notJSON(name, error)
    }
  }
}
