internal import Bytes
public import JOSE

/// One issuer of tokens, as configured.
///
/// A class, so that what refers to it is one word: credentials do, in every request.
public final class Issuer: Sendable {
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
  /// How it is asked about tokens; nil if it is not.
  public let introspection: IntrospectionSettings?
  /// What identity pools call it; nil for what a load balancer says.
  let loginProvider: String?

  init(
    name: String, index: Int, rules: ClaimRules, mapping: IdentityMapping, acceptsBareToken: Bool, keys: KeySource,
    loadBalancer: LoadBalancerSettings?, introspection: IntrospectionSettings?, loginProvider: String?
  ) {
    self.name = name
    self.index = index
    self.rules = rules
    self.mapping = mapping
    self.acceptsBareToken = acceptsBareToken
    self.keys = keys
    self.loadBalancer = loadBalancer
    self.introspection = introspection
    self.loginProvider = loginProvider
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
  /// There is no set: a load balancer's keys are fetched one by one, each when it is needed, and opaque tokens have none.
  case noSet
}

/// All issuers that are trusted, by exact `iss`.
public struct IssuerTable: Sendable {
  /// The issuers in the order configured.
  public let issuers: [Issuer]
  /// Whether some issuer's clients send bare tokens.
  let acceptsBareToken: Bool
  /// The issuers that a load balancer speaks for.
  let loadBalancers: [Issuer]
  /// The issuer whose tokens are those that are no JWS; there is one at most, for nothing in such a token says whose it is.
  let opaque: Issuer?
  private let byIdentifier: [ExactString: Int]

  init(_ issuers: [Issuer]) {
    self.issuers = issuers
    acceptsBareToken = issuers.contains { $0.acceptsBareToken }
    var byIdentifier: [ExactString: Int] = [:]
    loadBalancers = issuers.filter { $0.loadBalancer != nil }
    opaque = issuers.first { $0.introspection?.identifiesOpaqueTokens ?? false }
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

extension Exchange {
  /// Verifies a token with the keys of its issuer.
  mutating func verified(_ token: UnverifiedToken, by issuer: Issuer, _ keys: JWKSet, _ facts: Facts) throws(Stop) -> VerifiedToken {
    do throws(TokenError) {
      return try TokenVerifier.verify(token, keys: keys, rules: issuer.rules, now: time, verifier: facts.verifier)
    } catch {
      if case .signature = error { trail.issuerDoubted = issuer.index }
      throw .refuse(.token(error))
    }
  }
}
