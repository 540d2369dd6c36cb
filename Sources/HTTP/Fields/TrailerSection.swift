internal import Bytes

/// The fields behind a body, RFC 9110 §6.5, and which of them go on.
///
/// Servers read them together with those of the head, long after the decision. So none goes on that would mean something there:
/// what frames, routes, authenticates, modifies the request or describes the content (§6.5.1), what is ours to say in whatever
/// spelling, and what was decided on. They are left out, as such lines of a head are. Another length or another host is never
/// said by mistake: those are refused (`ChunkedDecoder`).
public enum TrailerSection {
  private static let never = OwnedFields(
    [
      "host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings", "expect", "max-forwards",
      "pragma", "cache-control", "range", "accept", "accept-charset", "accept-encoding", "accept-language", "authorization", "cookie",
      "cookie2", "set-cookie", "set-cookie2", "www-authenticate", "dpop", "dpop-nonce", "client-cert", "client-cert-chain", "age", "date",
      "expires", "location", "refresh", "retry-after", "vary", "warning", "origin", "referer", "user-agent", "via", "traceparent",
      "tracestate", "strict-transport-security", "alt-svc", "clear-site-data", "link",
    ], prefixes: ["content-", "if-", "proxy-", "sec-", "access-control-"])

  /// Whether a trailer of this name goes on.
  ///
  /// - Parameters:
  ///   - owned: names that are ours or were decided on.
  ///   - nominated: names that `Connection` ends here, RFC 9110 §7.6.1.
  static func forwards(_ name: UnsafeRawBufferPointer, owned: OwnedFields?, nominated: [UnsafeRawBufferPointer]) -> Bool {
    guard !never.matches(name), !(owned?.matches(name) ?? false) else { return false }
    return !nominated.contains { ASCII.equalsIgnoringCase($0, name) }
  }

  /// Appends the lines that go on, as they came.
  ///
  /// - Parameters:
  ///   - lines: what `ChunkedDecoder.trailers` holds at the end.
  ///   - head: the fields of the message's head.
  ///   - owned: names that are ours or were decided on; nil besides those that always are.
  ///   - out: what is sent, behind the last chunk's line.
  public static func append(_ lines: [UInt8], of head: borrowing FieldSection, owned: OwnedFields?, to out: inout [UInt8]) {
    let fields = head.lines
    head.bytes.withUnsafeBytes { bytes in
      let nominated = nominated(by: fields, bytes)
      lines.withUnsafeBytes { lines in
        var start = 0
        while start < lines.count, let end = index(of: ASCII.lf, in: lines, from: start) {
          let line = UnsafeRawBufferPointer(rebasing: lines[start...end])
          start = end + 1
          guard let colon = index(of: UInt8(ascii: ":"), in: line, from: 0) else { continue }
          if forwards(line.part(0..<colon), owned: owned, nominated: nominated) { out.append(contentsOf: line) }
        }
      }
    }
  }

  private static func index(of byte: UInt8, in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
    var index = start
    while index < bytes.count {
      if bytes[index] == byte { return index }
      index += 1
    }
    return nil
  }

  private static func nominated(by fields: [FieldLine], _ bytes: UnsafeRawBufferPointer) -> [UnsafeRawBufferPointer] {
    var names: [UnsafeRawBufferPointer] = []
    for line in fields where line.known == .connection {
      let value = bytes.part(line.value)
      var tokens = TokenList(value)
      while let range = tokens.next() { names.append(value.part(range)) }
    }
    return names
  }

  /// Writes the message's `Trailer` field with the names that will go on; nothing where there are none.
  static func putAnnouncement(
    of fields: borrowing FieldSection, _ bytes: UnsafeRawBufferPointer, owned: OwnedFields?, to out: inout ByteCursor
  ) {
    guard fields.has(.trailer) else { return }
    let nominated = nominated(by: fields.lines, bytes)
    var isFirst = true
    for line in fields.lines where line.known == .trailer {
      let value = bytes.part(line.value)
      var tokens = TokenList(value)
      while let range = tokens.next() {
        let name = value.part(range)
        guard forwards(name, owned: owned, nominated: nominated) else { continue }
        if isFirst { out.put(ascii: "Trailer: ") } else { out.put(UInt8(ascii: ",")) }
        out.put(name)
        isFirst = false
      }
    }
    if !isFirst { out.put(ascii: "\r\n") }
  }

  /// Whether `TE` says that trailers are understood, RFC 9110 §10.1.4.
  static func areWanted(by fields: borrowing FieldSection, _ bytes: UnsafeRawBufferPointer) -> Bool {
    guard fields.has(.te) else { return false }
    for line in fields.lines where line.known == .te {
      for coding in bytes.part(line.value).split(separator: UInt8(ascii: ",")) {
        if UnsafeRawBufferPointer(rebasing: coding.trimmed).spellsIgnoringCase("trailers") { return true }
      }
    }
    return false
  }
}
