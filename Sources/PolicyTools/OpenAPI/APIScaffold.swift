internal import Bytes
internal import Cedar
internal import Pipeline

/// The first files for an API: routes, a schema that knows their names, starter policies, and tests of them.
public struct APIScaffold {
  /// Whose tokens are accepted, as far as the files speak of it.
  public struct Issuer: Sendable {
    /// Its name in the configuration.
    public var name: String
    /// What stands before `|` in the ids of its users and groups.
    public var prefix: String
    /// The claim that lists the groups.
    public var groupClaim: String
    /// Whether it is a Cognito user pool.
    public var isPool: Bool

    /// An issuer.
    public init(name: String, prefix: String, groupClaim: String, isPool: Bool) {
      self.name = name
      self.prefix = prefix
      self.groupClaim = groupClaim
      self.isPool = isPool
    }
  }

  private let document: APIDocument
  private let names: APINames
  private let issuer: Issuer
  private let asked: [APIDocument.Operation]
  private let open: [APIDocument.Operation]
  // What parameters are filled with in tests: a word that is no literal of any path, so that it means a parameter.
  private let word: String

  /// What keeps the files from being written, drawn; nil if nothing does.
  public let problems: String?

  /// - Parameter namespace: the Cedar namespace; nil for one made of the document's title.
  public init(_ document: APIDocument, mapping: APIMapping, namespace: String?, issuer: Issuer) {
    self.document = document
    self.issuer = issuer
    let chosen = namespace ?? APINames.namespace(ofTitle: document.title)
    names = APINames(mapping: mapping, namespace: chosen ?? "API")
    asked = document.operations.filter { $0.access == .policy }
    open = document.operations.filter { $0.access != .policy }
    word = document.wordForParameters
    let clashes = names.clashes(in: document)
    if chosen == nil {
      problems = Diagnostic(.error, "the document's title makes no namespace", help: "name one with --namespace PetStore").rendered(
        in: document.source)
    } else if let problem = APINames.problem(ofNamespace: names.namespace) {
      problems = "error: --namespace: \(Diagnostic.printable(problem))\n"
    } else if document.operations.isEmpty {
      problems = Diagnostic(.error, "the document has no operation that a route can be for").rendered(in: document.source)
    } else {
      problems = clashes.isEmpty ? nil : clashes.rendered(in: document.source)
    }
  }

  // MARK: - Routes

  /// How many routes there are.
  public var routeCount: Int { document.operations.count }

  /// The settings `namespace` and `routes`, as they stand in a configuration.
  public var settings: String {
    var out = "  // The names are those of \(description).\n"
    out += "  namespace: \(JSON5Text.setting(names.namespace)),\n  routes: [\n"
    var tag: String?
    for operation in document.operations {
      if let next = operation.tag.flatMap(Self.comment), !exactlyEquals(next, tag ?? "") { out += "    // \(next)\n" }
      tag = operation.tag.flatMap(Self.comment) ?? tag
      out += "    \(route(operation)),\n"
    }
    return out + "  ],\n"
  }

  private var description: String {
    switch names.mapping {
    case .verifiedPermissions: "Amazon Verified Permissions' set-up for API Gateway"
    case .simpleRest: "Cedar's integrations for web frameworks (SimpleRest)"
    }
  }

  private func route(_ operation: APIDocument.Operation) -> String {
    let match = JSON5Text.setting("\(operation.method) \(operation.path.route.text)")
    switch operation.access {
    case .open: return "{ match: \(match), access: 'public' }"
    case .preflight: return "{ match: \(match), access: 'preflight' }"
    case .policy:
      let resource = names.resource(of: operation)
      return
        "{ match: \(match), action: \(JSON5Text.setting(names.action(of: operation))), resource: { type: \(JSON5Text.setting(resource.type)), id: \(JSON5Text.setting(resource.id)) } }"
    }
  }

  // A comment ends where its line does, whatever a document says.
  private static func comment(_ text: String) -> String? {
    text.utf8.count <= 60 && text.utf8.allSatisfy { (0x20..<0x7f).contains($0) } ? text : nil
  }

  /// What can be reached without a token, a line each; empty if nothing can.
  public var openRoutes: String {
    open.map { operation in
      let text = Diagnostic.printable("\(operation.method) \(operation.path.route.text)")
      return operation.access == .preflight
        ? "  preflight   \(text)   (CORS preflights only)\n" : "  public      \(text)   (security: [])\n"
    }.joined()
  }

  // MARK: - Policies and schema

  private var reads: [APIDocument.Operation] { asked.filter { $0.method == "GET" || $0.method == "HEAD" } }
  private var writes: [APIDocument.Operation] { asked.filter { $0.method != "GET" && $0.method != "HEAD" } }

  private func group(_ name: String) -> String {
    EntityUID(type: EntityType(unchecked: "\(names.namespace)::UserGroup"), id: "\(issuer.prefix)|\(name)").description
  }

