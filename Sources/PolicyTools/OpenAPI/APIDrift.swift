internal import Bytes
internal import HTTP
public import JSON
public import Pipeline

/// Where the routes of a configuration and an API's document say different things.
public struct APIDrift {
  /// One difference.
  struct Finding {
    /// Which kind. Scripts may rely on the words.
    enum Kind: String {
      case operationWithoutRoute = "operation_without_route"
      case routeWithoutOperation = "route_without_operation"
      case otherAction = "other_action"
      case otherResource = "other_resource"
      case otherAccess = "other_access"
      case otherNamespace = "other_namespace"
      case parameterRenamed = "parameter_renamed"
    }

    let kind: Kind
    /// Whether it fails the check, or is only worth a look.
    let severity: Diagnostic.Severity
    let message: String
    let help: String?
    /// The place in the configuration.
    var route: Range<Int>?
    /// The place in the document.
    var operation: Range<Int>?
  }

  private let document: APIDocument
  private let configuration: Configuration
  private let routes: [Route]
  private let settings: [Setting]
  private let names: APINames
  private(set) var findings: [Finding] = []
  // How many operations go by each route, and by which methods.
  private var methods: [[String]]

  /// Compares; a usable document with a configuration that is in order.
  ///
  /// - Parameter mapping: how actions should be named; nil for the way that more of the routes are named by.
  public init(_ document: APIDocument, _ configuration: Configuration, mapping: APIMapping?) {
    self.document = document
    self.configuration = configuration
    routes = configuration.routes?.routes ?? []
    settings = (configuration.settings?["routes"]?.members ?? []).map(\.setting)
    methods = Array(repeating: [], count: routes.count)
    let matches = Self.matches(document, configuration.routes)
    names = APINames(mapping: mapping ?? Self.likely(document, matches, settings), namespace: configuration.namespace)
    compareNamespace()
    for (operation, match) in zip(document.operations, matches) { compare(operation, match) }
    for index in routes.indices { compareRoute(index) }
  }

  // MARK: - Which route an operation goes by

  // The route table itself answers, as for a request: what a route looks like does not matter, only what it does.
  private static func matches(_ document: APIDocument, _ table: RouteTable?) -> [Int?] {
    guard let table else { return document.operations.map { _ in nil } }
    let places = Dictionary(table.routes.enumerated().map { (ObjectIdentifier($1), $0) }, uniquingKeysWith: { first, _ in first })
    var hosts = ["localhost"]
    for route in table.routes {
      if let host = route.exampleHost, !hosts.contains(where: { exactlyEquals($0, host) }), hosts.count < mostHosts { hosts.append(host) }
    }
    let word = freeWord(document, table)
    return document.operations.map { operation in
      for host in hosts {
        guard let head = head(operation.method, operation.path.target(filling: word), host) else { return nil }
        if let route = table.match(head), let place = places[ObjectIdentifier(route)] { return place }
      }
      return nil
    }
  }

  // A word that is no literal in the document or in a route.
  private static func freeWord(_ document: APIDocument, _ table: RouteTable) -> String {
    let texts = table.routes.map(\.path.text)
    var word = document.wordForParameters + "-parameter"
    while texts.contains(where: { $0.utf8.contains(Array(word.utf8)) }) { word += "-x" }
    return word
  }

  private static func head(_ method: String, _ target: String, _ host: String) -> RequestHead? {
    var head = RequestHead()
    let outcome = Array("\(method) \(target) HTTP/1.1\r\nHost: \(host)\r\n\r\n".utf8).withUnsafeBytes {
      RequestHeadParser.parse($0, limits: HeadLimits(), into: &head)
    }
    if case .complete = outcome { return head }
    return nil
  }

  private static func likely(_ document: APIDocument, _ matches: [Int?], _ settings: [Setting]) -> APIMapping {
    func agreeing(_ mapping: APIMapping) -> Int {
      let names = APINames(mapping: mapping, namespace: "")
      return zip(document.operations, matches).count { operation, match in
        guard let match, settings.indices.contains(match), let action = settings[match]["action"]?.text else { return false }
        return exactlyEquals(action, names.action(of: operation))
      }
    }
    return agreeing(.simpleRest) > agreeing(.verifiedPermissions) ? .simpleRest : .verifiedPermissions
  }

