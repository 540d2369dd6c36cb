import Bytes
import CedarSchema
import JSON
import Pipeline
import TestSupport
import Testing

@testable import PolicyTools

/// From an OpenAPI document to routes, schema, policies and tests, and back to what has drifted since.
@Suite struct OpenAPITests {
  static let orders = """
    {
      "openapi": "3.0.3",
      "info": { "title": "Orders API", "version": "1" },
      "servers": [ { "url": "https://{host}/{stage}/", "variables": { "host": { "default": "api.example.com" }, "stage": { "default": "v1" } } } ],
      "security": [ { "bearer": [] } ],
      "paths": {
        "/": { "get": { "tags": ["home"] }, "head": {} },
        "/healthz": { "get": { "operationId": "health", "security": [] } },
        "/orders": {
          "get": { "operationId": "listOrders", "tags": ["orders"] },
          "post": { "operationId": "createOrder", "tags": ["orders"], "security": [ {}, { "bearer": [] } ] },
          "options": { "responses": {} }
        },
        "/orders/{order-id}": {
          "parameters": [ { "$ref": "#/components/parameters/Order%49d" } ],
          "get": { "operationId": "getOrder", "x-cedar": { "appliesToResourceTypes": ["Order"] } },
          "delete": { "tags": ["line\\nbreak"] }
        },
        "/orders/1": { "$ref": "#/components/x-paths/first" },
        "/admin/{proxy+}": { "x-amazon-apigateway-any-method": {}, "get": { "operationId": "adminRead" } },
        "/odd$'\\"größe": { "patch": { "operationId": "a'b\\"$\\u007bHOME}" } },
        "/ping": { "head": {} }
      },
      "components": {
        "parameters": { "OrderId": { "name": "order-id", "in": "path", "required": true, "schema": { "type": "string" } } },
        "x-paths": { "first": { "get": {} } }
      }
    }
    """

  private static func document(_ text: String, basePath: String? = nil) -> APIDocument {
    APIDocument(SourceText(name: "openapi.json", text), basePath: basePath)
  }

  /// A document with some paths, and what stands before and behind them.
  private static func with(_ paths: String, _ more: String = "") -> String {
    "{ \"openapi\": \"3.1.0\", \"info\": { \"title\": \"Pets\" },\(more)\n  \"paths\": {\n    \(paths)\n  }\n}\n"
  }

  private static let issuer = APIScaffold.Issuer(name: "main", prefix: "us-east-1_AbC123", groupClaim: "cognito:groups", isPool: true)

  private static func scaffold(_ document: APIDocument, _ mapping: APIMapping, namespace: String? = nil) -> APIScaffold {
    APIScaffold(document, mapping: mapping, namespace: namespace, issuer: issuer)
  }

  static func configuration(_ settings: String) throws(ConfigurationError) -> Configuration {
    let text = """
      {
        upstream: 'http://127.0.0.1:3000',
        issuers: { main: { cognito: 'us-east-1_AbC123', client_ids: ['app'] } },
        policies: 'policies/',
      \(settings)}

      """
    return try Configuration.read(file: SourceText(name: "stockade.json5", text), flags: [:], surroundings: Surroundings())
  }

  /// What is wrong with the files for a document; nil if they pass every check that `stockade check` makes.
  static func flaw(in document: APIDocument, _ mapping: APIMapping) -> String? {
    guard document.isUsable else { return nil }
    let files = scaffold(document, mapping)
    guard files.problems == nil else { return nil }
    do throws(ConfigurationError) {
      let configuration = try configuration(files.settings)
      let policies = SourceText(name: "policies/starter.cedar", files.policies)
      let schema = SourceText(name: "policies/schema.cedarschema", files.schema)
      let bundle = PolicyBundle(.init(policies: [policies], schema: schema))
      guard bundle.isSound else { return bundle.problems.map(\.rendered).joined() }
      guard Format.run([policies], checkOnly: true).outcome.status == .success else { return "not formatted:\n\(files.policies)" }
      let tests = PolicyTestFile(SourceText(name: "starter.test.json5", files.tests))
      guard tests.problems.isEmpty else { return tests.problems }
      let snapshot = try SnapshotBuilder.build(
        configuration, policies: PolicyFiles(policies: [policies], schema: schema, entities: nil, hash: ""), generation: 1)
      var run = try PolicyTests(snapshot)
      let output = run.run(tests)
      guard run.failed == 0, run.passed > 0 else { return output }
      let drift = APIDrift(document, configuration, mapping: mapping)
      return drift.errorCount == 0 ? nil : drift.report
    } catch {
      return error.report
    }
  }

