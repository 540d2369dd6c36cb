internal import Bytes
internal import Cedar
internal import JSON
internal import Pipeline

/// Takes an OpenAPI document apart.
struct APIDocumentReader {
  private(set) var title = ""
  private(set) var operations: [APIDocument.Operation] = []
  private(set) var problems: [Diagnostic] = []
  private let root: JSONValue
  private let givenBase: String?
  private var base = ""
  private var references: LocalReferences
  // A parameter that many operations share is reported once.
  private var reported: Set<Int> = []
  // Where each method of each path was first described.
  private var places: [ExactString: Range<Int>] = [:]

  init(_ root: JSONValue, basePath: String?) {
    self.root = root
    givenBase = basePath
    references = LocalReferences(root)
  }

  mutating func read() {
    guard root.object != nil else { return fail(root.span, "an OpenAPI document is an object, and this is \(root.kindName)") }
    guard readVersion() else { return }
    if let info = root["info"]?["title"]?.string { title = info }
    readBase()
    guard let paths = root["paths"] else {
      return fail(nil, "the document has no \"paths\", so it describes no request", help: "webhooks alone ask nothing of this service")
    }
    guard let members = paths.object else { return fail(paths.span, "\"paths\" is \(paths.kindName), and should be an object") }
    for member in members where !Self.isExtension(member.name) {
      guard operations.count <= Self.mostOperations else {
        return fail(member.nameSpan, "the document has more than \(Self.mostOperations) operations")
      }
      guard problems.count < Self.mostProblems else { return }
      read(path: member)
    }
  }

  // MARK: - The document as a whole

  private mutating func readVersion() -> Bool {
    guard let version = root["openapi"] else {
      if let swagger = root.object?.first(where: { exactlyEquals($0.name, "swagger") }) {
        fail(
          swagger.nameSpan.lowerBound..<swagger.value.span.upperBound, "this is Swagger 2.0, the format before OpenAPI 3",
          help: "convert it, for example with: swagger2openapi swagger.json -o openapi.json; API Gateway exports as oas30")
      } else {
        fail(nil, "this is no OpenAPI document: it says no \"openapi\" version", help: "one begins with { \"openapi\": \"3.1.0\", …")
      }
      return false
    }
    guard let text = version.string, ["3.0", "3.1"].contains(where: { exactlyEquals(text, $0) || text.utf8.starts(with: "\($0).".utf8) })
    else {
      fail(version.span, "OpenAPI \(version.string ?? version.kindName) is not read here", help: "3.0 and 3.1 are")
      return false
    }
    return true
  }

  private mutating func readBase() {
    if let givenBase {
      guard let path = Self.base(ofPath: givenBase) else {
        return fail(nil, "\"\(givenBase)\" is not a base path", help: "write it as the beginning of a path: --base-path /v1, or / for none")
      }
      base = path
      return
    }
    guard let servers = root["servers"] else { return }
    guard let list = servers.array else { return fail(servers.span, "\"servers\" is \(servers.kindName), and should be a list") }
    var first: (path: String, span: Range<Int>)?
    for server in list {
      guard let url = server["url"], let text = url.string else {
        fail(server.span, "a server has a \"url\"")
        continue
      }
      guard let path = Self.base(ofURL: text, server["variables"]) else {
        fail(
          url.span, "the path of the server \"\(text)\" cannot be told",
          help: "say what every path begins with: --base-path /v1, or / for nothing")
        continue
      }
      if let first, !exactlyEquals(first.path, path) {
        return add(
          Diagnostic(
            .error, "the servers have different paths, \"\(first.path)\" and \"\(path)\"", at: url.span,
            help: "say which one this service is behind: --base-path \(path.isEmpty ? "/" : path)",
            related: [Diagnostic.Related(first.span, "the other is here")]))
      }
      first = first ?? (path, url.span)
    }
    base = first?.path ?? ""
  }

