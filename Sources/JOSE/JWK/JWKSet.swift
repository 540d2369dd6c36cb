internal import Bytes
internal import Crypto
public import JSON

/// The public keys of one issuer, RFC 7517 §5.
///
/// One broken key does not spoil the rest: it is left out and reported among `problems`.
public struct JWKSet: Sendable {
  /// A key that was left out, and why.
  public struct Problem: Sendable, Equatable {
    /// Its place in the set, from 0.
    public let index: Int
    /// Its `kid` as a message shows it (quoted, shortened), if it has one.
    public let kid: String?
    /// Why it is not used.
    public let error: JWKError
  }

  /// Most bytes of a set. Cognito's has two keys and under 1 KB.
  public static let byteLimit = 512 * 1024
  /// Most keys of a set.
  public static let keyLimit = 100
  /// Most keys that share a `kid` and are tried for one token.
  public static let sharedKidLimit = 4

  /// The usable keys, in the order of the set.
  public let keys: [JWK]
  /// What was left out.
  public let problems: [Problem]
  /// Equal for two sets if they have the same usable keys under the same names in the same order.
  public let fingerprint: [UInt8]

  /// Whether the set says of itself that it is a development issuer's: keys that anyone on the machine can have used.
  public let isDevelopment: Bool

  /// The member by which a development issuer marks its set, `true` there.
  public static let developmentMember = "stockade_development"

  /// A set of no keys.
  public static let empty = JWKSet(keys: [], problems: [], isDevelopment: false)

  private init(keys: [JWK], problems: [Problem], isDevelopment: Bool) {
    self.keys = keys
    self.problems = problems
    self.isDevelopment = isDevelopment
    var text: [UInt8] = []
    for key in keys {
      text += key.thumbprint
      text += (key.alg?.rawValue ?? "").utf8
      text.append(0)
      // A kid may hold any character; its length keeps neighbours apart.
      text += key.kid.map { "\($0.utf8.count):\($0)" }?.utf8 ?? "-".utf8
    }
    fingerprint = Digest.sha256(text)
  }

  /// Reads a set. What is not an object with an array `keys` is an error; what is amiss with one key is a problem of that key.
  public static func parse(_ bytes: some Collection<UInt8>) throws(JWKSetError) -> JWKSet {
    let document: JSONValue
    do {
      // Repeated names are judged for each key, so that one bad key stays one bad key.
      document = try JSONParser.parse(bytes, limits: .init(depth: 16, bytes: byteLimit, duplicateNames: .keepAll))
    } catch {
      throw .json(error)
    }
    guard let members = document.object else { throw .notAnObject(found: document.kindName) }
    let named = members.filter { exactlyEquals($0.name, "keys") }
    guard let first = named.first else { throw .noKeys }
    guard named.count == 1 else { throw .duplicateKeys }
    guard let values = first.value.array else { throw .keysNotAnArray(found: first.value.kindName) }

    var keys: [JWK] = []
    var problems: [Problem] = []
    for (index, value) in values.enumerated() {
      guard index < keyLimit else {
        problems.append(Problem(index: index, kid: nil, error: .tooManyKeys(limit: keyLimit)))
        break
      }
      do throws(JWKError) {
        let key = try JWK(value)
        let same = keys.filter { sameName($0.kid, key.kid) }
        // The same key under the same name twice is one key.
        if same.contains(where: { $0.thumbprint == key.thumbprint && $0.alg == key.alg }) { continue }
        guard key.kid == nil || same.count < sharedKidLimit else { throw .tooManyOfOneKid(limit: sharedKidLimit) }
        keys.append(key)
      } catch {
        problems.append(Problem(index: index, kid: value["kid"]?.string.map(ShownText.quoted), error: error))
      }
    }
    return JWKSet(keys: keys, problems: problems, isDevelopment: document[developmentMember]?.bool == true)
  }

  /// The keys a signature may be checked with: those of that `kid` which accept the algorithm.
  ///
  /// A token without `kid` fits only a set that leaves no choice, one key for the algorithm (OpenID Connect Core §10.1). Keys of one
  /// `kid` and several kinds are told apart by the algorithm (RFC 7517 §4.5); what is then left is tried in order, at most four.
  public func candidates(kid: String?, algorithm: JWSAlgorithm) -> [JWK] {
    let fitting = keys.filter { $0.accepts(algorithm) && (kid == nil || Self.sameName($0.kid, kid)) }
    return kid == nil && fitting.count != 1 ? [] : fitting
  }

  /// Whether some key has that name, whatever it is for: if not, a fresh copy of the set may have it. A token without `kid` names
  /// none, so a fresh copy helps it only if there is no key at all.
  public func hasKey(kid: String?) -> Bool {
    guard let kid else { return !keys.isEmpty }
    return keys.contains { Self.sameName($0.kid, kid) }
  }

  private static func sameName(_ a: String?, _ b: String?) -> Bool {
    switch (a, b) {
    case (nil, nil): true
    case (let a?, let b?): exactlyEquals(a, b)
    default: false
    }
  }
}

/// Why a document is not a key set at all.
public enum JWKSetError: Error, Sendable, Equatable, CustomStringConvertible {
  case json(JSONError)
  case notAnObject(found: String)
  case noKeys
  case duplicateKeys
  case keysNotAnArray(found: String)

  /// One line for a person.
  public var description: String {
    switch self {
    case .json(let error): "not JSON: \(error) (byte \(error.offset))"
    case .notAnObject(let found): "not an object but \(found)"
    case .noKeys: "has no member keys"
    case .duplicateKeys: "has two members keys"
    case .keysNotAnArray(let found): "keys is \(found), not an array"
    }
  }
}
