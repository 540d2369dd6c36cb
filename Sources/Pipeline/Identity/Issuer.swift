internal import Bytes
public import JOSE

/// One issuer of tokens, as configured.
public struct Issuer: Sendable {
  /// The configuration's name for it.
  public let name: String
  /// Its place in the table; `Facts` keeps its keys there.
  public let index: Int
  /// Which of its tokens are accepted.
  public let rules: ClaimRules
  /// How its claims become a principal.
  public let mapping: IdentityMapping
  /// Whether its clients send the token without a scheme.
  public let acceptsBareToken: Bool
  /// Where its keys are found.
  public let keys: KeySource
  /// The load balancer that speaks for it; nil for an issuer whose tokens clients send.
  public let loadBalancer: LoadBalancerSettings?
  /// How it is asked whether a token is still active; nil if it is not.
  public let introspection: IntrospectionSettings?
  /// What identity pools call it; nil for what a load balancer says.
  let loginProvider: String?

  /// Verifies a token of this issuer.
  func verify(_ token: UnverifiedToken, keys: JWKSet, at time: Int64, _ facts: Facts) throws(Stop) -> VerifiedToken {
    do throws(TokenError) {
      return try TokenVerifier.verify(token, keys: keys, rules: rules, now: time, verifier: facts.verifier)
    } catch {
      throw .refuse(.token(error))
    }
  }
}

/// Where an issuer's keys are found.
public enum KeySource: Sendable, Equatable {
  /// A key set's own address.
  case jwks(url: String)
  /// OpenID Connect Discovery 1.0 §4: the issuer's configuration names the key set's address.
  case discovery(issuer: String)
  /// A file beside the configuration.
  case file(KeyFile)
  /// Each under its own name, when it is needed: a load balancer's.
  case single
}

/// All issuers that are trusted, by exact `iss`.
public struct IssuerTable: Sendable {
  /// The issuers in the order configured.
  public let issuers: [Issuer]
  /// Whether some issuer's clients send bare tokens.
  let acceptsBareToken: Bool
  /// The issuers that a load balancer speaks for.
  let loadBalancers: [Issuer]
  private let byIdentifier: [ExactString: Int]

  init(_ issuers: [Issuer]) {
    self.issuers = issuers
    acceptsBareToken = issuers.contains { $0.acceptsBareToken }
    var byIdentifier: [ExactString: Int] = [:]
    loadBalancers = issuers.filter { $0.loadBalancer != nil }
    for issuer in issuers where issuer.loadBalancer == nil {
      for identifier in issuer.rules.issuers { byIdentifier[ExactString(identifier)] = issuer.index }
    }
    self.byIdentifier = byIdentifier
  }

  /// The issuer a token says it is from.
  func issuer(of token: UnverifiedToken) throws(Stop) -> Issuer {
    guard let index = byIdentifier[ExactString(token.issuer)] else {
      throw .refuse(.token(.issuer(found: token.issuer, expected: issuers.filter { $0.loadBalancer == nil }.flatMap(\.rules.issuers))))
    }
    return issuers[index]
  }
}
