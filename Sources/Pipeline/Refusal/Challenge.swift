internal import HTTP
internal import JOSE

/// What our challenges say whatever was wrong, RFC 9110 §11.6.1.
public struct Challenge: Sendable {
  /// The realm.
  public var realm: String
  /// Where a client finds who issues tokens for this service, RFC 9728 §5.1.
  public var resourceMetadata: String?

  /// A challenge in a realm.
  public init(realm: String, resourceMetadata: String? = nil) {
    self.realm = realm
    self.resourceMetadata = resourceMetadata
  }

  /// The field for a refusal.
  func value(for rejection: Rejection) -> String {
    var field = WWWAuthenticate(realm: realm)
    if let error = rejection.row.bearerError {
      field.error = error
      if case .token(let token) = rejection { field.errorDescription = token.errorDescription } else { field.errorDescription = rejection.publicText }
    }
    if case .insufficientScope(let needed) = rejection { field.scope = needed.joined(separator: " ") }
    if case .insufficientAuthentication(let wanted) = rejection { field.more += wanted.parameters }
    if let resourceMetadata { field.more.append(("resource_metadata", resourceMetadata)) }
    return field.value
  }
}

extension Exchange {
  /// What a challenge to this request says.
  public var challenge: Challenge { Challenge(realm: snapshot.realm, resourceMetadata: snapshot.protectedResource?.url) }
}
