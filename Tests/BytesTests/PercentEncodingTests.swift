import Bytes
import Testing

struct PercentEncodingTests {
  @Test("all but the unreserved characters are encoded, in upper case, byte by byte")
  func unreserved() {
    #expect(PercentEncoding.encode("AZaz09-._~".utf8) == "AZaz09-._~")
    #expect(PercentEncoding.encode(" %+/é\u{0}".utf8) == "%20%25%2B%2F%C3%A9%00")
    let all = PercentEncoding.encode(Array(UInt8.min...UInt8.max))
    #expect(all.utf8.count == 66 + 190 * 3)
  }

  @Test("what else stands as it is says the caller, who is asked about each byte once")
  func kept() {
    var asked: [UInt8] = []
    let text = PercentEncoding.encode("a/b c".utf8) { byte in
      asked.append(byte)
      return byte == UInt8(ascii: "/") || PercentEncoding.isUnreserved(byte)
    }
    #expect(text == "a/b%20c" && asked == Array("a/b c".utf8))
    var out = Array("x=".utf8)
    PercentEncoding.append("&".utf8, to: &out)
    #expect(out == Array("x=%26".utf8))
  }
}
