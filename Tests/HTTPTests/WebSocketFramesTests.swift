import HTTP
import Testing

@Suite struct WebSocketFramesTests {
  static func frame(_ length: Int, masked: Bool = false, sized form: Int? = nil) -> [UInt8] {
    var bytes: [UInt8] = [0x82]
    let mask: UInt8 = masked ? 0x80 : 0
    switch form ?? (length < 126 ? 0 : length <= 0xffff ? 2 : 8) {
    case 0: bytes.append(mask | UInt8(length))
    case 2: bytes += [mask | 126, UInt8(length >> 8), UInt8(length & 0xff)]
    default: bytes += [mask | 127] + (0..<8).reversed().map { UInt8(length >> ($0 * 8) & 0xff) }
    }
    if masked { bytes += [1, 2, 3, 4] }
    // Bytes that would be headers themselves.
    return bytes + [UInt8](repeating: 0xff, count: length)
  }

  static let frames = [
    frame(0), frame(1), frame(125), frame(126), frame(65_535), frame(65_536), frame(0, masked: true), frame(126, masked: true),
    frame(5, sized: 2), frame(0, sized: 8), frame(70_000, masked: true),
  ]

  @Test("the end of each frame is found, however the bytes are cut")
  func ends() {
    let ends = Set(Self.frames.indices.map { Self.frames[...$0].map(\.count).reduce(0, +) } + [0])
    let all = Self.frames.flatMap { $0 }
    for step in [1, 2, 3, 7, 1000, all.count] {
      var frames = WebSocketFrames()
      var at = 0
      while at < all.count {
        let next = min(at + step, all.count)
        #expect(all[at..<next].withUnsafeBytes { frames.advance(over: $0) } == next - at)
        at = next
        #expect(frames.isBetweenFrames == ends.contains(at), "at \(at)")
      }
    }
  }

  @Test("it stops where a frame ends")
  func stops() {
    let two = Self.frame(10) + Self.frame(3)
    var frames = WebSocketFrames()
    #expect(two[..<4].withUnsafeBytes { frames.advance(over: $0) } == 4)
    #expect(two[4...].withUnsafeBytes { frames.advance(over: $0, stopping: true) } == 8 && frames.isBetweenFrames)
    #expect(two[12...].withUnsafeBytes { frames.advance(over: $0, stopping: true) } == 0)
  }

  @Test("a length that no frame may have has no end")
  func impossible() {
    var frames = WebSocketFrames()
    let bytes: [UInt8] = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 100)
    #expect(bytes.withUnsafeBytes { frames.advance(over: $0) } == bytes.count && !frames.isBetweenFrames)
  }

  @Test("a close frame says 1008 and why")
  func close() {
    #expect(WebSocketFrames.close(because: "no") == [0x88, 4, 0x03, 0xf0] + Array("no".utf8))
    #expect(WebSocketFrames.close(because: String(repeating: "x", count: 500)).count == 127)
  }
}
