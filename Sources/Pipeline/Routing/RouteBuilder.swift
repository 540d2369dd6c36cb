internal import Bytes
internal import Cedar
internal import HTTP
internal import JOSE

/// Makes the route table of its settings, and says what is wrong with them.
struct RouteBuilder {
  private let namespace: String
  /// The services behind: those that have names, and then those of single routes, each once.
  private(set) var upstreams: [UpstreamSettings]
  /// The engines elsewhere, each once.
  var engines = EngineBuilder()
  /// How requests are signed, each way once.
  private(set) var signings = SigningBuilder()

  private let asksForCertificates: Bool

  /// - Parameter asksForCertificates: whether clients are asked for certificates.
  init(namespace: String, upstreams: [UpstreamSettings], asksForCertificates: Bool) {
    self.namespace = namespace
    self.asksForCertificates = asksForCertificates
    self.upstreams = upstreams
  }

  /// The table of all routes that are in order; ties are problems.
  mutating func table(_ list: Setting, _ report: inout ConfigurationReport) -> RouteTable {
    var routes: [Route] = []
    var settings: [Setting] = []
    for (_, setting) in list.members {
      guard let route = route(setting, &report) else { continue }
      routes.append(route)
      settings.append(setting)
    }
    let table = RouteTable(routes)
    for tie in table.ties() {
      report.add(
        settings[tie.second]["match"], "`\(routes[tie.second].text)` and `\(routes[tie.first].text)` are for the same requests",
        help: "keep one, or make one more specific: by method, host, or a name in the place of a parameter",
        related: settings[tie.first]["match"].map { ($0, "the other is here") })
    }
    return table
  }

  private mutating func route(_ setting: Setting, _ report: inout ConfigurationReport) -> Route? {
    guard let match = setting["match"], let text = match.text else {
      report.add(setting, "says no match", help: "write match: 'GET /orders/{id}'")
      return nil
    }
    let words = text.utf8.split(separator: ASCII.space).map { String(decoding: $0, as: UTF8.self) }
    guard words.count == 2 else {
      report.add(
        match, "\"\(text)\" is not a method and a path", help: "write 'GET /orders/{id}'; for every method '* \(words.first ?? "/path")'")
      return nil
    }
    guard let methods = RouteMethods(words[0]) else {
      report.add(
        match, "\"\(words[0])\" is not a method", help: "methods are in capitals, separated by commas without spaces: GET,HEAD; * for all")
      return nil
    }
    let path: RoutePath
    do throws(RoutePath.Mistake) { path = try RoutePath(words[1]) } catch {
      report.add(match, error.message, help: error.help)
      return nil
    }
    var host: RouteHost?
    if let named = setting["host"], let text = named.text {
      host = RouteHost(text)
      if host == nil {
        report.add(named, "\"\(text)\" is not a host", help: "a name without scheme and port, such as api.example.com, or *.example.com")
      }
    }
    let reading = reading(setting["paths"], path, setting, &report)
    let access = setting.text("access").flatMap(Route.Access.init) ?? .policy
    checkAccess(access, methods, setting, &report)
    let engine = engines.engine(setting["engine"], &report)
    let signing = signings.signing(setting, access, &report)
    let upstream = upstream(setting["upstream"], &report)
    checkTransport(signing, to: upstream, setting, &report)
    let body = MoreBuilder.body(setting, &report)
    var sources = TextTemplate.Sources(body: body?.fields.map(\.name) ?? [])
    let resource = resource(setting["resource"], path, sources, &report)
    sources.principal = true
    return Route(
      methods: methods, path: path, reading: reading, host: host, access: access, action: action(setting, &report),
      resource: resource, body: body, entities: MoreBuilder.entities(setting["entities"], path, sources, &report),
      scopes: setting["scopes"]?.texts ?? [], demandsProof: setting["dpop"]?.bool ?? false,
      demandsCertificate: certificateBound(setting, &report),
      stepUp: stepUp(setting["step_up"], &report), mode: setting.text("mode").flatMap(Snapshot.Mode.init),
      closeStreams: setting.text("close_streams").flatMap(StreamRule.init),
      upstream: upstream,
      timeouts: Route.Timeouts(
        connect: setting["connect_timeout"]?.count, response: setting["response_timeout"]?.count, body: setting["body_timeout"]?.count,
        total: setting["total_timeout"]?.count),
      bodyLimit: setting["body_limit"]?.count, engine: engine, signing: signing)
  }

