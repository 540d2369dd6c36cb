internal import Bytes
public import Crypto
public import JOSE
internal import JSON

/// A small Cognito user pool for development: it signs anyone in who knows the demo's password, and makes bad tokens on request.
///
/// Pure: requests in, answers out, the clock an argument. Keys are in memory, and the server that carries it listens on loopback only.
/// It is no issuer for production, and says so in its key set and its discovery document.
public final class DevelopmentIssuer {
  /// Where it is reached, without a slash at the end: `http://127.0.0.1:8081`.
  public let url: String
  /// The pool's id.
  public let poolID: String
  /// `iss` of its tokens.
  public let issuer: String
  /// Users, clients and the password.
  public let directory: UserDirectory

  var mint: TokenMint
  var refreshTokens = RefreshTokens()
  let verifier = SignatureVerifier()

  /// The pool id that the demo uses.
  public static let defaultPoolID = "us-east-1_Demo00000"

  /// A fresh issuer with fresh keys. `iss` is `issuer` if given (such as the AWS address of a pool whose part it plays), else the pool
  /// under its own URL.
  public convenience init(
    url: String, poolID: String = DevelopmentIssuer.defaultPoolID, issuer: String? = nil, directory: UserDirectory = UserDirectory()
  ) throws(KeyError) {
    self.init(url: url, poolID: poolID, issuer: issuer, directory: directory, keys: try KeyRing())
  }

  init(url: String, poolID: String, issuer: String?, directory: UserDirectory, keys: KeyRing) {
    self.url = url
    self.poolID = poolID
    self.issuer = issuer ?? "\(url)/\(poolID)"
    self.directory = directory
    mint = TokenMint(issuer: self.issuer, keys: keys)
  }

  /// Where its keys are.
  public var jwksURL: String { "\(url)/\(poolID)/.well-known/jwks.json" }

  /// The public keys as a proxy reads them.
  public var keySet: JWKSet {
    do throws(JWKSetError) {
      return try JWKSet.parse(mint.keys.document.text.utf8)
    } catch {
      return .empty
    }
  }

  /// Makes a token of a user or of the machine client, in order or with a flaw; nil if there is nobody of that name. A user's access
  /// token is bound to the key with a thumbprint (RFC 9449 §6.1), if one is given.
  public func token(
    of name: String, use: TokenUse = .access, flaw: TokenFlaw = .none, client: String = "demoapp", algorithm: JWSAlgorithm = .rs256,
    boundTo thumbprint: String? = nil, at now: Int64
  ) throws(KeyError) -> String? {
    if let user = directory.user(name) {
      let session = Session(user: user, clientID: client, at: now)
      switch use {
      case .id: return try mint.idToken(session, at: now, algorithm: algorithm, flaw: flaw)
      case .access: return try mint.accessToken(session, at: now, algorithm: algorithm, flaw: flaw, boundTo: thumbprint)
      }
    }
    guard let machine = directory.client(name), !machine.scopes.isEmpty, use == .access else { return nil }
    return try mint.machineToken(client: machine.id, scopes: machine.scopes, at: now, algorithm: algorithm, flaw: flaw)
  }

  /// Replaces all keys. The old public keys stay in the set until the next rotation, unless they are retired at once.
  public func rotate(retiring: Bool = false) throws(KeyError) { try mint.keys.rotate(retiring: retiring) }

  // MARK: HTTP

  /// Answers one request; `now` is in seconds since 1970.
  public func answer(_ request: LocalRequest, at now: Int64) -> LocalResponse {
    // A web page may make a browser send requests here under a name of its own (DNS rebinding).
    guard isLoopback(request.header("Host")) else {
      return .plain(421, "This is a development issuer; it answers to loopback names only.\n")
    }
    var path = request.path
    let prefix = "/\(poolID)/"
    if path.utf8.starts(with: prefix.utf8) { path = "/" + String(decoding: path.utf8.dropFirst(prefix.utf8.count), as: UTF8.self) }
    switch (request.method, path) {
    case ("GET", "/.well-known/jwks.json"): return json(mint.keys.document)
    case ("GET", "/.well-known/openid-configuration"): return json(discovery)
    case ("POST", "/oauth2/token"): return answerToken(request, at: now)
    case ("POST", "/oauth2/revoke"): return answerRevoke(request)
    case ("POST", "/"):
      guard let target = request.header("X-Amz-Target") else { return .plain(404, "POST / takes calls of the Cognito user pools API.\n") }
      return answerAPI(target, request, at: now)
    case ("GET", "/token"): return answerMint(request, at: now)
    case ("POST", "/rotate"): return answerRotation(request)
    case ("GET", "/"): return json(discovery)
    case (_, "/.well-known/jwks.json"), (_, "/.well-known/openid-configuration"), (_, "/token"):
      return methodNotAllowed("GET")
    case (_, "/oauth2/token"), (_, "/oauth2/revoke"), (_, "/rotate"): return methodNotAllowed("POST")
    default: return .plain(404, "Not found.\n")
    }
  }

