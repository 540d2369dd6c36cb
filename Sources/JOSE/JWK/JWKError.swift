public import Crypto

/// Why a key of a set is not used. The other keys of the set are not touched by it.
public enum JWKError: Error, Sendable, Equatable, CustomStringConvertible {
  case notAnObject(found: String)
  case duplicateMember(String)
  case missing(String)
  case wrongType(String, found: String)
  case notBase64URL(String)
  /// A `kty` or `crv` that we do not know; RFC 7517 §5 says to ignore such keys.
  case unsupported(String)
  /// A symmetric key: it has no place in a set that anyone may read, and signatures by it are not accepted.
  case symmetric
  /// `use`, `key_ops` or `alg` say that the key is for something else.
  case notForSignatures(String)
  case algorithmUnfit(JWSAlgorithm)
  /// The set shows the private half: whoever can read it can sign.
  case privateKeyPublished
  /// The numbers are not a key that we use.
  case unusable(KeyError)
  /// More keys than a set may have.
  case tooManyKeys(limit: Int)
  /// More keys of one `kid` than are tried.
  case tooManyOfOneKid(limit: Int)

  /// Whether the key was rightly left out (it is for something else), and nobody needs to act.
  public var isExpected: Bool {
    switch self {
    case .unsupported, .notForSignatures: true
    default: false
    }
  }

  /// One line for a person.
  public var description: String {
    switch self {
    case .notAnObject(let found): "not an object but \(found)"
    case .duplicateMember(let name): "member \(Self.shown(name)) stands there twice"
    case .missing(let name): "has no \(name)"
    case .wrongType(let name, let found): "\(name) is \(found)"
    case .notBase64URL(let name): "\(name) is not base64url without padding"
    case .unsupported(let what): "not supported: \(what)"
    case .symmetric: "a symmetric key (kty oct)"
    case .notForSignatures(let why): "not for signatures that we check: \(why)"
    case .algorithmUnfit(let algorithm): "alg \(algorithm) does not fit the key"
    case .privateKeyPublished: "the set shows its private half (d): replace this key"
    case .unusable(let error): error.description
    case .tooManyKeys(let limit): "more than \(limit) keys in the set"
    case .tooManyOfOneKid(let limit): "more than \(limit) keys of this kid and kind"
    }
  }

  static func shown(_ text: String) -> String { ShownText.quoted(text) }
}
