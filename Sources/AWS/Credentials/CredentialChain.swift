internal import Bytes

/// Environment and profile files together, and which source of credentials they name, in the order of botocore.
public struct CredentialChain: Sendable {
  private let environment: [String: String]
  private let config: ProfileFile
  private let credentials: ProfileFile
  /// The profile in force.
  public let profile: String
  /// A profile that was named on purpose stands before the environment's keys, and must exist.
  private let isProfileChosen: Bool

  /// A chain; `profile` is one that was named in our own configuration.
  public init(environment: [String: String], config: ProfileFile, credentials: ProfileFile, profile: String? = nil) {
    self.environment = environment.filter { !$0.value.isEmpty }
    self.config = config
    self.credentials = credentials
    self.profile = profile ?? self.environment["AWS_PROFILE"] ?? self.environment["AWS_DEFAULT_PROFILE"] ?? "default"
    isProfileChosen = profile != nil
  }

  /// The source: exactly one, whether or not it will give anything. Fails where a profile is wrong, or nothing is left to ask.
  public func source() throws(ProfileError) -> CredentialSource {
    if !isProfileChosen, let keys = try environmentKeys() { return keys }
    let isNamed = isProfileChosen || environment["AWS_PROFILE"] != nil || environment["AWS_DEFAULT_PROFILE"] != nil
    guard !isNamed || exists(profile) else {
      throw ProfileError("there is no profile \(profile)", help: "it is looked for in \(config.source.name) and \(credentials.source.name)")
    }
    if let source = try assumedRole(profile, visited: []) { return source }
    if !isProfileChosen, let source = try environmentWebIdentity() { return source }
    if let source = try plainSource(profile) { return source }
    if let sso = entry("sso_session", profile) ?? entry("sso_start_url", profile) {
      throw wrong(
        profile, sso, "profile \(profile) signs in by IAM Identity Center, which needs a person", help: "give the service a role of its own"
      )
    }
    if let endpoint = try container() { return .container(endpoint) }
    guard let metadata = instance() else {
      throw ProfileError(
        "there are no credentials: none in the environment or in profile \(profile), and instance metadata is turned off",
        help: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the service a role")
    }
    return .instance(metadata)
  }

  // MARK: - Settings beside credentials

  /// The region: `AWS_REGION`, `AWS_DEFAULT_REGION`, then the profile's.
  public var region: String? { environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] ?? entry("region", profile)?.value }

  /// Whether hosts validated by FIPS 140 are wanted.
  public var usesFIPS: Bool { isTrue(environment["AWS_USE_FIPS_ENDPOINT"] ?? entry("use_fips_endpoint", profile)?.value) }

  /// Whether hosts that have IPv6 addresses as well are wanted.
  public var usesDualStack: Bool { isTrue(environment["AWS_USE_DUALSTACK_ENDPOINT"] ?? entry("use_dualstack_endpoint", profile)?.value) }

