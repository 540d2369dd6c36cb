import Bytes
import JSON
import TestSupport
import Testing

@testable import Pipeline

@Suite struct ConfigurationTests {
  static let least =
    "{ upstream: 'http://127.0.0.1:3000', issuers: { main: { cognito: 'us-east-1_AbC123', client_ids: ['4h57example'] } } }"

  static func read(
    _ text: String?, name: String = "stockade.json5", flags: [String: [String]] = [:], variables: [String: String] = [:],
    files: [String: String] = [:]
  ) throws(ConfigurationError) -> Configuration {
    let surroundings = Surroundings(variables: variables) { path in files[path].map { ($0, "") } ?? (nil, "\(path) cannot be read") }
    return try Configuration.read(file: text.map { SourceText(name: name, $0) }, flags: flags, surroundings: surroundings)
  }

  @Test func theLeastFileIsThreeThings() throws {
    let configuration = try Self.read(Self.least)
    #expect(configuration.upstream == "http://127.0.0.1:3000" && configuration.mode == .enforce && configuration.listen == "127.0.0.1:8080")
    #expect(configuration.issuers.map(\.name) == ["main"] && configuration.issuers[0].clientIDs == ["4h57example"])
    #expect(configuration.issuers[0].kind == .cognito(poolID: "us-east-1_AbC123"))
    #expect(
      configuration.upstreams == [UpstreamSettings(name: "upstream", addresses: ["http://127.0.0.1:3000"])]
        && configuration.drainTimeoutMillis == Defaults.drainTimeoutMillis)
    #expect(configuration.issuers[0].clockSkewSeconds == 60 && configuration.issuers[0].maximumLifetimeSeconds == 86_400)
  }

  @Test func flagsAloneAreEnoughAndMeanWhatTheFileMeans() throws {
    let configuration = try Self.read(
      nil,
      flags: [
        "to": ["http://127.0.0.1:3000"], "issuer": ["https://login.example.com"], "client-id": ["web", "app"], "dev": ["true"],
        "drain-timeout": ["2m"], "log": ["none"],
      ])
    #expect(
      configuration.issuers[0].kind == .oidc(issuer: "https://login.example.com") && configuration.issuers[0].clientIDs == ["web", "app"])
    #expect(configuration.isDevelopment && configuration.drainTimeoutMillis == 120_000 && configuration.logSinks.map(\.text) == ["none"])
  }

  @Test func aFlagBeatsAVariableBeatsTheFileBeatsTheDefault() throws {
    let file = Self.least.dropLast() + ", listen: '127.0.0.1:1', realm: 'file', log: { decisions: 'file.log' } }"
    let configuration = try Self.read(
      String(file), flags: ["listen": ["127.0.0.1:3"]],
      variables: ["STOCKADE_LISTEN": "127.0.0.1:2", "STOCKADE_LOG": "variable.log", "STOCKADE_CLIENT_ID": "a, b"])
    #expect(
      configuration.listen == "127.0.0.1:3" && configuration.logSinks.map(\.text) == ["variable.log"] && configuration.realm == "file")
    #expect(configuration.issuers[0].clientIDs == ["a", "b"], "a list in a variable has commas")
    let listing = configuration.listing(sources: true)
    for line in [
      #"listen: "127.0.0.1:3","#, "// flag --listen", #"to: "variable.log","#, "// environment STOCKADE_LOG", "// stockade.json5:1",
      "// default",
    ] { #expect(listing.contains(line), "\(line)") }
  }

  @Test func whatIsListedIsAFileThatMeansTheSame() throws {
    let configuration = try Self.read(
      """
      { upstream: { url: 'https://orders.example', connect_timeout: '250ms' }, workers: 3, realm: 'US$$ 1',
        issuers: { main: { cognito: 'us-east-1_AbC123', client_ids: ['a'], mapping: { attributes: { level: { claim: 'custom:level', type: 'long' } } } } },
        routes: [ { match: 'POST /a/{id}', resource: { type: 'A', id: '{id}', parents: [ { type: 'B', id: 'b' } ] }, body_limit: '1MiB' } ] }
      """)
    let again = try Self.read(configuration.listing(sources: true))
    #expect(again.json == configuration.json)
    #expect(again.upstreams[0].limits.connectTimeoutMillis == 250 && again.workers == 3 && again.routes?.routes.first?.bodyLimit == 1 << 20)
  }

  @Test func referencesAreFilledInsideStringsAndNeverReadAsSyntax() throws {
    let text = """
      { upstream: '${UP:-http://127.0.0.1:1}', realm: 'a ${REALM} $$1 ${EMPTY:-none}', workers: '${N}', listen: '${file:listen.txt}',
        issuers: { main: { cognito: 'us-east-1_AbC123', client_ids: ['${ID}'] } } }
      """
    let configuration = try Self.read(
      text, variables: ["REALM": "', mode: 'observe", "N": "2", "ID": "${REALM}", "EMPTY": ""], files: ["listen.txt": "127.0.0.1:9\n"])
    #expect(configuration.upstream == "http://127.0.0.1:1" && configuration.realm == "a ', mode: 'observe $1 none")
    #expect(configuration.workers == 2 && configuration.mode == .enforce)
    #expect(configuration.issuers[0].clientIDs == ["${REALM}"], "what was put in is not looked at again")
    #expect(configuration.listen == "127.0.0.1:9", "a file's last newline is not part of a value")
    #expect(!configuration.listing(sources: true).contains("127.0.0.1:9\""), "what comes from a file is not shown")
    #expect(configuration.json["listen"]?.string == "‹masked›")
  }

  @Test func referencesMayStandInPathsAndDefaults() throws {
    let text = """
      { upstream: '${UP:-http://${HOST:-127.0.0.1}:${PORT}}', realm: '${file:${CREDENTIALS_DIRECTORY}/realm}${A:-$$}${B:-}',
        issuers: { main: { cognito: 'us-east-1_AbC123', client_ids: ['${SET:-${UNSET}}'] } } }
      """
    let configuration = try Self.read(
      text, variables: ["PORT": "1", "CREDENTIALS_DIRECTORY": "/run/${PORT}}", "SET": "x"], files: ["/run/${PORT}}/realm": "secret"])
    #expect(configuration.upstream == "http://127.0.0.1:1")
    #expect(configuration.realm == "secret$", "what a variable holds is not looked at again, in a path neither")
    #expect(configuration.issuers[0].clientIDs == ["x"], "a default that is not needed is not filled")
    #expect(configuration.json["realm"]?.string == "‹masked›")
  }

  @Test func namesThatOnlyLookEqualAreNotKnown() {
    // U+212A KELVIN SIGN is canonically K, and Swift's == says so.
    #expect(throws: ConfigurationError.self) {
      try Self.read("{ upstream: 'http://a', issuers: { main: { cognito: 'us-east-1_A', client_ids: ['a'] } }, wor\u{212A}ers: 1 }")
    }
  }

  @Test func policiesOfAFileAreBesideItAndThoseOfAFlagWhereOneIs() throws {
    let text = String(Self.least.dropLast() + ", policies: 'policies/' }")
    #expect(try Self.read(text, name: "/etc/stockade/stockade.json5").policies == "/etc/stockade/policies/")
    #expect(try Self.read(text).policies == "policies/")
    #expect(try Self.read(text, name: "/etc/stockade/stockade.json5", flags: ["policies": ["mine"]]).policies == "mine")
  }

  @Test func aVariableThatIsNoneOfOursIsToldAndStopsNothing() throws {
    let configuration = try Self.read(Self.least, variables: ["STOCKADE_MDOE": "observe", "HOME": "/"])
    #expect(configuration.warnings == ["the variable STOCKADE_MDOE is none of ours and has no effect; did you mean STOCKADE_MODE?"])
  }

  @Test func everyDefaultOfTheTableIsAValueOfItsKind() {
    for field in Fields.all {
      if let fallback = field.fallback { #expect(Scalar.read(fallback, as: field.kind) != nil, "\(field.path) \(fallback)") }
      if let shorthand = field.shorthand { #expect(Fields.all.contains { $0.path == field.path + [shorthand] }, "\(field.path)") }
      #expect(field.path.count == 1 || Fields.all.contains { $0.path == Array(field.path.dropLast()) }, "\(field.path) stands in nothing")
    }
    #expect(Set(Fields.all.map { $0.path.joined(separator: ".") }).count == Fields.all.count)
    #expect(Set(Fields.flagged.compactMap(\.flag)).count == Fields.flagged.count)
  }

  @Test func theSchemaIsThatOfTheTable() throws {
    #expect(Golden.difference(ConfigurationSchema.json.text + "\n", from: "stockade.schema.json") == nil)
  }

  @Test(
    arguments: [
      ("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("7d", 604_800_000), ("0s", 0), ("30", nil), ("s", nil),
      ("-1s", nil), ("1.5s", nil),
      ("1 s", nil), ("1S", nil), ("99999999999999999999s", nil), ("9223372036854775807d", nil), ("", nil), ("１s", nil),
    ] as [(String, Int64?)])
  func timesHaveUnits(text: String, millis: Int64?) { #expect(Units.millis(text) == millis) }

  @Test(
    arguments: [("64KiB", 65_536), ("1MiB", 1 << 20), ("10B", 10), ("1kB", 1000), ("64K", nil), ("1kib", nil), ("9999999999GiB", nil)]
      as [(String, Int64?)])
  func sizesHaveUnits(text: String, bytes: Int64?) { #expect(Units.bytes(text) == bytes) }

  @Test(
    arguments: [
      ("sub", ["sub"]), ("realm_access.roles", ["realm_access", "roles"]), ("/realm_access/roles", ["realm_access", "roles"]),
      ("cognito:groups", ["cognito:groups"]),
      ("https://example.com/roles", ["https://example.com/roles"]), ("/a~1b/c", ["a/b", "c"]), ("", nil), ("a..b", nil), (".a", nil),
      ("/a~2", nil),
    ] as [(String, [String]?)])
  func claimsAreNamedInThreeWays(text: String, tokens: [String]?) { #expect(ClaimPath.pointer(text)?.tokens == tokens) }

  @Test func cutAndChangedFilesNeverTrap() {
    let whole = Array(
      "{ upstream: '${A:-http://a}', issuers: { m: { cognito: 'us-east-1_A', client_ids: ['a'] } }, routes: [ { match: 'GET /{a}/{r...}', resource: { type: 'A', id: '{a}{query.x}' } } ] }"
        .utf8)
    for index in whole.indices {
      for byte: UInt8 in [0x24, 0x7d, 0xff] {
        var changed = whole
        changed[index] = byte
        do throws(ConfigurationError) {
          let configuration = try Configuration.read(file: SourceText(name: "f", bytes: changed), flags: [:], surroundings: Surroundings())
          _ = configuration.listing(sources: true)
        } catch { #expect(!error.problems.isEmpty && !error.report.isEmpty) }
      }
    }
  }

  @Test func aServiceMayHaveAddressesAndBoundsOfItsOwn() throws {
    let configuration = try Self.read(
      """
      { upstream: ['http://a:1', 'unix:/run/b'], issuers: { main: { cognito: 'us-east-1_AbC123', client_ids: ['a'] } },
        upstreams: { orders: { url: 'http://c:1', urls: ['http://d:1'], max_waiting: 0, breaker: { failures: 3, open: '2s' }, health: '/up' },
                     files: 'http://e:1' },
        limits: { connections: 100, connections_per_peer: 3, body: '1MiB', total_timeout: '1m', header: '8KiB' },
        dns: { server: '127.0.0.1:5353' },
        routes: [ { match: 'GET /o', upstream: 'orders' }, { match: 'GET /f', upstream: 'files', total_timeout: '5s' },
                  { match: 'GET /x', upstream: 'http://x:1' }, { match: 'GET /y', upstream: 'http://x:1' }, { match: 'GET /z' } ] }
      """)
    #expect(configuration.upstreams.map(\.name) == ["upstream", "orders", "files", "http://x:1"])
    #expect(
      configuration.upstreams.map(\.addresses) == [
        ["http://a:1", "unix:/run/b"], ["http://c:1", "http://d:1"], ["http://e:1"], ["http://x:1"],
      ])
    #expect(configuration.routes?.routes.map(\.upstream) == [1, 2, 3, 3, 0] && configuration.upstream == "http://a:1")
    let orders = configuration.upstreams[1]
    #expect(orders.limits.waiting == 0 && orders.breaker.failures == 3 && orders.breaker.openMillis == 2000 && orders.health?.path == "/up")
    #expect(configuration.limits.connectionsPerPeer == 3 && configuration.limits.totalMillis == 60_000)
    #expect(configuration.limits.share(of: 3).connections == 34 && configuration.limits.share(of: 3).connectionsPerPeer == 1)
    #expect(configuration.nameServer == "127.0.0.1:5353")
    let again = try Self.read(configuration.listing(sources: true))
    #expect(again.json == configuration.json && again.upstreams == configuration.upstreams && again.limits == configuration.limits)
  }

  @Test func theTableOfLimits() {
    #expect(Golden.difference(Limit.table, from: "limits.txt") == nil)
    for limit in Limit.allCases {
      #expect(Fields.all.contains { $0.path.joined(separator: ".") == limit.row.setting }, "\(limit.row.setting) can be set")
    }
  }
}
