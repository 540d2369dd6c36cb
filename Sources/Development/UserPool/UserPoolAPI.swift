internal import Bytes
internal import Crypto
internal import JOSE
internal import JSON

/// The sign-in calls of the Amazon Cognito user pools API (AWS JSON 1.1), in the shapes that stock SDKs read.
extension DevelopmentIssuer {
  /// An error as the API answers it.
  struct APIError: Error {
    let type: String
    let message: String

    static func invalidParameter(_ message: String) -> APIError { APIError(type: "InvalidParameterException", message: message) }
    static func notAuthorized(_ message: String) -> APIError { APIError(type: "NotAuthorizedException", message: message) }
    static func notFound(_ message: String) -> APIError { APIError(type: "ResourceNotFoundException", message: message) }
  }

  /// The target prefix of every call.
  static let targetPrefix = "AWSCognitoIdentityProviderService."

  func answerAPI(_ target: String, _ request: LocalRequest, at now: Int64) -> LocalResponse {
    let headers: [(name: String, value: String)] = [
      ("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-RequestId", RandomBytes.makeUUID()),
    ]
    do throws(APIError) {
      let input: JSONValue
      do throws(JSONError) {
        input = try JSONParser.parse(request.body, limits: .init(depth: 16, bytes: 128 * 1024))
      } catch {
        throw APIError(type: "SerializationException", message: "The request body is not JSON: \(error)")
      }
      guard input.object != nil else { throw APIError(type: "SerializationException", message: "The request body is not an object") }
      let output = try call(target, input, at: now)
      return LocalResponse(status: 200, headers: headers, body: Array(output.text.utf8))
    } catch {
      let body = JSONValue.object(["__type": .string(error.type), "message": .string(error.message)])
      return LocalResponse(
        status: error.type == "InternalErrorException" ? 500 : 400, headers: headers + [("x-amzn-errortype", error.type + ":")],
        body: Array(body.text.utf8))
    }
  }

  private func call(_ target: String, _ input: JSONValue, at now: Int64) throws(APIError) -> JSONValue {
    let operation = target.utf8.starts(with: Self.targetPrefix.utf8) ? String(target.dropFirst(Self.targetPrefix.count)) : target
    switch operation {
    case "InitiateAuth": return try initiateAuth(input, flows: ["USER_PASSWORD_AUTH"], at: now)
    case "AdminInitiateAuth":
      try requirePool(input)
      return try initiateAuth(input, flows: ["ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH"], at: now)
    case "GetTokensFromRefreshToken": return try refresh(try string("RefreshToken", in: input), input, secret: .plain, at: now)
    case "GetUser": return try getUser(input, at: now)
    case "DescribeUserPoolClient":
      try requirePool(input)
      return .object(["UserPoolClient": describe(try client(input))])
    case "RevokeToken":
      let client = try client(input)
      guard directory.isAuthentic(client, secret: input["ClientSecret"]?.string) else {
        throw APIError(type: "UnauthorizedException", message: "Client is not authorized")
      }
      refreshTokens.revoke(try string("Token", in: input))
      return .object([:])
    case "GlobalSignOut":
      refreshTokens.revokeAll(of: try user(ofAccessTokenIn: input, at: now).name)
      return .object([:])
    default: throw APIError(type: "UnknownOperationException", message: "The development issuer does not offer \(operation.prefix(80))")
    }
  }

  // MARK: signing in

  private func initiateAuth(_ input: JSONValue, flows: [String], at now: Int64) throws(APIError) -> JSONValue {
    let flow = try string("AuthFlow", in: input)
    let parameters = input["AuthParameters"] ?? .object([:])
    switch flow {
    case _ where flows.contains(flow):
      let client = try client(input)
      let name = try parameter("USERNAME", in: parameters)
      try checkSecretHash(client, usernames: [name], given: parameters["SECRET_HASH"]?.string)
      let password = try parameter("PASSWORD", in: parameters)
      guard let user = directory.signIn(name, password: password) else { throw .notAuthorized("Incorrect username or password.") }
      let session = Session(user: user, clientID: client.id, at: now)
      return try result(session, refreshToken: refreshTokens.issue(for: session), at: now)
    case "REFRESH_TOKEN_AUTH", "REFRESH_TOKEN":
      return try refresh(
        try parameter("REFRESH_TOKEN", in: parameters), input, secret: .hash(parameters["SECRET_HASH"]?.string), at: now)
    case "USER_SRP_AUTH", "CUSTOM_AUTH", "USER_AUTH", "USER_PASSWORD_AUTH", "ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH":
      throw .invalidParameter("\(flow) is not enabled for the client")
    default: throw .invalidParameter("1 validation error detected: Value '\(flow.prefix(80))' at 'authFlow' is no flow of this API")
    }
  }

  private enum ClientProof {
    case hash(String?)
    case plain
  }

