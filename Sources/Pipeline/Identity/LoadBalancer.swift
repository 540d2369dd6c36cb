public import Bytes
public import Crypto
public import HTTP
public import JOSE

/// A load balancer that signs users in and says so in `x-amzn-oidc-data`.
public struct LoadBalancerSettings: Sendable, Equatable {
  /// Whose word is taken.
  public var rules: LoadBalancerToken.Rules
  /// Where its connections come from: from elsewhere the field is nobody's word.
  public var networks: [IPNetwork]
  /// Where its public keys are, each under its name.
  public var keysURL: String

  /// Settings of its parts.
  public init(rules: LoadBalancerToken.Rules, networks: [IPNetwork], keysURL: String) {
    self.rules = rules
    self.networks = networks
    self.keysURL = keysURL
  }

  /// The field.
  static let field = "x-amzn-oidc-data"

  /// Where AWS keeps the keys of a load balancer, by its ARN; nil where that is not known.
  static func keysURL(signer: String) -> String? {
    let parts = signer.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false).map {
      String(decoding: $0, as: UTF8.self)
    }
    guard parts.count >= 6, exactlyEquals(parts[0], "arn"), exactlyEquals(parts[2], "elasticloadbalancing") else { return nil }
    let region = parts[3]
    guard !region.isEmpty, region.utf8.allSatisfy({ ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "-") }) else { return nil }
    if exactlyEquals(parts[1], "aws") { return "https://public-keys.auth.elb.\(region).amazonaws.com/" }
    guard exactlyEquals(parts[1], "aws-us-gov") else { return nil }
    return "https://s3-\(region).amazonaws.com/aws-elb-public-keys-prod-\(region)/"
  }
}

/// The question for a load balancer's key, known by its name, whose it is, and the load by whose settings it is fetched.
public struct LoadBalancerKeyQuestion: Hashable, Sendable {
  /// The issuer's place in the table.
  public let issuer: Int
  /// The snapshot's generation.
  public let generation: UInt64
  /// The key's name, a UUID.
  public let kid: ExactString
}

/// What became of it.
public struct LoadBalancerKeyAnswer: Sendable {
  /// The key; nil if there is none, or none was to be had.
  public let key: PublicKey?
  /// Why none was to be had; nil if there is none of that name.
  public let problem: String?
  /// The second, since 1970, from which it is to be fetched again.
  public let until: Int64

  /// An answer.
  public init(key: PublicKey?, problem: String?, until: Int64) {
    self.key = key
    self.problem = problem
    self.until = until
  }
}

extension Facts {
  /// Learns a load balancer's key.
  public func learn(_ answer: LoadBalancerKeyAnswer, to question: LoadBalancerKeyQuestion) {
    // A load balancer has one key at a time, and changes it seldom.
    if loadBalancerKeys.count >= 64 { loadBalancerKeys.removeAll() }
    loadBalancerKeys[question] = answer
  }
}

extension Exchange {
  /// Verifies what a load balancer says of the user that it has signed in.
  mutating func verified(_ credential: Credential, from issuer: Issuer, _ facts: Facts) throws(Stop) -> VerifiedToken {
    guard let settings = issuer.loadBalancer else { throw .refuse(.noToken) }
    let result: Result<LoadBalancerToken, TokenError> = head.fields.withBytes(credential.range) { bytes in
      do throws(TokenError) { return .success(try LoadBalancerToken.parse(bytes, rules: settings.rules)) } catch { return .failure(error) }
    }
    let token: LoadBalancerToken
    switch result {
    case .success(let parsed): token = parsed
    case .failure(let error): throw .refuse(.token(error))
    }
    trail.token = TokenTrace(token, from: issuer)
    let question = LoadBalancerKeyQuestion(issuer: issuer.index, generation: snapshot.generation, kid: ExactString(token.kid))
    guard let answer = facts.loadBalancerKeys[question], time < answer.until else { throw .wait(.loadBalancerKey(question)) }
    if let problem = answer.problem { throw .refuse(.keysUnavailable(issuer: issuer.name, detail: problem)) }
    guard let key = answer.key else { throw .refuse(.token(.unknownKey(kid: token.kid, algorithm: .es256))) }
    do throws(TokenError) {
      return try TokenVerifier.verify(token, key: key, rules: settings.rules, now: time, verifier: facts.verifier)
    } catch {
      throw .refuse(.token(error))
    }
  }
}
