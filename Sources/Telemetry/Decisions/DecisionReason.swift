/// Why a request was decided as it was: the one closed table of reasons in the decision log and in metrics.
///
/// The raw value is what the log shows. A reason is never renamed; `meaning` is what the documentation says about it.
/// A golden test prints the table.
public enum DecisionReason: String, Sendable, CaseIterable {
  // Allowed.

  /// A policy permitted and none forbade.
  case policyPermit = "policy_permit"
  /// The route is public: nobody was asked.
  case `public` = "public"
  /// A CORS preflight on a route that lets preflights through.
  case preflight = "preflight"
  /// The route lets every valid token pass.
  case authenticated = "authenticated"
  /// A document of our own.
  case metadata = "metadata"

  // Refused by policy.

  /// A forbid policy applied.
  case policyForbid = "policy_forbid"
  /// No policy permitted: the default is to refuse.
  case noPermit = "no_permit"
  /// A policy that could have refused failed to evaluate.
  case policyError = "policy_error"
  /// Routes are configured and none matched.
  case noRoute = "no_route"
  /// The token lacks a scope that the route wants.
  case insufficientScope = "insufficient_scope"
  /// The sign-in behind the token is too weak or too old.
  case insufficientAuthentication = "insufficient_authentication"
  /// The identity pool gives whoever asks no credentials.
  case credentialsRefused = "credentials_refused"

  // Refused for the credential.

  /// No credential.
  case noToken = "no_token"
  /// More than one credential.
  case multipleCredentials = "multiple_credentials"
  /// Not a JWT, or its claims have the wrong types.
  case tokenMalformed = "token_malformed"
  /// Longer than the limit.
  case tokenTooLarge = "token_too_large"
  /// The signature does not verify.
  case tokenSignature = "token_signature"
  /// Past its `exp`.
  case tokenExpired = "token_expired"
  /// Before its `nbf` or `iat`.
  case tokenNotYetValid = "token_not_yet_valid"
  /// From an issuer that is not configured.
  case tokenIssuer = "token_issuer"
  /// For another client or audience.
  case tokenAudience = "token_audience"
  /// An ID token where an access token is wanted, or the reverse.
  case tokenUse = "token_use"
  /// An algorithm that is not allowed, or not the key's.
  case tokenAlgorithm = "token_algorithm"
  /// Valid for longer than is accepted.
  case tokenLifetime = "token_lifetime"
  /// Bound to its sender, and no proof of that was checked.
  case tokenBinding = "token_binding"
  /// Without a proof that whoever sent the request holds the token's key, or with a wrong one.
  case dpopProof = "dpop_proof"
  /// The proof lacks a fresh nonce.
  case dpopNonce = "dpop_nonce"
  /// On the list of revoked tokens.
  case tokenRevoked = "token_revoked"
  /// The issuer's key set has no such key.
  case keyUnknown = "key_unknown"

  // Refused for the request's form.

  /// Not valid HTTP.
  case requestInvalid = "request_invalid"
  /// The head is larger than the limit.
  case requestTooLarge = "request_too_large"
  /// The head, or a body that the decision needs, did not arrive in time.
  case requestTimeout = "request_timeout"
  /// The body that the decision needs is not JSON by its own word.
  case bodyUnsupported = "body_unsupported"
  /// The body that the decision needs cannot be read.
  case bodyInvalid = "body_invalid"
  /// The target can be read in more than one way.
  case pathAmbiguous = "path_ambiguous"

  // Could not be decided.

  /// No usable keys of the issuer.
  case jwksUnavailable = "jwks_unavailable"
  /// The issuer did not say whether the token is active.
  case introspectionUnavailable = "introspection_unavailable"
  /// The engine could not answer.
  case engineError = "engine_error"
  /// The engine did not answer in time.
  case engineTimeout = "engine_timeout"
  /// The route's entities could not be looked up.
  case entityLookupFailed = "entity_lookup_failed"
  /// There are no credentials to sign the request with.
  case credentialsUnavailable = "credentials_unavailable"
  /// Too many requests at once.
  case overload = "overload"
  /// The decision log has no room, and the configuration says to refuse then.
  case logFull = "log_full"

