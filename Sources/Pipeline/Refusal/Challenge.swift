internal import HTTP
internal import JOSE

/// What our challenges say whatever was wrong, RFC 9110 §11.6.1.
public struct Challenge: Sendable {
  /// The realm.
  public var realm: String
  /// Where a client finds who issues tokens for this service, RFC 9728 §5.1.
  public var resourceMetadata: String?
  /// Whether a proof of possession is demanded, RFC 9449 §7.1.
  public var demandsProof = false
  /// The nonce for the next proof.
  public var nonce: String?

  /// A challenge in a realm.
  public init(realm: String, resourceMetadata: String? = nil) {
    self.realm = realm
    self.resourceMetadata = resourceMetadata
  }

  /// The field for a refusal.
  func value(for rejection: Rejection) -> String {
    var field = WWWAuthenticate(realm: realm)
    if demandsProof {
      field.scheme = "DPoP"
      field.more.append(("algs", JWSAlgorithm.allCases.map(\.rawValue).joined(separator: " ")))
    }
    if let error = rejection.row.bearerError {
      field.error = error
      if case .token(let token) = rejection {
        field.errorDescription = token.errorDescription
      } else {
        field.errorDescription = rejection.publicText
      }
    }
    if case .insufficientScope(let needed) = rejection { field.scope = needed.joined(separator: " ") }
    if case .insufficientAuthentication(let wanted) = rejection { field.more += wanted.parameters }
    if let resourceMetadata { field.more.append(("resource_metadata", resourceMetadata)) }
    return field.value
  }
}

extension Exchange {
  /// What a challenge to this request says.
  public func challenge(_ facts: Facts) -> Challenge {
    var challenge = Challenge(realm: snapshot.realm, resourceMetadata: snapshot.protectedResource?.url)
    challenge.demandsProof = route?.demandsProof ?? false
    challenge.nonce = nonce(facts)
    return challenge
  }

  /// The nonce that a client of this route needs for its next proof; nil where none is demanded.
  public func nonce(_ facts: Facts) -> String? {
    guard route?.demandsProof ?? false, snapshot.proofs.demandsNonce else { return nil }
    return facts.proofs.nonces.issue(now: time)
  }
}
