/// Why a proof of possession is not accepted, RFC 9449 §4.3.
public enum DPoPError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The form of the proof, or its signature by the key it brings.
  case token(TokenError)
  /// `typ` is not dpop+jwt.
  case type(found: String?)
  /// The proof brings no key, or one that we do not use.
  case key(JWKError?)
  /// Not exactly one proof came with the request.
  case count(Int)
  case missing(String)
  case wrongType(String)
  case signature
  case method(found: String)
  case target(found: String)
  case tooOld(at: Int64, now: Int64)
  case fromTheFuture(at: Int64, now: Int64)
  /// The proof is for another access token.
  case otherToken
  /// The access token is bound to another key, or to none.
  case otherKey
  /// A fresh nonce is demanded, and the proof has none or an old one.
  case nonce
  /// The proof was used before.
  case replayed
  /// More proofs in a moment than can be remembered; a proof that could be a replay is not accepted.
  case overloaded

  /// One line for the log.
  public var description: String {
    switch self {
    case .token(let error): "DPoP proof: \(error)"
    case .type(let found): "DPoP proof: typ is \(found.map(ShownText.quoted) ?? "missing"), not dpop+jwt"
    case .key(let error): "DPoP proof: its key is not usable: \(error?.description ?? "there is none")"
    case .count(let count): "DPoP proof: \(count) DPoP fields, not one"
    case .missing(let name): "DPoP proof: \(name) is missing"
    case .wrongType(let name): "DPoP proof: \(name) has the wrong type"
    case .signature: "DPoP proof: not signed by the key it brings"
    case .method(let found): "DPoP proof: htm is \(ShownText.quoted(found)), another method"
    case .target(let found): "DPoP proof: htu is \(ShownText.quoted(found)), another address"
    case .tooOld(let at, let now): "DPoP proof: iat \(at) is too old at \(now)"
    case .fromTheFuture(let at, let now): "DPoP proof: iat \(at) lies ahead of \(now)"
    case .otherToken: "DPoP proof: ath is of another access token"
    case .otherKey: "the access token is not bound to the key of the DPoP proof"
    case .nonce: "DPoP proof: a fresh nonce is demanded"
    case .replayed: "DPoP proof: used before"
    case .overloaded: "DPoP proof: too many proofs to remember"
    }
  }
}
