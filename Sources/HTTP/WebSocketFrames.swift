/// Where the frames end that one side of a WebSocket connection sends (RFC 6455 §5.2); what is in them does not matter.
public struct WebSocketFrames: Sendable {
  private enum State {
    /// Between frames.
    case start
    /// The byte with the mask bit and the short length comes next.
    case length
    /// Bytes of a longer length, then four of the mask where there is one.
    case longLength(left: Int, isMasked: Bool)
    case mask(left: Int)
    case payload
    /// A length that no frame may have: no end will be found.
    case lost
  }

  private var state = State.start
  private var payload: UInt64 = 0

  /// At the beginning of the first frame.
  public init() {}

  /// Whether the last byte was the last one of a frame, or none has come yet: a frame of ours may stand here.
  public var isBetweenFrames: Bool { if case .start = state { true } else { false } }

  /// Takes note of bytes.
  ///
  /// - Parameter stops: whether to go no further than to the end of a frame.
  /// - Returns: how many bytes were taken note of; all of them, unless it stopped.
  @discardableResult
  public mutating func advance(over bytes: UnsafeRawBufferPointer, stopping stops: Bool = false) -> Int {
    var index = 0
    while index < bytes.count {
      if stops, isBetweenFrames { return index }
      if case .payload = state {
        let step = min(payload, UInt64(bytes.count - index))
        payload -= step
        index += Int(step)
        if payload == 0 { state = .start }
      } else {
        header(bytes[index])
        index += 1
      }
    }
    return index
  }

  private mutating func header(_ byte: UInt8) {
    switch state {
    case .start: state = .length
    case .length:
      let isMasked = byte & 0x80 != 0
      payload = 0
      switch byte & 0x7f {
      case 126: state = .longLength(left: 2, isMasked: isMasked)
      case 127: state = .longLength(left: 8, isMasked: isMasked)
      case let short:
        payload = UInt64(short)
        lengthIsKnown(isMasked)
      }
    case .longLength(let left, let isMasked):
      payload = payload << 8 | UInt64(byte)
      if left > 1 { state = .longLength(left: left - 1, isMasked: isMasked) } else { lengthIsKnown(isMasked) }
    case .mask(let left): if left > 1 { state = .mask(left: left - 1) } else { headerEnds() }
    case .payload, .lost: break
    }
  }

  private mutating func lengthIsKnown(_ isMasked: Bool) { if isMasked { state = .mask(left: 4) } else { headerEnds() } }

  private mutating func headerEnds() {
    // The most significant bit must be 0.
    if payload >> 63 != 0 { state = .lost } else { state = payload == 0 ? .start : .payload }
  }

  /// A close frame of a server, status 1008 (policy violation, RFC 6455 §7.4.1).
  ///
  /// - Parameter reason: why; more than 123 bytes are cut off, so it should be ASCII.
  public static func close(because reason: String) -> [UInt8] {
    let text = Array(reason.utf8.prefix(123))
    return [0x88, UInt8(text.count + 2), 0x03, 0xf0] + text
  }
}