  /// The starter policies, laid out as `stockade format` does.
  public var policies: String {
    let beginning = "// What no policy permits is refused; a forbid wins over every permit.\n"
    guard !asked.isEmpty else {
      return Self.formatted(beginning + "// The API has no operation that asks for credentials, so there is nothing to permit yet.\n")
    }
    var text =
      beginning + """
        // Every operation is an action of its own, named as the schema lists it. Write your own groups here, and see what would
        // be refused: mode 'observe' logs it and lets it pass. Administrators may do everything:
        @id("admins-all")
        permit (principal in \(group("admin")), action, resource);

        """
    if !reads.isEmpty {
      text += """

        // Readers may do what only reads; add or take away actions.
        @id("readers-read")
        permit (
          principal in \(group("reader")),
          action in [\(reads.map(names.actionText).joined(separator: ", "))],
          resource
        );

        """
    }
    return Self.formatted(text)
  }

  private static func formatted(_ text: String) -> String {
    do throws(ParseErrors) { return try PolicyFormatter.format(text) } catch { return text }
  }

  /// The schema: the names of the API, and what every request of ours says of itself.
  public var schema: String {
    var out = names.mapping == .simpleRest ? "@mappingType(\"SimpleRest\")\n" : ""
    out += """
      namespace \(names.namespace) {
        // Users of the identity provider, named "<issuer prefix>|<sub>". Their groups come from the token.
        entity User in [UserGroup] = {
      \(issuer.isPool ? "    \"cognito:username\"?: String,\n" : "")    email?: String,
        };
        entity UserGroup;

        // The API as a whole: \(names.namespace)::Application::"\(names.namespace)".
        entity Application;

      """
    for type in moreTypes { out += "  entity \(type);\n" }
    out += """

        // What Stockade says of every request.
        type RequestContext = {
          http: { method: String, path: String, host?: String },
          // Absent for a client on a unix socket.
          client?: { ip: ipaddr },
          time: datetime,
          // The claims of an access token that policies use.
          token?: { client_id?: String, scope?: Set<String> },
        };


      """
    for operation in asked {
      if names.mapping == .simpleRest {
        out += "  @httpVerb(\(Self.quoted(operation.method.lowercased())))\n"
        out += "  @httpPathTemplate(\(Self.quoted(operation.path.documentText)))\n"
      }
      out += "  action \(Self.quoted(names.action(of: operation))) appliesTo {\n"
      out += "    principal: [User], resource: [\(types(of: operation).joined(separator: ", "))], context: RequestContext\n  };\n"
    }
    return out + "}\n"
  }

  private func types(of operation: APIDocument.Operation) -> [String] {
    names.mapping == .simpleRest && !operation.resourceTypes.isEmpty ? operation.resourceTypes : [APINames.application]
  }

  // Types that `x-cedar` brings, each once, beside those that every API has.
  private var moreTypes: [String] {
    var seen = Set(["User", "UserGroup", APINames.application].map { ExactString($0) })
    return asked.flatMap(types).filter { seen.insert(ExactString($0)).inserted }
  }

  private static func quoted(_ text: String) -> String { Value.string(text).description }

  // MARK: - Tests

  /// Tests of the policies, in JSON5.
  public var tests: String {
    var tests = [test("administrators may do everything", "ada", asked, "allow")]
    if !reads.isEmpty {
      tests.append(test("readers read", "rhea", reads, "allow"))
      tests.append(test("and do nothing else", "rhea", writes, "deny"))
    }
    tests.append(test("without a token nothing", "nobody", asked, "deny"))
    tests.append(test("open to everyone", "nobody", document.operations.filter { $0.access == .open }, "allow"))
    // A path that is for everything below leaves none that the API does not have.
    if !document.operations.contains(where: { $0.path.hasRest && $0.access != .preflight }) {
      let longest = document.operations.map(\.path.segments.count).max() ?? 0
      let path = String(repeating: "/" + word, count: longest + 1)
      tests.append(
        "    { name: 'what the API does not have is refused', as: 'ada', request: 'GET \(path)', expect: 'deny', reason: 'no_route' },\n")
    }
    return """
      {
        principals: {
          ada: { issuer: '\(issuer.name)', claims: { sub: 'ada', \(JSON5Text.quoted(issuer.groupClaim)): ['admin'] } },
          rhea: { issuer: '\(issuer.name)', claims: { sub: 'rhea', \(JSON5Text.quoted(issuer.groupClaim)): ['reader'] } },
          nobody: null,
        },
        tests: [
      \(tests.joined())  ],
      }

      """
  }

  private func test(_ name: String, _ who: String, _ operations: [APIDocument.Operation], _ expected: String) -> String {
    guard !operations.isEmpty else { return "" }
    let requests = operations.map { "        \(JSON5Text.quoted("\($0.method) \($0.path.target(filling: word))")),\n" }.joined()
    return "    {\n      name: '\(name)', as: '\(who)', expect: '\(expected)',\n      request: [\n\(requests)      ],\n    },\n"
  }
}

extension APIDocument {
  /// A word that is no literal segment of any path: `1`, or the next number that is none.
  var wordForParameters: String {
    var literals: Set<ExactString> = []
    for operation in operations {
      for segment in operation.path.segments { if case .literal(let text) = segment { literals.insert(ExactString(text)) } }
    }
    return (1...literals.count + 1).lazy.map { "\($0)" }.first { !literals.contains(ExactString($0)) } ?? "1"
  }
}
