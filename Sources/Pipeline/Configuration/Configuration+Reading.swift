public import Bytes
internal import Cedar
internal import CedarSchema
internal import HTTP
internal import JOSE
internal import Telemetry

extension Configuration {
  /// Reads a configuration: the file if there is one, then variables, then flags; or says everything that is wrong with it.
  ///
  /// - Parameters:
  ///   - file: the text of a `stockade.json5`, named as the person named it; its folder is what relative paths in it begin at.
  ///   - flags: flags by name without dashes, as `Fields.flagged` lists them; a switch has the value `true`.
  public static func read(file: SourceText?, flags: [String: [String]], surroundings: Surroundings) throws(ConfigurationError)
    -> Configuration
  {
    let reader = ConfigurationReader(file: file, flags: flags, surroundings: surroundings)
    var report = reader.report
    guard reader.isReadable else { throw ConfigurationError(report.problems) }
    let configuration = Configuration(reader.root, source: file, surroundings, &report)
    // What does not depend on policies is checked here, so that all that is wrong with the file is told at once.
    SnapshotBuilder.check(configuration, &report)
    guard report.isEmpty else { throw ConfigurationError(report.problems) }
    return configuration
  }

  private init(_ root: Setting, source: SourceText?, _ surroundings: Surroundings, _ report: inout ConfigurationReport) {
    self.init(upstream: "")
    settings = root
    self.source = source
    traces = TraceSettings.read(root, &report, surroundings)
    warnings = report.warnings
    if let service = UpstreamSettings("upstream", root["upstream"], &report) {
      upstreams = [service]
    } else {
      report.add(
        root["upstream"], "no service to protect is given", help: "name it with --to URL, or upstream: 'URL', such as http://127.0.0.1:3000"
      )
    }
    for (name, setting) in root["upstreams"]?.members ?? [] { readService(name, setting, &report) }
    readTLS(root, surroundings, &report)
    readProcess(root, &report)
    debugTickets = DebugTickets.read(root, &report)
    if let decisions = root["log"]?["decisions"] {
      readShape(decisions, &report)
      logSinks = LogSinkSettings.all(decisions, &report, surroundings)
      if recordsInput, !logSinks.contains(where: \.isNative) {
        report.add(
          decisions["record"], "what the policies saw is written in the formats json and emf alone",
          help: "add a place for it: also: [{ to: 'decisions.ndjson', format: 'json' }]")
      }
    }
    checkPlaces(root, surroundings, &report)
    checkAddresses(root, surroundings, &report)
    readProxies(root, &report)
    readHeaders(root, &report)
    readContext(root, &report)
    for (name, setting) in root["issuers"]?.members ?? [] {
      guard var issuer = IssuerConfiguration(name, setting, &report) else { continue }
      issuer.keyFile = keyFile(setting, surroundings, &report)
      issuers.append(issuer)
    }
    readProtectedResource(root, &report)
    readProofs(root, &report)
    if let name = root.text("namespace") {
      do throws(NameError) { namespace = try Name(normalized: name).text } catch { report.add(root["namespace"], error.description) }
    }
    warnings = report.warnings
    var builder = RouteBuilder(
      namespace: namespace, upstreams: upstreams, asksForCertificates: (tls?.clients ?? .none) != .none)
    engine = builder.engines.engine(root["engine"], &report) ?? .local
    if let list = root["routes"], !list.members.isEmpty {
      routes = builder.table(list, &report)
      upstreams = builder.upstreams
    }
    compare = builder.engines.engine(root["compare"], &report)
    if let compare, ([engine] + (routes?.routes ?? []).map { $0.engine ?? engine }).allSatisfy({ $0 == compare }) {
      report.add(
        root["compare"], "this engine decides already, so there is nothing to compare", help: "name another engine, or leave it out")
    }
    engines = builder.engines.engines
    signings = builder.signings.signings
    unrouted = root.text("unrouted").flatMap(Unrouted.init) ?? .deny
    if let unrouted = root["unrouted"], unrouted.origin != .byDefault, routes == nil, root["routes"]?.members.isEmpty ?? true {
      report.add(
        unrouted, "there are no routes, so every request is mapped by its method and path", help: "write routes, or leave this out")
    }
  }

