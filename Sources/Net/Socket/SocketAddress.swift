internal import Bytes
internal import CSystem
public import HTTP

/// Where a socket is: an IP address and port, or a path.
public enum SocketAddress: Hashable, Sendable, CustomStringConvertible {
  /// TCP. The scope is an interface's index for link-local IPv6 addresses, else 0.
  case ip(IPAddress, port: UInt16, scope: UInt32)
  /// A unix socket; empty for an unnamed one (the client's side), beginning with NUL for an abstract one.
  case unix(path: String)

  /// TCP without a scope.
  public static func ip(_ address: IPAddress, port: UInt16) -> SocketAddress { .ip(address, port: port, scope: 0) }

  /// All addresses of the machine, IPv4 and IPv6.
  public static func everywhere(port: UInt16) -> SocketAddress { .ip(IPAddress(v6: 0, 0), port: port, scope: 0) }

  /// Reads `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` (127.0.0.1), `:8080` (every address) or `unix:/path`.
  public static func parse(_ text: String) throws(NetError) -> SocketAddress {
    let bytes = Array(text.utf8)
    if bytes.starts(with: "unix:".utf8) {
      let path = bytes.dropFirst(5)
      guard !path.isEmpty else { throw .invalidAddress(text, reason: "a path must follow `unix:`") }
      guard path.count <= longestPathBytes else {
        throw .invalidAddress(text, reason: "a socket's path is at most \(longestPathBytes) bytes long")
      }
      guard !path.contains(0) else { throw .invalidAddress(text, reason: "the path contains a NUL") }
      return .unix(path: String(decoding: path, as: UTF8.self))
    }
    guard let colon = bytes.lastIndex(of: UInt8(ascii: ":")) else {
      throw .invalidAddress(text, reason: "expected `address:port`, `:port` or `unix:/path`")
    }
    guard let port = port(bytes[(colon + 1)...]) else {
      throw .invalidAddress(text, reason: "the port must be a number from 0 to 65535")
    }
    let host = bytes[..<colon]
    if host.isEmpty { return .everywhere(port: port) }
    if host.elementsEqual("localhost".utf8) { return .ip(.loopbackV4, port: port) }
    if host.first == UInt8(ascii: "[") {
      guard host.last == UInt8(ascii: "]"), let address = IPAddress(String(decoding: host.dropFirst().dropLast(), as: UTF8.self)),
        host.contains(UInt8(ascii: ":"))
      else { throw .invalidAddress(text, reason: "expected an IPv6 address in brackets") }
      return .ip(address, port: port)
    }
    guard !host.contains(UInt8(ascii: ":")) else { throw .invalidAddress(text, reason: "an IPv6 address needs brackets: `[::1]:8080`") }
    guard let address = IPAddress(String(decoding: host, as: UTF8.self)) else {
      throw .invalidAddress(text, reason: "expected an IPv4 address, an IPv6 address in brackets, or `localhost`")
    }
    return .ip(address, port: port)
  }

  /// The port; nil for a unix socket.
  public var port: UInt16? {
    if case .ip(_, let port, _) = self { return port }
    return nil
  }

  /// The IP address; nil for a unix socket.
  public var ip: IPAddress? {
    if case .ip(let address, _, _) = self { return address }
    return nil
  }

  /// Whether only this machine can be on the other side.
  public var isLocal: Bool {
    switch self {
    case .ip(let address, _, _): return address.isLoopback
    case .unix: return true
    }
  }

  /// `127.0.0.1:8080`, `[::1]:8080` or `unix:/path`.
  public var description: String {
    switch self {
    case .ip(let address, let port, _): return address.isV4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    case .unix(let path): return path.isEmpty ? "unix:" : "unix:\(path)"
    }
  }

  /// The longest path of a unix socket.
  public static let longestPathBytes = 107

  static func port(_ digits: ArraySlice<UInt8>) -> UInt16? {
    guard !digits.isEmpty, digits.count <= 5, digits.allSatisfy({ ASCII.isDigit($0) }) else { return nil }
    return UInt16(String(decoding: digits, as: UTF8.self))
  }

  // MARK: - The system's form

  init(_ address: csystem_address) {
    switch address.family {
    case 4: self = .ip(IPAddress(v4: UInt32(truncatingIfNeeded: address.low)), port: address.port, scope: 0)
    // An IPv4 client of a socket for both families comes in IPv6 clothes.
    case 6: self = .ip(IPAddress(v6: address.high, address.low).unmapped, port: address.port, scope: address.scope)
    default:
      let bytes = withUnsafeBytes(of: address.path) { Array($0.prefix(Int(min(address.path_length, 108)))) }
      self = .unix(path: String(decoding: bytes, as: UTF8.self))
    }
  }

  var system: csystem_address {
    var address = csystem_address()
    switch self {
    case .ip(let ip, let port, let scope):
      address.family = ip.isV4 ? 4 : 6
      address.port = port
      address.scope = scope
      for octet in ip.octets {
        address.high = address.high << 8 | address.low >> 56
        address.low = address.low << 8 | UInt64(octet)
      }
    case .unix(let path):
      address.family = 1
      let bytes = Array(path.utf8.prefix(Self.longestPathBytes))
      address.path_length = UInt32(bytes.count)
      withUnsafeMutableBytes(of: &address.path) { $0.copyBytes(from: bytes) }
    }
    return address
  }
}