  // A body that no signature covers is protected by TLS alone.
  private func checkTransport(_ signing: RouteSigning?, to service: Int, _ setting: Setting, _ report: inout ConfigurationReport) {
    guard signing?.settings.body == .unsigned, upstreams.indices.contains(service) else { return }
    for address in upstreams[service].addresses where !ASCII.equalsIgnoringCase(Array(address.utf8.prefix(8)), "https://".utf8) {
      report.add(
        setting["sign"]?["body"], "\(address) is reached without TLS, which alone would protect a body that is not signed",
        help: "use https, or leave body out")
    }
  }

  // How the service reads paths, where that is said.
  private func reading(_ setting: Setting?, _ path: RoutePath, _ route: Setting, _ report: inout ConfigurationReport) -> PathReading {
    var reading = PathReading.exact
    guard let setting else { return reading }
    if setting.text("semicolon") == "data" { reading.rules.insert(.semicolonIsData) }
    if setting.text("encoded_slash") == "data" { reading.rules.insert(.encodedSlashIsData) }
    reading.ignoresCase = setting.text("case") == "same"
    reading.ignoresTrailingSlash = setting.text("trailing_slash") == "same"
    // A slash within a segment looks like one between two: only a parameter of its own keeps the two apart.
    if reading.rules.contains(.encodedSlashIsData) {
      if path.hasRest {
        report.add(
          setting["encoded_slash"], "in {\(path.parameters.last?.name ?? "")...} a slash that is data looks like one between segments",
          help: "name the segments: /files/{folder}/{file}")
      } else if route["resource"] == nil || route["resource"]?.origin == .byDefault, route.text("access") == "policy" {
        report.add(
          setting["encoded_slash"], "in Path::\"…\" a slash that is data looks like one between segments",
          help: "name the resource by a parameter of the path: resource: { type: 'File', id: '{file}' }")
      }
    }
    if reading.ignoresCase, path.hasCapitals {
      report.add(
        route["match"], "with case 'same' paths are matched in lower case, and `\(path.text)` has capitals", help: "write it in lower case")
    }
    return reading
  }

  // What has no effect is a mistake: somebody believes that it protects.
  private func checkAccess(_ access: Route.Access, _ methods: RouteMethods, _ setting: Setting, _ report: inout ConfigurationReport) {
    if access == .preflight, methods.tokens.count != 1 || methods.tokens.first != "OPTIONS" {
      report.add(setting["match"], "preflights are OPTIONS requests", help: "write 'OPTIONS /path'")
    }
    guard access != .policy else { return }
    for name in ["action", "resource", "body", "entities"] {
      if let useless = setting[name], useless.origin != .byDefault {
        report.add(
          useless, "with access '\(access.rawValue)' no policy is asked, so this has no effect",
          help: "leave it out, or use access: 'policy'")
      }
    }
    guard access != .authenticated else { return }
    for name in ["scopes", "step_up", "dpop", "certificate_bound"] {
      guard let useless = setting[name], useless.origin != .byDefault else { continue }
      report.add(
        useless, "with access '\(access.rawValue)' no token is asked for, so this has no effect",
        help: "leave it out, or use access: 'authenticated'")
    }
  }

  private func certificateBound(_ route: Setting, _ report: inout ConfigurationReport) -> Bool {
    guard let setting = route["certificate_bound"], setting.bool ?? false else { return false }
    if !asksForCertificates {
      report.add(
        setting, "clients are not asked for certificates, so every request would be refused",
        help: "write tls: { certificates: […], client_certificates: { ask: 'optional', ca: 'tls/clients.pem' } }")
    }
    return true
  }

  private func stepUp(_ setting: Setting?, _ report: inout ConfigurationReport) -> StepUp? {
    guard let setting, setting.origin != .byDefault else { return nil }
    let acr = setting["acr"]?.texts ?? []
    let age = setting["max_age"]?.integer
    guard !acr.isEmpty || age != nil else {
      report.add(setting, "demands nothing", help: "write step_up: { acr: ['urn:cognito:loa:2'] }, or { max_age: '5m' }, or both")
      return nil
    }
    var seconds: Int64?
    if let age { seconds = age / 1000 }
    guard let wanted = StepUp(acrValues: acr, maximumAge: seconds) else {
      report.add(setting["acr"], "a value of acr is visible ASCII without quotes, backslashes and spaces")
      return nil
    }
    return wanted
  }