  private mutating func readProcess(_ root: Setting, _ report: inout ConfigurationReport) {
    if let text = root.text("mode"), let mode = Snapshot.Mode(rawValue: text) { self.mode = mode }
    if let text = root.text("close_streams"), let rule = StreamRule(rawValue: text) { closeStreams = rule }
    if let text = root["policies"]?.text("ids"), let ids = PolicyBundle.Options.PolicyIDs(rawValue: text) { policyIDs = ids }
    if let text = root.text("on_policy_error"), let rule = Authorization.OnPolicyError(rawValue: text) { onPolicyError = rule }
    if let text = root.text("listen") { listen = text }
    if let text = root["ops"]?.text("listen") { opsListen = text }
    if let text = root.text("realm") { realm = text }
    if let count = root["workers"]?.integer { workers = Int(clamping: count) }
    sharesPort = root["share_port"]?.bool ?? false
    isDevelopment = root["development"]?.bool ?? false
    drainDelayMillis = Self.millis(root["drain"]?["delay"]) ?? drainDelayMillis
    drainTimeoutMillis = Self.millis(root["drain"]?["timeout"]) ?? drainTimeoutMillis
    limits = ClientLimits(root["limits"])
    nameServer = root["dns"]?.text("server")
    dnsRefreshMillis = Self.millis(root["dns"]?["refresh"]) ?? dnsRefreshMillis
    let decisions = root["log"]?["decisions"]
    recordsInput = decisions?.text("record") == "replayable"
    if let file = root["revocations"]?["file"], let text = file.text { revocations = besideFile(text, file.origin) }
    if let folder = root["policies"]?["dir"], let text = folder.text { policies = besideFile(text, folder.origin) }
    policySource = PolicySource(root["policies"]?["store"], beside: root["policies"]?["dir"], &report)
  }

  private mutating func readService(_ name: String, _ setting: Setting, _ report: inout ConfigurationReport) {
    if exactlyEquals(name, "upstream") {
      report.add(setting, "the usual service is called so already", help: "choose another name")
    } else if let service = UpstreamSettings(name, setting, &report) {
      upstreams.append(service)
    } else {
      report.add(setting, "has no address", help: "write \(name): 'http://127.0.0.1:3000', or a list of addresses")
    }
  }

  private mutating func readTLS(_ root: Setting, _ surroundings: Surroundings, _ report: inout ConfigurationReport) {
    let reader = TLSReader(surroundings: surroundings, place: besideFile)
    tls = reader.listener(root["tls"], &report)
    for index in upstreams.indices {
      let service = index == 0 ? root["upstream"] : root["upstreams"]?[upstreams[index].name]
      upstreams[index].tls = reader.upstream(service, addresses: upstreams[index].addresses, &report)
    }
  }

  private func keyFile(_ issuer: Setting, _ surroundings: Surroundings, _ report: inout ConfigurationReport) -> SourceText? {
    guard let named = issuer["jwks_file"], let text = named.text else { return nil }
    if let url = issuer["jwks_url"] {
      report.add(
        named, "keys come from one place, and jwks_url names another", help: "keep one of them", related: (url, "the other is here"))
      return nil
    }
    let path = besideFile(text, named.origin)
    let (contents, problem) = surroundings.readFile(path)
    guard let contents else {
      report.add(named, problem, help: "name a file with the issuer's key set, as its jwks_uri serves it")
      return nil
    }
    return SourceText(name: path, contents)
  }

  private func checkAddresses(_ root: Setting, _ surroundings: Surroundings, _ report: inout ConfigurationReport) {
    func check(_ setting: Setting?, _ use: Surroundings.AddressUse) {
      guard let setting, let text = setting.text, !text.isEmpty, let problem = surroundings.problemOfAddress(text, use) else { return }
      report.add(setting, problem.message, help: problem.help)
    }
    for service in [root["upstream"]].compactMap({ $0 }) + (root["upstreams"]?.members ?? []).map(\.setting) {
      check(service["url"], .service)
      for address in service["urls"]?.texts ?? [] {
        guard let problem = surroundings.problemOfAddress(address, .service) else { continue }
        report.add(service["urls"], problem.message, help: problem.help)
      }
    }
    check(root["dns"]?["server"], .nameServer)
    for (_, issuer) in root["issuers"]?.members ?? [] {
      check(issuer["jwks_url"], .keys(mayBePlain: issuer["allow_insecure_jwks"]?.bool ?? false))
    }
    let named = root["upstreams"]?.members.map(\.name) ?? []
    for (_, route) in root["routes"]?.members ?? [] {
      guard let service = route["upstream"], let text = service.text, RouteBuilder.isAddress(text, unlessIn: named) else { continue }
      check(service, .service)
    }
  }

