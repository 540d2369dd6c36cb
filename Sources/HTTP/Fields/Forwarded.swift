internal import Bytes

/// The `Forwarded` field, RFC 7239: who sent the request to whom on the way here. Believed only from configured peers.
public struct Forwarded: Sendable {
  /// One hop: its parameters, names in lower case, values without quotes.
  public struct Element: Sendable {
    /// `for`: who sent the request to the hop.
    public var `for`: String?
    /// `by`: where the hop received it.
    public var by: String?
    /// `host`: the Host the hop received.
    public var host: String?
    /// `proto`: the scheme the hop received.
    public var proto: String?
    /// Parameters of other names, in order.
    public var extensions: [(name: String, value: String)] = []

    /// The address that `for` gives; nil for `unknown`, an obfuscated identifier, or no `for`.
    public var forAddress: IPAddress? { self.for.flatMap { Forwarded.nodeAddress($0) } }
  }

  /// The hops, the one nearest to the client first.
  public var elements: [Element] = []

  /// Most hops that are read; a chain that is longer is refused.
  static let mostElements = 64

  /// Reads all lines of the field, in order; nil if any is malformed: a chain that is read in part says something else.
  public init?(lines: [[UInt8]]) {
    for line in lines {
      // A quoted string never reaches beyond its line: the next line may be somebody else's.
      guard line.withUnsafeBytes({ read($0) }) else { return nil }
    }
  }

  /// Reads `1#forwarded-element`, RFC 7239 §4; empty elements and pairs are allowed.
  private mutating func read(_ line: UnsafeRawBufferPointer) -> Bool {
    var index = 0
    func skipSpace() { while index < line.count, line[index] == ASCII.space || line[index] == ASCII.tab { index += 1 } }
    var element: Element?
    while true {
      skipSpace()
      if index == line.count || line[index] == UInt8(ascii: ",") {
        if let whole = element {
          guard elements.count < Self.mostElements else { return false }
          elements.append(whole)
          element = nil
        }
        if index == line.count { return true }
        index += 1
        continue
      }
      if line[index] == UInt8(ascii: ";") {
        index += 1
        continue
      }
      let nameStart = index
      while index < line.count, TokenTable.isToken(line[index]) { index += 1 }
      let name = String(decoding: line[nameStart..<index].map { ASCII.lowercased($0) }, as: UTF8.self)
      guard !name.isEmpty, index < line.count, line[index] == UInt8(ascii: "=") else { return false }
      index += 1
      guard let value = Self.value(line, &index) else { return false }
      skipSpace()
      guard index == line.count || line[index] == UInt8(ascii: ",") || line[index] == UInt8(ascii: ";") else { return false }
      guard Self.set(name, value, in: &element) else { return false }
    }
  }

  /// A token or a quoted string, RFC 9110 §5.6.4.
  private static func value(_ line: UnsafeRawBufferPointer, _ index: inout Int) -> String? {
    guard index < line.count else { return nil }
    if line[index] != ASCII.quote {
      let start = index
      while index < line.count, TokenTable.isToken(line[index]) { index += 1 }
      return index > start ? String(decoding: line[start..<index], as: UTF8.self) : nil
    }
    index += 1
    var bytes: [UInt8] = []
    while index < line.count {
      var byte = line[index]
      if byte == ASCII.quote {
        index += 1
        return String(decoding: bytes, as: UTF8.self)
      }
      if byte == ASCII.backslash {
        index += 1
        guard index < line.count else { return nil }
        byte = line[index]
      }
      guard byte >= 0x20 || byte == ASCII.tab, byte < 0x7f else { return nil }
      bytes.append(byte)
      index += 1
    }
    return nil
  }

  /// Sets a parameter; false if it is set already.
  private static func set(_ name: String, _ value: String, in element: inout Element?) -> Bool {
    var next = element ?? Element()
    switch name {
    case "for":
      guard next.for == nil else { return false }
      next.for = value
    case "by":
      guard next.by == nil else { return false }
      next.by = value
    case "host":
      guard next.host == nil else { return false }
      next.host = value
    case "proto":
      guard next.proto == nil else { return false }
      next.proto = value
    default:
      guard next.extensions.count < 16, !next.extensions.contains(where: { exactlyEquals($0.name, name) }) else { return false }
      next.extensions.append((name, value))
    }
    element = next
    return true
  }

  /// The address of a node, RFC 7239 §6: an IPv4 address, or an IPv6 one in brackets, with an optional port.
  static func nodeAddress(_ node: String) -> IPAddress? {
    var copy = node
    return copy.withUTF8 { node in
      let bytes = UnsafeRawBufferPointer(node)
      if bytes.first == UInt8(ascii: "[") {
        guard let close = bytes.firstIndex(of: UInt8(ascii: "]")), isPort(bytes.part(close + 1..<bytes.count)) else { return nil }
        return IPAddress(v6: bytes.part(1..<close))
      }
      let colon = bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.count
      guard isPort(bytes.part(colon..<bytes.count)) else { return nil }
      return IPAddress(v4: bytes.part(0..<colon))
    }
  }

  /// Nothing, or a colon and a port or an obfuscated one.
  private static func isPort(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let first = bytes.first else { return true }
    let rest = bytes.part(1..<bytes.count)
    guard first == UInt8(ascii: ":"), let start = rest.first else { return false }
    if start == UInt8(ascii: "_") { return rest.count > 1 && rest.dropFirst().allSatisfy { TokenTable.isToken($0) } }
    return rest.count <= 5 && rest.allSatisfy(ASCII.isDigit)
  }
}

/// `X-Forwarded-For`: a list of addresses without a standard, the one nearest to the client first. Believed only from
/// configured peers.
public enum XForwardedFor {
  /// The addresses of all lines, in order; nil if any element is not an address (with an optional port).
  public static func addresses(_ lines: [[UInt8]]) -> [IPAddress]? {
    var out: [IPAddress] = []
    for line in lines {
      let isWhole = line.withUnsafeBytes { bytes in
        for element in bytes.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
          let text = UnsafeRawBufferPointer(rebasing: element.trimmed)
          guard out.count < Forwarded.mostElements, let address = address(text) else { return false }
          out.append(address)
        }
        return true
      }
      guard isWhole else { return nil }
    }
    return out
  }

  private static func address(_ text: UnsafeRawBufferPointer) -> IPAddress? {
    if let address = IPAddress(text) { return address }
    return Forwarded.nodeAddress(String(decoding: text, as: UTF8.self))
  }
}
