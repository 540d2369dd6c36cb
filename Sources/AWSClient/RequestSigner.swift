public import AWS
internal import Bytes
public import HTTP
public import Net

/// Signs requests of ours. Keeps the day's key, and what is the same for all requests of a second, so that a signature costs two
/// hashes and one code.
public struct RequestSigner {
  /// The lines that requests of one second share, and their signature but for the body.
  private struct Prepared {
    let seconds: Int64
    let url: HTTPURL
    let contentType: String
    let target: String?
    let lines: FieldBlock
    let signature: PreparedSignature
  }

  private let service: String
  private let region: String
  private let unsigned: FieldBlock
  private var key: SigningKey?
  private var keyOwner: Credentials?
  private var prepared: Prepared?

  /// A signer for a service in a region; `unsigned` are lines that go along and are not signed.
  public init(service: String, region: String, unsigned: FieldBlock = FieldBlock()) {
    self.service = service
    self.region = region
    self.unsigned = unsigned
  }

  /// The field lines of a POST, its signature included.
  ///
  /// - Parameters:
  ///   - target: the value of `X-Amz-Target`, for JSON protocols.
  ///   - seconds: our time, corrected by what is known of theirs.
  public mutating func fields(
    to url: HTTPURL, contentType: String, target: String?, body: [UInt8], by credentials: Credentials, at seconds: Int64
  ) -> FieldBlock {
    let key = signingKey(credentials, at: seconds)
    let ready: Prepared
    if let prepared, prepared.seconds == seconds, exactlyEquals(prepared.contentType, contentType),
      exactlyEquals(prepared.target ?? "", target ?? ""), prepared.url == url
    {
      ready = prepared
    } else {
      ready = prepare(url, contentType, target, credentials, key, at: seconds)
      prepared = ready
    }
    var block = ready.lines
    block.append("Authorization", ready.signature.authorization(body: body))
    return block
  }

  private func prepare(
    _ url: HTTPURL, _ contentType: String, _ target: String?, _ credentials: Credentials, _ key: SigningKey, at seconds: Int64
  ) -> Prepared {
    var fields: [(name: String, value: String)] = [("Content-Type", contentType), ("X-Amz-Date", Instant.basic(seconds))]
    if let target { fields.append(("X-Amz-Target", target)) }
    if let token = credentials.sessionToken { fields.append(("X-Amz-Security-Token", token.exposed)) }
    var lines = unsigned
    for field in fields { lines.append(field.name, field.value) }
    fields.append(("Host", url.authority))
    let parts = url.target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    let request = SigV4.Request(
      method: "POST", path: String(parts[0]), query: parts.count > 1 ? String(parts[1]) : "", fields: fields, bodyHash: "")
    return Prepared(
      seconds: seconds, url: url, contentType: contentType, target: target, lines: lines,
      signature: PreparedSignature(request, with: key, at: seconds))
  }

  private mutating func signingKey(_ credentials: Credentials, at seconds: Int64) -> SigningKey {
    if let key, key.serves(seconds), let keyOwner, keyOwner == credentials { return key }
    let made = SigningKey(credentials, region: region, service: service, at: seconds)
    key = made
    keyOwner = credentials
    prepared = nil
    return made
  }
}

extension Credentials {
  /// Whether all parts that sign are the same.
  fileprivate static func == (a: Credentials, b: Credentials) -> Bool {
    exactlyEquals(a.accessKeyID, b.accessKeyID) && constantTimeEquals(a.secretAccessKey.exposed.utf8, b.secretAccessKey.exposed.utf8)
      && constantTimeEquals((a.sessionToken?.exposed ?? "").utf8, (b.sessionToken?.exposed ?? "").utf8)
  }
}
