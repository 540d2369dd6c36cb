public import Bytes

/// With what requests to AWS are signed: long-term keys of a user, or a session of a role that ends.
public struct Credentials: Sendable {
  /// The name of the key; no secret.
  public let accessKeyID: String
  /// The key.
  public let secretAccessKey: Secret<String>
  /// What goes with the keys of a session, in `X-Amz-Security-Token`.
  public let sessionToken: Secret<String>?
  /// When the session ends, seconds since 1970; nil for keys that last.
  public let expiresAt: Int64?

  /// Credentials; nil if a part could not stand in a field line, or is empty: no such credentials exist.
  public init?(accessKeyID: String, secretAccessKey: String, sessionToken: String? = nil, expiresAt: Int64? = nil) {
    let isPlain: (String) -> Bool = { !$0.isEmpty && $0.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f } }
    guard isPlain(accessKeyID), isPlain(secretAccessKey), sessionToken.map(isPlain) ?? true else { return nil }
    self.accessKeyID = accessKeyID
    self.secretAccessKey = Secret(secretAccessKey)
    self.sessionToken = sessionToken.map { Secret($0) }
    self.expiresAt = expiresAt
  }
}
