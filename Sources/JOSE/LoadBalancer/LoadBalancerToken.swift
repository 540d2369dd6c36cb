internal import Bytes
public import Crypto
internal import JSON

/// What an Application Load Balancer says of the user that it has signed in: the value of `x-amzn-oidc-data`, not verified yet.
///
/// A JWS of its own kind: base64url with padding that the signature covers, and in its header who signed it, for which client and
/// whose user it is.
public struct LoadBalancerToken: Sendable {
  /// Whose word is taken.
  public struct Rules: Sendable, Equatable {
    /// `signer`: the load balancer's ARN.
    public var signer: String
    /// `client`: the client that it signs users in for.
    public var client: String
    /// `iss`: who identifies the users.
    public var issuer: String
    /// Allowance for clocks that differ, in seconds.
    public var clockSkew: Int64

    /// Rules.
    public init(signer: String, client: String, issuer: String, clockSkew: Int64 = 60) {
      self.signer = signer
      self.client = client
      self.issuer = issuer
      self.clockSkew = clockSkew
    }
  }

  /// The name of the key that is said to have signed it: a UUID.
  public let kid: String
  let jws: CompactJWS
  let expiresAt: Int64

  /// Takes it apart and checks what its header says: signer, client and issuer are the pinned ones, byte by byte, and the key's name
  /// can be nothing but a name.
  public static func parse(_ bytes: UnsafeRawBufferPointer, rules: Rules) throws(TokenError) -> LoadBalancerToken {
    let jws = try CompactJWS(bytes, byteLimit: UnverifiedToken.byteLimit, depthLimit: 8, padded: true)
    guard jws.header.algorithm == .es256 else { throw .algorithm(found: jws.header.algorithm.rawValue, expected: [.es256]) }
    // The header was read as strict JSON a moment ago; its further members are looked at here alone.
    let header = try CompactJWS.json(jws.headerText, .header, depthLimit: 8)
    func text(_ name: String) throws(TokenError) -> String {
      guard let value = header[name] else { throw .missing(name) }
      guard let text = value.string else { throw .wrongType(name, expected: "a string", found: value.kindName) }
      return text
    }
    let signer = try text("signer")
    guard exactlyEquals(signer, rules.signer) else { throw .issuer(found: signer, expected: [rules.signer]) }
    let issuer = try text("iss")
    guard exactlyEquals(issuer, rules.issuer) else { throw .issuer(found: issuer, expected: [rules.issuer]) }
    let client = try text("client")
    guard exactlyEquals(client, rules.client) else { throw .audience(claim: "client", found: [client], expected: [rules.client]) }
    guard let kid = jws.header.kid, isUUID(kid) else { throw .unknownKey(kid: jws.header.kid, algorithm: .es256) }
    guard let date = header["exp"] else { throw .missing("exp") }
    guard let expiresAt = NumericDate.seconds(date) else { throw .wrongType("exp", expected: "a date", found: date.kindName) }
    return LoadBalancerToken(kid: kid, jws: jws, expiresAt: expiresAt)
  }

  // RFC 9562 §4. It becomes a part of an address.
  private static func isUUID(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    return bytes.count == 36
      && bytes.enumerated().allSatisfy { [8, 13, 18, 23].contains($0) ? $1 == UInt8(ascii: "-") : ASCII.hexValue($1) != nil }
  }
}

/// The public keys of load balancers: one P-256 key in PEM at an address of its own.
public enum LoadBalancerKey {
  // SubjectPublicKeyInfo of a P-256 key with an uncompressed point (RFC 5480 §2): all of it but the point.
  private static let prefix: [UInt8] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
    0x07, 0x03, 0x42, 0x00, 0x04,
  ]

  /// Reads a key; nil for anything else.
  public static func read(_ pem: [UInt8]) -> PublicKey? {
    guard pem.count <= 4096 else { return nil }
    let lines = pem.split(whereSeparator: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") })
    guard lines.count >= 3, lines.first?.elementsEqual("-----BEGIN PUBLIC KEY-----".utf8) == true,
      lines.last?.elementsEqual("-----END PUBLIC KEY-----".utf8) == true,
      let der = Base64.decode(String(decoding: lines.dropFirst().dropLast().joined(), as: UTF8.self)),
      der.count == prefix.count + 64, der.starts(with: prefix)
    else { return nil }
    let point = der.dropFirst(prefix.count)
    do throws(KeyError) { return try PublicKey.ec(.p256, x: Array(point.prefix(32)), y: Array(point.suffix(32))) } catch { return nil }
  }
}
