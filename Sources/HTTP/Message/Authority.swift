internal import Bytes

/// A host with an optional port, RFC 3986 §3.2.2 and §3.2.3, as `Host` and an absolute target spell it.
///
/// Narrower than the RFC on purpose: a registered name is letters, digits, `-`, `.`, `_` and `~`; no percent-encoding,
/// no sub-delimiters, no user information, nothing that two readers could part at different places.
public struct Authority: Equatable, Sendable {
  /// How many of the bytes are the host, brackets included.
  var hostLength: Int
  /// The port, where one is written.
  public var port: UInt16?

  /// Reads an authority; nil if it is not one.
  init?(_ bytes: UnsafeRawBufferPointer) {
    guard let first = bytes.first, bytes.count <= 255 + 6 else { return nil }
    var index = 0
    if first == UInt8(ascii: "[") {
      guard let close = bytes.firstIndex(of: UInt8(ascii: "]")),
        IPAddress(v6: UnsafeRawBufferPointer(rebasing: bytes[1..<close])) != nil
      else { return nil }
      index = close + 1
    } else {
      while index < bytes.count, Self.isNameByte(bytes[index]) { index += 1 }
      guard index > 0, bytes[0] != UInt8(ascii: ".") else { return nil }
      for position in 1..<max(index, 1) where bytes[position] == UInt8(ascii: ".") && bytes[position - 1] == UInt8(ascii: ".") {
        return nil
      }
    }
    hostLength = index
    guard index < bytes.count else { return }
    guard bytes[index] == UInt8(ascii: ":") else { return nil }
    let digits = bytes[(index + 1)...]
    // RFC 3986 allows an empty port; a reader that takes it for 0 and one that takes it for the default disagree.
    guard !digits.isEmpty, digits.count <= 5 else { return nil }
    var value: UInt32 = 0
    for byte in digits {
      guard ASCII.isDigit(byte) else { return nil }
      value = value * 10 + UInt32(byte &- 0x30)
    }
    guard let port = UInt16(exactly: value), port != 0 else { return nil }
    self.port = port
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
      || byte == UInt8(ascii: "~")
  }

  /// The host of an authority in lower case, without port and final dot; nil if it is not an authority.
  public static func canonicalHost(_ bytes: UnsafeRawBufferPointer) -> String? {
    withCanonicalHost(bytes) { String(decoding: $0, as: UTF8.self) }
  }

  /// Lends it. Most clients write it so already: then no bytes are made.
  static func withCanonicalHost<R>(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> R) -> R? {
    guard let authority = Authority(bytes) else { return nil }
    var host = bytes.part(0..<authority.hostLength)
    if host.last == UInt8(ascii: "."), host.count > 1 { host = host.part(0..<host.count - 1) }
    for byte in host where ASCII.lowercased(byte) != byte { return host.map { ASCII.lowercased($0) }.withUnsafeBytes(body) }
    return body(host)
  }

  /// Whether two authorities name the same host and port, the port of the scheme where none is written.
  static func agree(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer, defaultPort: UInt16) -> Bool {
    guard let first = Authority(a), let second = Authority(b) else { return false }
    return ASCII.equalsIgnoringCase(a.part(0..<first.hostLength), b.part(0..<second.hostLength))
      && (first.port ?? defaultPort) == (second.port ?? defaultPort)
  }
}
