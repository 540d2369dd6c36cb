internal import Bytes
internal import Crypto

/// AWS Signature Version 4: proves that a request comes from whoever holds a secret key, and that what it signs was not changed
/// on the way (Amazon IAM user guide, "Create a signed AWS API request").
///
/// Pure: the moment and the credentials are arguments. What is signed is decided by the caller: every field it passes.
public enum SigV4 {
  /// The parts of a request that are signed.
  public struct Request: Sendable {
    /// The method, as sent.
    public var method: String
    /// The path, as sent; empty is `/`.
    public var path: String
    /// The query without `?`, as sent.
    public var query: String
    /// The fields to sign, `host` among them, in any order and case; several of one name are joined.
    public var fields: [(name: String, value: String)]
    /// The lower-case hexadecimal SHA-256 of the body, or `UNSIGNED-PAYLOAD`.
    public var bodyHash: String
    /// Whether the service sees the path without `.`, `..` and empty segments; every service but S3.
    public var normalizesPath: Bool
    /// Whether the path, encoded as it is, is encoded once more; every service but S3.
    public var encodesPathTwice: Bool

    /// A request of a service that is not S3.
    public init(
      method: String, path: String, query: String = "", fields: [(name: String, value: String)], bodyHash: String,
      normalizesPath: Bool = true, encodesPathTwice: Bool = true
    ) {
      self.method = method
      self.path = path
      self.query = query
      self.fields = fields
      self.bodyHash = bodyHash
      self.normalizesPath = normalizesPath
      self.encodesPathTwice = encodesPathTwice
    }
  }

  /// The name of the algorithm.
  public static let algorithm = "AWS4-HMAC-SHA256"

  /// The value of `Authorization` for a request.
  public static func authorization(_ request: Request, with key: SigningKey, at seconds: Int64) -> String {
    let canonical = CanonicalRequest(request)
    return authorization(by: key, of: canonical) + key.signature(of: stringToSign(canonical.text, in: key.scope, at: seconds))
  }

  /// The value of `Authorization` up to the signature.
  static func authorization(by key: SigningKey, of canonical: CanonicalRequest) -> String {
    "\(algorithm) Credential=\(key.accessKeyID)/\(key.scope), SignedHeaders=\(canonical.signedFields), Signature="
  }

  /// What the signature is computed of.
  public static func stringToSign(_ canonicalRequest: String, in scope: String, at seconds: Int64) -> String {
    "\(algorithm)\n\(Instant.basic(seconds))\n\(scope)\n\(hash(canonicalRequest.utf8))"
  }

  /// The lower-case hexadecimal SHA-256 of a body.
  public static func hash(_ body: some Sequence<UInt8>) -> String { Hex.encode(Digest.sha256(body)) }

  /// What stands for the hash of a body that is not signed.
  public static let unsignedPayload = "UNSIGNED-PAYLOAD"
}

/// The key of one day, region and service: four HMACs, made once and kept as long as it serves.
public struct SigningKey: Sendable {
  /// Whose key it is.
  public let accessKeyID: String
  /// `20150830/us-east-1/service/aws4_request`.
  public let scope: String
  private let key: Secret<[UInt8]>

  /// The key with which requests of a moment's day are signed.
  public init(_ credentials: Credentials, region: String, service: String, at seconds: Int64) {
    let date = String(decoding: Instant.basic(seconds).utf8.prefix(8), as: UTF8.self)
    accessKeyID = credentials.accessKeyID
    scope = "\(date)/\(region)/\(service)/aws4_request"
    var key = HMAC.code(.sha256, key: Array("AWS4\(credentials.secretAccessKey.exposed)".utf8), message: Array(date.utf8))
    for part in [region, service, "aws4_request"] { key = HMAC.code(.sha256, key: key, message: Array(part.utf8)) }
    self.key = Secret(key)
  }

  /// Whether a moment lies on the key's day.
  public func serves(_ seconds: Int64) -> Bool { scope.utf8.prefix(8).elementsEqual(Instant.basic(seconds).utf8.prefix(8)) }

  /// The lower-case hexadecimal signature of a string to sign.
  public func signature(of stringToSign: String) -> String { signature(of: Array(stringToSign.utf8)) }

  func signature(of stringToSign: [UInt8]) -> String { Hex.encode(HMAC.code(.sha256, key: key.exposed, message: stringToSign)) }
}
