internal import COpenSSL
internal import HTTP

/// One stream's TLS. Used by `ByteStream` only.
final class TLSSession {
  private let pointer: OpaquePointer
  // The context must outlive nothing of the session's (libssl counts), but keeping it makes that plain.
  private let context: TLSContext

  /// A client's session verifies that the peer is `host`, a name or an address literal. Nil when libssl has no memory, or
  /// the name cannot be checked.
  init?(_ context: TLSContext, fd: Int32, host: String?, now: Int64) {
    let isIP = host.map { IPAddress($0) != nil } ?? false
    guard context.isServer || host != nil, !(host ?? "").utf8.contains(0),
      let pointer = copenssl_tls_session_new(context.pointer, fd, host, isIP ? 1 : 0, now)
    else { return nil }
    self.pointer = pointer
    self.context = context
  }

  deinit { copenssl_tls_session_free(pointer) }

  func markReadable(isEnding: Bool) { copenssl_tls_mark_readable(pointer, isEnding ? 1 : 0) }

  /// What was read before the session began; false without memory.
  func feed(_ bytes: UnsafeRawBufferPointer) -> Bool { copenssl_tls_feed(pointer, bytes.baseAddress, bytes.count) == 1 }

  /// True when done, false when it waits for the peer.
  func handshake() throws(NetError) -> Bool {
    switch copenssl_tls_handshake(pointer) {
    case 1: return true
    case 0: return false
    default: throw failure
    }
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) -> ReadOutcome {
    var drained: Int32 = 0
    let result = copenssl_tls_read(pointer, buffer.baseAddress, buffer.count, &drained)
    if result > 0 { return .bytes(Int(result), drained: drained != 0) }
    switch Int32(truncatingIfNeeded: result) {
    case Self.end: return .end
    case Self.again: return buffer.isEmpty ? .bytes(0, drained: false) : .wouldBlock
    case Self.truncated: return .failed(.closedEarly("without TLS's close_notify"))
    default: return .failed(failure)
    }
  }

  func write(_ bytes: UnsafeRawBufferPointer) -> WriteOutcome {
    let result = copenssl_tls_write(pointer, bytes.baseAddress, bytes.count)
    return result >= 0 ? .wrote(Int(result)) : .failed(failure)
  }

  /// True when no output waits any more.
  func flush() throws(NetError) -> Bool {
    switch copenssl_tls_flush(pointer) {
    case 1: return true
    case 0: return false
    default: throw failure
    }
  }

  var hasWaitingOutput: Bool { copenssl_tls_waiting(pointer) > 0 }

  func closeNotify() { copenssl_tls_close_notify(pointer) }

  var failure: NetError {
    var text: UnsafePointer<CChar>?
    var errno: Int32 = 0
    let kind = copenssl_tls_failure(pointer, &text, &errno)
    if errno != 0 { return .connectionLost(errno: errno) }
    let message = text.map { String(cString: $0) } ?? "unknown error"
    return .tls(TLSFailure(Self.kinds[kind] ?? .session, message))
  }

  var version: String { String(cString: copenssl_tls_version(pointer)) }

  var applicationProtocol: String? {
    var start: UnsafePointer<UInt8>?
    let count = copenssl_tls_alpn(pointer, &start)
    guard count > 0, let start else { return nil }
    return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
  }

  var wasResumed: Bool { copenssl_tls_was_resumed(pointer) != 0 }

  var peerCertificate: PeerCertificate? {
    guard let certificate = copenssl_tls_peer_certificate(pointer) else { return nil }
    defer { copenssl_certificate_free(certificate) }
    return PeerCertificate(certificate)
  }

  private static let end: Int32 = 0
  private static let again: Int32 = -1
  private static let truncated: Int32 = -3
  private static let kinds: [Int32: TLSFailure.Kind] = [
    1: .certificateExpired, 2: .certificateNotYetValid, 3: .wrongName, 4: .untrusted, 5: .badCertificate, 6: .handshake, 7: .session,
    8: .configuration, 9: .plainHTTP, 10: .nothing,
  ]
}
