public import Bytes
internal import Crypto

/// Who can sign in at the development issuer, and through which app clients.
public struct UserDirectory: Sendable {
  /// Somebody.
  public struct User: Sendable {
    /// The name to sign in with; it is the subject too, so that decisions of the demo read well.
    public let name: String
    /// The groups, by name.
    public let groups: [String]
    /// Further claims of the ID token, in Cognito's names.
    let attributes: [(name: String, value: String)]

    var subject: String { name }
    var email: String { "\(name)@example.com" }
  }

  /// An app client.
  public struct Client: Sendable {
    /// Its id.
    public let id: String
    /// Its secret, if it has one.
    public let secret: Secret<String>?
    /// The scopes it may have for itself; empty for clients that only sign people in.
    public let scopes: [String]
  }

  /// The users.
  public let users: [User]
  /// The app clients: one without and one with secret that sign people in, one that is a machine.
  public let clients: [Client]
  /// Every user's password, fresh for each directory.
  public let password: Secret<String>

  private let passwordKey = RandomBytes.make(32)

  /// The people and clients of the demo: alice views, bob edits, carol administers, mallory is in no group; `robot` is a machine.
  public init(password: String = Self.freshPassword()) {
    users = [
      User(name: "alice", groups: ["viewer"], attributes: [("given_name", "Alice"), ("custom:department", "sales")]),
      User(name: "bob", groups: ["editor"], attributes: [("given_name", "Bob"), ("custom:department", "sales")]),
      User(name: "carol", groups: ["admin"], attributes: [("given_name", "Carol"), ("custom:department", "it")]),
      User(name: "mallory", groups: [], attributes: [("given_name", "Mallory")]),
    ]
    clients = [
      Client(id: "demoapp", secret: nil, scopes: []), Client(id: "demoserver", secret: Self.freshSecret(), scopes: []),
      Client(id: "robot", secret: Self.freshSecret(), scopes: ["orders/read"]),
    ]
    self.password = Secret(password)
  }

  /// A password that follows the usual rules of a user pool.
  public static func freshPassword() -> String { "Aa1-" + Base64URL.encode(RandomBytes.make(12)) }

  private static func freshSecret() -> Secret<String> { Secret(Hex.encode(RandomBytes.make(24))) }

  func user(_ name: String) -> User? { users.first { exactlyEquals($0.name, name) } }

  /// The client of that id.
  public func client(_ id: String) -> Client? { clients.first { exactlyEquals($0.id, id) } }

  /// The user of that name, if the password is right. A wrong name takes as long as a wrong password.
  func signIn(_ name: String, password given: String) -> User? {
    let user = user(name)
    return isEqual(given, password.exposed) && user != nil ? user : nil
  }

  /// Whether a client proves itself with its secret; a client without secret has none to send.
  func isAuthentic(_ client: Client, secret: String?) -> Bool {
    guard let expected = client.secret else { return secret == nil || secret?.isEmpty == true }
    return secret.map { isEqual($0, expected.exposed) } ?? false
  }

  /// `SECRET_HASH` of Cognito: HMAC-SHA-256 under the client's secret over user name and client id, in base64.
  func secretHash(_ client: Client, username: String) -> String? {
    client.secret.map { Base64.encode(HMAC.code(.sha256, key: $0.exposed.utf8, message: Array(username.utf8) + Array(client.id.utf8))) }
  }

  /// Equality of secrets that tells nothing by its time, not even the length.
  func isEqual(_ a: String, _ b: String) -> Bool {
    constantTimeEquals(
      HMAC.code(.sha256, key: passwordKey, message: a.utf8), HMAC.code(.sha256, key: passwordKey, message: b.utf8))
  }
}