  // MARK: - Differences

  private mutating func compareNamespace() {
    guard configuration.namespace.isEmpty, !routes.isEmpty else { return }
    findings.append(
      Finding(
        kind: .otherNamespace, severity: .error, message: "the configuration has no namespace, and the API's names have one",
        help: APINames.namespace(ofTitle: document.title).map { "write namespace: '\($0)', the document's title" }
          ?? "write namespace: 'PetStore'"))
  }

  private mutating func compare(_ operation: APIDocument.Operation, _ match: Int?) {
    let text = "\(operation.method) \(operation.path.route.text)"
    guard let match else {
      // A preflight that no route lets pass is refused: an operation for browsers of other origins is up to the operator.
      guard operation.access != .preflight else { return }
      findings.append(
        Finding(
          kind: .operationWithoutRoute, severity: .error, message: "no route is for \(text), so it is refused",
          help: "add a route: { match: \(JSON5Text.setting(text)), action: \(JSON5Text.setting(names.action(of: operation))), … }",
          route: place(configuration.settings?["routes"]), operation: operation.span))
      return
    }
    let route = routes[match]
    methods[match].append(operation.method)
    compareAccess(operation, route, match)
    if operation.access == .policy, route.access == .policy { compareNames(operation, match) }
    let wanted = operation.path.route
    if wanted.isSameShape(as: route.path) {
      for (mine, theirs) in zip(route.path.parameterNames, wanted.parameterNames) where !exactlyEquals(mine, theirs) {
        add(
          .parameterRenamed, match, operation, "{\(mine)} is called {\(theirs)} in the document",
          help: "rename it, also where the route uses it")
      }
    }
  }

  private mutating func compareAccess(_ operation: APIDocument.Operation, _ route: Route, _ match: Int) {
    switch (operation.access, route.access) {
    case (.policy, .public):
      add(
        .otherAccess, match, operation, "\(route.text) is open to everyone, and the document asks for credentials",
        help: "take access: 'public' away, or say security: [] in the document")
    case (.open, .policy), (.open, .authenticated):
      add(
        .otherAccess, match, operation, "\(route.text) asks for a token, and the document says security: []",
        help: "take security: [] out of the document; or, if everyone may, write access: 'public'")
    case (.policy, .preflight), (.open, .preflight):
      add(.otherAccess, match, operation, "\(route.text) is for CORS preflights only", help: "write a route for the operation itself")
    case (.policy, .policy), (.policy, .authenticated), (.open, .public), (.preflight, _): break
    }
  }

