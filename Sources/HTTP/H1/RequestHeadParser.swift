internal import Bytes

/// Reads request heads, RFC 9112 §3 and §5: one strict reading or a refusal.
public enum RequestHeadParser {
  /// Longest method token.
  private static let longestMethod = 32

  /// Reads the head that begins at the first byte.
  ///
  /// After `incomplete` call again with the same bytes and more behind them; the work done is not done again. After
  /// `complete` the head is valid until the next call with the same `head`. After `refused` it holds what was understood,
  /// for the record: everything if the target or framing was refused, less if the syntax was.
  ///
  /// - Parameters:
  ///   - bytes: all bytes received and not consumed; bodies and further requests may follow the head.
  ///   - limits: beyond these the head is refused.
  ///   - head: the connection's one head.
  public static func parse(_ bytes: UnsafeRawBufferPointer, limits: HeadLimits, into head: inout RequestHead) -> HeadOutcome {
    if head.progress.phase == .start || bytes.count < head.progress.line || bytes.count < head.progress.scanned {
      head.reset()
      head.progress = HeadProgress()
    }
    // What lies beyond the limit is not looked at, so that a verdict does not depend on how the bytes were cut.
    let window = bytes.part(0..<max(limits.headBytes, 0))
    do throws(HTTPRefusal) {
      if head.progress.phase != .fields {
        guard try startLine(window, limits: limits, into: &head) else { return incomplete(window, limits, &head) }
        head.progress.phase = .fields
      }
      guard case .end(let end) = try FieldLineScanner.scan(window, limits: limits, progress: &head.progress, into: &head.fields) else {
        return incomplete(window, limits, &head)
      }
      head.progress = HeadProgress()
      head.fields.bytes.append(contentsOf: window.part(0..<end))
      try conclude(&head, limits: limits)
      return .complete(consumed: end)
    } catch {
      return refused(error, window, &head)
    }
  }

  private static func incomplete(_ window: UnsafeRawBufferPointer, _ limits: HeadLimits, _ head: inout RequestHead) -> HeadOutcome {
    guard window.count >= limits.headBytes else {
      if head.progress.phase == .start, window.count > 0 { head.progress.phase = .startLine }
      return .incomplete
    }
    return refused(.headTooLarge, window, &head)
  }

  /// Leaves of a refused head what a record may want to say of it: the bytes, and path and query told apart even where
  /// the target was not read to its end, so that no query is taken for a path.
  private static func refused(_ refusal: HTTPRefusal, _ window: UnsafeRawBufferPointer, _ head: inout RequestHead) -> HeadOutcome {
    if head.fields.bytes.isEmpty { head.fields.bytes.append(contentsOf: window) }
    // A target in another form than origin-form may begin with user information; of that nothing is kept.
    let target = head.targetRange
    if head.pathRange.isEmpty, head.fields.withBytes(target, { $0.first == UInt8(ascii: "/") }) {
      let mark = head.fields.withBytes(target) { $0.firstIndex(of: UInt8(ascii: "?")) }
      head.pathRange = target.lowerBound..<target.lowerBound + (mark ?? target.count)
      if let mark { head.queryRange = target.lowerBound + mark + 1..<target.upperBound }
    }
    head.progress = HeadProgress()
    head.keepAlive = false
    return .refused(refusal)
  }

  // MARK: The request line

  /// Reads the request line; false if it is not whole.
  private static func startLine(_ bytes: UnsafeRawBufferPointer, limits: HeadLimits, into head: inout RequestHead) throws(HTTPRefusal)
    -> Bool
  {
    let count = bytes.count
    guard count > 0 else { return false }
    // One empty line before the request line is ignored, RFC 9112 §2.2: old clients end a body with one too many.
    if head.progress.origin == 0, bytes[0] == ASCII.cr {
      guard count > 1 else { return false }
      guard bytes[1] == ASCII.lf else { throw .bareCR }
      head.progress.origin = 2
    }
    let start = head.progress.origin
    var index = start
    while index < count, index - start <= longestMethod, TokenTable.isToken(bytes[index]) { index += 1 }
    guard index - start <= longestMethod else { throw .methodInvalid }
    guard index < count else { return false }
    guard bytes[index] == ASCII.space, index > start else { throw methodRefusal(bytes, start: start, at: index) }
    let methodRange = start..<index

    let targetStart = index + 1
    let targetEnd = ByteScan.endOfVisible(bytes, from: max(targetStart, head.progress.scanned))
    guard targetEnd - targetStart <= limits.targetBytes else { throw .targetTooLong }
    guard targetEnd < count else {
      head.progress.scanned = targetEnd
      return false
    }
    head.methodRange = methodRange
    head.targetRange = targetStart..<targetEnd
    head.method = Method(bytes.part(methodRange))
    guard bytes[targetEnd] == ASCII.space, targetEnd > targetStart else {
      switch bytes[targetEnd] {
      case ASCII.space, ASCII.cr, ASCII.lf: throw .requestLineMalformed
      case 0: throw .nulByte
      default: throw .targetInvalid
      }
    }
    guard let minorVersion = try version(bytes, from: targetEnd + 1, isPreface: bytes.part(start..<targetEnd).spells("PRI *")) else {
      return false
    }
    head.minorVersion = minorVersion
    head.progress.line = targetEnd + 11
    head.progress.scanned = 0
    return true
  }

