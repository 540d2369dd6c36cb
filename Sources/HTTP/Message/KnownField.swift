/// The field names that this house treats specially, RFC 9110 §5.1; every other name is `other`.
///
/// Names are recognized by bytes, ASCII letters without case, and by nothing else: `Content_Length` is `other`.
public enum KnownField: UInt8, Sendable, CaseIterable {
  /// A name without a case of its own.
  case other
  /// `Host`.
  case host
  /// `Content-Length`.
  case contentLength
  /// `Transfer-Encoding`.
  case transferEncoding
  /// `Connection`.
  case connection
  /// `Keep-Alive`.
  case keepAlive
  /// `TE`.
  case te
  /// `Trailer`.
  case trailer
  /// `Upgrade`.
  case upgrade
  /// `HTTP2-Settings`, RFC 7540 §3.2.1.
  case http2Settings
  /// `Proxy-Connection`.
  case proxyConnection
  /// `Proxy-Authenticate`.
  case proxyAuthenticate
  /// `Proxy-Authorization`.
  case proxyAuthorization
  /// `Proxy-Authentication-Info`.
  case proxyAuthenticationInfo
  /// `Expect`.
  case expect
  /// `Authorization`.
  case authorization
  /// `Cookie`.
  case cookie
  /// `Set-Cookie`.
  case setCookie
  /// `WWW-Authenticate`.
  case wwwAuthenticate
  /// `DPoP`, RFC 9449.
  case dpop
  /// `Forwarded`, RFC 7239.
  case forwarded
  /// `X-Forwarded-For`.
  case xForwardedFor
  /// `X-Forwarded-Proto`.
  case xForwardedProto
  /// `X-Forwarded-Host`.
  case xForwardedHost
  /// `X-Forwarded-Port`.
  case xForwardedPort
  /// `X-Forwarded-Prefix`.
  case xForwardedPrefix
  /// `X-Forwarded-Server`.
  case xForwardedServer
  /// `X-Forwarded-Uri`.
  case xForwardedUri
  /// `X-Forwarded-Method`.
  case xForwardedMethod
  /// `X-Real-IP`.
  case xRealIP
  /// `X-Original-URL`.
  case xOriginalURL
  /// `X-Rewrite-URL`.
  case xRewriteURL
  /// `X-HTTP-Method-Override`.
  case xHTTPMethodOverride
  /// `Content-Type`.
  case contentType
  /// `Content-Encoding`.
  case contentEncoding
  /// `Accept`.
  case accept
  /// `Origin`.
  case origin
  /// `Access-Control-Request-Method`.
  case accessControlRequestMethod
  /// `Access-Control-Request-Headers`.
  case accessControlRequestHeaders
  /// `traceparent`, W3C Trace Context.
  case traceparent
  /// `tracestate`, W3C Trace Context.
  case tracestate
  /// `User-Agent`.
  case userAgent
  /// `Date`.
  case date
  /// `Server`.
  case server
  /// `Via`.
  case via
  /// `Cache-Control`.
  case cacheControl
  /// `Age`.
  case age
  /// `Location`.
  case location
  /// `Retry-After`.
  case retryAfter
  /// `Content-Range`.
  case contentRange

  /// The name in lower case; empty for `other`.
  public var name: String {
    switch self {
    case .other: ""
    case .host: "host"
    case .contentLength: "content-length"
    case .transferEncoding: "transfer-encoding"
    case .connection: "connection"
    case .keepAlive: "keep-alive"
    case .te: "te"
    case .trailer: "trailer"
    case .upgrade: "upgrade"
    case .http2Settings: "http2-settings"
    case .proxyConnection: "proxy-connection"
    case .proxyAuthenticate: "proxy-authenticate"
    case .proxyAuthorization: "proxy-authorization"
    case .proxyAuthenticationInfo: "proxy-authentication-info"
    case .expect: "expect"
    case .authorization: "authorization"
    case .cookie: "cookie"
    case .setCookie: "set-cookie"
    case .wwwAuthenticate: "www-authenticate"
    case .dpop: "dpop"
    case .forwarded: "forwarded"
    case .xForwardedFor: "x-forwarded-for"
    case .xForwardedProto: "x-forwarded-proto"
    case .xForwardedHost: "x-forwarded-host"
    case .xForwardedPort: "x-forwarded-port"
    case .xForwardedPrefix: "x-forwarded-prefix"
    case .xForwardedServer: "x-forwarded-server"
    case .xForwardedUri: "x-forwarded-uri"
    case .xForwardedMethod: "x-forwarded-method"
    case .xRealIP: "x-real-ip"
    case .xOriginalURL: "x-original-url"
    case .xRewriteURL: "x-rewrite-url"
    case .xHTTPMethodOverride: "x-http-method-override"
    case .contentType: "content-type"
    case .contentEncoding: "content-encoding"
    case .accept: "accept"
    case .origin: "origin"
    case .accessControlRequestMethod: "access-control-request-method"
    case .accessControlRequestHeaders: "access-control-request-headers"
    case .traceparent: "traceparent"
    case .tracestate: "tracestate"
    case .userAgent: "user-agent"
    case .date: "date"
    case .server: "server"
    case .via: "via"
    case .cacheControl: "cache-control"
    case .age: "age"
    case .location: "location"
    case .retryAfter: "retry-after"
    case .contentRange: "content-range"
    }
  }

