public import Crypto
public import JSON

/// What the proxy vouches for towards the service behind it: who asks, for exactly one request, for half a minute.
///
/// A service that checks the assertion need not trust the network between them. It is a signed JWT with a type of its own (RFC 8725
/// §3.11), bound to method, path and decision, so that it is worth nothing for another request.
public struct IdentityAssertion: Sendable {
  /// `typ` of the header.
  public static let type = "stockade-assertion+jwt"
  /// How long one is valid, in seconds.
  public static let lifetime: Int64 = 30

  /// `sub`: the principal's id, prefix included.
  public var subject: String
  /// `aud`: the service.
  public var audience: String
  /// `groups`: ids without prefix.
  public var groups: [String]
  /// `client_id`, if the token named one.
  public var clientID: String?
  /// `htm`: the method.
  public var method: String
  /// `htp`: the path, as forwarded.
  public var path: String
  /// `jti`: the decision's id, by which the log finds it.
  public var decisionID: String

  /// An assertion of its parts.
  public init(
    subject: String, audience: String, groups: [String], clientID: String?, method: String, path: String, decisionID: String
  ) {
    self.subject = subject
    self.audience = audience
    self.groups = groups
    self.clientID = clientID
    self.method = method
    self.path = path
    self.decisionID = decisionID
  }

  func claims(issuer: String, now: Int64) -> JSONValue {
    var members: [JSONValue.Member] = [
      .init(name: "iss", value: .string(issuer)), .init(name: "aud", value: .string(audience)), .init(name: "sub", value: .string(subject)),
      .init(name: "iat", value: .integer(now)), .init(name: "exp", value: .integer(now &+ Self.lifetime)),
      .init(name: "jti", value: .string(decisionID)), .init(name: "htm", value: .string(method)), .init(name: "htp", value: .string(path)),
      .init(name: "groups", value: .array(groups.map(JSONValue.string))),
    ]
    if let clientID { members.append(.init(name: "client_id", value: .string(clientID))) }
    return JSONValue(.object(members))
  }
}

/// The proxy's own signing keys: ES256, in memory, replaced from time to time. A service reads the public ones from the proxy.
public struct AssertionKeys: Sendable {
  private struct Former: Sendable {
    let jwk: JSONValue
    let until: Int64
  }

  /// `iss` of assertions.
  public let issuer: String
  /// How long services may keep the key set, in seconds. A new key is shown that long before it signs, so that no service meets a key
  /// that it cannot know.
  public let cacheSeconds: Int64
  private var current: JWSSigner
  private var next: (signer: JWSSigner, signsFrom: Int64)?
  private var former: [Former] = []

  /// Keys with one that signs at once.
  public init(issuer: String, cacheSeconds: Int64 = 300) throws(KeyError) {
    self.issuer = issuer
    self.cacheSeconds = max(cacheSeconds, 0)
    current = try Self.fresh()
  }

  /// Announces a new key; it signs once every service's copy of the set must have it. `now` is in seconds since 1970.
  public mutating func rotate(now: Int64) throws(KeyError) {
    advance(now: now)
    // One announcement at a time: the one before takes its turn first.
    guard next == nil else { return }
    // `now` is the second that has begun: a copy of a moment ago serves until that part of the second.
    next = (try Self.fresh(), now &+ cacheSeconds &+ 1)
  }

  /// Lets an announced key take over whose time has come, and forgets former keys whose last assertion has expired.
  public mutating func advance(now: Int64) {
    if let next, now >= next.signsFrom {
      former.append(Former(jwk: current.publicJWK, until: now &+ IdentityAssertion.lifetime &+ cacheSeconds))
      current = next.signer
      self.next = nil
    }
    former.removeAll { $0.until < now }
  }

  /// The public keys, RFC 7517: the one that signs, the one announced, the former ones that still matter.
  public var document: JSONValue {
    .object(["keys": .array([current.publicJWK] + (next.map { [$0.signer.publicJWK] } ?? []) + former.map(\.jwk))])
  }

  /// A signed assertion, valid from now for half a minute.
  public func sign(_ assertion: IdentityAssertion, now: Int64) throws(KeyError) -> String {
    try current.token(claims: assertion.claims(issuer: issuer, now: now), header: ["typ": .string(IdentityAssertion.type)])
  }

  private static func fresh() throws(KeyError) -> JWSSigner {
    JWSSigner(kid: RandomBytes.makeUUID(), algorithm: .es256, key: try PrivateKey.generateEC(.p256))
  }
}
