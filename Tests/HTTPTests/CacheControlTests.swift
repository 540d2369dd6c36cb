import HTTP
import Testing

@Suite struct CacheControlTests {
  @Test(
    arguments: [
      ([], nil), (["Cache-Control: public"], nil), (["Cache-Control: max-age=300"], 300), (["cache-control: public, MAX-AGE=300"], 300),
      (["Cache-Control: max-age=300", "Age: 100"], 200), (["Cache-Control: max-age=300", "Age: 1000"], 0),
      (["Cache-Control: max-age=300, max-age=20"], 20), (["Cache-Control: max-age=300", "Cache-Control: no-store"], 0),
      (["Cache-Control: no-cache, max-age=300"], 0), (["Cache-Control: max-age=\"60\""], 60), (["Cache-Control: max-age=-1"], 0),
      (["Cache-Control: max-age=x"], 0), (["Cache-Control: max-age="], nil), (["Cache-Control: s-maxage=9"], nil),
      (["Cache-Control: max-age=99999999999999999999999"], 1 << 31), (["Age: 5"], nil),
    ] as [([String], Int64?)])
  func freshnessIsMaxAgeLessAge(fields: [String], expected: Int64?) {
    var head = ResponseHead()
    let bytes = Array((["HTTP/1.1 200 OK"] + fields + ["Content-Length: 0", "", ""]).joined(separator: "\r\n").utf8)
    let outcome = bytes.withUnsafeBytes { ResponseHeadParser.parse($0, limits: HeadLimits(), answering: .get, into: &head) }
    guard case .complete = outcome else {
      Issue.record("\(fields) is no head")
      return
    }
    #expect(CacheControl.freshSeconds(of: head.fields) == expected)
  }
}