  // The path of a server's URL, with what its variables are by default.
  private static func base(ofURL url: String, _ variables: JSONValue?) -> String? {
    var text = ""
    var rest = url.utf8[...]
    while let byte = rest.first {
      guard byte == UInt8(ascii: "{") else {
        let plain = rest.prefix { $0 != UInt8(ascii: "{") }
        text += String(decoding: plain, as: UTF8.self)
        rest = rest[plain.endIndex...]
        continue
      }
      guard let end = rest.firstIndex(of: UInt8(ascii: "}")) else { return nil }
      let name = String(decoding: rest[rest.index(after: rest.startIndex)..<end], as: UTF8.self)
      guard let value = variables?[name]?["default"]?.string else { return nil }
      text += value
      rest = rest[rest.index(after: end)...]
    }
    let bytes = Array(text.utf8.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") })
    if bytes.first == UInt8(ascii: "/"), !bytes.starts(with: "//".utf8) { return base(ofPath: String(decoding: bytes, as: UTF8.self)) }
    guard let scheme = bytes.firstRange(of: Array("//".utf8)) else { return nil }
    let path = bytes[scheme.upperBound...].drop { $0 != UInt8(ascii: "/") }
    return path.isEmpty ? "" : base(ofPath: String(decoding: path, as: UTF8.self))
  }

  // Without its final slash: a server at `/` adds nothing to `/pets`.
  private static func base(ofPath path: String) -> String? {
    guard path.utf8.first == UInt8(ascii: "/") else { return nil }
    var bytes = Array(path.utf8)
    while bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
    let text = String(decoding: bytes, as: UTF8.self)
    do throws(RoutePath.Mistake) { return try APIPath("/", below: text).parameters.isEmpty ? text : nil } catch { return nil }
  }

  // MARK: - Paths

  private mutating func read(path member: JSONValue.Member) {
    guard member.name.utf8.first == UInt8(ascii: "/") else {
      return fail(member.nameSpan, "\"\(member.name)\" is not a path: a path begins with /")
    }
    let path: APIPath
    do throws(RoutePath.Mistake) { path = try APIPath(member.name, below: base) } catch {
      return warn(
        member.nameSpan, "no route can be for \"\(member.name)\": \(error.message)", help: error.help ?? "it is left out, and so refused")
    }
    guard let item = resolved(member.value, at: member.nameSpan) else { return }
    guard let members = item.object else { return fail(item.span, "a path's item is \(item.kindName), and should be an object") }
    guard members.count <= Self.mostMembers else { return fail(member.nameSpan, "a path's item has more than \(Self.mostMembers) members") }
    if let servers = references.member("servers", of: item), givenBase == nil { failServers(servers) }
    let shared = parameters(of: item)
    let methods = Self.methods.filter { references.member($0, of: item) != nil }
    for inner in members where !Self.isExtension(inner.name) || exactlyEquals(inner.name, Self.anyMethod) {
      if exactlyEquals(inner.name, Self.anyMethod) {
        for method in Self.anyMethods where !methods.contains(method) { read(operation: inner, method, member.name, path, shared) }
      } else if Self.methods.contains(where: { exactlyEquals($0, inner.name) }) {
        // HEAD asks for what GET asks for, less the body: where there is GET, its route is for both.
        if inner.name == "head", methods.contains("get") { continue }
        read(operation: inner, inner.name, member.name, path, shared)
      } else if !Self.others.contains(where: { exactlyEquals($0, inner.name) }) {
        let near = Spelling.nearest(to: inner.name, among: Self.methods)
        warn(
          inner.nameSpan, "\"\(inner.name)\" is no method that a path of OpenAPI 3.1 has",
          help: near.map { "did you mean \"\($0)\"?" } ?? "it is left out, and so refused")
      }
    }
  }

  private mutating func read(
    operation member: JSONValue.Member, _ method: String, _ template: String, _ path: APIPath, _ shared: [JSONValue]
  ) {
    let value = member.value
    guard value.object != nil else { return fail(value.span, "an operation is \(value.kindName), and should be an object") }
    guard method != "trace" else {
      return warn(member.nameSpan, "TRACE is refused by every proxy that takes care of credentials", help: "it is left out")
    }
    if let servers = references.member("servers", of: value), givenBase == nil { failServers(servers) }
    let capital = String(decoding: method.utf8.map { $0 & 0xdf }, as: UTF8.self)
    let key = ExactString("\(capital) \(path.shape)")
    if let other = places[key] {
      return add(
        Diagnostic(
          .error, "\(capital) \(template) is for the same requests as another path of the document", at: member.nameSpan,
          help: "the names of parameters make no difference (OpenAPI, \"Path Templating Matching\"); keep one of the two",
          related: [Diagnostic.Related(other, "the other is here")]))
    }
    places[key] = member.nameSpan
    check(parameters(of: value) + shared, of: path)
    operations.append(
      APIDocument.Operation(
        method: capital, template: template, path: path, id: text("operationId", of: value), access: access(of: value, method),
        tag: references.member("tags", of: value)?.array?.first?.string, resourceTypes: resourceTypes(of: value), span: member.nameSpan))
  }

  // What is said of everybody is said by the operation itself, in as many words: a document without a word about security, or with an
  // empty list for all operations, was more likely never finished than meant to be open.
  private mutating func access(of operation: JSONValue, _ method: String) -> APIDocument.Operation.Access {
    if method == "options" { return .preflight }
    guard let security = references.member("security", of: operation) else { return .policy }
    guard let list = security.array else {
      fail(security.span, "\"security\" is \(security.kindName), and should be a list")
      return .policy
    }
    return list.isEmpty ? .open : .policy
  }

  private mutating func resourceTypes(of operation: JSONValue) -> [String] {
    guard let types = references.member("x-cedar", of: operation)?["appliesToResourceTypes"] else { return [] }
    guard let list = types.array else {
      fail(types.span, "\"appliesToResourceTypes\" is \(types.kindName), and should be a list of names of types")
      return []
    }
    var names: [String] = []
    for item in list.prefix(Self.mostTypes) {
      // A namespace before the name is left out, as Cedar's integrations do.
      let name = (item.string ?? "").utf8.split(separator: UInt8(ascii: ":")).last.map { String(decoding: $0, as: UTF8.self) } ?? ""
      do throws(NameError) {
        _ = try Name(normalized: name)
        names.append(name)
      } catch {
        fail(item.span, "this is not the name of a Cedar type")
      }
    }
    return names
  }

  private mutating func text(_ name: String, of object: JSONValue) -> String? {
    guard let value = references.member(name, of: object) else { return nil }
    guard let text = value.string, !text.isEmpty else {
      fail(value.span, "\"\(name)\" is \(value.string == nil ? value.kindName : "empty"), and should be a name")
      return nil
    }
    guard !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else {
      fail(value.span, "\"\(name)\" has a control character")
      return nil
    }
    return text
  }

  // MARK: - Parameters

  private mutating func parameters(of object: JSONValue) -> [JSONValue] {
    guard let parameters = references.member("parameters", of: object) else { return [] }
    guard let list = parameters.array else {
      fail(parameters.span, "\"parameters\" is \(parameters.kindName), and should be a list")
      return []
    }
    return list.prefix(Self.mostParameters).compactMap { resolved($0, at: $0.span) }
  }

  // A parameter of the path that the path does not have is the sign of a name changed in one place only.
  private mutating func check(_ parameters: [JSONValue], of path: APIPath) {
    let names = path.parameters
    for parameter in parameters where references.member("in", of: parameter)?.string == "path" {
      guard let name = references.member("name", of: parameter), let text = name.string else {
        fail(parameter.span, "a parameter has a \"name\"")
        continue
      }
      // API Gateway declares `{proxy+}` as `proxy`.
      if names.contains(where: { exactlyEquals($0, text) }) || !reported.insert(name.span.lowerBound).inserted { continue }
      let near = Spelling.nearest(to: text, among: names).map { "did you mean {\($0)}?" }
      warn(name.span, "the path \(path.route.text) has no parameter {\(text)}", help: near)
    }
  }

  private mutating func resolved(_ value: JSONValue, at span: Range<Int>) -> JSONValue? {
    do throws(LocalReferences.Mistake) { return try references.resolve(value) } catch {
      fail(value["$ref"]?.span ?? span, error.message, help: error.help)
      return nil
    }
  }

  // MARK: - Problems

  private mutating func failServers(_ servers: JSONValue) {
    fail(
      servers.span, "a server for single paths or operations is not supported",
      help: "say what every path of this service begins with: --base-path /v1, or / for nothing")
  }

  private mutating func fail(_ span: Range<Int>?, _ message: String, help: String? = nil) {
    add(Diagnostic(.error, message, at: span, help: help))
  }

  private mutating func warn(_ span: Range<Int>, _ message: String, help: String?) {
    add(Diagnostic(.warning, message, at: span, help: help))
  }

  private mutating func add(_ problem: Diagnostic) {
    if problems.count < Self.mostProblems { problems.append(problem) }
  }

  private static func isExtension(_ name: String) -> Bool { name.utf8.starts(with: "x-".utf8) }

  private static let methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"]
  private static let others = ["$ref", "summary", "description", "servers", "parameters"]
  /// API Gateway's name for all methods that are not described by themselves, and what it stands for.
  private static let anyMethod = "x-amazon-apigateway-any-method"
  private static let anyMethods = ["get", "post", "put", "patch", "delete"]
  private static let mostOperations = 5000
  private static let mostParameters = 1000
  private static let mostMembers = 256
  private static let mostTypes = 20
  private static let mostProblems = 1000
}
