internal import Bytes

/// Reads response heads, RFC 9112 §4 and §5, as strictly as requests: an upstream may be a confused deputy too.
public enum ResponseHeadParser {
  /// Reads the head that begins at the first byte; interim responses (1xx) are heads of their own.
  ///
  /// After `incomplete` call again with the same bytes and more behind them. After `refused` the exchange is a 502 and the
  /// connection is closed.
  ///
  /// - Parameters:
  ///   - bytes: all bytes received and not consumed.
  ///   - limits: beyond these the head is refused; `path` and `targetBytes` say nothing here.
  ///   - method: of the request that is answered: a HEAD has no response body.
  ///   - upgradeOffered: whether the request asked for another protocol; without that a 101 is refused.
  ///   - head: the connection's one response head.
  public static func parse(
    _ bytes: UnsafeRawBufferPointer, limits: HeadLimits, answering method: Method, upgradeOffered: Bool = false,
    into head: inout ResponseHead
  ) -> HeadOutcome {
    if head.progress.phase == .start || bytes.count < head.progress.line || bytes.count < head.progress.scanned {
      head.reset()
      head.progress = HeadProgress()
    }
    let window = bytes.part(0..<max(limits.headBytes, 0))
    do throws(HTTPRefusal) {
      if head.progress.phase != .fields {
        guard try statusLine(window, into: &head) else { return incomplete(window, limits, &head) }
        head.progress.phase = .fields
      }
      guard case .end(let end) = try FieldLineScanner.scan(window, limits: limits, progress: &head.progress, into: &head.fields) else {
        return incomplete(window, limits, &head)
      }
      head.progress = HeadProgress()
      head.fields.bytes.append(contentsOf: window.part(0..<end))
      try conclude(&head, answering: method, upgradeOffered: upgradeOffered)
      return .complete(consumed: end)
    } catch {
      head.progress = HeadProgress()
      head.keepAlive = false
      return .refused(error)
    }
  }

  private static func incomplete(_ window: UnsafeRawBufferPointer, _ limits: HeadLimits, _ head: inout ResponseHead) -> HeadOutcome {
    guard window.count >= limits.headBytes else {
      if head.progress.phase == .start, window.count > 0 { head.progress.phase = .startLine }
      return .incomplete
    }
    head.progress = HeadProgress()
    return .refused(.headTooLarge)
  }

  /// Reads `HTTP/1.x SP 3DIGIT [ SP reason ] CRLF`; false if it is not whole.
  ///
  /// The second space is asked for by RFC 9112 §4 even before an empty phrase, yet servers leave it out; nothing is read
  /// in two ways for that, and the status line that is sent on is our own.
  private static func statusLine(_ bytes: UnsafeRawBufferPointer, into head: inout ResponseHead) throws(HTTPRefusal) -> Bool {
    let count = bytes.count
    let pattern: StaticString = "HTTP/1."
    for index in 0..<min(count, 7) where bytes[index] != pattern.utf8Start[index] {
      if index == 5, ASCII.isDigit(bytes[index]) { throw .versionUnsupported }
      throw .statusLineMalformed
    }
    if count > 7, bytes[7] != UInt8(ascii: "1"), bytes[7] != UInt8(ascii: "0") {
      throw ASCII.isDigit(bytes[7]) ? .versionUnsupported : .statusLineMalformed
    }
    if count > 8, bytes[8] != ASCII.space { throw .statusLineMalformed }
    for index in 9..<max(9, min(count, 12)) where !ASCII.isDigit(bytes[index]) { throw .statusLineMalformed }
    guard count > 12 else { return false }
    let code = UInt16(bytes[9] &- 0x30) * 100 + UInt16(bytes[10] &- 0x30) * 10 + UInt16(bytes[11] &- 0x30)
    guard let status = Status(rawValue: code) else { throw .statusLineMalformed }
    guard bytes[12] == ASCII.space || bytes[12] == ASCII.cr else { throw bytes[12] == ASCII.lf ? .bareLF : .statusLineMalformed }
    let start = bytes[12] == ASCII.space ? 13 : 12
    let end = ByteScan.endOfFieldValue(bytes, from: max(start, head.progress.scanned))
    guard end + 1 < count else {
      if end < count, bytes[end] != ASCII.cr { throw FieldLineScanner.controlRefusal(bytes[end]) }
      head.progress.scanned = end
      return false
    }
    guard bytes[end] == ASCII.cr else { throw FieldLineScanner.controlRefusal(bytes[end]) }
    guard bytes[end + 1] == ASCII.lf else { throw .bareCR }
    head.minorVersion = bytes[7] &- 0x30
    head.status = status
    head.reasonRange = start..<max(start, end)
    head.progress.line = end + 2
    head.progress.scanned = 0
    return true
  }

  private static func conclude(_ head: inout ResponseHead, answering method: Method, upgradeOffered: Bool) throws(HTTPRefusal) {
    head.framing = try Framing.ofResponse(head.fields, minorVersion: head.minorVersion, status: head.status, to: method)
    let options = try Framing.connectionOptions(head.fields)
    if options.nominates { HopByHop.markNominated(in: &head.fields) }
    if head.switchesProtocols {
      guard upgradeOffered, head.minorVersion == 1, options.upgrade, head.fields.has(.upgrade), !head.fields.isRepeated(.upgrade) else {
        throw .upgradeUnasked
      }
    }
    head.keepAlive = !options.close && (head.minorVersion == 1 || options.keepAlive) && head.framing != .untilClose
  }
}
