internal import Bytes
internal import Crypto
internal import JSON

/// The OAuth endpoints beside the user pools API: RFC 6749 §3.2 and RFC 7009 as Cognito's managed login serves them.
extension DevelopmentIssuer {
  /// An error response of RFC 6749 §5.2.
  struct OAuthError: Error {
    let code: String
    let detail: String
  }

  /// `POST /oauth2/token`: client_credentials, refresh_token, and password for convenience at a command line.
  func answerToken(_ request: LocalRequest, at now: Int64) -> LocalResponse {
    respond(request) { (form) throws(OAuthError) in
      switch try form.required("grant_type") {
      case "client_credentials": return try self.clientCredentials(form, at: now)
      case "refresh_token": return try self.refreshTokenGrant(form, at: now)
      case "password": return try self.passwordGrant(form, at: now)
      default: throw OAuthError(code: "unsupported_grant_type", detail: "client_credentials, refresh_token or password")
      }
    }
  }

  /// `POST /oauth2/revoke`: a refresh token ends; one that is unknown is no error (RFC 7009 §2.2).
  func answerRevoke(_ request: LocalRequest) -> LocalResponse {
    respond(request) { (form) throws(OAuthError) in
      let token = try form.required("token")
      if let session = self.refreshTokens.session(of: token), exactlyEquals(session.clientID, form.client.id) {
        self.refreshTokens.revoke(token)
      }
      return nil
    }
  }

  private func clientCredentials(_ form: OAuthForm, at now: Int64) throws(OAuthError) -> JSONValue {
    let client = form.client
    guard client.secret != nil, !client.scopes.isEmpty else {
      throw OAuthError(code: "unauthorized_client", detail: "this client is no machine")
    }
    let asked = form.value("scope")?.split(separator: " ").map(String.init) ?? client.scopes
    guard asked.allSatisfy({ scope in client.scopes.contains { exactlyEquals($0, scope) } }), !asked.isEmpty else {
      throw OAuthError(code: "invalid_scope", detail: "the client may have \(client.scopes.joined(separator: " "))")
    }
    let token = try signing { () throws(KeyError) in try self.mint.machineToken(client: client.id, scopes: asked, at: now) }
    return Self.tokens(["access_token": .string(token)])
  }

  private func refreshTokenGrant(_ form: OAuthForm, at now: Int64) throws(OAuthError) -> JSONValue {
    guard let session = refreshTokens.session(of: try form.required("refresh_token")), exactlyEquals(session.clientID, form.client.id)
    else {
      throw OAuthError(code: "invalid_grant", detail: "unknown or revoked")
    }
    return try tokens(of: session, refreshToken: nil, at: now)
  }

  private func passwordGrant(_ form: OAuthForm, at now: Int64) throws(OAuthError) -> JSONValue {
    guard let user = directory.signIn(try form.required("username"), password: try form.required("password")) else {
      throw OAuthError(code: "invalid_grant", detail: "wrong user name or password")
    }
    let session = Session(user: user, clientID: form.client.id, at: now, scope: "openid profile email")
    return try tokens(of: session, refreshToken: refreshTokens.issue(for: session), at: now)
  }

  private func tokens(of session: Session, refreshToken: String?, at now: Int64) throws(OAuthError) -> JSONValue {
    let access = try signing { () throws(KeyError) in try self.mint.accessToken(session, at: now) }
    let id = try signing { () throws(KeyError) in try self.mint.idToken(session, at: now) }
    return Self.tokens(
      refreshToken.map { ["id_token": .string(id), "access_token": .string(access), "refresh_token": .string($0)] }
        ?? ["id_token": .string(id), "access_token": .string(access)])
  }

  private static func tokens(_ tokens: KeyValuePairs<String, JSONValue>) -> JSONValue {
    let common: KeyValuePairs<String, JSONValue> = ["expires_in": .integer(TokenMint.lifetime), "token_type": .string("Bearer")]
    return JSONValue(.object((Array(tokens) + Array(common)).map { JSONValue.Member(name: $0.key, value: $0.value) }))
  }

