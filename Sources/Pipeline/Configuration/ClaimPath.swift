internal import Bytes
internal import JSON

/// The ways to name a claim: `sub`; `realm_access.roles` for a claim in a claim; `/realm_access/roles` (RFC 6901) for anything.
///
/// A name with `:` or `/` in it is one name, dots and all: `cognito:groups`, `https://example.com/roles`.
enum ClaimPath {
  static func pointer(_ text: String) -> JSONPointer? {
    guard let first = text.utf8.first else { return nil }
    if first == UInt8(ascii: "/") { return JSONPointer(text) }
    if text.utf8.contains(UInt8(ascii: ":")) || text.utf8.contains(UInt8(ascii: "/")) { return JSONPointer(member: text) }
    let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.allSatisfy({ !$0.isEmpty }) else { return nil }
    guard parts.count > 1 else { return JSONPointer(member: text) }
    return JSONPointer(
      parts.map { part in
        "/" + String(decoding: part.flatMap { $0 == UInt8(ascii: "~") ? Array("~0".utf8) : [$0] }, as: UTF8.self)
      }.joined())
  }

  static func mistake(_ text: String) -> String { "\"\(text)\" does not name a claim: write a name, a.b, or a JSON Pointer such as /a/b" }
}
