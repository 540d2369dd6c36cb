internal import Bytes
public import HTTP

/// What browsers need to show a refusal of ours to the script that caused it (Fetch, "HTTP-network-or-cache fetch" and "CORS check").
enum CORS {
  /// Whether a text is an origin as browsers send it: scheme, host and, unless it is the usual one, port.
  static func isOrigin(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    let isSecure = bytes.starts(with: "https://".utf8)
    guard isSecure || bytes.starts(with: "http://".utf8) else { return false }
    let authority = Array(bytes.dropFirst(isSecure ? 8 : 7))
    guard !authority.isEmpty, authority.last != UInt8(ascii: "."), authority.allSatisfy({ !(0x41...0x5a).contains($0) }) else {
      return false
    }
    return authority.withUnsafeBytes { Authority.canonicalHost($0) } != nil
  }

  /// The fields that let the script of an allowed origin read an answer; none for others. `Vary` in any case, since the
  /// answer depends on the origin.
  static func fields(for head: borrowing RequestHead, allowing origins: [String]) -> [(name: String, value: String)] {
    guard !origins.isEmpty else { return [] }
    guard let origin = head.fields.value(of: .origin), origins.contains(where: { exactlyEquals($0, origin) }) else {
      return [("Vary", "Origin")]
    }
    return [
      ("Vary", "Origin"), ("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true"),
      ("Access-Control-Expose-Headers", "WWW-Authenticate, DPoP-Nonce, \(IdentityHeaders.decisionID)"),
    ]
  }
}

extension Exchange {
  /// Fields that our own 401 and 403 carry for browsers.
  public func corsFields(status: Status) -> [(name: String, value: String)] {
    guard status == .unauthorized || status == .forbidden else { return [] }
    return CORS.fields(for: head, allowing: snapshot.errorOrigins)
  }
}