  /// `GET /token?user=alice&use=id&kind=expired&client=demoapp&alg=RS256&jkt=…`: what `stockade token` asks for.
  private func answerMint(_ request: LocalRequest, at now: Int64) -> LocalResponse {
    guard let name = request.parameter("user") else { return .plain(400, "user is missing\n") }
    guard let flaw = TokenFlaw(name: request.parameter("kind") ?? "valid") else {
      return .plain(400, "kind is one of \(TokenFlaw.allCases.map(\.rawValue).joined(separator: ", "))\n")
    }
    guard let use = TokenUse(name: request.parameter("use") ?? "access") else { return .plain(400, "use is id or access\n") }
    guard let algorithm = JWSAlgorithm(name: request.parameter("alg") ?? "RS256") else {
      return .plain(400, "alg is one of \(JWSAlgorithm.allCases.map(\.rawValue).joined(separator: ", "))\n")
    }
    do throws(KeyError) {
      let token = try token(
        of: name, use: use, flaw: flaw, client: request.parameter("client") ?? "demoapp", algorithm: algorithm,
        boundTo: request.parameter("jkt"), at: now)
      guard let token else {
        let names = directory.users.map(\.name) + directory.clients.filter { !$0.scopes.isEmpty }.map(\.id)
        return .plain(404, "nobody of that name has such a token; there are \(names.joined(separator: ", "))\n")
      }
      var response = LocalResponse.plain(200, token + "\n")
      response.headers.append(("Cache-Control", "no-store"))
      return response
    } catch {
      return .plain(500, "cannot sign: \(error)\n")
    }
  }

  /// `POST /rotate`: new keys; `?retire=now` takes the old ones out of the set at once.
  private func answerRotation(_ request: LocalRequest) -> LocalResponse {
    // Browsers name the page that made them ask; no page has any business here.
    guard !request.hasHeader("Origin") else { return .plain(403, "Not for web pages.\n") }
    do throws(KeyError) {
      try rotate(retiring: request.parameter("retire").map { exactlyEquals($0, "now") } ?? false)
      return json(mint.keys.document)
    } catch {
      return .plain(500, "cannot make keys: \(error)\n")
    }
  }

  /// OpenID Connect Discovery 1.0 §3, the members that Cognito serves, and the mark of a development issuer.
  private var discovery: JSONValue {
    func list(_ items: String...) -> JSONValue { .array(items.map(JSONValue.string)) }
    let base = "\(url)/\(poolID)"
    return .object([
      "issuer": .string(issuer), "jwks_uri": .string(jwksURL), "token_endpoint": .string(base + "/oauth2/token"),
      "revocation_endpoint": .string(base + "/oauth2/revoke"), "response_types_supported": list("code", "token"),
      "scopes_supported": list("openid", "email", "phone", "profile"), "subject_types_supported": list("public"),
      "id_token_signing_alg_values_supported": list("RS256"),
      "token_endpoint_auth_methods_supported": list("client_secret_basic", "client_secret_post"),
      "grant_types_supported": list("client_credentials", "refresh_token", "password"), "stockade_development": .bool(true),
    ])
  }

  private func json(_ value: JSONValue) -> LocalResponse {
    // Short, so that a rotation in a demo is seen within moments.
    LocalResponse(
      status: 200, headers: [("Content-Type", "application/json"), ("Cache-Control", "public, max-age=5")], body: Array(value.text.utf8))
  }

  private func methodNotAllowed(_ allowed: String) -> LocalResponse {
    var response = LocalResponse.plain(405, "\(allowed) only.\n")
    response.headers.append(("Allow", allowed))
    return response
  }

  private func isLoopback(_ host: String?) -> Bool {
    guard let host else { return false }
    let bytes = Array(host.utf8)
    let names = ["127.0.0.1", "localhost", "[::1]"]
    return names.contains { name in
      guard bytes.count >= name.utf8.count, ASCII.equalsIgnoringCase(bytes[..<name.utf8.count], name.utf8) else { return false }
      let rest = bytes[name.utf8.count...]
      return rest.isEmpty || rest.first == UInt8(ascii: ":") && rest.count <= 6 && rest.dropFirst().allSatisfy(ASCII.isDigit)
    }
  }
}
