public import Bytes
internal import Crypto
internal import HTTP
public import JOSE

/// How an issuer is asked about tokens, RFC 7662: whether one is still active, and whose an opaque one is.
public struct IntrospectionSettings: Sendable, Equatable {
  /// The endpoint.
  public var url: String
  /// The name by which we are known there.
  public var clientID: String
  /// The secret that goes with it.
  public var clientSecret: Secret<String>
  /// How long an answer is believed, in seconds.
  public var cacheSeconds: Int64 = 30
  /// Whether bearer tokens that are no JWS are this issuer's, and are what it says of them.
  public var identifiesOpaqueTokens = false

  /// Settings for an endpoint.
  public init(url: String, clientID: String, clientSecret: Secret<String>) {
    self.url = url
    self.clientID = clientID
    self.clientSecret = clientSecret
  }

  /// Whether an issuer is asked in the same way.
  public static func == (a: Self, b: Self) -> Bool {
    exactlyEquals(a.url, b.url) && exactlyEquals(a.clientID, b.clientID)
      && constantTimeEquals(a.clientSecret.exposed.utf8, b.clientSecret.exposed.utf8)
      && a.cacheSeconds == b.cacheSeconds && a.identifiesOpaqueTokens == b.identifiesOpaqueTokens
  }
}

/// The question whether a token is active, and what it says.
///
/// It is known by what the answer depends on: every byte of the token (by its SHA-256 digest), the issuer that is asked, and the
/// load by whose settings it is asked. The token itself goes along, to be sent.
public struct IntrospectionQuestion: Hashable, Sendable {
  /// The issuer's place in the table.
  public let issuer: Int
  /// The snapshot's generation.
  public let generation: UInt64
  /// The digest of the token.
  public let digest: [UInt8]
  /// The token; empty in a question that is only remembered.
  public let token: Secret<[UInt8]>

  /// The question by what it is known, for keeping: tokens are long, and secret.
  var remembered: IntrospectionQuestion { .init(issuer: issuer, generation: generation, digest: digest, token: Secret([])) }

  /// Whether they are one question.
  public static func == (a: Self, b: Self) -> Bool { a.issuer == b.issuer && a.generation == b.generation && a.digest == b.digest }
  /// Hashes what they are known by.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(issuer)
    hasher.combine(generation)
    hasher.combine(digest)
  }
}

/// What an issuer said about a token.
public struct IntrospectionAnswer: Sendable {
  /// Whether the token is active; nil if the issuer could not be asked.
  public let isActive: Bool?
  /// What the issuer says of an active token.
  public let claims: IntrospectedClaims?
  /// Why it could not be asked.
  public let problem: String?
  /// When the issuer was asked: monotonic nanoseconds.
  public let askedAt: UInt64
  /// The second, since 1970, from which it is to be asked again: never later than what the issuer says of the token's end.
  public let until: Int64

  /// An answer.
  public init(isActive: Bool?, claims: IntrospectedClaims? = nil, problem: String?, askedAt: UInt64, until: Int64) {
    self.isActive = isActive
    self.claims = claims
    self.problem = problem
    self.askedAt = askedAt
    self.until = min(until, claims?.expiresAt ?? .max)
  }
}

/// What is remembered of what issuers said: a bounded number of good words and, apart from them, of bad ones. Anybody can send tokens
/// that no issuer knows, and these must push out no word on a token that is in use.
struct IntrospectionMemo {
  private struct Word {
    let answer: IntrospectionAnswer
    /// Who the token is, made of this very answer.
    var identity: Identity?
  }

  /// Most words of either kind.
  static let limit = 8192

  private var good: [IntrospectionQuestion: Word] = [:]
  private var bad: [IntrospectionQuestion: IntrospectionAnswer] = [:]

  subscript(question: IntrospectionQuestion) -> IntrospectionAnswer? { good[question]?.answer ?? bad[question] }

  /// Who an opaque token is, as was found before from the word that counts now.
  func identity(by question: IntrospectionQuestion) -> Identity? { good[question]?.identity }

  mutating func keep(_ answer: IntrospectionAnswer, to question: IntrospectionQuestion, at time: Int64) {
    let key = question.remembered
    // Whoever is forgotten is asked about again.
    if answer.isActive == true {
      bad[key] = nil
      if good.count >= Self.limit { good = good.filter { $0.value.answer.until > time } }
      if good.count >= Self.limit { good.removeAll() }
      good[key] = Word(answer: answer)
    } else {
      good[key] = nil
      if bad.count >= Self.limit { bad = bad.filter { $0.value.until > time } }
      if bad.count >= Self.limit { bad.removeAll() }
      bad[key] = answer
    }
  }

  mutating func keep(_ identity: Identity, by question: IntrospectionQuestion) { good[question]?.identity = identity }

  /// Forgets who tokens are, and not that they are active: they are judged anew.
  mutating func forgetIdentities() {
    for key in good.keys { good[key]?.identity = nil }
  }

  mutating func removeAll() {
    good = [:]
    bad = [:]
  }
}

extension Exchange {
  /// Refuses a token that its issuer calls inactive, where the issuer is to be asked; waits for the answer.
  func requireActive(_ identity: Identity, by credential: Credential, _ facts: Facts) throws(Stop) {
    let issuer = snapshot.issuers.issuers[identity.issuerIndex]
    // Who an opaque token is, its issuer has said a moment ago.
    guard issuer.introspection != nil, credential.opaqueIssuer == nil else { return }
    _ = try activity(of: credential, by: issuer, facts)
  }

  /// Who an opaque token is, by what its issuer says; waits for that.
  mutating func introspected(_ credential: Credential, by issuer: Issuer, _ facts: Facts) throws(Stop) -> Identity {
    trail.token = TokenTrace(issuer: issuer.name, algorithm: nil, kid: nil)
    guard credential.range.count <= OpaqueToken.byteLimit else {
      throw .refuse(.token(.tooLarge(bytes: credential.range.count, limit: OpaqueToken.byteLimit)))
    }
    let (question, claims) = try activity(of: credential, by: issuer, facts)
    // As in the cache of verified tokens: in the seconds after `exp` that clock skew allows, it is judged anew.
    if let known = facts.introspections.identity(by: question), time < known.expiresAt { return known }
    guard let claims else { throw .refuse(.introspectionUnavailable(issuer: issuer.name, detail: "the answer was not kept")) }
    let token: VerifiedToken
    do throws(TokenError) {
      token = try TokenVerifier.verify(question.token, introspected: claims, rules: issuer.rules, now: time)
    } catch {
      throw .refuse(.token(error))
    }
    try facts.requireUnrevoked(token)
    let identity = try issuer.mapping.identity(of: token, from: issuer, for: snapshot)
    facts.introspections.keep(identity, by: question)
    return identity
  }

  private func activity(
    of credential: Credential, by issuer: Issuer, _ facts: Facts
  ) throws(Stop) -> (IntrospectionQuestion, IntrospectedClaims?) {
    let token = head.fields.withBytes(credential.range) { Array($0) }
    let question = IntrospectionQuestion(
      issuer: issuer.index, generation: snapshot.generation, digest: Digest.sha256(token), token: Secret(token))
    // An answer that was asked for after the request came counts for it, however short answers are believed.
    guard let answer = facts.introspections[question], time < answer.until || answer.askedAt >= arrival else {
      throw .wait(.introspection(question))
    }
    switch answer.isActive {
    case true?: return (question, answer.claims)
    case false?: throw .refuse(.token(.inactive))
    case nil: throw .refuse(.introspectionUnavailable(issuer: issuer.name, detail: answer.problem ?? ""))
    }
  }
}
