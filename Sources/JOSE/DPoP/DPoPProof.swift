internal import Bytes
public import Crypto
internal import JSON

/// A proof that whoever sent a request holds a key, RFC 9449 §4: parsed, and signed by the key it brings.
public struct DPoPProof: Sendable {
  /// Most bytes of a proof.
  public static let byteLimit = 8 * 1024

  /// What a proof has to be for.
  public struct Request: Sendable {
    /// The method, in its case.
    public var method: String
    /// The address without query and fragment, as the client saw it: scheme, host and port, path.
    public var target: String

    /// A request.
    public init(method: String, target: String) {
      self.method = method
      self.target = target
    }
  }

  /// `jti`.
  public let jti: String
  /// `iat`, in seconds since 1970.
  public let issuedAt: Int64
  /// `nonce`, if the proof has one.
  public let nonce: String?
  /// SHA-256 thumbprint of the key, RFC 7638.
  public let thumbprint: [UInt8]

  private let method: String
  private let target: String
  private let tokenHash: String?

  /// Reads a proof and checks its signature with the key in it (§4.3 steps 2 to 7). Give it a verifier of its own: every client has
  /// another key, and the contexts of the issuers' keys should not make room for them.
  public init(_ bytes: UnsafeRawBufferPointer, verifier: SignatureVerifier) throws(DPoPError) {
    let jws: CompactJWS
    do throws(TokenError) {
      jws = try CompactJWS(bytes, byteLimit: Self.byteLimit, depthLimit: 8, readingEmbeddedKey: true)
    } catch {
      throw .token(error)
    }
    guard let type = jws.header.type, exactlyEquals(type, "dpop+jwt") else { throw .type(found: jws.header.type) }
    guard let value = jws.header.embeddedKey else { throw .key(nil) }
    let key: JWK
    do throws(JWKError) {
      // A private key in a proof is refused as one in a public set is (§4.3 step 7).
      key = try JWK(value)
    } catch {
      throw .key(error)
    }
    guard key.accepts(jws.header.algorithm) else { throw .key(.algorithmUnfit(jws.header.algorithm)) }
    guard jws.isSigned(by: key.publicKey, verifier: verifier) else { throw .signature }
    let claims: JSONValue
    do throws(TokenError) {
      claims = try CompactJWS.json(jws.payload, .payload, depthLimit: 8)
    } catch {
      throw .token(error)
    }

    func string(_ name: String) throws(DPoPError) -> String? {
      guard let value = claims[name] else { return nil }
      guard let text = value.string else { throw .wrongType(name) }
      return text
    }
    guard let jti = try string("jti"), !jti.isEmpty else { throw .missing("jti") }
    guard let method = try string("htm") else { throw .missing("htm") }
    guard let target = try string("htu") else { throw .missing("htu") }
    guard let date = claims["iat"] else { throw .missing("iat") }
    guard let issuedAt = NumericDate.seconds(date) else { throw .wrongType("iat") }
    self.jti = jti
    self.method = method
    self.target = target
    self.issuedAt = issuedAt
    nonce = try string("nonce")
    tokenHash = try string("ath")
    thumbprint = key.thumbprint
  }

  /// Checks what the proof is for (§4.3 steps 8, 9, 11, 12): this request, this moment, the access token with this SHA-256 digest, and
  /// that the token is bound to the proof's key by its `cnf.jkt` (§6.1); and with `nonces`, that its nonce is fresh (step 10). `window`
  /// is how old a proof may be, in seconds. Replays are for `DPoPReplayGuard`, after this.
  public func check(
    _ request: Request, tokenDigest: [UInt8], boundTo bound: String?, now: Int64, nonces: DPoPNonce? = nil, window: Int64 = 60,
    clockSkew: Int64 = 60
  ) throws(DPoPError) {
    guard exactlyEquals(method, request.method) else { throw .method(found: method) }
    guard let asked = DPoPTarget(request.target), let proven = DPoPTarget(target), asked == proven else { throw .target(found: target) }
    if let nonces {
      guard let nonce, nonces.accepts(nonce, now: now) else { throw .nonce }
    }
    let (age, overflow) = now.subtractingReportingOverflow(issuedAt)
    if overflow { throw issuedAt < now ? .tooOld(at: issuedAt, now: now) : .fromTheFuture(at: issuedAt, now: now) }
    if age < -max(clockSkew, 0) { throw .fromTheFuture(at: issuedAt, now: now) }
    if age > window { throw .tooOld(at: issuedAt, now: now) }
    guard let tokenHash else { throw .missing("ath") }
    let hash = Base64URL.encode(tokenDigest)
    guard constantTimeEquals(tokenHash.utf8, hash.utf8) else { throw .otherToken }
    guard let bound, constantTimeEquals(bound.utf8, Base64URL.encode(thumbprint).utf8) else {
      throw .otherKey
    }
  }
}

/// An address for comparison, RFC 9449 §4.3: without query and fragment, normalized by RFC 3986 §6.2.2 and §6.2.3.
struct DPoPTarget: Equatable {
  private let scheme: [UInt8]
  private let authority: [UInt8]
  private let path: [UInt8]

  /// nil for what is no http or https address with a host.
  init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7f }), let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else { return nil }
    scheme = bytes[..<colon].map(ASCII.lowercased)
    let isSecure = scheme.elementsEqual("https".utf8)
    guard isSecure || scheme.elementsEqual("http".utf8), bytes[(colon + 1)...].starts(with: "//".utf8) else { return nil }
    let rest = bytes[(colon + 3)...].prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
    let slash = rest.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
    var host = rest[..<slash].map(ASCII.lowercased)
    let defaultPort = Array((isSecure ? ":443" : ":80").utf8)
    if host.count > defaultPort.count, host.suffix(defaultPort.count).elementsEqual(defaultPort) { host.removeLast(defaultPort.count) }
    if host.last == UInt8(ascii: ":") { host.removeLast() }
    guard !host.isEmpty, !host.contains(UInt8(ascii: "@")) else { return nil }
    authority = host
    guard let path = Self.normalized(rest[slash...]) else { return nil }
    self.path = path.isEmpty ? [UInt8(ascii: "/")] : path
  }

  /// Escapes of unreserved characters resolved, others in upper case.
  private static func normalized(_ path: ArraySlice<UInt8>) -> [UInt8]? {
    var out: [UInt8] = []
    out.reserveCapacity(path.count)
    var rest = path
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        out.append(byte)
        continue
      }
      guard let high = rest.popFirst().flatMap(ASCII.hexValue), let low = rest.popFirst().flatMap(ASCII.hexValue) else { return nil }
      PercentEncoding.append([high << 4 | low], to: &out)
    }
    return out
  }
}
