internal import Bytes
internal import Crypto

/// The signature of requests that differ in their body alone and are sent within one second: all but two hashes and one code are
/// computed once.
public struct PreparedSignature: Sendable {
  // Each up to the hash that ends it.
  private let canonical: [UInt8]
  private let stringToSign: [UInt8]
  private let authorization: String
  private let key: SigningKey

  /// Makes ready the signature of a request; what it says of the body does not count.
  public init(_ request: SigV4.Request, with key: SigningKey, at seconds: Int64) {
    var bodiless = request
    bodiless.bodyHash = ""
    let canonical = CanonicalRequest(bodiless)
    self.canonical = Array(canonical.text.utf8)
    stringToSign = Array("\(SigV4.algorithm)\n\(Instant.basic(seconds))\n\(key.scope)\n".utf8)
    authorization = SigV4.authorization(by: key, of: canonical)
    self.key = key
  }

  /// The value of `Authorization` for the request with a body.
  public func authorization(body: [UInt8]) -> String {
    let request = Digest.sha256(canonical + Hex.bytes(Digest.sha256(body)))
    return authorization + key.signature(of: stringToSign + Hex.bytes(request))
  }
}
