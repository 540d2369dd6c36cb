import Bytes
import TestSupport
import Testing

@testable import AWS

@Suite struct CredentialChainTests {
  private func chain(_ environment: [String: String] = [:], config: String = "", credentials: String = "", profile: String? = nil) throws
    -> CredentialChain
  {
    CredentialChain(
      environment: environment, config: try ProfileFile.parse(SourceText(name: "config", config), .config),
      credentials: try ProfileFile.parse(SourceText(name: "credentials", credentials), .credentials), profile: profile)
  }

  private func keyID(_ source: CredentialSource) -> String? { if case .keys(let keys, _) = source { keys.accessKeyID } else { nil } }

  private let keys = "[default]\naws_access_key_id = FILE\naws_secret_access_key = s\n"

  @Test func theEnvironmentStandsFirst() throws {
    let environment = ["AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SECURITY_TOKEN": "old", "AWS_SESSION_TOKEN": "new"]
    let source = try chain(environment, credentials: keys).source()
    guard case .keys(let found, _) = source else { return #expect(Bool(false)) }
    #expect(found.accessKeyID == "ENV" && found.sessionToken?.exposed == "old")
    // Unless a profile was named in our own configuration.
    #expect(keyID(try chain(environment, credentials: keys, profile: "default").source()) == "FILE")
  }

  @Test func anEmptyVariableIsNone() throws {
    #expect(keyID(try chain(["AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""], credentials: keys).source()) == "FILE")
  }

  @Test func halfOfAPairIsAMistakeAndNotTheNextSource() {
    #expect(throws: ProfileError.self) { try chain(["AWS_ACCESS_KEY_ID": "ENV"], credentials: keys).source() }
    #expect(throws: ProfileError.self) { try chain(credentials: "[default]\naws_access_key_id = A\n").source() }
  }

  @Test func theCredentialsFileStandsBeforeTheConfigurationFile() throws {
    let config = "[default]\naws_access_key_id = CONFIG\naws_secret_access_key = s\n"
    #expect(keyID(try chain(config: config, credentials: keys).source()) == "FILE")
    #expect(keyID(try chain(config: config).source()) == "CONFIG")
  }

  @Test func aRoleIsAskedForWithTheKeysOfAnotherProfile() throws {
    let config = """
      [profile app]
      role_arn = arn:aws:iam::123456789012:role/app
      source_profile = base
      external_id = x1
      duration_seconds = 900
      [profile base]
      role_arn = arn:aws:iam::123456789012:role/base
      source_profile = keys
      """
    let credentials = "[keys]\naws_access_key_id = BASE\naws_secret_access_key = s\n"
    let source = try chain(["AWS_PROFILE": "app"], config: config, credentials: credentials).source()
    guard case .role(let role, with: .role(let base, with: .keys(let keys, _))) = source else { return #expect(Bool(false), "\(source)") }
    #expect(role == .init(arn: "arn:aws:iam::123456789012:role/app", externalID: "x1", durationSeconds: 900))
    #expect(base.arn.hasSuffix("role/base") && keys.accessKeyID == "BASE")
    #expect(
      source.description
        == "role arn:aws:iam::123456789012:role/app with role arn:aws:iam::123456789012:role/base with keys of profile keys in credentials")
  }

  @Test func aProfileMayAskWithItsOwnKeys() throws {
    let config = "[profile app]\nrole_arn = arn:r\nsource_profile = app\naws_access_key_id = OWN\naws_secret_access_key = s\n"
    guard case .role(_, with: let source) = try chain(["AWS_PROFILE": "app"], config: config).source() else { return #expect(Bool(false)) }
    #expect(keyID(source) == "OWN")
  }

  @Test(
    arguments: [
      ("Environment", ["AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "s"], "keys of the environment"),
      ("Ec2InstanceMetadata", [:], "instance metadata at http://169.254.169.254"),
      ("EcsContainer", ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x"], "container endpoint http://169.254.170.2/v2/x"),
    ] as [(String, [String: String], String)])
  func aRoleIsAskedForWithANamedSource(_ name: String, environment: [String: String], described: String) throws {
    let config = "[profile app]\nrole_arn = arn:r\ncredential_source = \(name)\n"
    let source = try chain(environment, config: config, profile: "app").source()
    #expect(source.description == "role arn:r with \(described)")
  }

  @Test func webIdentityComesFromTheEnvironmentOrAProfile() throws {
    let environment = ["AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": "arn:r", "AWS_ROLE_SESSION_NAME": "n"]
    guard case .webIdentity(let found) = try chain(environment, credentials: keys).source() else { return #expect(Bool(false)) }
    #expect(found == .init(role: .init(arn: "arn:r", sessionName: "n"), tokenFile: "/t"))
    let config = "[default]\nrole_arn = arn:p\nweb_identity_token_file = /p\n"
    guard case .webIdentity(let own) = try chain(config: config).source() else { return #expect(Bool(false)) }
    #expect(own.tokenFile == "/p" && own.role.arn == "arn:p")
  }

  @Test func aProgramIsSplitAsAShellWould() throws {
    let config = "[default]\ncredential_process = \"/opt/my tools/creds\" --for 'a b' c\\ d\n"
    guard case .process(let command, _) = try chain(config: config).source() else { return #expect(Bool(false)) }
    #expect(command == ["/opt/my tools/creds", "--for", "a b", "c d"])
  }

  @Test func aContainersRelativeAddressWins() throws {
    let environment = [
      "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/a", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/b",
      "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/token",
    ]
    guard case .container(let endpoint) = try chain(environment).source() else { return #expect(Bool(false)) }
    #expect(endpoint.url == "http://169.254.170.2/a" && endpoint.authorizationFile == "/token")
  }

  @Test func theMachineIsAskedLastAndByVersion1OnlyIfAllowed() throws {
    guard case .instance(let usual) = try chain().source() else { return #expect(Bool(false)) }
    #expect(usual == .init(baseURL: "http://169.254.169.254", allowsVersion1: false))
    let environment = ["AWS_EC2_METADATA_V1_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"]
    guard case .instance(let other) = try chain(environment).source() else { return #expect(Bool(false)) }
    #expect(other == .init(baseURL: "http://[fd00:ec2::254]", allowsVersion1: true))
    #expect(throws: ProfileError.self) { try chain(["AWS_EC2_METADATA_DISABLED": "true"]).source() }
  }

  @Test func settingsComeFromTheEnvironmentAndThenTheProfile() throws {
    let config = """
      [default]
      region = eu-west-1
      use_fips_endpoint = true
      services = local
      endpoint_url = http://all
      [services local]
      verifiedpermissions =
        endpoint_url = http://own
      s3 =
        endpoint_url = http://other
      """
    let plain = try chain(config: config)
    #expect(plain.region == "eu-west-1" && plain.usesFIPS && !plain.usesDualStack)
    #expect(plain.endpointURL(of: .verifiedPermissions) == "http://own")
    #expect(plain.endpointURL(of: .sts) == "http://all")
    let set = try chain(
      ["AWS_ENDPOINT_URL": "http://env", "AWS_ENDPOINT_URL_STS": "http://sts", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "x"],
      config: config)
    #expect(set.endpointURL(of: .verifiedPermissions) == "http://env" && set.endpointURL(of: .sts) == "http://sts")
    #expect(set.region == "us-east-1")
    #expect(try chain(["AWS_ENDPOINT_URL": "http://env", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"]).endpointURL(of: .sts) == nil)
  }

  /// What people get to read; reviewed like code.
  @Test func mistakesAreShownWithTheirPlace() {
    let mistakes: [(config: String, profile: String)] = [
      ("region = x\n", "default"), ("[default\n", "default"), ("[default]\nregion\n", "default"),
      ("[default]\nregion = a\nregion = b\n", "default"), ("[profile a]\n[profile a]\n", "a"), ("[]\n", "default"), ("", "none"),
      ("[profile a]\nrole_arn = arn:r\n", "a"), ("[profile a]\nrole_arn = arn:r\nsource_profile = b\n", "a"),
      ("[profile a]\nrole_arn = arn:r\nsource_profile = b\n[profile b]\nrole_arn = arn:r\nsource_profile = a\n", "a"),
      ("[profile a]\nrole_arn = arn:r\nsource_profile = b\ncredential_source = Environment\n[profile b]\n", "a"),
      ("[profile a]\nrole_arn = arn:r\ncredential_source = Magic\n", "a"), ("[profile a]\nrole_arn = arn:r\nmfa_serial = m\n", "a"),
      ("[profile a]\nrole_arn = arn:r\nsource_profile = b\n[profile b]\n", "a"),
      ("[profile a]\nrole_arn = arn:r\nduration_seconds = 5\nsource_profile = a\n", "a"),
      ("[profile a]\nsso_session = corp\n", "a"), ("[profile a]\ncredential_process = \"open\n", "a"),
      ("[profile a]\nweb_identity_token_file = /t\n", "a"),
      ("[default]\naws_secret_access_key = hush\naws_secret_access_key = hush\n", "default"), ("[default]\nhush\n", "default"),
    ]
    var shown = ""
    for mistake in mistakes {
      do {
        _ = try chain(config: mistake.config, profile: mistake.profile).source()
        shown += "no mistake in \(mistake)\n"
      } catch let error as ProfileError {
        shown += error.rendered
      } catch { shown += "\(error)\n" }
    }
    #expect(!shown.contains("hush"))
    #expect(Golden.difference(shown, from: "profile-mistakes.txt") == nil)
  }

  /// Whatever bytes a file has, reading it ends with profiles or a mistake.
  @Test func noFileTraps() {
    var chance = SystemRandomNumberGenerator()
    let pieces = [
      "[", "]", "profile ", "default", "=", "\n", "  ", "\t", "#", ";", "\u{0}", "é", "a", "\r\n", "services x", "\"", "role_arn",
    ]
    for _ in 0..<2000 {
      let text = (0..<Int.random(in: 0...30, using: &chance)).map { _ in pieces.randomElement(using: &chance) ?? "" }.joined()
      for kind in [ProfileFile.Kind.config, .credentials] {
        do {
          let file = try ProfileFile.parse(SourceText(name: "x", text), kind)
          _ = try CredentialChain(environment: [:], config: file, credentials: .absent("c"), profile: "a").source()
        } catch { #expect(!"\(error)".isEmpty) }
      }
    }
  }
}

@Suite struct CredentialAnswersTests {
  @Test func everySourcesAnswerIsRead() throws {
    let metadata = try CredentialAnswers.metadata(
      Array(#"{"Code":"Success","AccessKeyId":"A","SecretAccessKey":"s","Token":"t","Expiration":"2026-01-02T03:04:05Z"}"#.utf8))
    #expect(metadata.accessKeyID == "A" && metadata.sessionToken?.exposed == "t" && metadata.expiresAt == 1_767_323_045)
    let process = try CredentialAnswers.process(Array(#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"s"}"#.utf8))
    #expect(process.expiresAt == nil && process.sessionToken == nil)
    let pool = try CredentialAnswers.identityPool(
      Array(#"{"IdentityId":"i","Credentials":{"AccessKeyId":"A","SecretKey":"s","SessionToken":"t","Expiration":1.767323045E9}}"#.utf8))
    #expect(pool.expiresAt == 1_767_323_045)
    let sts = """
      <AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
      <AccessKeyId>A</AccessKeyId><SecretAccessKey>a&amp;b</SecretAccessKey><SessionToken>t</SessionToken>
      <Expiration>2026-01-02T03:04:05Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>
      """
    #expect(try CredentialAnswers.sts(Array(sts.utf8)).secretAccessKey.exposed == "a&b")
    let error = CredentialAnswers.stsError(
      status: 403, Array("<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>".utf8))
    #expect(error == ServiceError(status: 403, code: "AccessDenied", message: "no"))
  }

  @Test(arguments: [
    "", "{}", "[]", "null", #"{"AccessKeyId":"A"}"#, #"{"AccessKeyId":"A","SecretAccessKey":"s","Token":"t\r\nX: y"}"#,
    #"{"AccessKeyId":"A","SecretAccessKey":"s","Expiration":"soon"}"#, #"{"Code":"Failed","AccessKeyId":"A","SecretAccessKey":"s"}"#,
    #"{"AccessKeyId":1,"SecretAccessKey":"s"}"#, "<Credentials><AccessKeyId>A</AccessKeyId></Credentials>", "<Credentials>",
  ]) func anythingElseGivesNone(_ text: String) {
    let body = Array(text.utf8)
    #expect(throws: WireError.self) { try CredentialAnswers.metadata(body) }
    #expect(throws: WireError.self) { try CredentialAnswers.process(body) }
    #expect(throws: WireError.self) { try CredentialAnswers.identityPool(body) }
    #expect(throws: WireError.self) { try CredentialAnswers.sts(body) }
  }
}
