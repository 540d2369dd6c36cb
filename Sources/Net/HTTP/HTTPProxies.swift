internal import Bytes
internal import HTTP

/// The proxies that the usual environment variables name: through which one a URL is fetched, if any.
///
/// `https_proxy` is for https URLs and `http_proxy` for http URLs, `all_proxy` for both where they are absent, in lower case
/// or upper case; but not `HTTP_PROXY`, which in some surroundings a request can set. `no_proxy` lists what is fetched
/// without: names with all names below them, addresses, networks (`10.0.0.0/8`), with a port or without; `*` is
/// everything. This machine itself is never fetched through a proxy.
public struct HTTPProxies: Sendable {
  /// A proxy.
  struct Proxy: Sendable {
    let url: HTTPURL
    /// The value of Proxy-Authorization.
    let authorization: Secret<String>?
  }

  private enum Exception: Sendable {
    case everything
    case name(ExactString, port: UInt16?)
    case network([UInt8], bits: Int)
  }

  private var http: Proxy?
  private var https: Proxy?
  private var exceptions: [Exception] = []

  /// No proxies.
  public init() {}

  /// The proxies of an environment.
  public init(environment: (String) -> String?) throws(NetError) {
    func first(_ names: [String]) -> String? { names.lazy.compactMap(environment).first { !$0.isEmpty } }
    let all = first(["all_proxy", "ALL_PROXY"])
    if let text = first(["http_proxy"]) ?? all { http = try Self.proxy(text) }
    if let text = first(["https_proxy", "HTTPS_PROXY"]) ?? all { https = try Self.proxy(text) }
    for entry in (first(["no_proxy", "NO_PROXY"]) ?? "").utf8.split(whereSeparator: { $0 == UInt8(ascii: ",") || $0 == ASCII.space }) {
      if let exception = Self.exception(String(decoding: entry, as: UTF8.self)) { exceptions.append(exception) }
    }
  }

  /// Whether no URL is fetched through a proxy.
  public var isEmpty: Bool { http == nil && https == nil }

  /// The proxy a URL is fetched through.
  func proxy(for url: HTTPURL) -> Proxy? {
    guard let proxy = url.isSecure ? https : http, url.socketPath == nil else { return nil }
    let address = IPAddress(url.host)
    if exactlyEquals(url.host, "localhost") || address?.isLoopback ?? false { return nil }
    return exceptions.contains { matches($0, url, address) } ? nil : proxy
  }

  private func matches(_ exception: Exception, _ url: HTTPURL, _ address: IPAddress?) -> Bool {
    switch exception {
    case .everything: return true
    case .network(let prefix, let bits):
      guard let octets = address?.unmapped.octets, octets.count == prefix.count else { return false }
      return Self.isInside(octets, prefix, bits: bits)
    case .name(let name, let port):
      guard port == nil || port == url.port else { return false }
      let host = Array(url.host.utf8)
      let suffix = Array(name.string.utf8)
      if host == suffix { return true }
      return address == nil && host.count > suffix.count && host.suffix(suffix.count).elementsEqual(suffix)
        && host[host.count - suffix.count - 1] == UInt8(ascii: ".")
    }
  }

  private static func isInside(_ octets: [UInt8], _ prefix: [UInt8], bits: Int) -> Bool {
    for index in octets.indices {
      let significant = min(max(bits - index * 8, 0), 8)
      let mask: UInt8 = significant == 0 ? 0 : 0xff << UInt8(8 - significant)
      if (octets[index] ^ prefix[index]) & mask != 0 { return false }
    }
    return true
  }

  // MARK: - Reading

  private static func exception(_ text: String) -> Exception? {
    if exactlyEquals(text, "*") { return .everything }
    let bytes = text.utf8.map { ASCII.lowercased($0) }
    let bare = bytes.first == UInt8(ascii: "[") && bytes.last == UInt8(ascii: "]") ? Array(bytes.dropFirst().dropLast()) : bytes
    if let address = IPAddress(String(decoding: bare, as: UTF8.self))?.unmapped {
      return .network(address.octets, bits: address.octets.count * 8)
    }
    if let slash = bytes.firstIndex(of: UInt8(ascii: "/")) {
      guard let address = IPAddress(String(decoding: bytes[..<slash], as: UTF8.self)), let bits = SocketAddress.port(bytes[(slash + 1)...]),
        Int(bits) <= address.octets.count * 8
      else { return nil }
      return .network(address.octets, bits: Int(bits))
    }
    var name = bytes[...]
    var port: UInt16?
    if let colon = name.lastIndex(of: UInt8(ascii: ":")) {
      port = SocketAddress.port(name[(colon + 1)...])
      guard port != nil else { return nil }
      name = name[..<colon]
    }
    if name.starts(with: "*.".utf8) { name = name.dropFirst() }
    name = name.drop { $0 == UInt8(ascii: ".") }
    return name.isEmpty ? nil : .name(ExactString(String(decoding: name, as: UTF8.self)), port: port)
  }

  private static func proxy(_ text: String) throws(NetError) -> Proxy {
    var bytes = Array(text.utf8)
    // "proxy:3128" is usual.
    if !text.utf8.contains(UInt8(ascii: "/")) { bytes = Array("http://".utf8) + bytes }
    var authorization: Secret<String>?
    let start = 7
    if bytes.count > start, let at = bytes.lastIndex(of: UInt8(ascii: "@")), at >= start {
      // Never in an error: what stands before the @ is a secret.
      guard let credentials = percentDecoded(bytes[start..<at]) else {
        throw .invalidURL("(a proxy with credentials)", reason: "its credentials are not percent-encoded as they should be")
      }
      authorization = Secret(
        "Basic " + Base64.encode(credentials.contains(UInt8(ascii: ":")) ? credentials : credentials + [UInt8(ascii: ":")]))
      bytes.removeSubrange(start...at)
    }
    let url = try HTTPURL.parse(String(decoding: bytes, as: UTF8.self))
    guard !url.isSecure, url.socketPath == nil else {
      throw .invalidURL(
        url.description, reason: "a proxy is spoken to over plain http; what is fetched through it is encrypted all the same")
    }
    return Proxy(url: url, authorization: authorization)
  }

  private static func percentDecoded(_ bytes: ArraySlice<UInt8>) -> [UInt8]? {
    var out: [UInt8] = []
    var rest = bytes
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        out.append(byte)
        continue
      }
      guard let high = rest.popFirst().flatMap(ASCII.hexValue), let low = rest.popFirst().flatMap(ASCII.hexValue) else { return nil }
      out.append(high << 4 | low)
    }
    return out
  }
}
