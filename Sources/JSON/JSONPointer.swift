/// A path into a JSON value, RFC 6901: `/realm_access/roles`. Used to find claims.
public struct JSONPointer: Sendable, Hashable, CustomStringConvertible {
  /// The reference tokens, escapes resolved.
  public let tokens: [String]

  /// Reads a pointer; nil unless it is empty or starts with `/`, or if `~` is not followed by `0` or `1`.
  public init?(_ text: String) {
    guard text.isEmpty || text.utf8.first == UInt8(ascii: "/") else { return nil }
    var tokens: [String] = []
    for part in text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropFirst() {
      var token: [UInt8] = []
      var escaped = false
      for byte in part {
        switch (escaped, byte) {
        case (false, UInt8(ascii: "~")): escaped = true
        case (true, UInt8(ascii: "0")):
          token.append(UInt8(ascii: "~"))
          escaped = false
        case (true, UInt8(ascii: "1")):
          token.append(UInt8(ascii: "/"))
          escaped = false
        case (true, _): return nil
        case (false, _): token.append(byte)
        }
      }
      guard !escaped else { return nil }
      tokens.append(String(decoding: token, as: UTF8.self))
    }
    self.tokens = tokens
  }

  /// A pointer to one member of the top level, whatever characters its name has.
  public init(member: String) { tokens = [member] }

  /// The pointer as RFC 6901 writes it.
  public var description: String {
    tokens.map { token in
      "/" + String(token.flatMap { $0 == "~" ? "~0" : $0 == "/" ? "~1" : String($0) })
    }.joined()
  }

  /// The value the pointer leads to, or nil. Array indices have no leading zero.
  public func value(in root: JSONValue) -> JSONValue? {
    var here = root
    for token in tokens {
      switch here.kind {
      case .object:
        guard let next = here[token] else { return nil }
        here = next
      case .array(let elements):
        guard token == "0" || token.utf8.first != UInt8(ascii: "0"), token.utf8.allSatisfy({ $0 &- 0x30 < 10 }),
          let index = Int(token), index < elements.count
        else { return nil }
        here = elements[index]
      default: return nil
      }
    }
    return here
  }
}
