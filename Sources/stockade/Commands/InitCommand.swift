internal import Bytes
internal import FoundationEssentials
internal import JSON
internal import Pipeline

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
  ],
  examples: [
    "stockade init --to http://127.0.0.1:3000 --cognito us-east-1_AbC123 --client-id 4h57example",
    "stockade init --to http://127.0.0.1:3000 --issuer https://login.example.com --client-id web",
  ]
) { arguments in
  ConfigurationFile.reporting("Nothing was written.") { () throws(ConfigurationError) in
    return try FirstConfiguration(arguments).write()
  }
}

/// The files that `init` writes.
struct FirstConfiguration {
  private let files: [(path: String, contents: String, note: String)]
  private let needsClient: Bool

  init(_ arguments: Arguments) throws(ConfigurationError) {
    guard let upstream = arguments["to"] else {
      throw ConfigurationError(["no service to protect is given; name it with --to URL, such as --to http://127.0.0.1:3000"])
    }
    let clients = arguments.all("client-id")
    needsClient = clients.isEmpty
    let issuer: String
    let prefix: String
    switch (arguments["cognito"], arguments["issuer"]) {
    case (let pool?, nil): (issuer, prefix) = ("cognito: \(Self.quoted(pool))", pool)
    case (nil, let url?): (issuer, prefix) = ("issuer: \(Self.quoted(url))", url.hasPrefix("https://") ? String(url.dropFirst(8)) : url)
    case (nil, nil): throw ConfigurationError(["no issuer of tokens is given; name one with --cognito POOL_ID or --issuer URL"])
    case (.some, .some):
      throw ConfigurationError(["--cognito and --issuer name two issuers; begin with one, and add the other in stockade.json5"])
    }
    let clientList = clients.isEmpty ? ["'${CLIENT_ID:?write the id of your app client here}'"] : clients.map(Self.quoted)
    let text = Self.configuration(upstream: Self.quoted(upstream), issuer: issuer, clients: clientList.joined(separator: ", "))
    // What is written must be in order, or its first reader gets an error for our mistake.
    let surroundings = Surroundings(variables: ["CLIENT_ID": "x"]) { _ in (nil, "no files here") }
    _ = try Configuration.read(file: SourceText(name: "stockade.json5", text), flags: ["dev": ["true"]], surroundings: surroundings)
    files = [
      ("stockade.json5", text, "mode: 'observe', so nothing is blocked yet"),
      ("policies/starter.cedar", Self.policies(prefix: prefix), "signed-in users may read; examples for groups and scopes"),
      ("policies/tests/starter.test.json5", Self.tests, "what the policies should say"),
    ]
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
    lines +=
      needsClient
      ? "next: put the id of your app client into stockade.json5 (client_ids), then: stockade check && stockade run\n"
      : "next: stockade check && stockade run\n"
    Terminal.out(lines)
    return .success
  }

  // As a JSON5 string in single quotes, a dollar sign meaning itself.
  private static func quoted(_ text: String) -> String {
    let json = JSONValue.string(text.replacing("$", with: "$$")).text
    return "'" + json.dropFirst().dropLast().replacing("\\\"", with: "\"").replacing("'", with: "\\'") + "'"
  }

  private static func configuration(upstream: String, issuer: String, clients: String) -> String {
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
    }

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
