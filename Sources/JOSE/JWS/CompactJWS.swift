internal import Bytes
internal import Crypto
internal import JSON

/// A JWS in compact form, RFC 7515 §7.1, taken apart: strict base64url, a header that is strict JSON, an algorithm of the closed list.
struct CompactJWS: Sendable {
  let header: JOSEHeader
  /// The header's JSON.
  let headerText: [UInt8]
  let payload: [UInt8]
  let signature: [UInt8]
  /// The text itself, kept out of every description.
  let bytes: Secret<[UInt8]>
  /// How many of the bytes the signature covers: header, dot, payload (RFC 7515 §5.2).
  let signedCount: Int

  init(_ text: UnsafeRawBufferPointer, byteLimit: Int, depthLimit: Int, readingEmbeddedKey: Bool = false, padded: Bool = false)
    throws(TokenError)
  {
    guard text.count <= byteLimit else { throw .tooLarge(bytes: text.count, limit: byteLimit) }
    let (first, second) = try Self.dots(in: text)
    let headerText = try Self.decoded(text[..<first], .header, padded)
    self.headerText = headerText
    guard headerText.count <= Self.headerLimit, Self.isShort(headerText) else { throw .headerTooLarge }
    header = try JOSEHeader(Self.json(headerText, .header, depthLimit: depthLimit), readingEmbeddedKey: readingEmbeddedKey)
    payload = try Self.decoded(text[(first + 1)..<second], .payload, padded)
    signature = try Self.decoded(text[(second + 1)...], .signature, padded)
    bytes = Secret(Array(text))
    signedCount = second
  }

  /// Most bytes of a header: room for a certificate chain in `x5c`, which is not read.
  static let headerLimit = 4096
  /// Most members and elements of a header. Counted in passing, because a stranger's header is read before anything is known of it.
  private static let headerItems = 128

  private static func isShort(_ header: [UInt8]) -> Bool {
    var items = 0
    for byte in header where byte == UInt8(ascii: ",") || byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") { items += 1 }
    return items <= headerItems
  }

  /// Checks the signature with those keys that may have made it.
  func verifySignature(keys: JWKSet, verifier: SignatureVerifier) throws(TokenError) {
    let candidates = keys.candidates(kid: header.kid, algorithm: header.algorithm)
    guard !candidates.isEmpty else {
      if let kid = header.kid, keys.hasKey(kid: kid) { throw .keyAlgorithm(kid: kid, algorithm: header.algorithm) }
      throw .unknownKey(kid: header.kid, algorithm: header.algorithm)
    }
    guard candidates.contains(where: { isSigned(by: $0.publicKey, verifier: verifier) }) else {
      throw .signature(kid: header.kid, algorithm: header.algorithm)
    }
  }

  /// Whether the signature is that of one key, by the header's algorithm.
  func isSigned(by key: PublicKey, verifier: SignatureVerifier) -> Bool {
    bytes.exposed.withUnsafeBytes { bytes in
      signature.withUnsafeBytes { signature in
        verifier.verify(
          header.algorithm.signature, key: key, message: UnsafeRawBufferPointer(rebasing: bytes[..<signedCount]), signature: signature)
      }
    }
  }

  static func json(_ text: [UInt8], _ part: TokenError.Part, depthLimit: Int) throws(TokenError) -> JSONValue {
    do throws(JSONError) {
      return try JSONParser.parse(text, limits: .init(depth: depthLimit, bytes: text.count))
    } catch {
      throw .notJSON(part, error)
    }
  }

  private static func decoded(_ part: Slice<UnsafeRawBufferPointer>, _ name: TokenError.Part, _ padded: Bool) throws(TokenError) -> [UInt8]
  {
    let text = UnsafeRawBufferPointer(rebasing: part)
    guard let bytes = Base64URL.decode(padded ? unpadded(text) : text) else { throw .notBase64URL(name) }
    return bytes
  }

  // At most two `=`, and only where they make the length a multiple of four (RFC 4648 §3.2).
  private static func unpadded(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    var end = text.count
    while end > 0, text.count - end < 2, text[end - 1] == UInt8(ascii: "=") { end -= 1 }
    return text.count % 4 == 0 ? UnsafeRawBufferPointer(rebasing: text[..<end]) : text
  }

  private static func dots(in text: UnsafeRawBufferPointer) throws(TokenError) -> (Int, Int) {
    var first = 0
    var second = 0
    var count = 0
    for index in text.indices where text[index] == UInt8(ascii: ".") {
      count += 1
      if count == 1 { first = index } else if count == 2 { second = index }
    }
    guard count == 2 else { throw .partCount(count + 1) }
    return (first, second)
  }
}
