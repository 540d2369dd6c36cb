/// The head of a request, RFC 9112 §2.1: what was received, and what it means.
///
/// One value serves all requests of a connection, so that nothing is allocated for a request; it owns a copy of the
/// head's bytes, so that the connection's buffer is free again.
public struct RequestHead: Sendable {
  /// The bytes of the head and its field lines.
  public internal(set) var fields = FieldSection()
  /// The method; `other` is spelled by `methodRange`.
  public internal(set) var method = Method.other
  /// Where the method lies in the bytes.
  public internal(set) var methodRange = 0..<0
  /// Where the request target as received lies in the bytes.
  public internal(set) var targetRange = 0..<0
  /// Where the raw path lies in the bytes: empty only for an absolute target without path, which means `/`, and in a
  /// head that was refused.
  public internal(set) var pathRange = 0..<0
  /// Where the query lies in the bytes, without `?`; nil without one.
  public internal(set) var queryRange: Range<Int>?
  /// Where the authority of an absolute target lies in the bytes.
  public internal(set) var authorityRange: Range<Int>?
  /// The decoded path, for matching and mapping.
  public internal(set) var path = DecodedPath()
  /// The version's second digit: 0 or 1.
  public internal(set) var minorVersion: UInt8 = 1
  /// How the body is delimited: never `untilClose`.
  public internal(set) var framing = BodyFraming.none
  /// Whether the client lets the connection live on, RFC 9112 §9.3.
  public internal(set) var keepAlive = false
  /// Whether the client waits for a 100 before it sends the body, RFC 9110 §10.1.1.
  public internal(set) var expectsContinue = false
  /// Where the protocols offered by `Upgrade` lie in the bytes, RFC 9110 §7.8; nil without an offer, and for `h2c`, with a
  /// body, or in HTTP/1.0, where the offer is ignored.
  public internal(set) var upgradeRange: Range<Int>?

  /// Where parsing stopped when the head was incomplete.
  var progress = HeadProgress()

  /// A head to parse into.
  public init() {}

  /// The method as received.
  public var methodText: String { method == .other ? fields.text(methodRange) : method.name }
  /// The raw path as received, `/` where an absolute target has none; of a head refused before its target was read, empty.
  public var rawPath: String { pathRange.isEmpty && authorityRange != nil ? "/" : fields.text(pathRange) }
  /// The raw query, without `?`.
  public var query: String? { queryRange.map { fields.text($0) } }
  /// The host for policies: the `Host` value in lower case, without port and without a final dot; nil in HTTP/1.0 without Host.
  public var host: String? {
    guard let range = fields.range(of: .host) else { return nil }
    return fields.withBytes(range) { Authority.canonicalHost($0) }
  }
  /// Lends the bytes of the same; the result is nil where there is none.
  public func withHost<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R? {
    guard let range = fields.range(of: .host) else { return nil }
    return fields.withBytes(range) { Authority.withCanonicalHost($0, body) }
  }

  mutating func reset() {
    fields.removeAll()
    method = .other
    methodRange = 0..<0
    targetRange = 0..<0
    pathRange = 0..<0
    queryRange = nil
    authorityRange = nil
    path.removeAll()
    minorVersion = 1
    framing = .none
    keepAlive = false
    expectsContinue = false
    upgradeRange = nil
  }
}