  private mutating func compareNames(_ operation: APIDocument.Operation, _ match: Int) {
    let setting = settings.indices.contains(match) ? settings[match] : nil
    let action = names.action(of: operation)
    let mine = setting?["action"]?.text ?? operation.method
    if !exactlyEquals(mine, action) {
      add(
        .otherAction, match, operation, "the action is \"\(mine)\", and by the document it is \"\(action)\"",
        help: "write action: \(JSON5Text.setting(action)), and rename it in schema and policies", at: setting?["action"])
    }
    let resource = names.resource(of: operation)
    let type = setting?["resource"]?["type"]?.text
    let id = setting?["resource"]?["id"]?.text
    let types = operation.resourceTypes.isEmpty || names.mapping == .verifiedPermissions ? [resource.type] : operation.resourceTypes
    let isType = types.contains { name in
      type.map { exactlyEquals($0, name) || exactlyEquals($0, "\(configuration.namespace)::\(name)") } ?? false
    }
    // The id of a thing of the API is the operator's to choose; the application has only one.
    let isApplication = exactlyEquals(resource.type, APINames.application)
    guard !isType || isApplication && !configuration.namespace.isEmpty && !exactlyEquals(id ?? "", configuration.namespace) else { return }
    add(
      .otherResource, match, operation,
      "the resource is \(type.map { "\($0)::\"\(id ?? "")\"" } ?? "the path"), and by the document it is \(resource.type)::\"\(resource.id)\"",
      help: "write resource: { type: \(JSON5Text.setting(resource.type)), id: \(JSON5Text.setting(resource.id)) }", at: setting?["resource"]
    )
  }

  private mutating func compareRoute(_ index: Int) {
    let route = routes[index]
    guard route.access != .preflight else { return }
    // What needs no policy is often none of the API's: a health check. It is worth a look, no more.
    let severity: Diagnostic.Severity = route.access == .policy ? .error : .warning
    if methods[index].isEmpty {
      findings.append(
        Finding(
          kind: .routeWithoutOperation, severity: severity, message: "no operation of the document is for \(route.text)",
          help: "take the route away if the API no longer has it, or describe it in the document", route: place(of: index)))
      return
    }
    let known = methods[index] + (methods[index].contains("GET") ? ["HEAD"] : [])
    for method in route.methodNames where !known.contains(where: { exactlyEquals($0, method) }) {
      findings.append(
        Finding(
          kind: .routeWithoutOperation, severity: severity,
          message: "\(route.text) is also for \(method), which the document does not have",
          help: "take \(method) out of the route, or describe it in the document", route: place(of: index)))
    }
  }

  private mutating func add(
    _ kind: Finding.Kind, _ route: Int, _ operation: APIDocument.Operation, _ message: String, help: String, at setting: Setting? = nil
  ) {
    let place = place(setting) ?? place(of: route)
    // One route for many operations is told once what is the same for all of them.
    if let last = findings.last(where: { $0.kind == kind }), last.route == place, exactlyEquals(last.message, message) { return }
    findings.append(
      Finding(kind: kind, severity: .error, message: message, help: help, route: place, operation: operation.span))
  }

  private func place(of route: Int) -> Range<Int>? { settings.indices.contains(route) ? place(settings[route]["match"]) : nil }

  private func place(_ setting: Setting?) -> Range<Int>? {
    guard case .file(let span) = setting?.origin else { return nil }
    return span
  }

  private static let mostHosts = 100

  // MARK: - The report

  /// How many differences fail the check.
  public var errorCount: Int { findings.count { $0.severity == .error } }
  /// How many are only worth a look.
  public var warningCount: Int { findings.count - errorCount }

  /// One line: how much of the API the routes cover.
  public var summary: String {
    let operations = counted(document.operations.count, "operation", "operations")
    let what = findings.isEmpty ? "no drift" : counted(findings.count, "difference", "differences")
    return "\(Diagnostic.printable(document.source.name))  \(operations), names as \(names.mapping.rawValue), \(what)\n"
  }

  /// Every difference with both places, drawn.
  public var report: String {
    findings.map { finding in
      let problem = Diagnostic(finding.severity, finding.message, at: finding.route, help: finding.help)
      guard let source = configuration.source, finding.route != nil else {
        return Diagnostic(finding.severity, finding.message, at: finding.operation, help: finding.help).rendered(in: document.source)
      }
      guard let operation = finding.operation else { return problem.rendered(in: source) }
      return problem.rendered(in: source) + Diagnostic(.note, "the operation is here", at: operation).rendered(in: document.source)
    }.joined()
  }

  /// The same for programs.
  public var json: JSONValue {
    .object([
      "document": .string(document.source.name), "mapping": .string(names.mapping.rawValue),
      "operations": .integer(Int64(document.operations.count)),
      "findings": .array(
        findings.map { finding in
          var members: [JSONValue.Member] = [
            .init(name: "kind", value: .string(finding.kind.rawValue)), .init(name: "severity", value: .string(finding.severity.rawValue)),
            .init(name: "message", value: .string(finding.message)),
          ]
          if let help = finding.help { members.append(.init(name: "help", value: .string(help))) }
          if let span = finding.route, let source = configuration.source {
            members.append(.init(name: "route", value: Self.place(span, in: source)))
          }
          if let span = finding.operation { members.append(.init(name: "operation", value: Self.place(span, in: document.source))) }
          return JSONValue(.object(members))
        }),
    ])
  }

  private static func place(_ span: Range<Int>, in source: SourceText) -> JSONValue {
    let position = source.position(of: span.lowerBound)
    return .object([
      "file": .string(source.name), "line": .integer(Int64(position.line)), "column": .integer(Int64(position.column)),
    ])
  }
}