  /// One sentence for the documentation.
  public var meaning: StaticString {
    switch self {
    case .policyPermit: "A policy permitted the request and none forbade it."
    case .public: "The route is public; no token was asked for and no policy was evaluated."
    case .preflight: "A CORS preflight on a route that lets preflights through."
    case .authenticated: "The route lets every valid token pass; no policy was evaluated."
    case .metadata: "The proxy answered itself, with a document that is meant for everyone."
    case .policyForbid: "A forbid policy applied; the record names it."
    case .noPermit: "No policy permits the request, and what is not permitted is refused."
    case .policyError: "A policy that could have refused the request failed to evaluate, so the request is refused."
    case .noRoute: "Routes are configured and none of them matches the request."
    case .insufficientScope: "The token lacks a scope that the route wants."
    case .insufficientAuthentication:
      "A route or policy wants another or a more recent sign-in than the one behind the token."
    case .credentialsRefused: "The route's identity pool gives whoever asks no credentials to sign the request with."
    case .noToken: "The request carries no credential."
    case .multipleCredentials: "The request carries more than one credential, so nobody can say whose it is."
    case .tokenMalformed: "The credential is not a JWT, or one of its claims has the wrong type."
    case .tokenTooLarge: "The token is longer than the limit."
    case .tokenSignature: "The token's signature does not verify with the issuer's key."
    case .tokenExpired: "The token's exp has passed."
    case .tokenNotYetValid: "The token's nbf or iat lies in the future."
    case .tokenIssuer: "The token comes from an issuer that is not configured."
    case .tokenAudience: "The token was issued to another client or for another audience."
    case .tokenUse: "An ID token where an access token is wanted, or the reverse."
    case .tokenAlgorithm: "The token's algorithm is not allowed, or is not the one its key is for."
    case .tokenLifetime: "The token is valid for longer than is accepted."
    case .tokenBinding: "The token is bound to its sender by a key or certificate, and no proof of it was given."
    case .dpopProof: "The route demands a proof of possession (DPoP), and there is none, or it is wrong or was used before."
    case .dpopNonce: "The proof of possession lacks a fresh nonce; the answer carries one."
    case .tokenRevoked:
      "The token, its sign-in, or what its subject was issued before a time, is on the list of revoked tokens; or its issuer says that it is not active."
    case .keyUnknown: "The issuer's published keys do not contain the token's key."
    case .requestInvalid: "The request is not valid HTTP, or could be read in two ways."
    case .requestTooLarge: "The request's head or body is larger than its limit."
    case .requestTimeout: "The request's head, or the body that its decision needs, did not arrive in time."
    case .bodyUnsupported: "The request's body, which its decision needs, is not JSON in UTF-8, or is encoded."
    case .bodyInvalid: "The request's body, which its decision needs, is not valid JSON, or a value in it is none of Cedar's."
    case .pathAmbiguous: "The request's target could be read differently by the service behind (dot segments, encoded slashes, //)."
    case .jwksUnavailable: "The issuer's keys could not be fetched, so its tokens cannot be judged."
    case .introspectionUnavailable: "The issuer could not be asked whether the token is still active."
    case .engineError: "The policy engine could not answer."
    case .engineTimeout: "The policy engine did not answer in time."
    case .entityLookupFailed: "The entities that the decision needs could not be looked up."
    case .credentialsUnavailable: "The request was to be signed for the service behind, and there are no credentials for that."
    case .overload: "Too many requests are in flight."
    case .logFull: "The decision log has no room, and the configuration says to refuse rather than to decide unrecorded."
    }
  }

  // A dense number for tables on the hot path: an enum without payload is stored as its case's position, which a test
  // holds for every case.
  var index: Int { withUnsafeBytes(of: self) { Int($0[0]) } }
}

/// What was decided about a request.
public enum Decision: String, Sendable, CaseIterable {
  /// It may pass.
  case allow
  /// It may not.
  case deny
  /// It could not be decided, which refuses it.
  case error
}
