public import HTTP
public import JOSE
public import Telemetry

/// Why a request is refused: the one closed table from what was found to what the client and the log are told.
///
/// What a request that passes carries of it is one word, hence `indirect`.
///
/// Public texts never contain a claim, a policy, a key or anything the client sent; `detail` is for the log alone.
public indirect enum Rejection: Error, Sendable, Equatable {
  // Its form.
  case syntax(HTTPRefusal)
  case headTimeout
  case untraceable(detail: String)
  case multipleCredentials(detail: String)

  // Its credential.
  case noToken
  case token(TokenError)
  case proof(DPoPError)

  // What it asks for.
  case noRoute(detail: String?)
  case unmappable(detail: String)
  case bodyTooLarge(limit: UInt64, setting: String)
  case bodyTimeout
  case bodyTooSlow(rate: UInt64)
  case bodyUnsupported(detail: String)
  case bodyInvalid(detail: String)
  case insufficientScope(needed: [String])
  case insufficientAuthentication(StepUp)
  case policyForbids
  case noPolicyPermits
  case policyFailed(detail: String)
  case credentialsRefused(detail: String)

  // Faults: it could not be decided, which refuses it.
  case keysUnavailable(issuer: String, detail: String)
  case introspectionUnavailable(issuer: String, detail: String)
  case engineFailed(detail: String)
  case engineTimedOut(detail: String)
  case entityLookupFailed(detail: String)
  case credentialsUnavailable(detail: String)
  case overloaded(Limit, detail: String)
  case logFull

  /// One row of the table.
  struct Row {
    let status: Status
    let reason: DecisionReason
    let publicText: StaticString
    /// The error code of RFC 6750 §3.1; nil for a refusal that is not about the token.
    var bearerError: WWWAuthenticate.ErrorCode?
    /// Seconds for Retry-After; nil for a refusal that waiting does not mend.
    var retryAfter: Int?
    /// Whether observe mode lets it pass (decisions.md, "Decision and enforcement").
    var passesWhenObserved = false
  }

  var row: Row {
    switch self {
    case .syntax(let refusal):
      Row(
        status: refusal.status, reason: Self.reason(refusal),
        publicText: "The request is refused.")
    case .headTimeout:
      Row(status: .requestTimeout, reason: .requestTimeout, publicText: "The request did not arrive in time.")
    case .untraceable:
      Row(status: .badRequest, reason: .requestInvalid, publicText: "The request is refused.")
    case .multipleCredentials:
      Row(
        status: .badRequest, reason: .multipleCredentials, publicText: "The request carries more than one credential.",
        bearerError: .invalidRequest)
    case .noToken:
      // RFC 6750 §3.1: a request without credentials gets a challenge without an error code.
      Row(status: .unauthorized, reason: .noToken, publicText: "A bearer token is required.", passesWhenObserved: true)
    case .token(let error):
      Row(
        status: .unauthorized, reason: error.decisionReason, publicText: "The token was not accepted.", bearerError: .invalidToken,
        passesWhenObserved: true)
    case .proof(let error): Self.row(error)
    case .noRoute:
      Row(status: .forbidden, reason: .noRoute, publicText: "You are not allowed to do this.", passesWhenObserved: true)
    case .unmappable:
      Row(
        status: .badRequest, reason: .requestInvalid, publicText: "The request lacks something, or says it twice.", passesWhenObserved: true
      )
    case .bodyTooLarge:
      Row(status: .contentTooLarge, reason: .requestTooLarge, publicText: "The request's body is larger than is allowed here.")
    case .bodyTimeout, .bodyTooSlow:
      Row(status: .requestTimeout, reason: .requestTimeout, publicText: "The request's body did not arrive in time.")
    case .bodyUnsupported:
      Row(status: .unsupportedMediaType, reason: .bodyUnsupported, publicText: "The request's body must be JSON, in UTF-8 and not encoded.")
    case .bodyInvalid:
      Row(status: .badRequest, reason: .bodyInvalid, publicText: "The request's body cannot be read in one way only.")
    case .insufficientScope:
      Row(
        status: .forbidden, reason: .insufficientScope, publicText: "The token lacks a scope.", bearerError: .insufficientScope,
        passesWhenObserved: true)
    case .insufficientAuthentication:
      Row(
        status: .unauthorized, reason: .insufficientAuthentication, publicText: "A different or a more recent sign-in is required.",
        bearerError: .insufficientUserAuthentication, passesWhenObserved: true)
    case .policyForbids:
      Row(status: .forbidden, reason: .policyForbid, publicText: "You are not allowed to do this.", passesWhenObserved: true)
    case .noPolicyPermits:
      Row(status: .forbidden, reason: .noPermit, publicText: "You are not allowed to do this.", passesWhenObserved: true)
    case .policyFailed:
      Row(status: .forbidden, reason: .policyError, publicText: "You are not allowed to do this.", passesWhenObserved: true)
    case .keysUnavailable:
      Row(
        status: .serviceUnavailable, reason: .jwksUnavailable, publicText: "The token cannot be checked at the moment.", retryAfter: 5,
        passesWhenObserved: true)
    case .introspectionUnavailable:
      Row(
        status: .serviceUnavailable, reason: .introspectionUnavailable, publicText: "The token cannot be checked at the moment.",
        retryAfter: 5, passesWhenObserved: true)
    case .engineFailed:
      Row(
        status: .serviceUnavailable, reason: .engineError, publicText: "The request cannot be decided at the moment.", retryAfter: 5,
        passesWhenObserved: true)
    case .engineTimedOut:
      Row(
        status: .serviceUnavailable, reason: .engineTimeout, publicText: "The request cannot be decided at the moment.", retryAfter: 1,
        passesWhenObserved: true)
    case .entityLookupFailed:
      Row(
        status: .serviceUnavailable, reason: .entityLookupFailed, publicText: "The request cannot be decided at the moment.", retryAfter: 1,
        passesWhenObserved: true)
    case .credentialsRefused:
      Row(status: .forbidden, reason: .credentialsRefused, publicText: "You are not allowed to do this.")
    case .credentialsUnavailable:
      Row(
        status: .serviceUnavailable, reason: .credentialsUnavailable, publicText: "The request cannot be signed at the moment.",
        retryAfter: 1)
    case .overloaded:
      Row(status: .serviceUnavailable, reason: .overload, publicText: "The service is busy.", retryAfter: 1)
    case .logFull:
      Row(status: .serviceUnavailable, reason: .logFull, publicText: "The request cannot be recorded at the moment.", retryAfter: 1)
    }
  }

  private static func reason(_ refusal: HTTPRefusal) -> DecisionReason {
    if Limit(reachedBy: refusal) != nil { return .requestTooLarge }
    return refusal.reason == .pathAmbiguous ? .pathAmbiguous : .requestInvalid
  }

  private static func row(_ error: DPoPError) -> Row {
    switch error {
    case .nonce:
      Row(
        status: .unauthorized, reason: .dpopNonce, publicText: "The proof of possession needs the nonce given here.",
        bearerError: .useDPoPNonce, passesWhenObserved: true)
    case .otherKey:
      Row(
        status: .unauthorized, reason: .tokenBinding, publicText: "The token is bound to another key.", bearerError: .invalidToken,
        passesWhenObserved: true)
    case .overloaded: Row(status: .serviceUnavailable, reason: .overload, publicText: "The service is busy.", retryAfter: 1)
    case .token, .type, .key, .count, .missing, .wrongType, .signature, .method, .target, .tooOld, .fromTheFuture, .otherToken, .replayed:
      Row(
        status: .unauthorized, reason: .dpopProof, publicText: "The proof of possession was not accepted.",
        bearerError: .invalidDPoPProof, passesWhenObserved: true)
    }
  }

  /// The status of the answer.
  public var status: Status { row.status }
  /// What the log calls it.
  public var reason: DecisionReason { row.reason }
  /// Whether observe mode lets it pass.
  public var passesWhenObserved: Bool { row.passesWhenObserved }
  /// Seconds for Retry-After.
  public var retryAfter: Int? { row.retryAfter }
  /// Whether it means that we could not decide, rather than that we decided.
  public var isFault: Bool {
    switch self {
    case .keysUnavailable, .introspectionUnavailable, .engineFailed, .engineTimedOut, .entityLookupFailed, .credentialsUnavailable,
      .overloaded, .logFull, .proof(.overloaded):
      true
    case .syntax, .headTimeout, .untraceable, .multipleCredentials, .noToken, .token, .proof, .noRoute, .unmappable, .bodyTooLarge,
      .bodyTimeout, .bodyTooSlow, .bodyUnsupported, .bodyInvalid, .insufficientScope, .insufficientAuthentication, .policyForbids,
      .noPolicyPermits,
      .policyFailed, .credentialsRefused:
      false
    }
  }

  /// What the client is told, one sentence.
  public var publicText: String {
    switch self {
    case .syntax(let refusal): refusal.sentence
    default: String(describing: row.publicText)
    }
  }

  /// What the log is told beyond the reason: expected and actual, never a credential.
  public var detail: String? {
    switch self {
    case .syntax(let refusal): refusal.detail
    case .token(let error): error.description
    case .proof(let error): error.description
    case .noRoute(let detail): detail
    case .bodyTooLarge(let limit, let setting): "\(setting) is \(limit) bytes"
    case .bodyTooSlow(let rate): "limits.body_rate is \(rate) bytes a second"
    case .insufficientScope(let needed): "the route wants \(needed.joined(separator: " "))"
    case .insufficientAuthentication(let wanted):
      "wanted: " + wanted.parameters.map { "\($0.name) \($0.value)" }.joined(separator: ", ")
    case .untraceable(let detail), .multipleCredentials(let detail), .unmappable(let detail), .policyFailed(let detail),
      .engineFailed(let detail), .engineTimedOut(let detail), .entityLookupFailed(let detail), .bodyUnsupported(let detail),
      .bodyInvalid(let detail), .credentialsRefused(let detail), .credentialsUnavailable(let detail),
      .overloaded(_, let detail):
      detail
    case .introspectionUnavailable(let issuer, let detail): "issuer \(issuer): \(detail)"
    case .keysUnavailable(let issuer, let detail): "keys of issuer \(issuer): \(detail)"
    case .headTimeout, .bodyTimeout, .noToken, .policyForbids, .noPolicyPermits, .logFull: nil
    }
  }
}

extension TokenError {
  /// The reason of a decision record for a failed check.
  public var decisionReason: DecisionReason {
    switch reason {
    case .malformed: .tokenMalformed
    case .signature: .tokenSignature
    case .expired: .tokenExpired
    case .notYetValid: .tokenNotYetValid
    case .issuer: .tokenIssuer
    case .audience: .tokenAudience
    case .use: .tokenUse
    case .algorithm: .tokenAlgorithm
    case .lifetime: .tokenLifetime
    case .binding: .tokenBinding
    case .revoked: .tokenRevoked
    case .unknownKey: .keyUnknown
    }
  }
}
