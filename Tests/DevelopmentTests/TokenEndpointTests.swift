import Bytes
import Development
import Foundation
import JOSE
import JSON
import Testing

struct TokenEndpointTests {
  typealias Base = DevelopmentIssuerTests

  private func basic(_ issuer: DevelopmentIssuer, _ client: String, secret: String? = nil) throws -> String {
    let secret = try secret ?? #require(issuer.directory.client(client)?.secret?.exposed)
    return "Basic " + Data("\(client):\(secret)".utf8).base64EncodedString()
  }

  @Test("a machine gets an access token for its scopes, by Basic or in the body, with or without the pool in the path")
  func clientCredentials() throws {
    let issuer = try Base.issuer()
    let secret = try #require(issuer.directory.client("robot")?.secret?.exposed)
    let answers = [
      Base.post(issuer, "/oauth2/token", "grant_type=client_credentials", authorization: try basic(issuer, "robot")),
      Base.post(
        issuer, "/\(issuer.poolID)/oauth2/token",
        "grant_type=client_credentials&scope=orders%2Fread&client_id=robot&client_secret=\(secret)"),
    ]
    for answer in answers {
      #expect(answer.status == 200)
      #expect(answer.header("Cache-Control") == "no-store")
      let body = try JSONParser.parse(answer.body)
      #expect(body["token_type"]?.string == "Bearer" && body["expires_in"]?.integer == 3600)
      #expect(body["id_token"] == nil && body["refresh_token"] == nil)
      let verified = try Base.verify(#require(body["access_token"]?.string), issuer).get()
      #expect(verified.subject == "robot" && verified.scopes == ["orders/read"])
    }
  }

  @Test("password and refresh_token grants give both tokens; a revoked refresh token gives none")
  func passwordAndRefresh() throws {
    let issuer = try Base.issuer()
    let password = issuer.directory.password.exposed
    let first = try JSONParser.parse(
      Base.post(issuer, "/oauth2/token", "grant_type=password&client_id=demoapp&username=alice&password=\(password)").body)
    #expect(try Base.verify(#require(first["id_token"]?.string), issuer).get().tokenUse == .id)
    let refreshToken = try #require(first["refresh_token"]?.string)
    let form = "grant_type=refresh_token&client_id=demoapp&refresh_token=\(refreshToken)"
    let second = try JSONParser.parse(Base.post(issuer, "/oauth2/token", form).body)
    #expect(try Base.verify(#require(second["access_token"]?.string), issuer).get().subject == "alice")
    #expect(second["refresh_token"] == nil)
    let revoked = Base.post(issuer, "/oauth2/revoke", "client_id=demoapp&token=\(refreshToken)")
    #expect(revoked.status == 200 && revoked.body.isEmpty)
    #expect(Base.post(issuer, "/oauth2/token", form).text.contains("invalid_grant"))
  }

  @Test("each thing that is wrong has the error code of RFC 6749")
  func errors() throws {
    let issuer = try Base.issuer()
    let robot = try basic(issuer, "robot")
    let cases: [(form: String, authorization: String?, code: String)] = [
      ("", nil, "invalid_client"), ("grant_type=client_credentials", nil, "invalid_client"),
      ("grant_type=client_credentials", try basic(issuer, "robot", secret: "wrong"), "invalid_client"),
      ("grant_type=client_credentials&client_id=robot", nil, "invalid_client"),
      ("grant_type=client_credentials&client_id=other", robot, "invalid_client"),
      ("grant_type=client_credentials&client_secret=x", robot, "invalid_client"),
      ("grant_type=client_credentials", "Basic !!!", "invalid_client"), ("grant_type=client_credentials", "Bearer x", "invalid_client"),
      ("", robot, "invalid_request"), ("grant_type=x&grant_type=y", robot, "invalid_request"), ("grant_type=%zz", robot, "invalid_request"),
      ("grant_type=implicit", robot, "unsupported_grant_type"),
      ("grant_type=client_credentials&scope=orders/write", robot, "invalid_scope"),
      ("grant_type=client_credentials&client_id=demoapp", nil, "unauthorized_client"),
      ("grant_type=refresh_token&client_id=demoapp", nil, "invalid_request"),
      ("grant_type=refresh_token&client_id=demoapp&refresh_token=x", nil, "invalid_grant"),
      ("grant_type=password&client_id=demoapp&username=alice&password=x", nil, "invalid_grant"),
    ]
    for (form, authorization, code) in cases {
      let answer = Base.post(issuer, "/oauth2/token", form, authorization: authorization)
      #expect(answer.status == 400, "\(form)")
      #expect(try JSONParser.parse(answer.body)["error"]?.string == code, "\(form) \(answer.text)")
    }
    let json = LocalRequest(
      method: "POST", target: "/oauth2/token", headers: [("Host", "localhost"), ("Content-Type", "application/json")])
    #expect(issuer.answer(json, at: Base.now).text.contains("invalid_request"))
  }
}
