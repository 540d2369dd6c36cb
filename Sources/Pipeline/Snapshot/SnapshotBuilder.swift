internal import Bytes
internal import Cedar
internal import JOSE
internal import JSON

/// Builds a snapshot of a configuration and the contents of its policy files, or says everything that is wrong.
///
/// Pure: files were read by the caller. A snapshot cannot exist half-built.
public enum SnapshotBuilder {
  /// A snapshot, or all problems.
  public static func build(_ configuration: Configuration, policies: PolicyFiles, generation: UInt64) throws(ConfigurationError) -> Snapshot {
    var problems: [String] = []
    let issuers = buildIssuers(configuration, &problems)
    let mapping = Mapping()
    var authorization: Authorization?
    do throws(ConfigurationError) {
      authorization = try policies.authorization(onPolicyError: configuration.onPolicyError, actions: mapping.actionEntities)
    } catch {
      problems += error.problems
    }
    guard problems.isEmpty, let authorization else { throw ConfigurationError(problems) }
    return Snapshot(
      generation: generation, mode: configuration.mode, issuers: IssuerTable(issuers), mapping: mapping, authorization: authorization,
      realm: configuration.realm)
  }

  private static func buildIssuers(_ configuration: Configuration, _ problems: inout [String]) -> [Issuer] {
    var issuers: [Issuer] = []
    if configuration.issuers.isEmpty {
      problems.append("no issuer of tokens is configured; name one with --cognito POOL_ID or --issuer URL")
    }
    for item in configuration.issuers {
      if let issuer = buildIssuer(item, index: issuers.count, isDevelopment: configuration.isDevelopment, &problems) { issuers.append(issuer) }
    }
    // Two issuers that could mint one principal, or claim one `iss`, are one issuer too many.
    var prefixes: [ExactString: String] = [:]
    var identifiers: [ExactString: String] = [:]
    for issuer in issuers {
      if let other = prefixes.updateValue(issuer.name, forKey: ExactString(issuer.mapping.idPrefix)) {
        problems.append(
          "issuers \(other) and \(issuer.name) have the same id prefix \"\(issuer.mapping.idPrefix)\", so each could mint the other's users; give one another --id-prefix"
        )
      }
      for identifier in issuer.rules.issuers {
        if let other = identifiers.updateValue(issuer.name, forKey: ExactString(identifier)) {
          problems.append("issuers \(other) and \(issuer.name) are the same issuer: both accept iss \"\(identifier)\"")
        }
      }
    }
    return issuers
  }

  private static func buildIssuer(_ item: IssuerConfiguration, index: Int, isDevelopment: Bool, _ problems: inout [String]) -> Issuer? {
    if item.isDevelopment, !isDevelopment {
      problems.append("issuer \(item.name) is a development issuer: anyone can sign in; use it only with --dev, never in production")
      return nil
    }
    let clients = Set(item.clientIDs.map { ExactString($0) })
    let audiences = Set(item.audiences.map { ExactString($0) })
    if clients.isEmpty, audiences.isEmpty {
      problems.append("issuer \(item.name) accepts no client: name the app clients whose tokens are meant for this service with --client-id")
      return nil
    }
    var rules: ClaimRules
    let keys: KeySource
    let prefix: String
    let groupClaim: JSONPointer
    switch item.kind {
    case .cognito(let poolID, let issuer):
      guard let pool = CognitoUserPool(id: poolID) else {
        problems.append("\"\(poolID)\" is not a user pool id (expected <region>_<id>, e.g. us-east-1_AbC123)")
        return nil
      }
      rules = .cognito(pool, clientIDs: clients, audiences: audiences)
      if let issuer { rules.issuers = [issuer] }
      keys = .jwks(url: item.jwksURL ?? issuer.map { $0 + "/.well-known/jwks.json" } ?? pool.jwksURL)
      prefix = poolID
      groupClaim = JSONPointer(member: "cognito:groups")
    case .oidc(let issuer):
      guard issuer.hasPrefix("https://") || issuer.hasPrefix("http://") else {
        problems.append("\"\(issuer)\" is not an issuer; write the exact iss of its tokens, such as https://login.example.com")
        return nil
      }
      rules = ClaimRules(issuers: [issuer], profile: .oidc, clientIDs: clients, audiences: audiences)
      keys = item.jwksURL.map { .jwks(url: $0) } ?? .discovery(issuer: issuer)
      prefix = issuer.hasPrefix("https://") ? String(issuer.dropFirst(8)) : issuer
      groupClaim = JSONPointer(member: "groups")
    }
    return Issuer(
      name: item.name, index: index, rules: rules, mapping: IdentityMapping(idPrefix: item.idPrefix ?? prefix, groupClaim: groupClaim),
      acceptsBareToken: rules.profile == .cognito, keys: keys)
  }
}
