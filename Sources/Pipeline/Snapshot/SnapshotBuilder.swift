internal import Bytes
internal import Cedar
internal import CedarSchema
internal import JOSE
internal import JSON

/// Builds a snapshot of a configuration and the contents of its policy files, or says everything that is wrong.
///
/// Pure: files were read by the caller. A snapshot cannot exist half-built.
public enum SnapshotBuilder {
  /// A snapshot, or all problems.
  public static func build(_ configuration: Configuration, policies: PolicyFiles, generation: UInt64) throws(ConfigurationError) -> Snapshot
  {
    var report = ConfigurationReport(source: configuration.source)
    let issuers = buildIssuers(configuration, &report)
    var problems = report.problems
    let mapping = Mapping(configuration)
    var policySets: (inForce: Authorization, shadow: Authorization?, bundle: PolicyBundle)?
    do throws(ConfigurationError) {
      policySets = try policies.authorization(
        onPolicyError: configuration.onPolicyError, mapping: mapping, ids: configuration.policyIDs,
        mayBeEmpty: !configuration.needsPolicies || configuration.policySource != nil)
    } catch {
      problems += error.problems
    }
    if let policySets {
      report = ConfigurationReport(source: configuration.source)
      checkStaticPrincipals(configuration, issuers, policySets.inForce, &report)
      problems += report.problems
    }
    guard problems.isEmpty, let policySets else { throw ConfigurationError(problems) }
    return Snapshot(
      configuration, generation: generation, issuers: IssuerTable(issuers), mapping: mapping, authorization: policySets.inForce,
      shadow: policySets.shadow, bundle: policySets.bundle)
  }

  // Where the token itself goes to the service, only the token says who a principal or group is: the service refuses any other word.
  private static func checkStaticPrincipals(
    _ configuration: Configuration, _ issuers: [Issuer], _ authorization: Authorization, _ report: inout ConfigurationReport
  ) {
    guard configuration.engines.contains(where: { $0.operation == .isAuthorizedWithToken }) else { return }
    let types = issuers.flatMap { [$0.mapping.principalType, $0.mapping.groupType] }
    guard let entity = authorization.entities.uids.filter({ types.contains($0.type) }).min() else { return }
    report.add(
      configuration.setting("engine"),
      "\(entity) is a static entity, and IsAuthorizedWithToken takes principals and groups from the token alone",
      help: "remove it from entities.json, or use operation: 'IsAuthorized'")
  }

  /// Checks what can be checked without policies.
  static func check(_ configuration: Configuration, _ report: inout ConfigurationReport) { _ = buildIssuers(configuration, &report) }

  private static func buildIssuers(_ configuration: Configuration, _ report: inout ConfigurationReport) -> [Issuer] {
    var issuers: [Issuer] = []
    if configuration.issuers.isEmpty, configuration.setting("issuers")?.members.isEmpty ?? true || configuration.settings?["issuers"] == nil
    {
      report.add(
        configuration.settings?["issuers"], "no issuer of tokens is configured",
        help:
          "name one with --cognito POOL_ID or --issuer URL, or in the file: issuers: { main: { cognito: 'us-east-1_AbC123', client_ids: ['…'] } }"
      )
    }
    for item in configuration.issuers {
      if let issuer = buildIssuer(item, index: issuers.count, configuration, &report) { issuers.append(issuer) }
    }
    // Two issuers that could mint one principal, or claim one `iss`, are one issuer too many.
    for (index, issuer) in issuers.enumerated() {
      for other in issuers[..<index] {
        let places = (here: configuration.setting("issuers", issuer.name), there: configuration.setting("issuers", other.name))
        if let shared = issuer.rules.issuers.first(where: { iss in other.rules.issuers.contains { exactlyEquals($0, iss) } }) {
          report.add(
            places.here, "issuers \(other.name) and \(issuer.name) are the same issuer: both accept iss \"\(shared)\"",
            help: "keep one of them",
            related: places.there.map { ($0, "the other is here") })
        }
        if issuer.introspection?.identifiesOpaqueTokens ?? false, other.introspection?.identifiesOpaqueTokens ?? false {
          report.add(
            configuration.setting("issuers", issuer.name, "introspection")?["opaque"],
            "issuers \(other.name) and \(issuer.name) both have opaque tokens, and nothing in one says whose it is",
            help: "leave opaque out of one of them",
            related: places.there.map { ($0, "the other is here") })
        }
        if issuer.mapping.couldMintPrincipals(of: other.mapping) {
          let here = configuration.setting("issuers", issuer.name, "id_prefix") ?? places.here
          report.add(
            here,
            "issuers \(other.name) and \(issuer.name) could each mint the other's users: their id prefixes are \"\(other.mapping.idPrefix)\" and \"\(issuer.mapping.idPrefix)\"",
            help: "give one another id_prefix (--id-prefix), which is no beginning of the other's",
            related: places.there.map { ($0, "the other is here") })
        }
      }
    }
    return issuers
  }

