internal import Bytes
public import Cedar
internal import Crypto
public import HTTP
public import JOSE

/// Who asks, as a verified token says: the principal, its groups, and what else the token contributes to a question.
///
/// Made once a token and kept with it in the token cache; a request only refers to it.
public final class Identity: Sendable {
  /// The issuer's name in the configuration.
  public let issuer: String
  /// The issuer's place in the table.
  let issuerIndex: Int
  /// Cedar's principal.
  public let principal: EntityUID
  /// The principal as text, for the record.
  public let principalText: String
  /// The groups the principal is in.
  public let groups: [EntityUID]
  // The principal and its groups as entities, numbered for the policies in force and for those in the shadow.
  private let entities: PreparedEntities
  private let shadowEntities: PreparedEntities?
  /// The principal and its groups, as the token says them.
  let claimed: [Entity]
  /// The claims of an access token for `context.token`; nil for an ID token, whose claims are the principal's attributes.
  public let tokenContext: Record?
  /// What engines elsewhere are told of it; nil where none is asked.
  let elsewhere: RemoteIdentity?
  /// The identity headers, ready to be sent.
  public let headers: FieldBlock
  /// ID or access token.
  public let tokenUse: TokenUse
  /// The JOSE algorithm; nil for an opaque token.
  public let algorithm: JWSAlgorithm?
  /// The key that signed.
  public let kid: String?
  /// The app client.
  public let clientID: String?
  /// `exp`.
  public let expiresAt: Int64
  /// The names of its groups, without prefix.
  let groupNames: [String]
  /// Whether a load balancer said it.
  let isLoadBalancers: Bool
  /// Whether the token is bound to a key or certificate of its sender.
  let isSenderConstrained: Bool
  /// The thumbprint of the key that it is bound to.
  let keyThumbprint: String?
  /// The thumbprint of the certificate that it is bound to.
  let certificateThumbprint: String?
  /// `acr`: how the user signed in.
  let acr: String?
  /// `auth_time`: when.
  let authenticatedAt: Int64?
  /// What the token was issued for.
  public let scopes: [String]
  /// The first 16 digits of the SHA-256 of `jti`: enough to find a token again, and not the token's name.
  let jtiHash: String?

  init(
    token: VerifiedToken, issuer: Issuer, principal: EntityUID, groups: [EntityUID], groupNames: [String], entities: PreparedEntities,
    shadowEntities: PreparedEntities?, claimed: [Entity], tokenContext: Record?, elsewhere: RemoteIdentity?, scopes: [String],
    headers: FieldBlock
  ) {
    self.issuer = issuer.name
    issuerIndex = issuer.index
    isLoadBalancers = issuer.loadBalancer != nil
    self.principal = principal
    principalText = principal.description
    self.groups = groups
    self.groupNames = groupNames
    self.entities = entities
    self.shadowEntities = shadowEntities
    self.claimed = claimed
    self.tokenContext = tokenContext
    self.elsewhere = elsewhere
    self.headers = headers
    tokenUse = token.tokenUse
    algorithm = token.alg
    kid = token.kid
    clientID = token.clientID
    expiresAt = token.expiresAt
    isSenderConstrained = token.isSenderConstrained
    keyThumbprint = token.keyThumbprint
    certificateThumbprint = token.certificateThumbprint
    acr = token.acr
    authenticatedAt = token.authenticatedAt
    self.scopes = scopes
    jtiHash = token.jti.map { Hex.encode(Digest.sha256(Array($0.utf8)).prefix(8)) }
  }

  /// The principal and its groups as entities, numbered for those policies.
  func entities(for authorization: Authorization) -> PreparedEntities {
    authorization.isShadow ? shadowEntities ?? entities : entities
  }
}