  private func refresh(_ token: String, _ input: JSONValue, secret: ClientProof, at now: Int64) throws(APIError) -> JSONValue {
    let client = try client(input)
    guard let session = refreshTokens.session(of: token), exactlyEquals(session.clientID, client.id) else {
      throw .notAuthorized("Invalid Refresh Token")
    }
    switch secret {
    case .hash(let given): try checkSecretHash(client, usernames: [session.user.name, session.user.subject], given: given)
    case .plain:
      guard directory.isAuthentic(client, secret: input["ClientSecret"]?.string) else {
        throw .notAuthorized("Client secret does not match for the client: \(client.id)")
      }
    }
    return try result(session, refreshToken: nil, at: now)
  }

  private func result(_ session: Session, refreshToken: String?, at now: Int64) throws(APIError) -> JSONValue {
    let tokens: (access: String, id: String)
    do throws(KeyError) {
      tokens = (try mint.accessToken(session, at: now), try mint.idToken(session, at: now))
    } catch {
      throw APIError(type: "InternalErrorException", message: "cannot sign: \(error)")
    }
    var members: [JSONValue.Member] = [
      .init(name: "AccessToken", value: .string(tokens.access)), .init(name: "ExpiresIn", value: .integer(TokenMint.lifetime)),
      .init(name: "IdToken", value: .string(tokens.id)),
    ]
    if let refreshToken { members.append(.init(name: "RefreshToken", value: .string(refreshToken))) }
    members.append(.init(name: "TokenType", value: .string("Bearer")))
    return .object(["AuthenticationResult": JSONValue(.object(members)), "ChallengeParameters": .object([:])])
  }

  private func checkSecretHash(_ client: UserDirectory.Client, usernames: [String], given: String?) throws(APIError) {
    guard client.secret != nil else { return }
    guard let given else { throw .notAuthorized("Client \(client.id) is configured with secret but SECRET_HASH was not received") }
    let matches = usernames.contains { directory.secretHash(client, username: $0).map { directory.isEqual($0, given) } ?? false }
    guard matches else { throw .notAuthorized("SecretHash does not match for the client: \(client.id)") }
  }

  // MARK: the signed-in user

  private func getUser(_ input: JSONValue, at now: Int64) throws(APIError) -> JSONValue {
    let user = try user(ofAccessTokenIn: input, at: now)
    let attributes =
      [("sub", user.subject), ("email", user.email), ("email_verified", "true")] + user.attributes.map { ($0.name, $0.value) }
    let list = attributes.map { JSONValue.object(["Name": .string($0.0), "Value": .string($0.1)]) }
    return .object(["Username": .string(user.name), "UserAttributes": .array(list)])
  }

  /// The issuer reads its own tokens by the verifier that the proxy uses.
  private func user(ofAccessTokenIn input: JSONValue, at now: Int64) throws(APIError) -> UserDirectory.User {
    let text = try string("AccessToken", in: input)
    do throws(TokenError) {
      let rules = ClaimRules(issuers: [issuer], profile: .cognito, tokenUses: [.access], clockSkew: 0)
      let token = try TokenVerifier.verify(UnverifiedToken.parse(text.utf8), keys: keySet, rules: rules, now: now, verifier: verifier)
      guard let user = directory.user(token.subject) else { throw TokenError.missing("sub") }
      return user
    } catch {
      throw .notAuthorized(error.reason == .expired ? "Access Token has expired" : "Invalid Access Token")
    }
  }

  // MARK: the pool

  /// An administrator's call; everyone on this machine is one, and could have any token made anyway.
  private func describe(_ client: UserDirectory.Client) -> JSONValue {
    let flows = ["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_PASSWORD_AUTH"]
    var members: [JSONValue.Member] = [
      .init(name: "UserPoolId", value: .string(poolID)), .init(name: "ClientName", value: .string(client.id)),
      .init(name: "ClientId", value: .string(client.id)),
    ]
    if let secret = client.secret { members.append(.init(name: "ClientSecret", value: .string(secret.exposed))) }
    if client.scopes.isEmpty {
      members.append(.init(name: "ExplicitAuthFlows", value: .array(flows.map(JSONValue.string))))
    } else {
      members.append(.init(name: "AllowedOAuthFlows", value: .array([.string("client_credentials")])))
      members.append(.init(name: "AllowedOAuthScopes", value: .array(client.scopes.map(JSONValue.string))))
    }
    return JSONValue(.object(members))
  }

  // MARK: input

  private func string(_ name: String, in input: JSONValue) throws(APIError) -> String {
    guard let value = input[name]?.string, !value.isEmpty else {
      throw .invalidParameter("1 validation error detected: Value at '\(name)' failed to satisfy constraint: Member must not be null")
    }
    return value
  }

  private func parameter(_ name: String, in parameters: JSONValue) throws(APIError) -> String {
    guard let value = parameters[name]?.string, !value.isEmpty else { throw .invalidParameter("Missing required parameter \(name)") }
    return value
  }

  private func client(_ input: JSONValue) throws(APIError) -> UserDirectory.Client {
    let id = try string("ClientId", in: input)
    guard let client = directory.client(id) else { throw .notFound("User pool client \(id.prefix(128)) does not exist.") }
    return client
  }

  private func requirePool(_ input: JSONValue) throws(APIError) {
    let id = try string("UserPoolId", in: input)
    guard exactlyEquals(id, poolID) else { throw .notFound("User pool \(id.prefix(64)) does not exist.") }
  }
}
