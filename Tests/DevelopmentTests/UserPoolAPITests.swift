import Bytes
import Crypto
import Development
import Foundation
import JOSE
import JSON
import Testing

struct UserPoolAPITests {
  typealias Base = DevelopmentIssuerTests

  private func parameters(_ pairs: [(String, String)]) -> JSONValue {
    JSONValue(.object(pairs.map { JSONValue.Member(name: $0.0, value: .string($0.1)) }))
  }

  private func initiate(_ issuer: DevelopmentIssuer, flow: String, client: String = "demoapp", _ pairs: [(String, String)]) throws
    -> JSONValue
  {
    try Base.call(
      issuer, "InitiateAuth", .object(["AuthFlow": .string(flow), "ClientId": .string(client), "AuthParameters": parameters(pairs)])
    ).body
  }

  private func hash(_ issuer: DevelopmentIssuer, _ user: String) throws -> String {
    let secret = try #require(issuer.directory.client("demoserver")?.secret?.exposed)
    return Data(HMAC.code(.sha256, key: Array(secret.utf8), message: Array("\(user)demoserver".utf8))).base64EncodedString()
  }

  @Test("a password signs in, and the tokens verify; a refresh token gives new ones of the same family, without a new refresh token")
  func signIn() throws {
    let issuer = try Base.issuer()
    let result = try Base.signIn(issuer, "bob")
    #expect(result.object?.map(\.name) == ["AccessToken", "ExpiresIn", "IdToken", "RefreshToken", "TokenType"])
    #expect(result["ExpiresIn"]?.integer == 3600 && result["TokenType"]?.string == "Bearer")
    let access = try Base.verify(#require(result["AccessToken"]?.string), issuer).get()
    let id = try Base.verify(#require(result["IdToken"]?.string), issuer).get()
    #expect(access.tokenUse == .access && id.tokenUse == .id && access.subject == "bob")
    #expect(access.claims["origin_jti"] == id.claims["origin_jti"])
    let refreshToken = try #require(result["RefreshToken"]?.string)
    for flow in ["REFRESH_TOKEN_AUTH", "REFRESH_TOKEN"] {
      let answer = try initiate(issuer, flow: flow, [("REFRESH_TOKEN", refreshToken)])
      let fresh = try #require(answer["AuthenticationResult"])
      #expect(fresh["RefreshToken"] == nil)
      let renewed = try Base.verify(#require(fresh["AccessToken"]?.string), issuer).get()
      #expect(renewed.claims["origin_jti"] == access.claims["origin_jti"])
      #expect(renewed.jti != access.jti)
    }
  }

  @Test("errors have Cognito's shape: __type, message, x-amzn-errortype, status 400")
  func errors() throws {
    let issuer = try Base.issuer()
    let good = issuer.directory.password.exposed
    let cases: [(flow: String, client: String, pairs: [(String, String)], type: String)] = [
      ("USER_PASSWORD_AUTH", "demoapp", [("USERNAME", "alice"), ("PASSWORD", "wrong")], "NotAuthorizedException"),
      ("USER_PASSWORD_AUTH", "demoapp", [("USERNAME", "nobody"), ("PASSWORD", good)], "NotAuthorizedException"),
      ("USER_PASSWORD_AUTH", "demoapp", [("USERNAME", "alice")], "InvalidParameterException"),
      ("USER_PASSWORD_AUTH", "demoapp", [], "InvalidParameterException"),
      ("USER_PASSWORD_AUTH", "unknown", [("USERNAME", "alice"), ("PASSWORD", good)], "ResourceNotFoundException"),
      ("USER_PASSWORD_AUTH", "demoserver", [("USERNAME", "alice"), ("PASSWORD", good)], "NotAuthorizedException"),
      ("USER_SRP_AUTH", "demoapp", [("USERNAME", "alice"), ("SRP_A", "1")], "InvalidParameterException"),
      ("ADMIN_USER_PASSWORD_AUTH", "demoapp", [("USERNAME", "alice"), ("PASSWORD", good)], "InvalidParameterException"),
      ("REFRESH_TOKEN_AUTH", "demoapp", [("REFRESH_TOKEN", "eyJjdHki")], "NotAuthorizedException"),
      ("NO_SUCH_FLOW", "demoapp", [], "InvalidParameterException"),
    ]
    for (flow, client, pairs, type) in cases {
      let input = JSONValue.object(["AuthFlow": .string(flow), "ClientId": .string(client), "AuthParameters": parameters(pairs)])
      let answer = try Base.call(issuer, "InitiateAuth", input)
      #expect(answer.status == 400, "\(flow) \(client)")
      #expect(answer.body["__type"]?.string == type, "\(flow) \(client) \(answer.body.text)")
      #expect(answer.body["message"]?.string?.isEmpty == false)
      #expect(answer.response.header("x-amzn-errortype") == type + ":")
    }
  }

  @Test("a wrong name and a wrong password cannot be told apart")
  func sameAnswer() throws {
    let issuer = try Base.issuer()
    let wrong = try initiate(issuer, flow: "USER_PASSWORD_AUTH", [("USERNAME", "alice"), ("PASSWORD", "x")])
    let unknown = try initiate(issuer, flow: "USER_PASSWORD_AUTH", [("USERNAME", "zoe"), ("PASSWORD", "x")])
    #expect(wrong == unknown)
  }

  @Test("a client with secret proves it by SECRET_HASH, at sign-in and at refresh")
  func secretHash() throws {
    let issuer = try Base.issuer()
    let result = try Base.signIn(issuer, "alice", client: "demoserver", hash: hash(issuer, "alice"))
    #expect(try Base.verify(#require(result["AccessToken"]?.string), issuer).get().clientID == "demoserver")
    #expect(try Base.signIn(issuer, "alice", client: "demoserver", hash: hash(issuer, "bob"))["__type"]?.string == "NotAuthorizedException")
    let token = try #require(result["RefreshToken"]?.string)
    let without = try initiate(issuer, flow: "REFRESH_TOKEN_AUTH", client: "demoserver", [("REFRESH_TOKEN", token)])
    #expect(without["__type"]?.string == "NotAuthorizedException")
    let with = try initiate(
      issuer, flow: "REFRESH_TOKEN_AUTH", client: "demoserver", [("REFRESH_TOKEN", token), ("SECRET_HASH", hash(issuer, "alice"))])
    #expect(with["AuthenticationResult"] != nil)
    // The refresh token of one client is nothing to another.
    #expect(try initiate(issuer, flow: "REFRESH_TOKEN_AUTH", [("REFRESH_TOKEN", token)])["__type"]?.string == "NotAuthorizedException")
  }

  @Test("AdminInitiateAuth wants the pool and its own flow")
  func admin() throws {
    let issuer = try Base.issuer()
    let pairs = [("USERNAME", "carol"), ("PASSWORD", issuer.directory.password.exposed)]
    func call(pool: String, flow: String) throws -> JSONValue {
      try Base.call(
        issuer, "AdminInitiateAuth",
        .object([
          "UserPoolId": .string(pool), "AuthFlow": .string(flow), "ClientId": .string("demoapp"), "AuthParameters": parameters(pairs),
        ])
      ).body
    }
    #expect(try call(pool: issuer.poolID, flow: "ADMIN_USER_PASSWORD_AUTH")["AuthenticationResult"] != nil)
    #expect(try call(pool: "us-east-1_Other", flow: "ADMIN_USER_PASSWORD_AUTH")["__type"]?.string == "ResourceNotFoundException")
    #expect(try call(pool: issuer.poolID, flow: "USER_PASSWORD_AUTH")["__type"]?.string == "InvalidParameterException")
  }

  @Test("DescribeUserPoolClient tells a client's secret, as an administrator's tool wants it")
  func describeClient() throws {
    let issuer = try Base.issuer()
    for client in issuer.directory.clients {
      let input = JSONValue.object(["UserPoolId": .string(issuer.poolID), "ClientId": .string(client.id)])
      let described = try Base.call(issuer, "DescribeUserPoolClient", input).body["UserPoolClient"]
      #expect(described?["ClientId"]?.string == client.id)
      #expect(described?["ClientSecret"]?.string == client.secret?.exposed)
    }
    let other = JSONValue.object(["UserPoolId": .string("us-east-1_Other"), "ClientId": .string("demoapp")])
    #expect(try Base.call(issuer, "DescribeUserPoolClient", other).status == 400)
  }

  @Test("GetUser reads the issuer's own access tokens and refuses every other kind")
  func getUser() throws {
    let issuer = try Base.issuer()
    let access = try #require(try issuer.token(of: "alice", at: Base.now))
    let answer = try Base.call(issuer, "GetUser", .object(["AccessToken": .string(access)]))
    #expect(answer.body["Username"]?.string == "alice")
    #expect(
      answer.body["UserAttributes"]?.array?.contains { $0["Name"]?.string == "email" && $0["Value"]?.string == "alice@example.com" } == true
    )
    for flaw in TokenFlaw.allCases where ![.none, .otherClient].contains(flaw) {
      let token = try #require(try issuer.token(of: "alice", flaw: flaw, at: Base.now))
      #expect(
        try Base.call(issuer, "GetUser", .object(["AccessToken": .string(token)])).body["__type"]?.string == "NotAuthorizedException",
        "\(flaw)")
    }
    let id = try #require(try issuer.token(of: "alice", use: .id, at: Base.now))
    #expect(try Base.call(issuer, "GetUser", .object(["AccessToken": .string(id)])).status == 400)
  }

  @Test("RevokeToken and GlobalSignOut end refresh tokens")
  func revocation() throws {
    let issuer = try Base.issuer()
    let first = try Base.signIn(issuer, "alice")
    let second = try Base.signIn(issuer, "alice")
    let bob = try Base.signIn(issuer, "bob")
    func works(_ result: JSONValue) throws -> Bool {
      try initiate(issuer, flow: "REFRESH_TOKEN_AUTH", [("REFRESH_TOKEN", #require(result["RefreshToken"]?.string))])[
        "AuthenticationResult"] != nil
    }
    let revoke = JSONValue.object(["Token": first["RefreshToken"] ?? .string(""), "ClientId": .string("demoapp")])
    #expect(try Base.call(issuer, "RevokeToken", revoke).status == 200)
    #expect(try !works(first))
    #expect(try works(second))
    #expect(try Base.call(issuer, "GlobalSignOut", .object(["AccessToken": second["AccessToken"] ?? .string("")])).status == 200)
    #expect(try !works(second))
    #expect(try works(bob))
  }

  @Test("what is no call of the API is an error in its own shape")
  func notACall() throws {
    let issuer = try Base.issuer()
    #expect(try Base.call(issuer, "DeleteUserPool", .object([:])).body["__type"]?.string == "UnknownOperationException")
    #expect(try Base.call(issuer, "InitiateAuth", .array([])).body["__type"]?.string == "SerializationException")
    #expect(try Base.call(issuer, "InitiateAuth", .object([:])).body["__type"]?.string == "InvalidParameterException")
    let headers = [("Host", "localhost"), ("X-Amz-Target", "AWSCognitoIdentityProviderService.InitiateAuth")]
    for body in ["", "{", #"{"ClientId":"a","ClientId":"b"}"#] {
      let response = issuer.answer(LocalRequest(method: "POST", target: "/", headers: headers, body: Array(body.utf8)), at: Base.now)
      #expect(response.status == 400 && response.text.contains("SerializationException"))
    }
  }
}
