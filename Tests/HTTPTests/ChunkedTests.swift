import HTTP
import Testing

@Suite struct ChunkedTests {
  @Test func whatIsEncodedIsDecoded() {
    var generator = SplitMix(seed: 7)
    for _ in 0..<200 {
      var wire: [UInt8] = []
      var body: [UInt8] = []
      for _ in 0..<Int.random(in: 0..<20, using: &generator) {
        let data = (0..<Int.random(in: 0..<300, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
        body += data
        data.withUnsafeBytes { ChunkedEncoder.appendChunk($0, to: &wire) }
      }
      wire += ChunkedEncoder.end
      let behind = Array("GET".utf8)
      for size in [1, 3, 17, wire.count + 3] {
        let (step, data) = SharedHTTPCasesTests.decode(wire + behind, by: size)
        #expect(step == .end(consumed: wire.count))
        #expect(data == body)
      }
    }
  }

  @Test(arguments: [1, 15, 16, 255, 256, 4095, 4096, 65536, Int.max])
  func sizesAreHexadecimalWithoutLeadingZeros(size: Int) {
    var out: [UInt8] = []
    ChunkedEncoder.appendSize(size, to: &out)
    #expect(String(decoding: out, as: UTF8.self) == String(size, radix: 16) + "\r\n")
  }

  @Test func noDataIsNoChunk() {
    var out: [UInt8] = []
    ChunkedEncoder.appendSize(0, to: &out)
    ChunkedEncoder.appendSize(-1, to: &out)
    ChunkedEncoder.appendChunk(UnsafeRawBufferPointer(start: nil, count: 0), to: &out)
    #expect(out.isEmpty)
  }

  @Test func dataIsLentWhereItLies() {
    var decoder = ChunkedDecoder()
    let bytes = Array("5\r\nhello\r\n0\r\n\r\nX".utf8)
    #expect(bytes.withUnsafeBytes { decoder.next($0) } == .data(3..<8))
    #expect(bytes[8...].withUnsafeBytes { decoder.next($0) } == .end(consumed: 7))
    #expect(decoder.isEnded)
    #expect(bytes.withUnsafeBytes { decoder.next($0) } == .end(consumed: 0), "an ended body takes nothing more")
  }

  @Test func aRefusedBodyStaysRefused() {
    var decoder = ChunkedDecoder()
    #expect(Array("g\r\n".utf8).withUnsafeBytes { decoder.next($0) } == .refused(.chunkSizeInvalid))
    #expect(Array("0\r\n\r\n".utf8).withUnsafeBytes { decoder.next($0) } == .refused(.chunkSizeInvalid))
    #expect([UInt8]().withUnsafeBytes { decoder.next($0) } == .refused(.chunkSizeInvalid))
  }

  @Test func extensionsOfAllChunksTogetherAreBounded() {
    var wire: [UInt8] = []
    for _ in 0..<200 { wire += Array(("1;" + String(repeating: "x", count: 200) + "\r\na\r\n").utf8) }
    #expect(SharedHTTPCasesTests.decode(wire, by: wire.count).0 == .refused(.chunkLineTooLong))
  }
}
