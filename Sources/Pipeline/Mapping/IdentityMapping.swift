internal import Bytes
internal import HTTP
public import Cedar
internal import JOSE
public import JSON

/// How the claims of one issuer become a Cedar principal, by the names of Amazon Verified Permissions:
/// `User::"<prefix>|<sub>"` in `UserGroup::"<prefix>|<group>"`, claims of an ID token as attributes, claims of an access
/// token as `context.token`.
public struct IdentityMapping: Sendable, Equatable {
  /// The principal's type.
  public var principalType: EntityType
  /// The type of groups.
  public var groupType: EntityType
  /// What stands before `|` in the ids of principals and groups: two issuers can never mint one principal.
  public var idPrefix: String
  /// The claim that names the principal.
  public var idClaim: JSONPointer
  /// The claim that lists the groups.
  public var groupClaim: JSONPointer

  /// The default names, with the prefix and group claim of an issuer.
  public init(idPrefix: String, groupClaim: JSONPointer) {
    principalType = EntityType(unchecked: "User")
    groupType = EntityType(unchecked: "UserGroup")
    self.idPrefix = idPrefix
    idClaim = JSONPointer(member: "sub")
    self.groupClaim = groupClaim
  }

  /// Makes an identity of a verified token; of nothing else can one be made.
  func identity(of token: VerifiedToken, from issuer: Issuer, for authorization: Authorization) throws(Stop) -> Identity {
    guard let id = idClaim.value(in: token.claims)?.string, !id.isEmpty else {
      throw .refuse(.token(.missing(idClaim.description)))
    }
    let principal = EntityUID(type: principalType, id: "\(idPrefix)|\(id)")
    let names = groupNames(in: token.claims)
    let groups = names.map { EntityUID(type: groupType, id: "\(idPrefix)|\($0)") }
    let claims = ClaimValues(token.claims, leavingOut: groupClaim, scopes: token.scopes)
    let isAccess = token.tokenUse == .access
    let entities = [Entity(uid: principal, attributes: isAccess ? .empty : claims.record, parents: Set(groups))] + groups.map { Entity(uid: $0) }
    return Identity(
      token: token, issuer: issuer.name, principal: principal, groups: groups, entities: try authorization.prepare(entities),
      tokenContext: isAccess ? claims.record : nil,
      headers: IdentityHeaders.block(principal: principal.id, subject: token.subject, groups: names))
  }

  /// The groups: an array of strings, or one string whose words are groups. Each once, in the token's order.
  private func groupNames(in claims: JSONValue) -> [String] {
    guard let claim = groupClaim.value(in: claims) else { return [] }
    let names: [String] =
      switch claim.kind {
      case .array(let elements): elements.compactMap(\.string)
      case .string(let text): text.split(separator: " ").map(String.init)
      default: []
      }
    var seen: Set<ExactString> = []
    return names.filter { !$0.isEmpty && seen.insert(ExactString($0)).inserted }
  }
}