  private mutating func readProofs(_ root: Setting, _ report: inout ConfigurationReport) {
    guard let setting = root["dpop"] else { return }
    proofs.demandsNonce = setting["nonce"]?.bool ?? proofs.demandsNonce
    if let millis = setting["max_age"]?.integer { proofs.maximumAge = millis / 1000 }
    guard let origin = setting.text("origin") else { return }
    proofs.origin = origin
    if !CORS.isOrigin(origin) {
      report.add(setting["origin"], "\"\(origin)\" is not an origin", help: "write scheme, host and port, such as https://api.example.com")
    }
  }

  /// Reads what is signed for the service behind; gives the name of its field.
  private mutating func readAssertion(_ root: Setting, _ report: inout ConfigurationReport) -> String? {
    guard let setting = root["identity_assertion"], setting.origin != .byDefault else { return nil }
    guard let audience = setting.text("audience"), !audience.isEmpty else {
      report.add(setting, "names no audience", help: "write identity_assertion: 'orders', by whatever name the service knows itself")
      return nil
    }
    var settings = AssertionSettings(audience: audience)
    settings.issuer = setting.text("issuer") ?? settings.issuer
    if let millis = setting["rotate"]?.integer { settings.rotationSeconds = millis / 1000 }
    if let millis = setting["announce"]?.integer { settings.announcementSeconds = millis / 1000 }
    assertion = settings
    return setting.text("header") ?? IdentityHeaders.assertionName
  }

  private mutating func readProtectedResource(_ root: Setting, _ report: inout ConfigurationReport) {
    guard let setting = root["protected_resource"], setting.origin != .byDefault else { return }
    guard let resource = setting.text("resource") else {
      report.add(setting, "names no resource", help: "write protected_resource: 'https://api.example.com'")
      return
    }
    let named = setting["authorization_servers"]?.texts ?? []
    let servers = named.isEmpty ? issuers.map(\.kind.identifier) : named
    protectedResource = ProtectedResourceMetadata(
      resource: resource, authorizationServers: servers, scopes: setting["scopes"]?.texts ?? [], name: setting.text("name"))
    if protectedResource == nil, !servers.isEmpty {
      report.add(
        setting["resource"], "\"\(resource)\" is not the address of a protected resource",
        help: "an https address without query and fragment, as clients write it; http is for this machine alone")
    }
  }

  private func checkPlaces(_ root: Setting, _ surroundings: Surroundings, _ report: inout ConfigurationReport) {
    let ops = root["ops"]?["listen"]
    for (setting, text) in [(root["listen"], listen), (ops, opsListen)] {
      if let problem = surroundings.problemOfPlace(text) { report.add(setting, problem.message, help: problem.help) }
    }
    if listen.utf8.starts(with: "fd:".utf8), exactlyEquals(listen, opsListen) {
      report.add(ops, "\(opsListen) is where requests arrive", help: "operations need a place of their own")
    }
  }

  private mutating func readShape(_ decisions: Setting, _ report: inout ConfigurationReport) {
    var principals = DecisionShape.Principals.plain
    switch decisions.text("principal") {
    case "omit": principals = .omitted
    case "hmac":
      let key = decisions.text("hmac_key") ?? ""
      if key.utf8.count < 16 {
        report.add(
          decisions["hmac_key"] ?? decisions["principal"], "hashes of principals need a key of at least 16 bytes",
          help: "write log: { decisions: { principal: 'hmac', hmac_key: '${file:/run/secrets/log-key}' } }")
      }
      principals = .hashed(key: Secret(Array(key.utf8)))
    default: break
    }
    let drops = decisions["drop"]?.texts ?? []
    for drop in drops {
      if let problem = DecisionShape.problem(ofDrop: drop) { report.add(decisions["drop"], problem.message, help: problem.help) }
    }
    logShape = DecisionShape(
      principals: principals, addresses: decisions.text("client_ip").flatMap(DecisionShape.Addresses.init) ?? .full, drops: drops,
      allowedOneIn: Int(clamping: decisions["allowed_one_in"]?.integer ?? 1))
  }

  private static func millis(_ setting: Setting?) -> UInt64? { setting?.count }

  /// A path of the file begins at the file's folder; one of a flag or variable where the process was started.
  private func besideFile(_ path: String, _ origin: Setting.Origin) -> String {
    guard case .file = origin, let source else { return path }
    return source.beside(path)
  }

