internal import AWS
internal import Bytes
internal import Cedar
internal import JOSE
internal import JSON
internal import Pipeline

/// Whose tokens a store takes, and how their claims become principals.
struct IdentitySource {
  /// Where the keys are.
  let place: IssuerPlace
  /// What is accepted, apart from the use that the request's member says.
  let rules: ClaimRules
  /// The uses that may come at all.
  let uses: Set<TokenUse>
  let mapping: IdentityMapping

  /// The source of a document that was checked when it was kept.
  init?(_ document: Document) {
    let type = EntityType(unchecked: document.text("principalEntityType") ?? "")
    let configuration = document.value["configuration"]
    if let cognito = configuration?["cognitoUserPoolConfiguration"] {
      guard let id = Self.poolID(cognito["userPoolArn"]?.string ?? ""), let pool = CognitoUserPool(id: id) else { return nil }
      let clients = cognito["clientIds"]?.array?.compactMap(\.string) ?? []
      var rules = ClaimRules.cognito(pool, clientIDs: clients.isEmpty ? nil : Set(clients.map { ExactString($0) }))
      rules.maximumLifetime = nil
      self.rules = rules
      place = IssuerPlace(names: pool.issuers, keysURL: pool.jwksURL, isDiscovered: false)
      uses = [.id, .access]
      var mapping = IdentityMapping(idPrefix: id, groupClaim: JSONPointer(member: "cognito:groups"))
      mapping.principalType = type
      mapping.groupType = EntityType(unchecked: cognito["groupConfiguration"]?["groupEntityType"]?.string ?? "AWS::CognitoGroup")
      self.mapping = mapping
      return
    }
    guard let oidc = configuration?["openIdConnectConfiguration"], let issuer = oidc["issuer"]?.string,
      let selection = oidc["tokenSelection"]
    else {
      return nil
    }
    let isAccess = selection["accessTokenOnly"] != nil
    let chosen = selection["accessTokenOnly"] ?? selection["identityTokenOnly"]
    let named = Set((chosen?[isAccess ? "audiences" : "clientIds"]?.array ?? []).compactMap(\.string).map { ExactString($0) })
    rules = ClaimRules(
      issuers: [issuer], profile: .oidc, clientIDs: named.isEmpty || isAccess ? nil : named, audiences: isAccess ? named : [],
      maximumLifetime: nil)
    uses = isAccess ? [.access] : [.id]
    let base = issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer
    place = IssuerPlace(names: [issuer], keysURL: base + "/.well-known/openid-configuration", isDiscovered: true)
    let groups = oidc["groupConfiguration"]
    var mapping = IdentityMapping(
      idPrefix: oidc["entityIdPrefix"]?.string ?? "", groupClaim: JSONPointer(member: groups?["groupClaim"]?.string ?? ""))
    mapping.principalType = type
    mapping.groupType = EntityType(unchecked: groups?["groupEntityType"]?.string ?? "AWS::UserGroup")
    mapping.idClaim = JSONPointer(member: chosen?["principalIdClaim"]?.string ?? "sub")
    self.mapping = mapping
  }

  /// The id at the end of a user pool's ARN.
  static func poolID(_ arn: String) -> String? {
    let parts = arn.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 6, parts[0] == "arn", parts[2] == "cognito-idp", parts[4].utf8.count == 12,
      parts[4].utf8.allSatisfy({ ASCII.isDigit($0) }), parts[5].hasPrefix("userpool/")
    else { return nil }
    return String(parts[5].dropFirst(9))
  }
}

/// Where an issuer's keys are found.
struct IssuerPlace: Equatable {
  /// Every form of `iss`.
  var names: [String]
  /// The address of the keys, or of the document that names it.
  var keysURL: String
  var isDiscovered: Bool
}

/// What is known of issuers' keys.
protocol IssuerKeyStore {
  /// The keys of an issuer that have a certain one, if they are fresh enough; nil asks for a fetch.
  func keys(of place: IssuerPlace, kid: String?) -> Result<JWKSet, KeysUnavailable>?
}

/// Why there are no keys.
struct KeysUnavailable: Error {
  let reason: String
}
