public import Bytes

/// From where credentials come: one source, found once in environment and files; what it gives is fetched and renewed by others.
public indirect enum CredentialSource: Sendable {
  /// Keys that were written down, and where: the environment, or a profile's file.
  case keys(Credentials, from: String)
  /// A session of a role, asked for with credentials from another source.
  case role(Role, with: CredentialSource)
  /// A session of a role, asked for with a token that lies in a file.
  case webIdentity(WebIdentity)
  /// A program that prints credentials.
  case process(command: [String], profile: String)
  /// The endpoint of ECS or EKS beside the container.
  case container(ContainerEndpoint)
  /// The metadata service of the machine.
  case instance(InstanceMetadata)
  /// A Cognito identity pool.
  case identityPool(IdentityPool)

  /// The source in a few words, without a secret: for `check --online` and the log.
  public var description: String {
    switch self {
    case .keys(_, let place): "keys of \(place)"
    case .role(let role, let source): "role \(role.arn) with \(source.description)"
    case .webIdentity(let identity): "role \(identity.role.arn) with the token in \(identity.tokenFile)"
    case .process(_, let profile): "credential_process of profile \(profile)"
    case .container(let endpoint): "container endpoint \(endpoint.url)"
    case .instance(let metadata): "instance metadata at \(metadata.baseURL)"
    case .identityPool(let pool): "identity pool \(pool.id)"
    }
  }

  /// A role to take on (`sts:AssumeRole`).
  public struct Role: Sendable, Equatable {
    /// The role.
    public var arn: String
    /// What the session is called; nil for a name of our own.
    public var sessionName: String?
    /// What the role's trust policy may ask for.
    public var externalID: String?
    /// How long a session lasts; nil for the service's default.
    public var durationSeconds: Int?

    /// A role.
    public init(arn: String, sessionName: String? = nil, externalID: String? = nil, durationSeconds: Int? = nil) {
      self.arn = arn
      self.sessionName = sessionName
      self.externalID = externalID
      self.durationSeconds = durationSeconds
    }
  }

  /// A role for whoever has a token of an identity provider (`sts:AssumeRoleWithWebIdentity`).
  public struct WebIdentity: Sendable, Equatable {
    /// The role.
    public var role: Role
    /// Where the token lies; read again for every session.
    public var tokenFile: String

    /// A role and a file.
    public init(role: Role, tokenFile: String) {
      self.role = role
      self.tokenFile = tokenFile
    }
  }

  /// Where the credentials of a container's role are fetched.
  public struct ContainerEndpoint: Sendable, Equatable {
    /// The URL.
    public var url: String
    /// A file with the value of `Authorization`, read again each time.
    public var authorizationFile: String?
    /// The value of `Authorization`.
    public var authorization: Secret<String>?

    /// An endpoint.
    public init(url: String, authorizationFile: String? = nil, authorization: Secret<String>? = nil) {
      self.url = url
      self.authorizationFile = authorizationFile
      self.authorization = authorization
    }

    /// Equality of places.
    public static func == (a: ContainerEndpoint, b: ContainerEndpoint) -> Bool {
      guard a.url == b.url, a.authorizationFile == b.authorizationFile else { return false }
      guard let mine = a.authorization, let other = b.authorization else { return a.authorization == nil && b.authorization == nil }
      return constantTimeEquals(mine.exposed.utf8, other.exposed.utf8)
    }
  }

  /// How a machine's metadata service is asked.
  public struct InstanceMetadata: Sendable, Equatable {
    /// The URL without a path.
    public var baseURL: String
    /// Whether version 1, which any process that can be made to send a GET can use, may be asked where there is no version 2.
    public var allowsVersion1: Bool

    /// A metadata service.
    public init(baseURL: String, allowsVersion1: Bool) {
      self.baseURL = baseURL
      self.allowsVersion1 = allowsVersion1
    }
  }

  /// A Cognito identity pool, which gives sessions to whoever has a token that it trusts, and to guests.
  public struct IdentityPool: Sendable, Equatable {
    /// `us-east-1:…`.
    public var id: String
    /// The account, where the pool's service wants to know it.
    public var accountID: String?
    /// Which of the pool's roles; nil for the usual one.
    public var roleARN: String?
    /// Providers and the files their tokens lie in, read again for every session; none for a guest.
    public var loginFiles: [String: String]

    /// A pool.
    public init(id: String, accountID: String? = nil, roleARN: String? = nil, loginFiles: [String: String] = [:]) {
      self.id = id
      self.accountID = accountID
      self.roleARN = roleARN
      self.loginFiles = loginFiles
    }

    /// The region, which begins the id; nil if the id is none.
    public var region: String? {
      let parts = id.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[1].isEmpty, Partition(of: String(Substring(parts[0]))) != nil else { return nil }
      return String(Substring(parts[0]))
    }
  }
}
