public import Bytes

/// Which tokens of one issuer are accepted: everything that is checked beside the signature (RFC 7519 §4.1, RFC 8725 §3).
public struct ClaimRules: Sendable {
  /// Whose habits the issuer follows.
  public enum Profile: Sendable {
    /// Amazon Cognito user pools: `token_use` says what a token is, ID tokens name the client in `aud`, access tokens in `client_id`.
    case cognito
    /// OpenID Connect and RFC 9068: access tokens name the API in `aud`, ID tokens the client.
    case oidc
  }

  /// The accepted forms of `iss`, compared byte by byte: no trailing slash comes or goes.
  public var issuers: [String]
  /// Whose habits the issuer follows.
  public var profile: Profile
  /// App clients whose tokens are accepted; nil accepts every client of the issuer.
  public var clientIDs: Set<ExactString>?
  /// Audiences (APIs) that access tokens may name. OIDC: one must be named, if any are given. Cognito: checked where the token has an
  /// `aud`, if any are given.
  public var audiences: Set<ExactString>
  /// The uses that are accepted.
  public var tokenUses: Set<TokenUse>
  /// The algorithms that are accepted; a key's own `alg` narrows them further.
  public var algorithms: Set<JWSAlgorithm>
  /// Allowance for clocks that differ, in seconds, on `exp`, `nbf` and `iat`.
  public var clockSkew: Int64
  /// Longest time from `iat` to `exp` in seconds; nil for no bound.
  public var maximumLifetime: Int64?
  /// Whether a token bound to its sender (`cnf`) is accepted because its proof is checked elsewhere.
  public var acceptsSenderConstrained: Bool

  /// Rules; the defaults are those of decisions.md. A lifetime above 24 hours is none that Cognito gives.
  public init(
    issuers: [String], profile: Profile, clientIDs: Set<ExactString>? = nil, audiences: Set<ExactString> = [],
    tokenUses: Set<TokenUse> = [.id, .access], algorithms: Set<JWSAlgorithm> = Set(JWSAlgorithm.allCases), clockSkew: Int64 = 60,
    maximumLifetime: Int64? = 86_400, acceptsSenderConstrained: Bool = false
  ) {
    self.issuers = issuers
    self.profile = profile
    self.clientIDs = clientIDs
    self.audiences = audiences
    self.tokenUses = tokenUses
    self.algorithms = algorithms
    self.clockSkew = max(clockSkew, 0)
    self.maximumLifetime = maximumLifetime
    self.acceptsSenderConstrained = acceptsSenderConstrained
  }
}
