internal import Bytes

/// The challenge of a 401, RFC 6750 §3: a scheme with its realm and, where a token was sent, what was wrong with it.
public struct WWWAuthenticate: Sendable {
  /// The error codes of RFC 6750 §3.1, and of what builds on it.
  public enum ErrorCode: String, Sendable {
    /// The request is malformed: 400.
    case invalidRequest = "invalid_request"
    /// The token is expired, revoked, malformed or otherwise invalid: 401.
    case invalidToken = "invalid_token"
    /// The token does not carry enough: 403.
    case insufficientScope = "insufficient_scope"
    /// Another or a more recent sign-in is wanted, RFC 9470 §3: 401.
    case insufficientUserAuthentication = "insufficient_user_authentication"
    /// The proof of possession is missing or wrong, RFC 9449 §7.1: 401.
    case invalidDPoPProof = "invalid_dpop_proof"
    /// The proof must have the nonce that comes with the challenge, RFC 9449 §9: 401.
    case useDPoPNonce = "use_dpop_nonce"
  }

  /// The scheme.
  public var scheme = "Bearer"
  /// The realm; nil for none.
  public var realm: String?
  /// The error; nil where no credentials were sent, RFC 6750 §3.1.
  public var error: ErrorCode?
  /// What was wrong, for a developer; nil for nothing.
  public var errorDescription: String?
  /// The scope that is needed; nil for none.
  public var scope: String?
  /// Parameters of what builds on RFC 6750, such as `resource_metadata`.
  public var more: [(name: String, value: String)] = []

  /// A challenge.
  public init(realm: String? = nil, error: ErrorCode? = nil, errorDescription: String? = nil, scope: String? = nil) {
    self.realm = realm
    self.error = error
    self.errorDescription = errorDescription
    self.scope = scope
  }

  /// The field value; characters that RFC 6750 §3 does not allow in a parameter are replaced by `?`.
  public var value: String {
    let parameters =
      [("realm", realm), ("error", error?.rawValue), ("error_description", errorDescription), ("scope", scope)]
      .compactMap { name, value in value.map { "\(name)=\"\(Self.quotable($0))\"" } }
      + more.map { "\($0.name)=\"\(Self.quotable($0.value))\"" }
    return parameters.isEmpty ? scheme : "\(scheme) " + parameters.joined(separator: ", ")
  }

  // %x20-21 / %x23-5B / %x5D-7E: neither `"` nor `\`, so nothing ever needs an escape.
  private static func quotable(_ text: String) -> String {
    String(
      decoding: text.utf8.map { $0 >= 0x20 && $0 < 0x7f && $0 != ASCII.quote && $0 != ASCII.backslash ? $0 : UInt8(ascii: "?") },
      as: UTF8.self)
  }
}
