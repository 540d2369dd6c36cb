public import AWS
public import Bytes
internal import Crypto
internal import HTTP
internal import JOSE

/// The question for what signs requests of a route: the proxy's own credentials, or the session of whoever asks.
///
/// It is known by what the answer depends on: the signing, every byte of the caller's token (by its SHA-256 digest), and the load by
/// whose settings it is asked. Two callers never share an answer, and neither do two tokens of one caller.
public struct SigningQuestion: Hashable, Sendable {
  /// What the identity pool is shown.
  public struct Login: Sendable {
    /// Who issued the token, as identity pools name it.
    public let provider: String
    /// The token.
    public let token: Secret<String>
    /// Whose it is: an identity that the pool gave before is this one's.
    public let owner: String
    /// The token's digest.
    public let digest: [UInt8]

    /// A login.
    public init(provider: String, token: String, owner: String) {
      self.provider = provider
      self.token = Secret(token)
      self.owner = owner
      digest = Digest.sha256(Array(token.utf8))
    }
  }

  /// The signing's place among the configuration's.
  public let signing: Int
  /// The snapshot's generation.
  public let generation: UInt64
  /// What the identity pool is shown; nil for the proxy's own credentials.
  public let login: Login?

  /// A question.
  public init(signing: Int, generation: UInt64, login: Login?) {
    self.signing = signing
    self.generation = generation
    self.login = login
  }

  /// Whether they are one question.
  public static func == (a: Self, b: Self) -> Bool {
    a.signing == b.signing && a.generation == b.generation && a.login?.digest == b.login?.digest
  }
  /// Hashes what they are known by.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(signing)
    hasher.combine(generation)
    hasher.combine(login?.digest)
  }
}

/// What signs requests, or why nothing does.
public struct SigningAnswer: Sendable {
  /// What came of the question.
  public enum Outcome: Sendable {
    /// These credentials, for signatures of a region; `source` says where they come from, in words for the record.
    case known(Credentials, region: String, source: String)
    /// None are to be had.
    case unavailable(String)
    /// The identity pool gives whoever asks none.
    case refused(String)
  }

  /// What came of it.
  public let outcome: Outcome
  /// When it was found out: monotonic nanoseconds.
  public let askedAt: UInt64
  /// The second, since 1970, from which it is to be asked again.
  public let until: Int64

  /// An answer.
  public init(_ outcome: Outcome, askedAt: UInt64, until: Int64) {
    self.outcome = outcome
    self.askedAt = askedAt
    self.until = until
  }

  /// For requests that are decided and never sent.
  public static let ofNobody: SigningAnswer = {
    guard let credentials = Credentials(accessKeyID: "NOBODY", secretAccessKey: "nothing") else {
      return SigningAnswer(.unavailable("nobody has no credentials"), askedAt: .max, until: .max)
    }
    return SigningAnswer(.known(credentials, region: "us-east-1", source: "nobody"), askedAt: .max, until: .max)
  }()
}

/// Answers that still serve, so many; the oldest go first.
struct SigningMemory {
  private struct Entry {
    let answer: SigningAnswer
    // The key of a day, made when it is first needed.
    var key: SigningKey?
  }

  private var entries: [SigningQuestion: Entry] = [:]
  private var order: [SigningQuestion] = []
  private var oldest = 0

  /// Keeps an answer.
  mutating func learn(_ answer: SigningAnswer, to question: SigningQuestion) {
    if entries.updateValue(Entry(answer: answer), forKey: question) == nil { order.append(question) }
    while entries.count > Defaults.callerSessions, oldest < order.count {
      entries[order[oldest]] = nil
      oldest += 1
    }
    if oldest > order.count / 2 {
      order.removeFirst(oldest)
      oldest = 0
    }
  }

  /// The answer, if it serves at a time, or was found out after a request came.
  func answer(to question: SigningQuestion, at time: Int64, arrival: UInt64) -> SigningAnswer? {
    guard let answer = entries[question]?.answer, time < answer.until || answer.askedAt >= arrival else { return nil }
    return answer
  }

  /// The key that signs with the credentials of an answer on a day.
  mutating func key(of question: SigningQuestion, _ credentials: Credentials, region: String, service: String, at time: Int64) -> SigningKey
  {
    if let key = entries[question]?.key, key.serves(time) { return key }
    let key = SigningKey(credentials, region: region, service: service, at: time)
    entries[question]?.key = key
    return key
  }

  /// Another load is in force.
  mutating func removeAll() { self = SigningMemory() }
}

extension Facts {
  /// Learns what signs requests of a route.
  public func learn(_ answer: SigningAnswer, to question: SigningQuestion) { signing.learn(answer, to: question) }
}
