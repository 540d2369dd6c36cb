import Bytes
import TestSupport
import Testing

@testable import Pipeline

@Suite struct SnapshotBuilderTests {
  private func problems(_ configuration: Configuration, _ policies: String = "permit (principal, action, resource);") -> String {
    do throws(ConfigurationError) {
      _ = try SnapshotBuilder.build(configuration, policies: Desk.files(policies), generation: 1)
      return ""
    } catch {
      return error.description
    }
  }

  private func configuration(_ issuers: [IssuerConfiguration]) -> Configuration {
    var configuration = Configuration(upstream: "http://127.0.0.1:1")
    configuration.issuers = issuers
    return configuration
  }

  private func issuer(_ name: String, _ kind: IssuerConfiguration.Kind, prefix: String? = nil, clients: [String] = ["app"])
    -> IssuerConfiguration
  {
    var issuer = IssuerConfiguration(name: name, kind: kind)
    issuer.clientIDs = clients
    issuer.idPrefix = prefix
    return issuer
  }

  @Test func whatIsWrongWithIssuersIsToldWithARemedy() {
    let cases: [(String, Configuration)] = [
      ("none", configuration([])),
      ("bad pool", configuration([issuer("main", .cognito(poolID: "us-east-1AbC"))])),
      ("no client", configuration([issuer("main", .cognito(poolID: "us-east-1_AbC123"), clients: [])])),
      ("not a URL", configuration([issuer("main", .oidc(issuer: "login.example.com"))])),
      (
        "same prefix",
        configuration([
          issuer("a", .cognito(poolID: "us-east-1_AbC123"), prefix: "x"),
          issuer("b", .oidc(issuer: "https://login.example.com"), prefix: "x"),
        ])
      ),
      (
        "same issuer",
        configuration([issuer("a", .cognito(poolID: "us-east-1_AbC123")), issuer("b", .cognito(poolID: "us-east-1_AbC123"), prefix: "b")])
      ),
    ]
    let text = cases.map { "# \($0.0)\n\(problems($0.1))\n" }.joined()
    #expect(Golden.difference(text, from: "issuer-problems.txt") == nil)
  }

  @Test func aDevelopmentIssuerNeedsToBeAskedFor() {
    var development = issuer("main", .cognito(poolID: "us-east-1_Demo00000"))
    development.isDevelopment = true
    #expect(problems(configuration([development])).contains("--dev"))
  }

  @Test func everyMistakeOfAPolicyFileIsDrawnAtOnce() {
    let text = problems(
      configuration([issuer("main", .cognito(poolID: "us-east-1_AbC123"))]),
      "permit (principal, action, resource) when { context.a = 1 };\npermti (principal, action, resource);\n")
    #expect(text.contains("test.cedar:1:") && text.contains("test.cedar:2:"))
  }

  @Test func twoPoliciesOfOneNameAreOneTooMany() {
    let text = problems(
      configuration([issuer("main", .cognito(poolID: "us-east-1_AbC123"))]),
      "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);\n")
    #expect(text.contains("duplicate policy id `a`") && text.contains("test.cedar:2:"))
  }
}
