internal import Bytes
internal import FoundationEssentials
internal import JSON
internal import Pipeline
internal import PolicyTools

/// `stockade init`: a first configuration with policies and tests, which blocks nothing.
let initCommand = Command(
  name: "init",
  summary: "write a first configuration for a service of yours; nothing is blocked, nothing is overwritten",
  operand: nil,
  flags: [
    Flag("to", "URL", "the service behind"),
    Flag("cognito", "POOL_ID", "the Amazon Cognito user pool whose tokens are accepted"),
    Flag("issuer", "URL", "the OpenID Connect issuer whose tokens are accepted"),
    Flag("client-id", "ID", "an app client whose tokens are meant for this service", repeats: true),
    Flag("openapi", "FILE", "write routes, a schema and policies for the operations of this OpenAPI document (3.0 or 3.1, JSON)"),
  ] + OpenAPIFlags.naming + [
    Flag("namespace", "NAME", "with --openapi: the Cedar namespace; default: made of the document's title")
  ],
  examples: [
    "stockade init --to http://127.0.0.1:3000 --cognito us-east-1_AbC123 --client-id 4h57example",
    "stockade init --to http://127.0.0.1:3000 --issuer https://login.example.com --client-id web",
    "stockade init --to http://127.0.0.1:3000 --cognito us-east-1_AbC123 --openapi openapi.json --mapping simple-rest",
  ]
) { arguments in
  if let problem = OpenAPIFlags.misuse(arguments, with: ["namespace"]) {
    Terminal.error("stockade: \(problem)\n")
    return .usage
  }
  return ConfigurationFile.reporting("Nothing was written.") { () throws(ConfigurationError) in
    return try FirstConfiguration(arguments).write()
  }
}

/// The files that `init` writes.
struct FirstConfiguration {
  private let files: [(path: String, contents: String, note: String)]
  private let needsClient: Bool
  // Of an API: what is written in spite of something, and what can be reached without a token.
  private var warnings = ""
  private var openRoutes = ""
  private let document: String?
  private let basePath: String?

  init(_ arguments: Arguments) throws(ConfigurationError) {
    guard let upstream = arguments["to"] else {
      throw ConfigurationError(["no service to protect is given; name it with --to URL, such as --to http://127.0.0.1:3000"])
    }
    let clients = arguments.all("client-id")
    needsClient = clients.isEmpty
    document = arguments["openapi"]
    basePath = arguments["base-path"]
    let issuer: String
    let prefix: String
    switch (arguments["cognito"], arguments["issuer"]) {
    case (let pool?, nil): (issuer, prefix) = ("cognito: \(JSON5Text.setting(pool))", pool)
    case (nil, let url?):
      (issuer, prefix) = ("issuer: \(JSON5Text.setting(url))", url.hasPrefix("https://") ? String(url.dropFirst(8)) : url)
    case (nil, nil): throw ConfigurationError(["no issuer of tokens is given; name one with --cognito POOL_ID or --issuer URL"])
    case (.some, .some):
      throw ConfigurationError(["--cognito and --issuer name two issuers; begin with one, and add the other in stockade.json5"])
    }
    let clientList = clients.isEmpty ? ["'${CLIENT_ID:?write the id of your app client here}'"] : clients.map(JSON5Text.setting)
    var scaffold: APIScaffold?
    if let path = document {
      let isPool = arguments["cognito"] != nil
      let about = APIScaffold.Issuer(name: "main", prefix: prefix, groupClaim: isPool ? "cognito:groups" : "groups", isPool: isPool)
      (scaffold, warnings) = try Self.scaffold(path, arguments, about)
    }
    let text = Self.configuration(
      upstream: JSON5Text.setting(upstream), issuer: issuer, clients: clientList.joined(separator: ", "), more: scaffold?.settings ?? "")
    // What is written must be in order, or its first reader gets an error for our mistake.
    let surroundings = Surroundings(variables: ["CLIENT_ID": "x"]) { _ in (nil, "no files here") }
    _ = try Configuration.read(file: SourceText(name: "stockade.json5", text), flags: ["dev": ["true"]], surroundings: surroundings)
    let note = "mode: 'observe', so nothing is blocked yet"
    guard let scaffold else {
      files = [
        ("stockade.json5", text, note),
        ("policies/starter.cedar", Self.policies(prefix: prefix), "signed-in users may read; examples for groups and scopes"),
        ("policies/tests/starter.test.json5", Self.tests, "what the policies should say"),
      ]
      return
    }
    openRoutes = scaffold.openRoutes
    files = [
      ("stockade.json5", text, "\(note); \(scaffold.routeCount) \(scaffold.routeCount == 1 ? "route" : "routes")"),
      ("policies/schema.cedarschema", scaffold.schema, "the names of the API"),
      ("policies/starter.cedar", scaffold.policies, "the groups admin and reader; write yours"),
      ("policies/tests/starter.test.json5", scaffold.tests, "what the policies should say"),
    ]
  }

