public import JSON

/// The check that a token failed, with what was expected and what was seen. Never holds the token or a signature.
///
/// `reason` is for the decision log, `description` for its reader, `errorDescription` for the client.
public enum TokenError: Error, Sendable, Equatable {
  /// One of the three parts of a compact JWS, RFC 7515 §7.1.
  public enum Part: String, Sendable {
    case header
    case payload
    case signature
  }

  // Form (RFC 7515, RFC 7519 §7.2).
  case tooLarge(bytes: Int, limit: Int)
  /// More in the header than any token has.
  case headerTooLarge
  case partCount(Int)
  case notBase64URL(Part)
  case notJSON(Part, JSONError)
  case notAnObject(Part, found: String)
  case missing(String)
  case wrongType(String, expected: String, found: String)
  /// `crit` names extensions, and we understand none (RFC 7515 §4.1.11).
  case criticalExtensions
  /// `b64` other than true (RFC 7797 §7: not for JWTs).
  case unencodedPayload

  // Signature.
  case algorithm(found: String, expected: [JWSAlgorithm])
  case unknownKey(kid: String?, algorithm: JWSAlgorithm)
  /// The `kid` is known, but that key is not for this algorithm.
  case keyAlgorithm(kid: String?, algorithm: JWSAlgorithm)
  case signature(kid: String?, algorithm: JWSAlgorithm)

  // Claims (RFC 7519 §4.1, Cognito).
  case issuer(found: String, expected: [String])
  case audience(claim: String, found: [String], expected: [String] = [])
  case tokenUse(found: String, expected: [TokenUse])
  /// `typ` says that this is some other kind of token (RFC 8725 §3.11).
  case type(found: String)
  case expired(at: Int64, now: Int64)
  case notYetValid(claim: String, at: Int64, now: Int64)
  case lifetime(seconds: Int64, maximum: Int64)
  /// The token is bound to a key or certificate of its sender (`cnf`, RFC 7800), and no proof of it was checked.
  case senderConstrained
  /// The token is bound to a client's certificate (RFC 8705), or has to be, and this client has another or none, or it is not.
  case certificateBinding(CertificateMismatch)
  /// Its issuer says that it is not active (RFC 7662 §2.2).
  case inactive
  /// An operator has revoked it.
  case revoked(RevocationList.Match)

  /// Why a token and the client's certificate do not belong together.
  public enum CertificateMismatch: Sendable, Equatable {
    /// The token is bound, and the client showed no certificate.
    case noCertificate
    /// It is bound to another.
    case otherCertificate
    /// It is bound to none, and has to be.
    case notBound
  }

  /// What the decision log calls it: a closed list.
  public enum Reason: String, Sendable, CaseIterable {
    case malformed = "token_malformed"
    case signature = "token_signature"
    case expired = "token_expired"
    case notYetValid = "token_not_yet_valid"
    case issuer = "token_issuer"
    case audience = "token_audience"
    case use = "token_use"
    case algorithm = "token_algorithm"
    case lifetime = "token_lifetime"
    case binding = "token_binding"
    case revoked = "token_revoked"
    case unknownKey = "key_unknown"
  }

  /// What the decision log calls it.
  public var reason: Reason {
    switch self {
    case .tooLarge, .headerTooLarge, .partCount, .notBase64URL, .notJSON, .notAnObject, .missing, .wrongType, .criticalExtensions,
      .unencodedPayload:
      .malformed
    case .algorithm, .keyAlgorithm: .algorithm
    case .unknownKey: .unknownKey
    case .signature: .signature
    case .issuer: .issuer
    case .audience: .audience
    case .tokenUse, .type: .use
    case .expired: .expired
    case .notYetValid: .notYetValid
    case .lifetime: .lifetime
    case .senderConstrained, .certificateBinding: .binding
    case .revoked, .inactive: .revoked
    }
  }