  private mutating func readProxies(_ root: Setting, _ report: inout ConfigurationReport) {
    let setting = root["trusted_proxies"]
    var networks: [IPNetwork] = []
    var includesUnix = false
    for text in setting?.texts ?? [] {
      if exactlyEquals(text, "unix") {
        includesUnix = true
      } else if let network = IPNetwork(text) {
        networks.append(network)
        if network.prefixLength == 0 {
          report.add(
            setting, "\"\(text)\" is everybody: any client could then claim any address", help: "name the networks of your own proxies")
        }
      } else {
        report.add(
          setting, "\"\(text)\" is not a network",
          help: "write an address or a range without bits behind its prefix, such as 10.0.0.0/8; or unix")
      }
    }
    let source = root.text("forwarding_field").flatMap(ForwardedClient.Source.init) ?? .xForwardedFor
    trustedProxies = TrustedProxies(networks: networks, includesUnix: includesUnix, source: source)
    expectsProxyHeader = root["proxy_protocol"]?.bool ?? false
    guard expectsProxyHeader, trustedProxies.isEmpty, !report.hasFailed("trusted_proxies") else { return }
    report.add(
      root["proxy_protocol"], "nobody is trusted to say where a connection came from",
      help: "name your proxies: trusted_proxies: ['10.0.0.0/8']")
  }

  private mutating func readHeaders(_ root: Setting, _ report: inout ConfigurationReport) {
    if let setting = root["identity_headers"] {
      identityHeaders = IdentityHeaders(
        principal: setting.text("principal") ?? "", subject: setting.text("subject") ?? "", groups: setting.text("groups") ?? "",
        keepsAuthorization: setting.text("authorization") != "remove")
      if let assertion = readAssertion(root, &report) { identityHeaders.assertion = assertion }
      var names: [(Setting, String)] = ["principal", "subject", "groups"].compactMap { name in
        setting[name].flatMap { one in one.text.map { (one, $0) } }
      }
      if let header = root["identity_assertion"]?["header"], let name = header.text, assertion != nil { names.append((header, name)) }
      for (name, claim) in setting["claims"]?.members ?? [] {
        names.append((claim, name))
        guard let text = claim.text, let pointer = ClaimPath.pointer(text) else {
          report.add(claim, ClaimPath.mistake(claim.text ?? ""))
          continue
        }
        identityHeaders.claims.append((name, pointer))
      }
      var seen: [String: Setting] = [:]
      for (setting, name) in names where !name.isEmpty {
        if let problem = IdentityHeaders.problem(ofName: name) { report.add(setting, problem) }
        if let other = seen.updateValue(setting, forKey: IdentityHeaders.folded(name)) {
          report.add(setting, "\(name) is already the field for \(other.path)", help: "choose another name", related: (other, "here"))
        }
      }
    }
    if let setting = root["cors"]?["errors_allow_origins"] {
      errorOrigins = setting.texts
      for origin in errorOrigins where !CORS.isOrigin(origin) {
        report.add(
          setting, "\"\(origin)\" is not an origin",
          help: "write scheme, host and port as browsers send them, such as https://app.example.com; * is not possible")
      }
    }
  }

  private mutating func readContext(_ root: Setting, _ report: inout ConfigurationReport) {
    if let setting = root["context"]?["headers"] {
      contextHeaders = setting.texts.map { String(decoding: $0.utf8.map { ASCII.lowercased($0) }, as: UTF8.self) }
      for name in contextHeaders { if let problem = RequestValues.problem(ofFieldName: name) { report.add(setting, problem) } }
    }
    contextQuery = root["context"]?["query"]?.texts ?? []
  }

  /// Who decides: one of the engines that exist.
}

extension IssuerConfiguration {
  private static func loadBalancer(_ setting: Setting, of issuer: String, _ report: inout ConfigurationReport) -> LoadBalancerSettings? {
    guard let signer = setting.text("signer"), let client = setting.text("client_id"), let from = setting["from"], !from.texts.isEmpty
    else {
      report.add(
        setting, "needs signer, client_id and from",
        help: "write { signer: 'arn:aws:elasticloadbalancing:…', client_id: '4h57example', from: ['10.0.0.0/16'] }")
      return nil
    }
    var networks: [IPNetwork] = []
    for text in from.texts {
      guard let network = IPNetwork(text), network.prefixLength > 0 else {
        report.add(from, "\"\(text)\" is not a network that a load balancer is in", help: "write its subnets, such as '10.0.0.0/16'")
        continue
      }
      networks.append(network)
    }
    guard let keys = setting.text("keys_url") ?? LoadBalancerSettings.keysURL(signer: signer) else {
      report.add(
        setting["signer"], "where this load balancer's keys are is not known", help: "is it the ARN? Else name the place with keys_url")
      return nil
    }
    return LoadBalancerSettings(rules: .init(signer: signer, client: client, issuer: issuer), networks: networks, keysURL: keys)
  }

