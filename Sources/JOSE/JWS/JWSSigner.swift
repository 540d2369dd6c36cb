internal import Bytes
public import Crypto
public import JSON

/// Makes signed tokens: those of the development issuer and of tests.
public struct JWSSigner: Sendable {
  /// The name that the header gives the key.
  public let kid: String
  /// The algorithm.
  public let algorithm: JWSAlgorithm
  /// The key.
  public let key: PrivateKey

  /// A signer; `key` must fit the algorithm, or signing fails.
  public init(kid: String, algorithm: JWSAlgorithm, key: PrivateKey) {
    self.kid = kid
    self.algorithm = algorithm
    self.key = key
  }

  /// A compact JWS over claims (RFC 7515 §7.1), with `kid` and `alg` in its header, then the members of `header`.
  public func token(claims: JSONValue, header: KeyValuePairs<String, JSONValue> = [:]) throws(KeyError) -> String {
    var members: [JSONValue.Member] = [
      .init(name: "kid", value: .string(kid)), .init(name: "alg", value: .string(algorithm.rawValue)),
    ]
    for (name, value) in header { members.append(.init(name: name, value: value)) }
    let signed = Self.part(JSONValue(.object(members))) + "." + Self.part(claims)
    let signature = try key.sign(Array(signed.utf8), by: algorithm.signature)
    return signed + "." + Base64URL.encode(signature)
  }

  /// The public half as a key set shows it, RFC 7517 §4, for signatures by this algorithm only.
  public var publicJWK: JSONValue {
    func number(_ number: PrivateKey.Number) -> JSONValue { .string(Base64URL.encode(key.number(number) ?? [])) }
    let (alg, kid, use) = (JSONValue.string(algorithm.rawValue), JSONValue.string(kid), JSONValue.string("sig"))
    switch key.publicKey.kind {
    case .rsa: return .object(["alg": alg, "e": number(.e), "kid": kid, "kty": .string("RSA"), "n": number(.n), "use": use])
    case .ec(let curve):
      let crv = JSONValue.string(curve.name)
      return .object(["alg": alg, "crv": crv, "kid": kid, "kty": .string("EC"), "use": use, "x": number(.x), "y": number(.y)])
    case .ed25519:
      return .object(["alg": alg, "crv": .string("Ed25519"), "kid": kid, "kty": .string("OKP"), "use": use, "x": number(.x)])
    }
  }

  /// The base64url of a value's JSON text.
  public static func part(_ value: JSONValue) -> String { Base64URL.encode(Array(value.text.utf8)) }
}