  private static func buildIssuer(
    _ item: IssuerConfiguration, index: Int, _ configuration: Configuration, _ report: inout ConfigurationReport
  ) -> Issuer? {
    func place(_ name: String) -> Setting? { configuration.setting("issuers", item.name, name) }
    if item.isDevelopment, !configuration.isDevelopment {
      report.add(
        place("issuer"), "issuer \(item.name) is a development issuer: anyone can sign in",
        help: "use it only with --dev (development: true), never in production")
      return nil
    }
    if item.introspection?.identifiesOpaqueTokens ?? false,
      configuration.engines.contains(where: { $0.operation == .isAuthorizedWithToken })
    {
      report.add(
        place("introspection")?["opaque"], "IsAuthorizedWithToken sends the token to the service, which can make nothing of an opaque one",
        help: "use operation: 'IsAuthorized'")
    }
    let clients = Set(item.clientIDs.map { ExactString($0) })
    let audiences = Set(item.audiences.map { ExactString($0) })
    if clients.isEmpty, audiences.isEmpty {
      report.add(
        place("client_ids"), "issuer \(item.name) accepts no client",
        help: "name the app clients whose tokens are meant for this service: client_ids: ['4h57example'], or --client-id")
      return nil
    }
    guard !exactlyEquals(item.idPrefix ?? "x", "") else {
      report.add(place("id_prefix"), "an id prefix cannot be empty", help: "leave it out for the usual one")
      return nil
    }
    var rules: ClaimRules
    var keys: KeySource
    let prefix: String
    let groupClaim: String
    switch item.kind {
    case .cognito(let poolID, let issuer):
      guard let pool = CognitoUserPool(id: poolID) else {
        report.add(place("cognito"), "\"\(poolID)\" is not a user pool id (expected <region>_<id>, e.g. us-east-1_AbC123)")
        return nil
      }
      rules = .cognito(pool, clientIDs: clients, audiences: audiences)
      if let issuer { rules.issuers = [issuer] }
      keys = .jwks(url: item.jwksURL ?? issuer.map { $0 + "/.well-known/jwks.json" } ?? pool.jwksURL)
      prefix = poolID
      groupClaim = "cognito:groups"
    case .oidc(let issuer):
      guard issuer.hasPrefix("https://") || issuer.hasPrefix("http://") else {
        report.add(place("issuer"), "\"\(issuer)\" is not an issuer; write the exact iss of its tokens, such as https://login.example.com")
        return nil
      }
      rules = ClaimRules(issuers: [issuer], profile: .oidc, clientIDs: clients, audiences: audiences)
      // Whose tokens are opaque may have signed ones beside them: then it is said where its keys are.
      let hasSet = item.loadBalancer == nil && !(item.introspection?.identifiesOpaqueTokens ?? false)
      keys = item.jwksURL.map { .jwks(url: $0) } ?? (hasSet ? .discovery(issuer: issuer) : .noSet)
      prefix = issuer.hasPrefix("https://") ? String(decoding: issuer.utf8.dropFirst(8), as: UTF8.self) : issuer
      groupClaim = "groups"
    }
    if let file = item.keyFile {
      switch KeyFile.read(file, acceptsDevelopment: configuration.isDevelopment) {
      case .success(let file): keys = .file(file)
      case .failure(let mistakes):
        report.add(mistakes.diagnostics, in: mistakes.source)
        return nil
      }
    }
    // Where a route demands proofs, or clients show certificates, the page looks at every token that is bound; else none is accepted.
    rules.acceptsSenderConstrained =
      (configuration.routes?.routes.contains(where: \.demandsProof) ?? false) || (configuration.tls?.clients ?? .none) != .none
    rules.tokenUses = item.tokenUses
    rules.clockSkew = item.clockSkewSeconds
    rules.maximumLifetime = item.maximumLifetimeSeconds
    if let algorithms = item.algorithms { rules.algorithms = algorithms }
    guard let mapping = buildMapping(item, prefix: item.idPrefix ?? prefix, groupClaim: groupClaim, configuration, &report) else {
      return nil
    }
    return Issuer(
      name: item.name, index: index, rules: rules, mapping: mapping, acceptsBareToken: item.acceptsBareToken ?? (rules.profile == .cognito),
      keys: keys, loadBalancer: item.loadBalancer, introspection: item.introspection,
      loginProvider: item.loadBalancer == nil ? loginProvider(item.kind.identifier) : nil)
  }