  private static func scaffold(_ path: String, _ arguments: Arguments, _ issuer: APIScaffold.Issuer) throws(ConfigurationError)
    -> (APIScaffold, warnings: String)
  {
    let document = try OpenAPIFlags.document(path, arguments)
    let scaffold = APIScaffold(
      document, mapping: OpenAPIFlags.mapping(arguments) ?? .verifiedPermissions, namespace: arguments["namespace"], issuer: issuer)
    if let problems = scaffold.problems { throw ConfigurationError([problems]) }
    return (scaffold, document.warnings.joined())
  }

  func write() throws(ConfigurationError) -> ExitStatus {
    let existing = files.map(\.path).filter { FileManager.default.fileExists(atPath: $0) }
    guard existing.isEmpty else {
      Terminal.error(existing.map { "error: \($0) is here already\n" }.joined() + "Nothing was written.\n")
      return .failure
    }
    var lines = ""
    for (path, contents, note) in files {
      do {
        if let slash = path.lastIndex(of: "/") {
          try FileManager.default.createDirectory(atPath: String(path[..<slash]), withIntermediateDirectories: true)
        }
        try Data(contents.utf8).write(to: URL(filePath: path), options: .withoutOverwriting)
      } catch {
        Terminal.error(lines + "error: \(path) cannot be written: \(error)\n")
        return .failure
      }
      lines += "wrote \(path)\(String(repeating: " ", count: max(1, 36 - path.count)))\(note)\n"
    }
    if !openRoutes.isEmpty { lines += "reachable without a token, as the document says:\n\(openRoutes)" }
    let check =
      "stockade check" + (document.map { " --openapi \(Self.word($0))" } ?? "") + (basePath.map { " --base-path \(Self.word($0))" } ?? "")
    lines +=
      needsClient
      ? "next: put the id of your app client into stockade.json5 (client_ids), then: \(check) --online && stockade run\n"
      : "next: \(check) --online && stockade run\n"
    Terminal.error(warnings)
    Terminal.out(lines)
    return .success
  }

  // As a shell reads one word.
  private static func word(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { ASCII.isAlpha($0) || ASCII.isDigit($0) || "-._/:@%+=,".utf8.contains($0) }
    return isPlain && !text.isEmpty ? text : "'" + text.replacing("'", with: "'\\''") + "'"
  }

  private static func configuration(upstream: String, issuer: String, clients: String, more: String) -> String {
    """
    // Everything that can be set: stockade config schema. What is in force: stockade config show --sources
    {
      // Decide and log, and let pass what would be refused. When the log says what it should: 'enforce'.
      mode: 'observe',
      upstream: \(upstream),
      issuers: {
        main: {
          \(issuer),
          client_ids: [\(clients)],
        },
      },
      policies: 'policies/',
    \(more)}

    """
  }

  private static func policies(prefix: String) -> String {
    let group = "UserGroup::" + JSONValue.string("\(prefix)|editor").text
    return """
      // What no policy permits is refused; a forbid wins over every permit.
      // A request's action is its method (GET and HEAD are in "read", POST, PUT, PATCH and DELETE in "write"), its resource is its
      // path, which is in every path above it: Path::"/orders/42" is in Path::"/orders".

      // Whoever is signed in may read.
      @id("signed-in-read")
      permit (
        principal,
        action in Action::"read",
        resource
      );

      // A group may write below /orders:
      // @id("editors-write-orders")
      // permit (
      //   principal in \(group),
      //   action in Action::"write",
      //   resource in Path::"/orders"
      // );

      // A machine may write what its token was issued for:
      // @id("machines-write-orders")
      // permit (
      //   principal,
      //   action in Action::"write",
      //   resource in Path::"/orders"
      // )
      // when { context has token.scope && context.token.scope.contains("orders/write") };

      """
  }

  private static let tests = """
    {
      principals: {
        alice: { issuer: 'main', claims: { sub: 'alice' } },
        nobody: null,
      },
      tests: [
        { name: 'who is signed in reads', as: 'alice', request: 'GET /orders/42', expect: 'allow', by: ['signed-in-read'] },
        { name: 'and does not write', as: 'alice', request: 'DELETE /orders/42', expect: 'deny', reason: 'no_permit' },
        { name: 'without a token nothing', as: 'nobody', request: 'GET /orders/42', expect: 'deny', reason: 'no_token' },
      ],
    }

    """
}