  private func golden(_ text: String, _ name: String) {
    let difference = Golden.difference(text, from: name)
    #expect(difference == nil, "\(difference ?? "")")
  }

  // MARK: What is written

  @Test(arguments: APIMapping.allCases) func theFilesForAnAPIPassEveryCheckAsTheyAreWritten(_ mapping: APIMapping) {
    let document = Self.document(Self.orders)
    #expect(document.errors == [] && document.warnings == [])
    let flaw = Self.flaw(in: document, mapping)
    #expect(flaw == nil, "\(flaw ?? "")")
    let files = Self.scaffold(document, mapping)
    golden(
      [
        ("settings", files.settings), ("schema", files.schema), ("policies", files.policies), ("tests", files.tests),
        ("open", files.openRoutes),
      ]
      .map { "== \($0.0)\n\($0.1)" }.joined(), "openapi-\(mapping.rawValue).txt")
  }

  /// The names of the sample of Cedar's Express integration and of the console's set-up for the same API.
  @Test func actionsAreNamedAsTheTwoProductsNameThem() {
    let pets = Self.document(
      """
      { "openapi": "3.0.0", "info": { "title": "PetStore" }, "paths": {
        "/": { "get": {} },
        "/pets": { "get": { "operationId": "GET /pets" }, "post": { "operationId": "POST /pets" } },
        "/pets/{petId}": { "get": { "operationId": "GET /pets/{petId}" } },
        "/pets/{petId}/sale": { "post": {} },
        "/admin/{proxy+}": { "x-amazon-apigateway-any-method": {} }
      } }
      """)
    func names(_ mapping: APIMapping) -> [String] {
      pets.operations.map { APINames(mapping: mapping, namespace: "PetStore").actionText($0) }
    }
    let admin = ["get", "post", "put", "patch", "delete"].map { "PetStore::Action::\"\($0) /admin/{proxy+}\"" }
    #expect(
      names(.verifiedPermissions) == [
        "PetStore::Action::\"get /\"", "PetStore::Action::\"get /pets\"", "PetStore::Action::\"post /pets\"",
        "PetStore::Action::\"get /pets/{petId}\"", "PetStore::Action::\"post /pets/{petId}/sale\"",
      ] + admin)
    #expect(
      names(.simpleRest) == [
        "PetStore::Action::\"get /\"", "PetStore::Action::\"GET /pets\"", "PetStore::Action::\"POST /pets\"",
        "PetStore::Action::\"GET /pets/{petId}\"", "PetStore::Action::\"post /pets/{petId}/sale\"",
      ] + admin)
    let files = Self.scaffold(pets, .verifiedPermissions)
    #expect(files.settings.contains("resource: { type: 'Application', id: 'PetStore' }"))
    #expect(files.policies.contains("principal in PetStore::UserGroup::\"us-east-1_AbC123|admin\""))
  }

  @Test func onlyAnOperationThatSaysSoItselfIsOpenToEveryone() {
    let open = Self.document(
      Self.with(
        """
        "/a": { "get": { "security": [] } }, "/b": { "get": {} }, "/c": { "get": { "security": [{}] } },
        "/d": { "get": { "security": [{}, {"k": []}] } }, "/e": { "post": { "security": [{"k": []}] } }
        """, " \"security\": [],"))
    #expect(open.operations.map { $0.access == .open } == [true, false, false, false, false])
    let silent = Self.document(Self.with("\"/a\": { \"get\": {} }"))
    #expect(silent.operations.map(\.access) == [.policy])
  }

  @Test func theBasePathIsOfTheRouteAndNotOfTheAction() {
    let text = Self.with(
      "\"/pets/{id}\": { \"get\": {} }", " \"servers\": [{\"url\": \"/api/v2/\"}, {\"url\": \"https://h.example/api/v2\"}],")
    for (base, path) in [(nil, "/api/v2/pets/{id}"), ("/", "/pets/{id}"), ("/x/", "/x/pets/{id}")] as [(String?, String)] {
      let document = Self.document(text, basePath: base)
      #expect(document.operations.map(\.path.route.text) == [path])
      #expect(document.operations.map { APINames(mapping: .verifiedPermissions, namespace: "P").action(of: $0) } == ["get /pets/{id}"])
    }
    #expect(
      Self.document(text, basePath: "x").errors == [
        "openapi.json: error: \"x\" is not a base path\n  help: write it as the beginning of a path: --base-path /v1, or / for none\n"
      ])
  }

  @Test(arguments: [("Pet store API", "PetStoreAPI"), ("3D prints", "_3DPrints"), ("größe", "GrE"), ("in", "In"), ("", nil), ("—", nil)])
  func theTitleMakesTheNamespace(_ title: String, _ namespace: String?) { #expect(APINames.namespace(ofTitle: title) == namespace) }

  @Test(arguments: [
    "\"/{all+}\": { \"options\": {} }", "\"/a\": { \"get\": { \"security\": [] } }", "\"/{all+}\": { \"get\": { \"security\": [] } }",
  ])
  func anAPIThatAsksForNoCredentialsGetsNoPolicies(_ paths: String) {
    let document = Self.document(Self.with(paths))
    #expect(!Self.scaffold(document, .verifiedPermissions).policies.contains("permit ("))
    for mapping in APIMapping.allCases {
      let flaw = Self.flaw(in: document, mapping)
      #expect(flaw == nil, "\(flaw ?? "")")
    }
  }

  // MARK: What cannot be read

  private static let mistakes: [(name: String, text: String)] = [
    ("no document", ""), ("a list", "[]"), ("YAML", "# an API\nopenapi: 3.0.0\ninfo:\n  title: x\n"),
    ("broken JSON", "{ \"openapi\": \"3.0.0\", }"),
    ("Swagger 2.0", "{ \"swagger\": \"2.0\", \"paths\": {} }"), ("something else", "{ \"name\": \"package\" }"),
    ("OpenAPI 3.2", "{ \"openapi\": \"3.2.0\", \"paths\": {} }"), ("no paths", "{ \"openapi\": \"3.1.0\", \"webhooks\": {} }"),
    ("paths that are a list", "{ \"openapi\": \"3.1.0\", \"paths\": [] }"),
    ("different servers", with("", " \"servers\": [{\"url\": \"https://a.example/v1\"}, {\"url\": \"https://a.example/v2\"}],")),
    ("a server with a variable without default", with("", " \"servers\": [{\"url\": \"https://a.example/{stage}\"}],")),
    ("a server of one path", with("\"/a\": { \"servers\": [{\"url\": \"/v2\"}], \"get\": {} }")),
    ("a path without slash", with("\"pets\": { \"get\": {} }")), ("an operation that is none", with("\"/pets\": { \"get\": true }")),
    ("two paths of one shape", with("\"/pets/{id}\": { \"get\": {} },\n    \"/pets/{name}\": { \"get\": {}, \"put\": {} }")),
    ("half a parameter", with("\"/files/{name}.json\": { \"get\": {} }, \"/a b\": { \"get\": {} }, \"/a?b\": { \"get\": {} }")),
    ("a method in capitals", with("\"/pets\": { \"GET\": {}, \"query\": {}, \"trace\": {} }")),
    (
      "a parameter that the path lacks",
      with("\"/pets/{petId}\": { \"get\": { \"parameters\": [{ \"name\": \"petID\", \"in\": \"path\" }] } }")
    ),
    (
      "references",
      with(
        """
        "/a": { "$ref": "https://example.com/api.json#/a" },
            "/b": { "$ref": "#/components/nowhere" },
            "/c": { "$ref": "#/paths/~1d" },
            "/d": { "$ref": "#/paths/~1c" },
            "/e": { "get": { "parameters": [{ "$ref": 7 }] } }
        """)
    ),
    (
      "odd values",
      with(
        """
        "/a": { "get": { "operationId": 1, "security": {}, "parameters": {}, "x-cedar": { "appliesToResourceTypes": ["Pet Shop"] } } },
            "/b": { "get": { "operationId": "", "parameters": [{ "in": "path" }] } },
            "/c": [],
            "/d{\\u0007}": { "get": {} },
            "/e": { "get": { "operationId": "x\\u001b[31m" } }
        """)
    ),
  ]

  @Test func whatCannotBeReadIsSaidWithItsPlaceAndTheRemedy() {
    var text = ""
    for (name, input) in Self.mistakes {
      let document = Self.document(input)
      #expect(!(document.errors + document.warnings).isEmpty, "\(name)")
      text += "## \(name)\n" + (document.errors + document.warnings).joined() + "\n"
    }
    let twice = Self.document(
      Self.with("\"/a\": { \"get\": { \"operationId\": \"x\" } },\n    \"/b\": { \"get\": { \"operationId\": \"x\" } }"))
    text += "## two operations of one name\n" + (Self.scaffold(twice, .simpleRest).problems ?? "") + "\n"
    #expect(Self.scaffold(twice, .verifiedPermissions).problems == nil)
    let untitled = Self.document(Self.with("\"/a\": { \"get\": {} }").replacing("Pets", with: "?"))
    text += "## a title without letters\n" + (Self.scaffold(untitled, .simpleRest).problems ?? "") + "\n"
    text += "## a namespace that is none\n" + (Self.scaffold(untitled, .simpleRest, namespace: "a b").problems ?? "") + "\n"
    text += "## no operation\n" + (Self.scaffold(Self.document(Self.with("")), .simpleRest).problems ?? "")
    golden(text, "openapi-mistakes.txt")
  }

  @Test func aDocumentThatIsCutOffOrBentAnywhereIsReadToAnEnd() {
    let bytes = Array(Self.orders.utf8)
    for count in bytes.indices {
      #expect(!APIDocument(SourceText(name: "cut", bytes: bytes[..<count])).isUsable)
    }
    // The same numbers on every run: what fails once fails again.
    var state: UInt64 = 0x9e37_79b9_7f4a_7c15
    func next(_ bound: Int) -> Int {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return Int(state % UInt64(bound))
    }
    let pieces = ["\"", "{", "}", "[]", "null", "$ref", "/", "{id}", "get", "\\u0000", "::", "x-", "+", "%", "$", "'", "\u{202e}"].map {
      Array($0.utf8)
    }
    var usable = 0
    for _ in 0..<1500 {
      var bent = bytes
      for _ in 0...next(2) {
        let at = next(bent.count)
        bent.replaceSubrange(at..<min(at + next(3), bent.count), with: pieces[next(pieces.count)])
      }
      let document = APIDocument(SourceText(name: "bent", bytes: bent))
      guard document.isUsable else { continue }
      usable += 1
      // Whatever a document says, what is written for it is in order.
      guard usable % 16 == 0 else { continue }
      for mapping in APIMapping.allCases {
        let flaw = Self.flaw(in: document, mapping)
        #expect(flaw == nil, "\(flaw ?? "")\n\(String(decoding: bent, as: UTF8.self))")
      }
    }
    #expect(usable > 100)
  }

  @Test func aLargeDocumentCostsNoMoreThanItsLength() {
    let clock = ContinuousClock()
    let many = 20_000
    let references = (0..<many).map { "\"/p\($0)\": { \"$ref\": \"#/components/x/i\($0)\" }" }.joined(separator: ",")
    let items = (0..<many).map { "\"i\($0)\": {}" }.joined(separator: ",")
    let long = String(repeating: "/{a}", count: many)
    let texts = [
      "{\"openapi\":\"3.1.0\",\"paths\":{\(references)},\"components\":{\"x\":{\(items)}}}",
      Self.with("\"\(long)\": { \"get\": {} }"),
      Self.with((0..<6000).map { "\"/p\($0)\": { \"get\": {}, \"put\": {} }" }.joined(separator: ",")),
      String(repeating: "{\"a\":", count: many),
    ]
    let time = clock.measure { for text in texts { _ = Self.document(text) } }
    #expect(time < .seconds(30))
    #expect(Self.document(texts[2]).errors.first?.contains("more than 5000 operations") ?? false)
  }

  // MARK: Drift

  @Test func whatHasDriftedIsSaidWithBothPlaces() throws {
    let document = Self.document(Self.orders)
    let configuration = try Self.configuration(
      """
        namespace: 'OrdersAPI',
        unrouted: 'deny',
        routes: [
          { match: 'GET /v1/', action: 'get /', resource: { type: 'Application', id: 'OrdersAPI' } },
          { match: 'GET /v1/healthz' },
          { match: 'GET /v1/orders', action: 'read', resource: { type: 'Application', id: 'OrdersAPI' } },
          { match: 'POST /v1/orders', access: 'public' },
          { match: 'GET /v1/orders/{id}', action: 'get /orders/{order-id}', resource: { type: 'Orders', id: '{id}' } },
          { match: 'GET,PUT /v1/orders/1', action: 'get /orders/1', resource: { type: 'Application', id: 'Orders' } },
          { match: '* /v1/admin/{rest...}', action: 'admin', resource: { type: 'OrdersAPI::Application', id: 'OrdersAPI' } },
          { match: 'GET /v1/customers', action: 'get /customers', resource: { type: 'Application', id: 'OrdersAPI' } },
          { match: 'GET /ready', access: 'public' },
          { match: 'HEAD /v1/ping', host: '*.example.com', action: 'head /ping', resource: { type: 'Application', id: 'OrdersAPI' } },
          { match: 'OPTIONS /{rest...}', access: 'preflight' },
        ],

      """)
    let drift = APIDrift(document, configuration, mapping: .verifiedPermissions)
    golden(drift.report + drift.summary, "openapi-drift.txt")
    #expect(drift.warningCount == 1)
    let findings = try #require(drift.json["findings"]?.array)
    #expect(findings.count == drift.errorCount + drift.warningCount)
    #expect(
      Set(findings.compactMap { $0["kind"]?.string }) == [
        "operation_without_route", "route_without_operation", "other_action", "other_resource", "other_access", "parameter_renamed",
      ])
    #expect(findings.first { $0["kind"]?.string == "other_action" }?["route"]?["line"]?.integer == 10)
  }

  @Test func theMappingThatMoreRoutesFollowIsTheOneTheyAreHeldAgainst() throws {
    let document = Self.document(Self.orders)
    for mapping in APIMapping.allCases {
      let drift = APIDrift(document, try Self.configuration(Self.scaffold(document, mapping).settings), mapping: nil)
      #expect(drift.errorCount == 0 && drift.summary.contains("names as \(mapping.rawValue), no drift"))
    }
  }

  @Test func aConfigurationWithoutNamespaceHasNamesOfItsOwn() throws {
    let document = Self.document(Self.with("\"/a\": { \"get\": {} }"))
    let drift = APIDrift(
      document, try Self.configuration("routes: [{ match: 'GET /a', action: 'get /a', resource: { type: 'Application', id: 'Pets' } }],"),
      mapping: nil)
    #expect(drift.errorCount == 1 && drift.report.contains("write namespace: 'Pets'"))
  }
}