  private static func introspection(_ setting: Setting?, _ report: inout ConfigurationReport) -> IntrospectionSettings? {
    guard let setting, setting.origin != .byDefault else { return nil }
    guard let url = setting.text("url"), let id = setting.text("client_id"), let secret = setting.text("client_secret") else {
      report.add(
        setting, "needs url, client_id and client_secret",
        help: "write { url: 'https://login.example.com/introspect', client_id: 'stockade', client_secret: '${file:secret}' }")
      return nil
    }
    var settings = IntrospectionSettings(url: url, clientID: id, clientSecret: Secret(secret))
    if let millis = setting["cache"]?.integer { settings.cacheSeconds = millis / 1000 }
    settings.identifiesOpaqueTokens = setting["opaque"]?.bool ?? false
    return settings
  }

  init?(_ name: String, _ setting: Setting, _ report: inout ConfigurationReport) {
    switch (setting.text("cognito"), setting.text("issuer")) {
    case (let pool?, let issuer): self.init(name: name, kind: .cognito(poolID: pool, issuer: issuer))
    case (nil, let issuer?): self.init(name: name, kind: .oidc(issuer: issuer))
    case (nil, nil):
      report.add(
        setting, "says neither cognito nor issuer", help: "write cognito: 'us-east-1_AbC123' or issuer: 'https://login.example.com'")
      return nil
    }
    isDevelopment = kind.isDevelopment
    clientIDs = setting["client_ids"]?.texts ?? []
    audiences = setting["audiences"]?.texts ?? []
    idPrefix = setting.text("id_prefix")
    jwksURL = setting.text("jwks_url")
    if let balancer = setting["load_balancer"], balancer.origin != .byDefault {
      loadBalancer = Self.loadBalancer(balancer, of: setting.text("issuer") ?? "", &report)
      // The one that it signs users in for; where none is named, that has been told.
      clientIDs = [balancer.text("client_id") ?? "none"]
      for name in ["cognito", "client_ids", "audiences", "jwks_url", "introspection"] {
        guard let useless = setting[name], useless.origin != .byDefault else { continue }
        report.add(
          useless, "has no effect beside load_balancer",
          help: "leave it out; the users of a pool have issuer: 'https://cognito-idp.<region>.amazonaws.com/<pool>'")
      }
    }
    introspection = Self.introspection(setting["introspection"], &report)
    if case .cognito = kind, introspection?.identifiesOpaqueTokens ?? false {
      report.add(setting["introspection"]?["opaque"], "a user pool has no opaque tokens", help: "leave it out")
    }
    if let millis = setting["jwks"]?["refresh"]?.integer { keyFreshness.refreshSeconds = millis / 1000 }
    if let millis = setting["jwks"]?["max_stale"]?.integer { keyFreshness.maximumStaleSeconds = millis / 1000 }
    if let millis = setting["jwks"]?["min_interval"]?.count { keyFreshness.minimumIntervalMillis = millis }
    allowsInsecureKeys = setting["allow_insecure_jwks"]?.bool ?? false
    acceptsBareToken = setting["accept_bare_token"]?.bool
    if let use = setting.text("token_use").flatMap(TokenUse.init(name:)) { tokenUses = [use] }
    if let millis = setting["clock_skew"]?.integer { clockSkewSeconds = millis / 1000 }
    if let millis = setting["max_lifetime"]?.integer { maximumLifetimeSeconds = millis / 1000 }
    if let list = setting["algorithms"] {
      var accepted: Set<JWSAlgorithm> = []
      for name in list.texts {
        guard let algorithm = JWSAlgorithm.allCases.first(where: { exactlyEquals($0.rawValue, name) }) else {
          report.add(
            list, "\"\(name)\" is not an algorithm that is accepted here",
            help: "one of \(JWSAlgorithm.allCases.map(\.rawValue).joined(separator: ", "))")
          continue
        }
        accepted.insert(algorithm)
      }
      if list.texts.isEmpty { report.add(list, "without an algorithm no token is accepted", help: "leave it out for the usual ones") }
      algorithms = accepted
    }
    guard let mapping = setting["mapping"] else { return }
    principalType = mapping.text("principal_type") ?? principalType
    groupType = mapping.text("group_type") ?? groupType
    idClaim = mapping.text("id_claim") ?? idClaim
    groupClaim = mapping.text("group_claim")
    scopeClaim = mapping.text("scope_claim")
    namespace = mapping.text("namespace")
    for (name, attribute) in mapping["attributes"]?.members ?? [] {
      guard let claim = attribute.text("claim") else {
        report.add(attribute, "names no claim", help: "write { claim: 'department' }")
        continue
      }
      attributes.append((name, claim, attribute.text("type").flatMap(TypedText.init)))
    }
  }
}
