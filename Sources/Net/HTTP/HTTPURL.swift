internal import Bytes
internal import HTTP

/// An http or https URL that a request can be sent to, read strictly: no user information, no fragment, nothing to be
/// encoded or guessed. `unix:/path/to.sock` is HTTP over a unix socket.
public struct HTTPURL: Hashable, Sendable, CustomStringConvertible {
  /// Whether TLS is spoken.
  public let isSecure: Bool
  /// The host in lower case: a name or an IPv4 or IPv6 address (without brackets); `localhost` for a unix socket.
  public let host: String
  /// The port, the scheme's default if none is given.
  public let port: UInt16
  /// The path and query, beginning with `/`, as written.
  public let target: String
  /// The unix socket's path.
  public let socketPath: String?

  /// Byte equality: names and paths are not compared by Unicode equivalence.
  public static func == (a: HTTPURL, b: HTTPURL) -> Bool { a.isSamePlace(as: b) && exactlyEquals(a.target, b.target) }

  /// Hashes the text.
  public func hash(into hasher: inout Hasher) { hasher.combine(ExactString(description)) }

  /// Reads a URL.
  public static func parse(_ text: String) throws(NetError) -> HTTPURL {
    func refuse(_ reason: String) -> NetError { .invalidURL(text, reason: reason) }
    let bytes = Array(text.utf8)
    guard bytes.count <= longestBytes else { throw .invalidURL("(\(bytes.count) bytes)", reason: "longer than \(longestBytes) bytes") }
    guard bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { throw refuse("only visible ASCII may stand in a URL") }
    if bytes.starts(with: "unix:".utf8) {
      let path = String(decoding: bytes.dropFirst(5), as: UTF8.self)
      guard path.utf8.first == UInt8(ascii: "/"), path.utf8.count <= SocketAddress.longestPathBytes else {
        throw refuse("an absolute path of at most \(SocketAddress.longestPathBytes) bytes must follow `unix:`")
      }
      return HTTPURL(isSecure: false, host: "localhost", port: 80, target: "/", socketPath: path)
    }
    let isSecure: Bool
    let rest: ArraySlice<UInt8>
    if ASCII.equalsIgnoringCase(bytes.prefix(8), "https://".utf8) {
      isSecure = true
      rest = bytes.dropFirst(8)
    } else if ASCII.equalsIgnoringCase(bytes.prefix(7), "http://".utf8) {
      isSecure = false
      rest = bytes.dropFirst(7)
    } else {
      throw refuse("it must begin with `https://` or `http://`")
    }
    guard !rest.contains(UInt8(ascii: "#")) else { throw refuse("it has a fragment") }
    guard !rest.contains(UInt8(ascii: "\\")) else { throw refuse("it has a backslash") }
    let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
    let authority = rest[..<end]
    guard !authority.contains(UInt8(ascii: "@")) else { throw refuse("it has user information before the host") }
    var target = String(decoding: rest[end...], as: UTF8.self)
    if target.utf8.first != UInt8(ascii: "/") { target = "/" + target }
    let (host, portText) = try split(authority, refuse)
    var port: UInt16 = isSecure ? 443 : 80
    if let portText {
      guard let number = SocketAddress.port(portText), number > 0 else { throw refuse("the port must be a number from 1 to 65535") }
      port = number
    }
    return HTTPURL(isSecure: isSecure, host: host, port: port, target: target, socketPath: nil)
  }

  private static func split(_ authority: ArraySlice<UInt8>, _ refuse: (String) -> NetError) throws(NetError) -> (String, ArraySlice<UInt8>?)
  {
    if authority.first == UInt8(ascii: "[") {
      guard let close = authority.firstIndex(of: UInt8(ascii: "]")),
        let address = IPAddress(String(decoding: authority[(authority.startIndex + 1)..<close], as: UTF8.self)), !address.isV4
      else { throw refuse("expected an IPv6 address in brackets") }
      let tail = authority[(close + 1)...]
      guard let first = tail.first else { return (address.description, nil) }
      guard first == UInt8(ascii: ":") else { throw refuse("something stands between the address and its port") }
      return (address.description, tail.dropFirst())
    }
    let colon = authority.firstIndex(of: UInt8(ascii: ":"))
    let host = authority[..<(colon ?? authority.endIndex)]
    guard !host.isEmpty else { throw refuse("it has no host") }
    guard
      host.count <= 253,
      host.allSatisfy({
        ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_")
      }), host.first != UInt8(ascii: "."), host.first != UInt8(ascii: "-")
    else { throw refuse("the host is neither a name nor an address") }
    // "1", "0x7f.1" and "127.1" are addresses to some resolvers: a last label of digits is an address, or nothing.
    let text = String(decoding: host.map { ASCII.lowercased($0) }, as: UTF8.self)
    let lastLabel = host.split(separator: UInt8(ascii: ".")).last ?? []
    let looksNumeric = lastLabel.allSatisfy { ASCII.isDigit($0) } || lastLabel.starts(with: "0x".utf8) || lastLabel.starts(with: "0X".utf8)
    if looksNumeric, IPAddress(text) == nil { throw refuse("the host looks like an address, but is none") }
    return (text, colon.map { authority[($0 + 1)...] })
  }

  /// Whether the same server is reached, by scheme, host and port, or by the same socket.
  func isSamePlace(as other: HTTPURL) -> Bool {
    isSecure == other.isSecure && port == other.port && exactlyEquals(host, other.host)
      && exactlyEquals(socketPath ?? "", other.socketPath ?? "")
  }

  /// This URL with another target, which begins with `/`.
  public func with(target: String) -> HTTPURL {
    HTTPURL(isSecure: isSecure, host: host, port: port, target: target, socketPath: socketPath)
  }

  /// `https` or `http`.
  public var scheme: String { isSecure ? "https" : "http" }

  /// The host with brackets if it is an IPv6 address, and the port unless it is the scheme's default: a Host field's value.
  public var authority: String {
    let name = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
    return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
  }

  /// The URL.
  public var description: String {
    if let socketPath { return "unix:\(socketPath)" + (exactlyEquals(target, "/") ? "" : " \(target)") }
    return "\(scheme)://\(authority)\(target)"
  }

  private static let longestBytes = 8192
}