  /// An endpoint that was set for a service, or for all of them.
  public func endpointURL(of service: AWSService) -> String? {
    guard !isTrue(environment["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] ?? entry("ignore_configured_endpoint_urls", profile)?.value) else {
      return nil
    }
    if let url = environment["AWS_ENDPOINT_URL_\(service.settingName)"] ?? environment["AWS_ENDPOINT_URL"] { return url }
    let own = entry("services", profile).flatMap { config.services[$0.value]?[service.settingName.lowercased()]?.nested["endpoint_url"] }
    return own ?? entry("endpoint_url", profile)?.value
  }

  // MARK: - Sources

  private func environmentKeys() throws(ProfileError) -> CredentialSource? {
    guard let id = environment["AWS_ACCESS_KEY_ID"] else { return nil }
    guard let secret = environment["AWS_SECRET_ACCESS_KEY"] else {
      throw ProfileError("AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not")
    }
    // The older name is looked at first, as by botocore.
    let token = environment["AWS_SECURITY_TOKEN"] ?? environment["AWS_SESSION_TOKEN"]
    let expiration = environment["AWS_CREDENTIAL_EXPIRATION"]
    let expiresAt = expiration.flatMap { Instant.seconds(iso8601: $0) }
    guard expiration == nil || expiresAt != nil else { throw ProfileError("AWS_CREDENTIAL_EXPIRATION is no ISO 8601 time") }
    guard let keys = Credentials(accessKeyID: id, secretAccessKey: secret, sessionToken: token, expiresAt: expiresAt) else {
      throw ProfileError("the keys in the environment have characters that keys do not have")
    }
    return .keys(keys, from: "the environment")
  }

  private func environmentWebIdentity() throws(ProfileError) -> CredentialSource? {
    guard let file = environment["AWS_WEB_IDENTITY_TOKEN_FILE"] else { return nil }
    guard let arn = environment["AWS_ROLE_ARN"] ?? entry("role_arn", profile)?.value else {
      throw ProfileError("AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not")
    }
    let role = CredentialSource.Role(arn: arn, sessionName: environment["AWS_ROLE_SESSION_NAME"])
    return .webIdentity(CredentialSource.WebIdentity(role: role, tokenFile: file))
  }

  /// The role of a profile, asked for with the credentials of another.
  private func assumedRole(_ name: String, visited: Set<String>) throws(ProfileError) -> CredentialSource? {
    guard let arn = entry("role_arn", name), entry("web_identity_token_file", name) == nil else { return nil }
    if let mfa = entry("mfa_serial", name) { throw wrong(name, mfa, "profile \(name) asks for a person's second factor") }
    let role = CredentialSource.Role(
      arn: arn.value, sessionName: entry("role_session_name", name)?.value, externalID: entry("external_id", name)?.value,
      durationSeconds: try duration(name))
    switch (entry("source_profile", name), entry("credential_source", name)) {
    case (let source?, nil): return .role(role, with: try sourceProfile(source, of: name, visited: visited.union([name])))
    case (nil, let source?): return .role(role, with: try namedSource(source, of: name))
    case (nil, nil):
      throw wrong(
        name, arn, "profile \(name) has a role_arn, but neither source_profile nor credential_source",
        help: "name whose credentials ask for the role")
    case (_, let source?): throw wrong(name, source, "profile \(name) has both source_profile and credential_source", help: "keep one")
    }
  }

  private func sourceProfile(_ source: ProfileFile.Entry, of name: String, visited: Set<String>) throws(ProfileError) -> CredentialSource {
    let other = source.value
    guard exists(other) else { throw wrong(name, source, "there is no profile \(other)") }
    // A profile may name itself: its role is then asked for with its own keys.
    if other == name || entry("aws_access_key_id", other) != nil {
      guard let keys = try plainSource(other) else {
        throw wrong(name, source, "profile \(other) has no credentials to ask for the role with")
      }
      return keys
    }
    guard !visited.contains(other) else { throw wrong(name, source, "the profiles name each other in a circle") }
    if let role = try assumedRole(other, visited: visited) { return role }
    guard let plain = try plainSource(other) else {
      throw wrong(name, source, "profile \(other) has no credentials to ask for the role with")
    }
    return plain
  }

  private func namedSource(_ source: ProfileFile.Entry, of name: String) throws(ProfileError) -> CredentialSource {
    switch source.value.lowercased() {
    case "environment":
      guard let keys = try environmentKeys() else { throw wrong(name, source, "there are no keys in the environment") }
      return keys
    case "ec2instancemetadata":
      guard let metadata = instance() else { throw wrong(name, source, "instance metadata is turned off") }
      return .instance(metadata)
    case "ecscontainer":
      guard let endpoint = try container() else { throw wrong(name, source, "there is no container endpoint in the environment") }
      return .container(endpoint)
    default: throw wrong(name, source, "unknown credential_source", help: "it is Environment, Ec2InstanceMetadata or EcsContainer")
    }
  }

  /// What a profile has without asking for a role: a token file, keys, or a program.
  private func plainSource(_ name: String) throws(ProfileError) -> CredentialSource? {
    if let file = entry("web_identity_token_file", name) {
      guard let arn = entry("role_arn", name) else {
        throw wrong(name, file, "profile \(name) has a web_identity_token_file, but no role_arn")
      }
      let role = CredentialSource.Role(
        arn: arn.value, sessionName: entry("role_session_name", name)?.value, durationSeconds: try duration(name))
      return .webIdentity(CredentialSource.WebIdentity(role: role, tokenFile: file.value))
    }
    if let keys = try keys(name, in: credentials) { return keys }
    if let process = entry("credential_process", name) {
      guard let command = Self.words(process.value), !command.isEmpty else {
        throw wrong(name, process, "the quotes of credential_process do not match")
      }
      return .process(command: command, profile: name)
    }
    return try keys(name, in: config)
  }

  private func keys(_ name: String, in file: ProfileFile) throws(ProfileError) -> CredentialSource? {
    guard let profile = file.profiles[name], let id = profile["aws_access_key_id"] else { return nil }
    guard let secret = profile["aws_secret_access_key"] else {
      throw wrong(name, id, "profile \(name) has an aws_access_key_id, but no aws_secret_access_key")
    }
    let token = (profile["aws_security_token"] ?? profile["aws_session_token"])?.value
    guard let keys = Credentials(accessKeyID: id.value, secretAccessKey: secret.value, sessionToken: token) else {
      throw ProfileError("the keys of profile \(name) have characters that keys do not have", in: file.source)
    }
    return .keys(keys, from: "profile \(name) in \(file.source.name)")
  }

  private func container() throws(ProfileError) -> CredentialSource.ContainerEndpoint? {
    let url: String
    if let relative = environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] {
      guard relative.utf8.first == UInt8(ascii: "/") else {
        throw ProfileError("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with `/`")
      }
      url = "http://169.254.170.2\(relative)"
    } else if let full = environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] {
      url = full
    } else {
      return nil
    }
    return CredentialSource.ContainerEndpoint(
      url: url, authorizationFile: environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"],
      authorization: environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"].map { Secret($0) })
  }

