internal import Bytes
internal import JSON

/// The protected header of a compact JWS, RFC 7515 §4.
///
/// Keys that a header brings along or points to (`jwk`, `jku`, `x5u`, `x5c`) are not read: a token does not say whom to trust. The one
/// exception is a DPoP proof, whose `jwk` shows possession of a key and makes nobody trusted; its reader asks for it.
struct JOSEHeader: Sendable {
  let algorithm: JWSAlgorithm
  let kid: String?
  /// `typ` as a media type in lower case without `application/`, RFC 7515 §4.1.9.
  let type: String?
  /// `jwk`, if the reader asked for it.
  let embeddedKey: JSONValue?

  init(_ value: JSONValue, readingEmbeddedKey: Bool = false) throws(TokenError) {
    guard value.object != nil else { throw .notAnObject(.header, found: value.kindName) }
    guard let name = try Self.string("alg", in: value) else { throw .missing("alg") }
    guard let algorithm = JWSAlgorithm(name: name) else { throw .algorithm(found: name, expected: JWSAlgorithm.allCases) }
    self.algorithm = algorithm
    kid = try Self.string("kid", in: value)
    type = try Self.string("typ", in: value).map(Self.mediaType)
    embeddedKey = readingEmbeddedKey ? value["jwk"] : nil
    // Whatever crit lists, in whatever form: we understand no extension.
    if value["crit"] != nil { throw .criticalExtensions }
    if let encoded = value["b64"], encoded.bool != true { throw .unencodedPayload }
  }

  private static func string(_ name: String, in value: JSONValue) throws(TokenError) -> String? {
    guard let member = value[name] else { return nil }
    guard let text = member.string else { throw .wrongType(name, expected: "a string", found: member.kindName) }
    return text
  }

  private static func mediaType(_ text: String) -> String {
    let lower = text.utf8.map(ASCII.lowercased)
    let prefix = Array("application/".utf8)
    let short =
      lower.starts(with: prefix) && !lower.dropFirst(prefix.count).contains(UInt8(ascii: "/")) ? lower.dropFirst(prefix.count) : lower[...]
    return String(decoding: short, as: UTF8.self)
  }
}