  // GetId, "Logins": an issuer without its scheme; of a user pool the name that it has had from the beginning.
  private static func loginProvider(_ identifier: String) -> String {
    for scheme in ["https://", "http://"] where identifier.utf8.starts(with: scheme.utf8) {
      return String(decoding: identifier.utf8.dropFirst(scheme.utf8.count), as: UTF8.self)
    }
    return identifier
  }

  private static func buildMapping(
    _ item: IssuerConfiguration, prefix: String, groupClaim: String, _ configuration: Configuration, _ report: inout ConfigurationReport
  ) -> IdentityMapping? {
    let place = configuration.setting("issuers", item.name, "mapping")
    func claim(_ text: String, _ setting: Setting?) -> JSONPointer? {
      if let pointer = ClaimPath.pointer(text) { return pointer }
      report.add(setting, ClaimPath.mistake(text))
      return nil
    }
    guard let groups = claim(item.groupClaim ?? groupClaim, place?["group_claim"]), let id = claim(item.idClaim, place?["id_claim"]) else {
      return nil
    }
    var scopes: JSONPointer?
    if let text = item.scopeClaim {
      guard let pointer = claim(text, place?["scope_claim"]) else { return nil }
      scopes = pointer
    }
    let namespace: String
    do throws(NameError) {
      namespace = try item.namespace.map { name throws(NameError) in try Name(normalized: name).text } ?? configuration.namespace
    } catch {
      report.add(place?["namespace"], error.description)
      return nil
    }
    for (text, name) in [(item.principalType, "principal_type"), (item.groupType, "group_type")] {
      do throws(NameError) { _ = try Name(normalized: text) } catch {
        report.add(place?[name], error.description)
        return nil
      }
    }
    var mapping = IdentityMapping(idPrefix: prefix, groupClaim: groups)
    mapping.idClaim = id
    mapping.scopeClaim = scopes
    mapping.principalType = TypeNames.type(item.principalType, in: namespace)
    mapping.groupType = TypeNames.type(item.groupType, in: namespace)
    guard mapping.principalType != mapping.groupType else {
      report.add(place?["group_type"], "principals and groups need types of their own, or a group could be taken for a user")
      return nil
    }
    for attribute in item.attributes {
      guard let pointer = claim(attribute.claim, place?["attributes"]?[attribute.name]) else { return nil }
      mapping.attributes.append(IdentityMapping.Attribute(name: attribute.name, claim: pointer, type: attribute.type))
    }
    return mapping
  }
}

extension IdentityMapping {
  /// Whether some subject of one could get the id of some subject of the other: they share a type, and one prefix with its `|`
  /// is the beginning of the other's. (`a` and `a|b`: the subject `b|x` of the first is `x` of the second.)
  func couldMintPrincipals(of other: IdentityMapping) -> Bool {
    let types = [principalType, groupType]
    guard types.contains(other.principalType) || types.contains(other.groupType) else { return false }
    let (mine, theirs) = ("\(idPrefix)|", "\(other.idPrefix)|")
    if mine.utf8.starts(with: theirs.utf8) || theirs.utf8.starts(with: mine.utf8) { return true }
    // Cedar compares bytes. A service behind may bring texts to one normal form (Unicode Standard Annex 15) before it compares, as
    // Swift does, and must not take two people for one.
    return mine.hasPrefix(theirs) || theirs.hasPrefix(mine)
  }
}
