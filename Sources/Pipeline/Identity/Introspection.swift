public import Bytes
internal import Crypto
internal import HTTP
internal import JOSE

/// How an issuer is asked whether a token is still active, RFC 7662.
public struct IntrospectionSettings: Sendable, Equatable {
  /// The endpoint.
  public var url: String
  /// The name by which we are known there.
  public var clientID: String
  /// The secret that goes with it.
  public var clientSecret: Secret<String>
  /// How long an answer is believed, in seconds.
  public var cacheSeconds: Int64 = 30

  /// Settings for an endpoint.
  public init(url: String, clientID: String, clientSecret: Secret<String>) {
    self.url = url
    self.clientID = clientID
    self.clientSecret = clientSecret
  }

  /// Whether an issuer is asked in the same way.
  public static func == (a: Self, b: Self) -> Bool {
    exactlyEquals(a.url, b.url) && exactlyEquals(a.clientID, b.clientID) && exactlyEquals(a.clientSecret.exposed, b.clientSecret.exposed)
      && a.cacheSeconds == b.cacheSeconds
  }
}

/// The question whether a token is active.
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
  /// The token.
  public let token: Secret<[UInt8]>

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
  /// Why it could not be asked.
  public let problem: String?
  /// When the issuer was asked: monotonic nanoseconds.
  public let askedAt: UInt64
  /// The second, since 1970, from which it is to be asked again.
  public let until: Int64

  /// An answer.
  public init(isActive: Bool?, problem: String?, askedAt: UInt64, until: Int64) {
    self.isActive = isActive
    self.problem = problem
    self.askedAt = askedAt
    self.until = until
  }
}

extension Facts {
  /// Learns what an issuer said.
  public func learn(_ answer: IntrospectionAnswer, to question: IntrospectionQuestion, at time: Int64) {
    if introspections.count >= Self.introspectionLimit {
      introspections = introspections.filter { $0.value.until > time }
      // Whoever is forgotten is asked about again.
      if introspections.count >= Self.introspectionLimit { introspections.removeAll() }
    }
    introspections[question] = answer
  }

  private static var introspectionLimit: Int { 8192 }
}

extension Exchange {
  /// Refuses a token that its issuer calls inactive, where the issuer is to be asked; waits for the answer.
  func requireActive(_ identity: Identity, by credential: Credential, _ facts: Facts) throws(Stop) {
    guard snapshot.issuers.issuers[identity.issuerIndex].introspection != nil else { return }
    let token = head.fields.withBytes(credential.range) { Array($0) }
    let question = IntrospectionQuestion(
      issuer: identity.issuerIndex, generation: snapshot.generation, digest: Digest.sha256(token), token: Secret(token))
    // An answer that was asked for after the request came counts for it, however short answers are believed.
    guard let answer = facts.introspections[question], time < answer.until || answer.askedAt >= arrival else {
      throw .wait(.introspection(question))
    }
    switch answer.isActive {
    case true?: return
    case false?: throw .refuse(.token(.inactive))
    case nil: throw .refuse(.introspectionUnavailable(issuer: identity.issuer, detail: answer.problem ?? ""))
    }
  }
}