  /// Reads `HTTP/1.x` and CRLF; nil if they are not whole.
  private static func version(_ bytes: UnsafeRawBufferPointer, from start: Int, isPreface: Bool) throws(HTTPRefusal) -> UInt8? {
    let rest = bytes.part(start..<start + 10)
    if rest.count == 10 {
      let word = UInt64(littleEndian: rest.loadUnaligned(as: UInt64.self))
      if rest[8] == ASCII.cr, rest[9] == ASCII.lf {
        if word == http11 { return 1 }
        if word == http10 { return 0 }
      }
    }
    let pattern: StaticString = "HTTP/"
    for index in 0..<min(rest.count, 5) where rest[index] != pattern.utf8Start[index] {
      if rest[index] == ASCII.space { throw .requestLineMalformed }
      throw rest[index] == 0 ? .nulByte : .versionMalformed
    }
    if rest.count > 5, !ASCII.isDigit(rest[5]) { throw .versionMalformed }
    if rest.count > 6, rest[6] != UInt8(ascii: ".") { throw .versionMalformed }
    if rest.count > 7, !ASCII.isDigit(rest[7]) { throw .versionMalformed }
    if rest.count > 8, rest[8] != ASCII.cr {
      if rest[8] == ASCII.lf { throw .bareLF }
      throw rest[8] == ASCII.space || rest[8] == ASCII.tab ? .requestLineMalformed : .versionMalformed
    }
    if rest.count > 9, rest[9] != ASCII.lf { throw .bareCR }
    guard rest.count == 10 else { return nil }
    throw isPreface ? .http2Preface : .versionUnsupported
  }

  // The eight bytes as a little-endian number.
  private static var http11: UInt64 { 0x312e_312f_5054_5448 }
  private static var http10: UInt64 { 0x302e_312f_5054_5448 }

  /// Why a request does not begin with a token and a space.
  private static func methodRefusal(_ bytes: UnsafeRawBufferPointer, start: Int, at index: Int) -> HTTPRefusal {
    switch bytes[index] {
    case ASCII.cr, ASCII.lf: index == start ? (bytes[index] == ASCII.lf ? .bareLF : .requestLineMalformed) : .requestLineMalformed
    case 0x16 where index == start: .tlsHandshake
    case 0: .nulByte
    default: .methodInvalid
    }
  }

  // MARK: What the head means

  /// Judges a head whose syntax is whole: method, framing, host, connection, and last the path.
  private static func conclude(_ head: inout RequestHead, limits: HeadLimits) throws(HTTPRefusal) {
    switch head.method {
    case .connect: throw .methodConnect
    case .trace: throw .methodTrace
    case .other:
      if head.fields.withBytes(head.methodRange, { Method.isMiscased($0) }) { throw .methodMiscased }
    default: break
    }
    head.framing = try Framing.ofRequest(head.fields, minorVersion: head.minorVersion)

    let options = try Framing.connectionOptions(head.fields)
    head.keepAlive = !options.close && (head.minorVersion == 1 || options.keepAlive)
    if options.nominates { HopByHop.markNominated(in: &head.fields) }
    try upgrade(&head, offered: options.upgrade)
    if head.fields.has(.expect) { try expect(&head) }

    let range = head.targetRange
    let parts = try head.fields.bytes.lend { bytes throws(HTTPRefusal) in try RequestTarget.split(bytes.part(range)) }
    head.pathRange = parts.path.moved(by: range.lowerBound)
    head.queryRange = parts.query?.moved(by: range.lowerBound)
    head.authorityRange = parts.authority?.moved(by: range.lowerBound)
    try host(head, isHTTPS: parts.isHTTPS)
    // The path last: of a head refused for its path, everything else is known and can be recorded.
    var path = DecodedPath()
    swap(&path, &head.path)
    defer { swap(&path, &head.path) }
    try head.fields.bytes.lend { bytes throws(HTTPRefusal) in
      try RequestTarget.decode(bytes.part(range), parts, rules: limits.path, into: &path)
    }
  }

  /// RFC 9112 §3.2: exactly one Host, which an absolute target must not contradict.
  private static func host(_ head: borrowing RequestHead, isHTTPS: Bool) throws(HTTPRefusal) {
    if head.fields.isRepeated(.host) { throw .hostRepeated }
    guard let range = head.fields.range(of: .host) else {
      // HTTP/1.0 may do without; but then there is nothing to hold an absolute target's host against.
      if head.minorVersion == 1 || head.authorityRange != nil { throw .hostMissing }
      return
    }
    let authority = head.authorityRange
    try head.fields.bytes.lend { bytes throws(HTTPRefusal) in
      let value = bytes.part(range)
      guard Authority(value) != nil else { throw .hostInvalid }
      guard let authority else { return }
      guard Authority.agree(bytes.part(authority), value, defaultPort: isHTTPS ? 443 : 80) else { throw .hostDisagrees }
    }
  }

  /// RFC 9110 §7.8: an offer needs its connection option; HTTP/1.0, `h2c` and requests with a body have none.
  private static func upgrade(_ head: inout RequestHead, offered: Bool) throws(HTTPRefusal) {
    guard head.fields.has(.upgrade) else { return }
    guard !head.fields.isRepeated(.upgrade), let range = head.fields.range(of: .upgrade) else { throw .upgradeInvalid }
    let names = head.fields.withBytes(range) { UpgradeOffer.read($0) }
    guard let names else { throw .upgradeInvalid }
    guard offered, head.minorVersion == 1, head.framing == .none || head.framing == .length(0), names == .otherProtocols else { return }
    head.upgradeRange = range
  }

  /// RFC 9110 §10.1.1: `100-continue` or 417; in HTTP/1.0 it says nothing.
  private static func expect(_ head: inout RequestHead) throws(HTTPRefusal) {
    guard head.minorVersion == 1 else { return }
    let met = head.fields.withValue(of: .expect) { $0.spellsIgnoringCase("100-continue") }
    guard met == true, !head.fields.isRepeated(.expect) else { throw .expectUnsupported }
    head.expectsContinue = head.framing != .none && head.framing != .length(0)
  }
}
