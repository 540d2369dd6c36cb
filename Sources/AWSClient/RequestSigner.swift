public import AWS
internal import Bytes
public import HTTP
public import Net

/// Signs requests of ours: keeps the day's key, so that a signature costs one HMAC.
public struct RequestSigner {
  private let service: String
  private let region: String
  private var key: SigningKey?
  private var keyOwner: String?

  /// A signer for a service in a region.
  public init(service: String, region: String) {
    self.service = service
    self.region = region
  }

  /// The field lines of a POST, its signature included.
  ///
  /// - Parameters:
  ///   - target: the value of `X-Amz-Target`, for JSON protocols.
  ///   - seconds: our time, corrected by what is known of theirs.
  public mutating func fields(
    to url: HTTPURL, contentType: String, target: String?, body: [UInt8], by credentials: Credentials, at seconds: Int64
  ) -> FieldBlock {
    var fields: [(name: String, value: String)] = [("Content-Type", contentType), ("X-Amz-Date", Instant.basic(seconds))]
    if let target { fields.append(("X-Amz-Target", target)) }
    if let token = credentials.sessionToken { fields.append(("X-Amz-Security-Token", token.exposed)) }
    var block = FieldBlock()
    for field in fields { block.append(field.name, field.value) }
    fields.append(("Host", url.authority))
    let parts = url.target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    let request = SigV4.Request(
      method: "POST", path: String(parts[0]), query: parts.count > 1 ? String(parts[1]) : "", fields: fields, bodyHash: SigV4.hash(body))
    block.append("Authorization", SigV4.authorization(request, with: signingKey(credentials, at: seconds), at: seconds))
    return block
  }

  private mutating func signingKey(_ credentials: Credentials, at seconds: Int64) -> SigningKey {
    if let key, key.serves(seconds), let keyOwner, constantTimeEquals(keyOwner.utf8, credentials.secretAccessKey.exposed.utf8) {
      return key
    }
    let made = SigningKey(credentials, region: region, service: service, at: seconds)
    key = made
    keyOwner = credentials.secretAccessKey.exposed
    return made
  }
}
