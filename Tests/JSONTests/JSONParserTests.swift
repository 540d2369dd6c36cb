import Foundation
import JSON
import TestSupport
import Testing

@Suite struct JSONParserTests {
  @Test(arguments: [
    ("", "expected a value, found nothing"), ("{", "unexpected end of the text"), ("[1,]", "unexpected `]`"),
    (#"{"a":1,"a":2}"#, #"duplicate name "a" in an object"#), ("1 2", "unexpected text after the value"),
    ("01", "not a number as JSON writes them"), (#""\ud800""#, "half of a surrogate pair in a string"),
    ("\"\u{01}\"", "control character byte 0x01 in a string; write it as an escape"),
    ("\u{feff}1", "a byte order mark stands before the value; remove it"),
  ])
  func refuses(text: String, why: String) {
    #expect(throws: JSONError.self) { try JSONParser.parse(text) }
    do { _ = try JSONParser.parse(text) } catch { #expect(error.description == why) }
  }

  @Test(arguments: [
    "[]", " [ 1 , {\"a\": [2, null]}, \"x\" ] ", "[[1], [2, [3]]]", "{\"a\": [1]}", "7", "[1,]", "[1 2]", "[1] 2", "[", "", "\u{feff}[]",
    "[{\"a\":1,\"a\":2}]",
  ])
  func `elements that are handed out one by one are those of the whole`(text: String) {
    var elements: [JSONValue] = []
    let whole = Result { () throws(JSONError) in try JSONParser.parse(text) }
    let parts = Result { () throws(JSONError) in try JSONParser.parseElements(Array(text.utf8)) { elements.append($0) } }
    switch (whole, parts) {
    case (.success(let value), .success(let other)):
      if let array = value.array {
        #expect(other == nil && array == elements && array.map(\.span) == elements.map(\.span))
      } else {
        #expect(other == value && elements.isEmpty)
      }
    case (.failure(let a), .failure(let b)): #expect(a.description == b.description && a.offset == b.offset)
    default: Issue.record("\(whole) and \(parts)")
    }
  }

  @Test func nestingIsBounded() {
    let deep = String(repeating: "[", count: 100_000)
    #expect(throws: JSONError.self) { try JSONParser.parse(deep) }
  }

  @Test func integersAreExactAndEverythingElseKeepsItsText() throws {
    #expect(try JSONParser.parse("9223372036854775807").integer == .max)
    guard case .number("9223372036854775808") = try JSONParser.parse("9223372036854775808").kind else {
      Issue.record("beyond Int64 must stay text")
      return
    }
    guard case .number("1e2") = try JSONParser.parse("1e2").kind else {
      Issue.record("exponents must stay text")
      return
    }
  }

  @Test func namesThatOnlyLookEqualAreDifferentNames() throws {
    // U+212A KELVIN SIGN is canonically equivalent to K, and Swift's == says so.
    let value = try JSONParser.parse("{\"\u{212A}\":1,\"K\":2}")
    #expect(value["K"]?.integer == 2)
  }

  @Test func spansPointIntoTheText() throws {
    let value = try JSONParser.parse(#" {"a": [1, "x"]}"#)
    #expect(value["a"]?.span == 7..<15)
    #expect(value.object?.first?.nameSpan == 2..<5)
  }

  @Test func roundTrip() throws {
    let text = #"{"a":[1,-2,3.50,true,null],"b":"q\"\\\n","c":{}}"#
    #expect(try JSONParser.parse(text).text == text)
  }

  @Test func lineSeparatorsNeverReachALogLine() {
    #expect(JSONValue.string("a\u{2028}b\u{2029}c\u{0}d").text == #""a\u2028b\u2029c\u0000d""#)
  }

  @Test func publicParsingCases() throws {
    guard let file = TestData.sharedFile("vectors/json/jsontestsuite-parsing.jsonl.gz") else { return }
    let lines = try TestData.lines(of: file)
    for line in lines {
      let item = try JSONParser.parse(line)
      guard let name = item["name"]?.string, let expect = item["expect"]?.string, let base64 = item["bytes"]?.string,
        let bytes = base64Decode(base64)
      else {
        Issue.record("unreadable case: \(line.prefix(80))")
        continue
      }
      let accepted: Bool
      do {
        _ = try JSONParser.parse(bytes)
        accepted = true
      } catch { accepted = false }
      // Duplicate names are valid JSON that we refuse on purpose (RFC 8259 §4 leaves it open; RFC 7519 §4 allows refusing).
      let strict = [
        "y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json", "y_object_duplicated_key",
        "y_object_duplicated_key_and_value",
      ]
      if expect == "y", !strict.contains(name) { #expect(accepted, "\(name) must be accepted") }
      if expect == "n" { #expect(!accepted, "\(name) must be refused") }
    }
    TestData.report("json/jsontestsuite-parsing", ran: lines.count)
  }
}

private func base64Decode(_ text: String) -> [UInt8]? { Foundation.Data(base64Encoded: text).map(Array.init) }