  private func signing(_ sign: () throws(KeyError) -> String) throws(OAuthError) -> String {
    do throws(KeyError) {
      return try sign()
    } catch {
      throw OAuthError(code: "server_error", detail: "cannot sign: \(error)")
    }
  }

  /// Reads the form, knows the client, and renders what the endpoint says of it; nil is an empty body.
  private func respond(_ request: LocalRequest, _ endpoint: (OAuthForm) throws(OAuthError) -> JSONValue?) -> LocalResponse {
    var headers: [(name: String, value: String)] = [
      ("Content-Type", "application/json;charset=UTF-8"), ("Cache-Control", "no-store"), ("Access-Control-Allow-Origin", "*"),
      ("x-amz-cognito-request-id", RandomBytes.makeUUID()),
    ]
    do throws(OAuthError) {
      let value = try endpoint(OAuthForm(request, directory: directory))
      return LocalResponse(status: 200, headers: headers, body: Array((value?.text ?? "").utf8))
    } catch {
      if error.code == "invalid_client" { headers.append(("WWW-Authenticate", "Basic realm=\"development\"")) }
      let body = JSONValue.object(["error": .string(error.code), "error_description": .string(error.detail)])
      return LocalResponse(status: error.code == "server_error" ? 500 : 400, headers: headers, body: Array(body.text.utf8))
    }
  }
}

/// The form of a token or revocation request, and the client that sent it.
struct OAuthForm {
  let client: UserDirectory.Client
  private let pairs: [(name: String, value: String)]

  init(_ request: LocalRequest, directory: UserDirectory) throws(DevelopmentIssuer.OAuthError) {
    let type = request.header("Content-Type").map { Array($0.utf8.prefix { $0 != UInt8(ascii: ";") }.filter { $0 != ASCII.space }) } ?? []
    guard ASCII.equalsIgnoringCase(type, "application/x-www-form-urlencoded".utf8) else {
      throw .init(code: "invalid_request", detail: "the body must be application/x-www-form-urlencoded")
    }
    guard request.body.count <= 64 * 1024, let pairs = FormURLEncoded.pairs(request.body) else {
      throw .init(code: "invalid_request", detail: "the form cannot be read")
    }
    // RFC 6749 §3.2: parameters must not be repeated.
    guard Set(pairs.map { ExactString($0.name) }).count == pairs.count else {
      throw .init(code: "invalid_request", detail: "a parameter is repeated")
    }
    self.pairs = pairs
    func value(_ name: String) -> String? { pairs.first { exactlyEquals($0.name, name) }?.value }
    var id = value("client_id")
    var secret = value("client_secret")
    if let authorization = request.header("Authorization") {
      guard let basic = Self.basic(authorization), id == nil || exactlyEquals(id ?? "", basic.id), secret == nil else {
        throw .init(code: "invalid_client", detail: "client authentication cannot be read")
      }
      (id, secret) = (basic.id, basic.secret)
    }
    guard let id, let client = directory.client(id), directory.isAuthentic(client, secret: secret) else {
      throw .init(code: "invalid_client", detail: "unknown client or wrong secret")
    }
    self.client = client
  }

  func value(_ name: String) -> String? { pairs.first { exactlyEquals($0.name, name) }?.value }

  func required(_ name: String) throws(DevelopmentIssuer.OAuthError) -> String {
    guard let value = value(name), !value.isEmpty else { throw .init(code: "invalid_request", detail: "\(name) is missing") }
    return value
  }

  /// HTTP Basic (RFC 7617), both halves form-encoded (RFC 6749 §2.3.1).
  private static func basic(_ authorization: String) -> (id: String, secret: String)? {
    let scheme = Array(authorization.utf8.prefix(6))
    guard ASCII.equalsIgnoringCase(scheme, "Basic ".utf8), let text = Base64.decode(String(authorization.dropFirst(6))) else { return nil }
    let halves = text.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
    guard halves.count == 2, let id = FormURLEncoded.decoded(halves[0]), let secret = FormURLEncoded.decoded(halves[1]) else { return nil }
    return (id, secret)
  }
}