  private func instance() -> CredentialSource.InstanceMetadata? {
    guard !isTrue(environment["AWS_EC2_METADATA_DISABLED"]) else { return nil }
    let isIPv6 = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"]?.lowercased() == "ipv6"
    let usual = isIPv6 ? "http://[fd00:ec2::254]" : "http://169.254.169.254"
    var base = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] ?? entry("ec2_metadata_service_endpoint", profile)?.value ?? usual
    while base.utf8.last == UInt8(ascii: "/") { base.removeLast() }
    let isDisabled = isTrue(environment["AWS_EC2_METADATA_V1_DISABLED"] ?? entry("ec2_metadata_v1_disabled", profile)?.value ?? "true")
    return CredentialSource.InstanceMetadata(baseURL: base, allowsVersion1: !isDisabled)
  }

  // MARK: - Looking up

  private func exists(_ name: String) -> Bool { config.profiles[name] != nil || credentials.profiles[name] != nil }

  /// What a profile says; the credentials file stands before the configuration file.
  private func entry(_ key: String, _ name: String) -> ProfileFile.Entry? {
    credentials.profiles[name]?[key] ?? config.profiles[name]?[key]
  }

  private func duration(_ name: String) throws(ProfileError) -> Int? {
    guard let entry = entry("duration_seconds", name) else { return nil }
    guard let seconds = Int(entry.value), (900...43_200).contains(seconds) else {
      throw wrong(name, entry, "duration_seconds is a number from 900 to 43200")
    }
    return seconds
  }

  private func wrong(_ name: String, _ entry: ProfileFile.Entry, _ message: String, help: String? = nil) -> ProfileError {
    let isHere: (ProfileFile) -> Bool = { file in file.profiles[name]?.values.contains { $0.span == entry.span } ?? false }
    return ProfileError(message, in: isHere(credentials) ? credentials.source : config.source, at: entry.span, help: help)
  }

  private func isTrue(_ text: String?) -> Bool { text?.lowercased() == "true" }

  /// A command as a shell would split it, without anything else that a shell does; nil if a quote is open.
  static func words(_ text: String) -> [String]? {
    var words: [String] = []
    var word: [UInt8]?
    var quote: UInt8?
    var isEscaped = false
    for byte in text.utf8 {
      if isEscaped {
        word = (word ?? []) + [byte]
        isEscaped = false
      } else if let open = quote {
        if byte == open {
          quote = nil
        } else if byte == ASCII.backslash, open == ASCII.quote {
          isEscaped = true
        } else {
          word = (word ?? []) + [byte]
        }
      } else {
        switch byte {
        case ASCII.quote, UInt8(ascii: "'"):
          quote = byte
          word = word ?? []
        case ASCII.backslash: isEscaped = true
        case ASCII.space, ASCII.tab:
          if let word { words.append(String(decoding: word, as: UTF8.self)) }
          word = nil
        default: word = (word ?? []) + [byte]
        }
      }
    }
    guard quote == nil, !isEscaped else { return nil }
    if let word { words.append(String(decoding: word, as: UTF8.self)) }
    return words
  }
}
