/// What the page makes of an exchange.
public enum Outcome: ~Copyable {
  /// It may pass: forwarding consumes the permit.
  case forward(Permit)
  /// It is for us: a document of ours is the answer.
  case answer(Answer)
  /// It may not.
  case refuse(Rejection)
  /// It cannot be decided before this is known; run the page again then.
  case wait(Dependency)
}

/// Why the page stops before its end.
enum Stop: Error {
  case refuse(Rejection)
  case wait(Dependency)
}

/// A fact that the page misses and somebody else must fetch.
public indirect enum Dependency: Hashable, Sendable {
  /// The key set of an issuer, by its place in the snapshot's table: there is none yet, or it lacks the token's key.
  case keys(issuer: Int)
  /// A load balancer's key.
  case loadBalancerKey(LoadBalancerKeyQuestion)
  /// What an issuer says about a token.
  case introspection(IntrospectionQuestion)
  /// The request's whole body.
  case body
  /// What a route's source of entities has for the request.
  case entities(EntityLookup)
  /// Another engine's answer.
  case decision(RemoteQuestion)
  /// What signs the request for the service behind.
  case credentials(SigningQuestion)
}