  /// The `error_description` of RFC 6750 §3: what a client may learn, in the characters that §3 allows. It repeats nothing of the
  /// token and shows nothing of our configuration.
  public var errorDescription: String {
    switch reason {
    case .malformed: "The token is malformed"
    case .signature, .unknownKey, .algorithm: "The token's signature is not valid here"
    case .expired: "The token has expired"
    case .notYetValid: "The token is not valid yet"
    case .issuer: "The token's issuer is not accepted"
    case .audience: "The token is for another audience"
    case .use: "This kind of token is not accepted"
    case .lifetime: "The token's lifetime is too long"
    case .binding: "The token is bound to a key or certificate, or has to be, and this client did not prove to hold it"
    case .revoked: "The token has been revoked"
    }
  }
}

extension TokenError: CustomStringConvertible {
  /// One line for the log: expected and seen, shortened, without anything secret.
  public var description: String {
    switch self {
    case .tooLarge(let bytes, let limit): "token of \(bytes) bytes; at most \(limit) are accepted"
    case .headerTooLarge: "header has more than any token needs"
    case .partCount(let count): "token has \(count) parts; a signed token has 3"
    case .notBase64URL(let part): "\(part) is not base64url without padding"
    case .notJSON(let part, let error): "\(part) is not JSON: \(Self.shown(error)) (byte \(error.offset))"
    case .notAnObject(let part, let found): "\(part) is \(found), not an object"
    case .missing(let name): "\(name) is missing"
    case .wrongType(let name, let expected, let found): "\(name) is \(found), not \(expected)"
    case .criticalExtensions: "crit names an extension that is not understood"
    case .unencodedPayload: "b64 is not true"
    case .algorithm(let found, let expected): "alg is \(ShownText.quoted(found)); accepted: \(Self.list(expected.map(\.rawValue)))"
    case .unknownKey(let kid, let algorithm): "no key \(Self.shown(kid: kid)) for \(algorithm) in the issuer's key set"
    case .keyAlgorithm(let kid, let algorithm): "key \(Self.shown(kid: kid)) is not for \(algorithm)"
    case .signature(let kid, let algorithm): "not a signature by key \(Self.shown(kid: kid)) (\(algorithm))"
    case .issuer(let found, let expected): "iss is \(ShownText.quoted(found)); accepted: \(Self.list(expected))"
    case .audience(let claim, let found, let expected):
      "\(claim) is \(Self.list(found.map(ShownText.quoted)))"
        + (expected.isEmpty ? ", none of those accepted" : "; accepted: \(Self.list(expected))")
    case .tokenUse(let found, let expected): "token_use is \(ShownText.quoted(found)); accepted: \(Self.list(expected.map(\.rawValue)))"
    case .type(let found): "typ is \(ShownText.quoted(found)), another kind of token"
    case .expired(let at, let now): "exp \(at) passed \(Self.seconds(from: at, to: now)) s ago"
    case .notYetValid(let claim, let at, let now): "\(claim) \(at) lies \(Self.seconds(from: now, to: at)) s ahead"
    case .lifetime(let seconds, let maximum): "valid for \(seconds) s; at most \(maximum) s are accepted"
    case .inactive: "its issuer says that it is not active"
    case .revoked(let match): match.description
    case .senderConstrained: "cnf binds the token to its sender, and no proof was checked"
    case .certificateBinding(.noCertificate): "cnf binds the token to a certificate, and the client showed none on this connection"
    case .certificateBinding(.otherCertificate): "cnf binds the token to another certificate than the client's"
    case .certificateBinding(.notBound):
      "the route takes only tokens that cnf binds to the client's certificate, and this one has no x5t#S256"
    }
  }

  private static func shown(kid: String?) -> String { kid.map(ShownText.quoted) ?? "(no kid)" }

  /// A duplicate name comes from the token, so it is shortened like everything else from there.
  private static func shown(_ error: JSONError) -> String {
    if case .duplicateName(let name) = error.reason { return "duplicate name \(ShownText.quoted(name))" }
    return error.description
  }

  private static func list(_ items: [String]) -> String {
    let shown = items.prefix(5).joined(separator: ", ")
    return items.isEmpty ? "none" : items.count > 5 ? shown + ", …" : shown
  }

  private static func seconds(from: Int64, to: Int64) -> Int64 {
    let (difference, overflow) = to.subtractingReportingOverflow(from)
    return overflow ? .max : difference
  }
}
