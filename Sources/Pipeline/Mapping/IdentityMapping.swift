internal import AWS
internal import Bytes
public import Cedar
internal import HTTP
public import JOSE
public import JSON

/// How the claims of one issuer become a Cedar principal, by the names of Amazon Verified Permissions:
/// `User::"<prefix>|<sub>"` in `UserGroup::"<prefix>|<group>"`, claims of an ID token as attributes, claims of an access
/// token as `context.token`.
public struct IdentityMapping: Sendable, Equatable {
  /// The principal's type.
  public var principalType: EntityType
  /// The type of groups.
  public var groupType: EntityType
  /// What stands before `|` in the ids of principals and groups: two issuers can never mint one principal. Empty for ids that are
  /// the bare claim, which only the Verified Permissions service has.
  public var idPrefix: String
  /// The claim that names the principal.
  public var idClaim: JSONPointer
  /// The claim that lists the groups.
  public var groupClaim: JSONPointer
  /// The claim that lists the scopes; nil for `scope`, else `scp`.
  public var scopeClaim: JSONPointer?
  /// More attributes of the principal, of either kind of token.
  public var attributes: [Attribute] = []

  /// An attribute that a claim becomes.
  public struct Attribute: Sendable, Equatable {
    /// The attribute's name.
    public var name: String
    /// The claim.
    public var claim: JSONPointer
    /// What the claim's text is read as; nil as it is.
    public var type: TypedText?
  }

  /// The default names, with the prefix and group claim of an issuer.
  public init(idPrefix: String, groupClaim: JSONPointer) {
    principalType = EntityType(unchecked: "User")
    groupType = EntityType(unchecked: "UserGroup")
    self.idPrefix = idPrefix
    idClaim = JSONPointer(member: "sub")
    self.groupClaim = groupClaim
  }

  /// What a token's claims say in Cedar's words.
  public struct Claimed {
    /// Who.
    public let principal: EntityUID
    let groupNames: [String]
    let groups: [EntityUID]
    let scopes: [String]
    /// The principal and its groups.
    public let entities: [Entity]
    /// The claims of an access token; nil for an ID token, whose claims are the principal's attributes.
    public let context: Record?
  }

  /// The claims of a verified token; nil if none of them names the principal.
  public func claims(of token: VerifiedToken) -> Claimed? {
    do throws(Stop) { return try claimed(by: token) } catch { return nil }
  }

  /// Reads the claims of a verified token; of nothing else are claims believed.
  func claimed(by token: VerifiedToken) throws(Stop) -> Claimed {
    guard let id = idClaim.value(in: token.claims)?.string, !id.isEmpty else {
      throw .refuse(.token(.missing(idClaim.description)))
    }
    let principal = EntityUID(type: principalType, id: prefixed(id))
    let names = Self.names(groupClaim, in: token.claims)
    let scopes = scopeClaim.map { Self.names($0, in: token.claims) } ?? token.scopes
    let groups = names.map { EntityUID(type: groupType, id: prefixed($0)) }
    let claims = ClaimValues(token.claims, leavingOut: groupClaim, scopes: scopes).record
    let isAccess = token.tokenUse == .access
    var own = isAccess ? Record.empty : claims
    if !attributes.isEmpty { own = Record(lastWins: own.fields + attributeFields(of: token.claims)) }
    return Claimed(
      principal: principal, groupNames: names, groups: groups, scopes: scopes,
      entities: [Entity(uid: principal, attributes: own, parents: Set(groups))] + groups.map { Entity(uid: $0) },
      context: isAccess ? claims : nil)
  }

  /// Makes an identity of a verified token; of nothing else can one be made.
  func identity(of token: VerifiedToken, from issuer: Issuer, for snapshot: Snapshot) throws(Stop) -> Identity {
    let claimed = try self.claimed(by: token)
    return Identity(
      token: token, issuer: issuer, principal: claimed.principal, groups: claimed.groups, groupNames: claimed.groupNames,
      entities: try snapshot.authorization.prepare(claimed.entities, token: claimed.context),
      shadowEntities: try snapshot.shadow?.prepare(claimed.entities, token: claimed.context), claimed: claimed.entities,
      tokenContext: claimed.context,
      elsewhere: snapshot.engines.isEmpty
        ? nil
        : try RemoteIdentity(claimed.principal, claimed.entities, token: claimed.context, known: snapshot.authorization.entities),
      scopes: claimed.scopes,
      headers: snapshot.identityHeaders.block(
        principal: claimed.principal.id, subject: token.subject, groups: claimed.groupNames, claims: token.claims))
  }

  private func prefixed(_ name: String) -> String { idPrefix.isEmpty ? name : "\(idPrefix)|\(name)" }

  // As with all claims: what Cedar cannot hold exactly, or is not of the type, is absent rather than wrong.
  private func attributeFields(of claims: JSONValue) -> [Record.Field] {
    attributes.compactMap { attribute in
      guard let claim = attribute.claim.value(in: claims) else { return nil }
      guard let type = attribute.type else { return ClaimValues.value(claim).map { Record.Field(attribute.name, $0) } }
      let value: Value?
      switch (type, claim.kind) {
      case (_, .string(let text)): value = type.value(text)
      case (.set, .array(let elements)): value = .set(ValueSet(elements.compactMap { ClaimValues.value($0) }))
      case (.long, .integer(let number)): value = .long(number)
      case (.datetime, .integer(let seconds)):
        // Times in tokens are seconds (RFC 7519 §2, NumericDate).
        let (millis, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        value = overflow ? nil : .datetime(Datetime(milliseconds: millis))
      case (.string, .integer(let number)): value = .string("\(number)")
      case (.bool, .bool(let flag)): value = .bool(flag)
      case (.decimal, .integer(let number)): value = type.value("\(number).0")
      case (.decimal, .number(let text)): value = type.value(text)
      default: value = nil
      }
      return value.map { Record.Field(attribute.name, $0) }
    }
  }

  /// The groups or scopes of a claim: an array of strings, or one string of words. Each once, in the token's order.
  private static func names(_ pointer: JSONPointer, in claims: JSONValue) -> [String] {
    guard let claim = pointer.value(in: claims) else { return [] }
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