  /// The case of a name, letters compared without case.
  public init(name: UnsafeRawBufferPointer) {
    self = Self.table.withUnsafeBufferPointer { Self.classify(name, in: $0) }
  }

  /// The case of a name, letters compared without case.
  public init(_ name: String) {
    var copy = name
    self = copy.withUTF8 { KnownField(name: UnsafeRawBufferPointer($0)) }
  }

  /// This case's bit in a set of cases.
  @inline(__always) var bit: UInt64 { 1 &<< UInt64(rawValue) }
}

extension KnownField {
  // Recognition: the first eight bytes, the last eight, and what lies between, each with 0x20 set, against a table
  // ordered by length. Setting 0x20 maps upper case to lower; among the bytes a token may have, no other byte folds
  // onto a letter, a digit or `-`, so equality of the words is equality of the names without case.
  struct Entry: Sendable {
    var first: UInt64
    var last: UInt64
    var second: UInt64
    var third: UInt64
    var known: KnownField
  }

  static let longest = 32

  /// `table[length]` entries are `offsets`: the table begins with one slot a length that says where its names are.
  static let table: [Entry] = {
    var out: [Entry] = []
    var names: [Entry] = []
    for length in 0...longest {
      let start = names.count
      for known in allCases where known != .other && known.name.utf8.count == length {
        var entry = Array(known.name.utf8).withUnsafeBytes { words(of: $0) }
        entry.known = known
        names.append(entry)
      }
      let base = UInt64(longest + 1)
      out.append(Entry(first: base + UInt64(start), last: base + UInt64(names.count), second: 0, third: 0, known: .other))
    }
    return out + names
  }()

  /// The words of a name of at most 32 bytes.
  @inline(__always)
  static func words(of name: UnsafeRawBufferPointer) -> Entry {
    let fold: UInt64 = 0x2020_2020_2020_2020
    let count = name.count
    if count < 8 {
      var word: UInt64 = 0
      for byte in name { word = word &<< 8 | UInt64(byte | 0x20) }
      return Entry(first: word, last: 0, second: 0, third: 0, known: .other)
    }
    return Entry(
      first: name.loadUnaligned(fromByteOffset: 0, as: UInt64.self) | fold,
      last: name.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self) | fold,
      second: count > 16 ? name.loadUnaligned(fromByteOffset: 8, as: UInt64.self) | fold : 0,
      third: count > 24 ? name.loadUnaligned(fromByteOffset: 16, as: UInt64.self) | fold : 0,
      known: .other)
  }

  /// The case of a token, by the table.
  @inline(__always)
  static func classify(_ name: UnsafeRawBufferPointer, in table: UnsafeBufferPointer<Entry>) -> KnownField {
    let count = name.count
    guard count >= 2, count <= longest else { return .other }
    var index = Int(truncatingIfNeeded: table[count].first)
    let end = Int(truncatingIfNeeded: table[count].last)
    guard index < end else { return .other }
    let words = words(of: name)
    while index < end {
      let entry = table[index]
      if entry.first == words.first, entry.last == words.last, entry.second == words.second, entry.third == words.third {
        return entry.known
      }
      index += 1
    }
    return .other
  }

  /// Fields of one connection, not of the message: RFC 9110 §7.6.1 and what RFC 9112 and habit add.
  static var hopByHop: UInt64 {
    KnownField.connection.bit | KnownField.keepAlive.bit | KnownField.te.bit | KnownField.trailer.bit
      | KnownField.transferEncoding.bit | KnownField.upgrade.bit | KnownField.http2Settings.bit | KnownField.proxyConnection.bit
      | KnownField.proxyAuthenticate.bit | KnownField.proxyAuthorization.bit | KnownField.proxyAuthenticationInfo.bit
  }

  /// Fields by which a request says how it was forwarded or how it wants to be read: nobody is believed.
  static var forwarding: UInt64 {
    KnownField.forwarded.bit | KnownField.xForwardedFor.bit | KnownField.xForwardedProto.bit | KnownField.xForwardedHost.bit
      | KnownField.xForwardedPort.bit | KnownField.xForwardedPrefix.bit | KnownField.xForwardedServer.bit
      | KnownField.xForwardedUri.bit | KnownField.xForwardedMethod.bit | KnownField.xRealIP.bit | KnownField.xOriginalURL.bit
      | KnownField.xRewriteURL.bit | KnownField.xHTTPMethodOverride.bit
  }
}