  private func action(_ setting: Setting, _ report: inout ConfigurationReport) -> EntityUID? {
    guard let action = setting["action"], let name = action.text else { return nil }
    guard !name.isEmpty else {
      report.add(action, "an action has a name")
      return nil
    }
    if name.utf8.contains(UInt8(ascii: "\"")), name.utf8.last == UInt8(ascii: "\"") {
      report.add(action, "an action is named by its id alone", help: "write viewOrder for Action::\"viewOrder\"; `namespace` is added")
    }
    return EntityUID(type: TypeNames.type("Action", in: namespace), id: name)
  }

  private func resource(
    _ setting: Setting?, _ path: RoutePath, _ sources: TextTemplate.Sources, _ report: inout ConfigurationReport
  ) -> ResourceTemplate? {
    guard let setting, setting.origin != .byDefault else { return nil }
    guard let type = type(setting, &report), let id = template(setting, "id", path, sources, &report) else { return nil }
    var resource = ResourceTemplate(type: type, id: id)
    for (name, attribute) in setting["attributes"]?.members ?? [] {
      guard let template = template(attribute, "value", path, sources, &report) else { continue }
      resource.attributes.append(
        ResourceTemplate.Attribute(
          name: name, template: template, type: attribute.text("type").flatMap(TypedText.init) ?? .string,
          isOptional: attribute["optional"]?.bool ?? false))
    }
    for (_, parent) in setting["parents"]?.members ?? [] {
      guard let type = self.type(parent, &report), let id = template(parent, "id", path, sources, &report) else { continue }
      resource.parents.append((type, id))
    }
    return resource
  }

  private func type(_ setting: Setting, _ report: inout ConfigurationReport) -> EntityType? {
    guard let named = setting["type"], let text = named.text else {
      report.add(setting, "has no type", help: "write { type: 'Order', id: '{id}' }")
      return nil
    }
    do throws(NameError) { _ = try Name(normalized: text) } catch {
      report.add(named, error.description)
      return nil
    }
    return TypeNames.type(text, in: namespace)
  }

  private func template(
    _ setting: Setting, _ name: String, _ path: RoutePath, _ sources: TextTemplate.Sources, _ report: inout ConfigurationReport
  ) -> TextTemplate? {
    guard let written = setting[name], let text = written.text, !text.isEmpty else {
      report.add(setting[name] ?? setting, "has no \(name)", help: "write \(name): '{id}', or another text with parameters of the path")
      return nil
    }
    do throws(RoutePath.Mistake) { return try TextTemplate(text, for: path, sources) } catch {
      report.add(written, error.message, help: error.help)
      return nil
    }
  }

  /// Whether a route's `upstream` is an address and no name: names come first, and what has no colon can only be one.
  static func isAddress(_ text: String, unlessIn names: [String]) -> Bool {
    text.utf8.contains(UInt8(ascii: ":")) && !names.contains { exactlyEquals($0, text) }
  }

  private mutating func upstream(_ setting: Setting?, _ report: inout ConfigurationReport) -> Int {
    guard let setting, let text = setting.text else { return 0 }
    if let found = upstreams.firstIndex(where: { exactlyEquals($0.name, text) }) { return found }
    guard Self.isAddress(text, unlessIn: []) else {
      let near = Spelling.nearest(to: text, among: upstreams.dropFirst().map(\.name))
      report.add(
        setting, "no service is called \"\(text)\"",
        help: near.map { "did you mean \"\($0)\"?" }
          ?? "write a URL such as http://127.0.0.1:3000, or name it: upstreams: { \(text): 'URL' }")
      return 0
    }
    // Bounds of the usual service hold for it too: all that is said of it is where it is.
    var service = UpstreamSettings(name: text, addresses: [text])
    if let usual = upstreams.first { (service.limits, service.breaker) = (usual.limits, usual.breaker) }
    upstreams.append(service)
    return upstreams.count - 1
  }
}

/// Names of types as the configuration writes them: the namespace is added to those that have none.
enum TypeNames {
  static func type(_ name: String, in namespace: String) -> EntityType {
    let isQualified = name.utf8.contains(UInt8(ascii: ":"))
    return EntityType(unchecked: namespace.isEmpty || isQualified ? name : "\(namespace)::\(name)")
  }
}
