internal import Bytes
public import Crypto
public import JSON

/// One public signature key of a set, RFC 7517 §4.
public struct JWK: Sendable {
  /// `kid`: an opaque name, compared byte by byte.
  public let kid: String?
  /// `alg`, where the key names one: then it checks signatures of no other.
  public let alg: JWSAlgorithm?
  /// The key itself.
  public let publicKey: PublicKey
  /// SHA-256 thumbprint, RFC 7638: the key by what it is, whatever it is called.
  public let thumbprint: [UInt8]

  /// Whether signatures by an algorithm may be checked with this key: right kind, right curve, and the key's own `alg`.
  public func accepts(_ algorithm: JWSAlgorithm) -> Bool {
    (alg == nil || alg == algorithm) && algorithm.signature.fits(publicKey.kind)
  }

  /// Reads one key of a set; says what keeps it from being used.
  public init(_ value: JSONValue) throws(JWKError) {
    guard let members = value.object else { throw .notAnObject(found: value.kindName) }
    var seen: Set<ExactString> = []
    for member in members where !seen.insert(ExactString(member.name)).inserted { throw .duplicateMember(member.name) }

    let reader = JWKReader(value)
    kid = try reader.string("kid")
    try reader.requireSignatureUse()
    let material = try reader.material()
    publicKey = material.key
    thumbprint = material.thumbprint

    guard let name = try reader.string("alg") else {
      alg = nil
      return
    }
    guard let algorithm = JWSAlgorithm(name: name) else { throw .notForSignatures("alg is \(JWKError.shown(name))") }
    guard algorithm.signature.fits(publicKey.kind) else { throw .algorithmUnfit(algorithm) }
    alg = algorithm
  }
}

/// Takes the members of one key apart. Unknown members are ignored (RFC 7517 §4).
private struct JWKReader {
  let value: JSONValue

  init(_ value: JSONValue) { self.value = value }

  func string(_ name: String) throws(JWKError) -> String? {
    guard let member = value[name] else { return nil }
    guard let text = member.string else { throw .wrongType(name, found: member.kindName) }
    return text
  }

  func required(_ name: String) throws(JWKError) -> String {
    guard let text = try string(name) else { throw .missing(name) }
    return text
  }

  /// A number or an octet string, Base64urlUInt of RFC 7518 §2.
  func bytes(_ name: String) throws(JWKError) -> [UInt8] {
    guard let bytes = Base64URL.decode(try required(name).utf8) else { throw .notBase64URL(name) }
    return bytes
  }

  /// `use` and `key_ops`, RFC 7517 §4.2 and §4.3: where given, they must allow checking signatures.
  func requireSignatureUse() throws(JWKError) {
    if let use = try string("use"), !exactlyEquals(use, "sig") { throw .notForSignatures("use is \(JWKError.shown(use))") }
    guard let operations = value["key_ops"] else { return }
    guard let names = operations.array else { throw .wrongType("key_ops", found: operations.kindName) }
    let verifies = names.contains { $0.string.map { exactlyEquals($0, "verify") } ?? false }
    guard verifies else { throw .notForSignatures("key_ops has no verify") }
  }

  func material() throws(JWKError) -> (key: PublicKey, thumbprint: [UInt8]) {
    let type = try required("kty")
    switch JWKType(named: type) {
    case .rsa:
      let n = try bytes("n")
      let e = try bytes("e")
      try requirePublic()
      let key = try Self.made { () throws(KeyError) in try PublicKey.rsa(modulus: n, exponent: e) }
      let (modulus, exponent) = (Base64URL.encode(n.drop { $0 == 0 }), Base64URL.encode(e.drop { $0 == 0 }))
      return (key, Self.thumbprint(#"{"e":"\#(exponent)","kty":"RSA","n":"\#(modulus)"}"#))
    case .ec:
      let name = try required("crv")
      guard let curve = Curve(named: name) else { throw .unsupported("crv \(JWKError.shown(name))") }
      let x = try bytes("x")
      let y = try bytes("y")
      try requirePublic()
      let key = try Self.made { () throws(KeyError) in try PublicKey.ec(curve, x: x, y: y) }
      return (key, Self.thumbprint(#"{"crv":"\#(curve.name)","kty":"EC","x":"\#(Base64URL.encode(x))","y":"\#(Base64URL.encode(y))"}"#))
    case .okp:
      let name = try required("crv")
      guard exactlyEquals(name, "Ed25519") else { throw .unsupported("crv \(JWKError.shown(name))") }
      let x = try bytes("x")
      try requirePublic()
      let key = try Self.made { () throws(KeyError) in try PublicKey.ed25519(x) }
      return (key, Self.thumbprint(#"{"crv":"Ed25519","kty":"OKP","x":"\#(Base64URL.encode(x))"}"#))
    case .oct: throw .symmetric
    case nil: throw .unsupported("kty \(JWKError.shown(type))")
    }
  }

  /// A set that anyone may read and that holds `d` has given the key away: whoever reads it can sign.
  private func requirePublic() throws(JWKError) {
    if value["d"] != nil { throw .privateKeyPublished }
  }

  private static func made(_ make: () throws(KeyError) -> PublicKey) throws(JWKError) -> PublicKey {
    do {
      return try make()
    } catch {
      throw .unusable(error)
    }
  }

  /// RFC 7638 §3: the required members in lexicographic order, without white space.
  private static func thumbprint(_ canonical: String) -> [UInt8] { Digest.sha256(canonical.utf8) }
}

/// Key types of RFC 7518 §6.1 and RFC 8037 §2.
private enum JWKType {
  case rsa
  case ec
  case okp
  case oct

  init?(named name: String) {
    switch Array(name.utf8) {
    case Array("RSA".utf8): self = .rsa
    case Array("EC".utf8): self = .ec
    case Array("OKP".utf8): self = .okp
    case Array("oct".utf8): self = .oct
    default: return nil
    }
  }
}

extension Curve {
  /// The name of RFC 7518 §6.2.1.1.
  var name: String {
    switch self {
    case .p256: "P-256"
    case .p384: "P-384"
    case .p521: "P-521"
    }
  }

  init?(named name: String) {
    guard let match = Self.allCases.first(where: { exactlyEquals($0.name, name) }) else { return nil }
    self = match
  }
}
