import Bytes
import JSON
import Testing

@Suite struct JSON5Tests {
  private static let json5 = JSONParser.Limits(syntax: .json5)

  @Test(arguments: [
    ("{ // comment\n a: 1, /* b */ 'c': \"d\", }", #"{"a":1,"c":"d"}"#),
    ("[1, 2,]", "[1,2]"), ("[]", "[]"), ("{}", "{}"), ("/**/ null // end", "null"), ("//\n1", "1"),
    ("'it\\'s \"so\"'", #""it's \"so\"""#), (#""it's""#, #""it's""#),
    ("0x1F", "31"), ("-0x10", "-16"), ("+5", "5"), (".5", "0.5"), ("5.", "5.0"), ("+.5e-3", "0.5e-3"), ("-0", "-0"),
    ("'a\\\nb'", #""ab""#), ("'a\\\r\nb'", #""ab""#), ("'a\\\u{2028}b'", #""ab""#),
    (#"'\x41\v\0\a\é'"#, "\"A\\u000b\\u0000aé\""), ("'tab\there'", #""tab\there""#),
    ("{ $schema: 1, _a1: 2, ümlaut: 3, \\u0061b: 4 }", #"{"$schema":1,"_a1":2,"ümlaut":3,"ab":4}"#),
    ("\u{a0}{\u{2003}a:1\u{0b}}", #"{"a":1}"#), ("{true: 1, null: 2}", #"{"true":1,"null":2}"#),
    ("9223372036854775807", "9223372036854775807"), ("\"\\ud83d\\ude00\"", "\"😀\""),
  ])
  func readsWhatPeopleWrite(text: String, same: String) throws {
    #expect(try JSONParser.parse(text, limits: Self.json5).text == same)
  }

  @Test(arguments: [
    ("{a:1,,}", "unexpected `,`"), ("[,]", "unexpected `,`"), ("{a}", "unexpected `}`"),
    ("/* never", "this comment has no end; close it with `*/`"),
    ("'a\nb'", "this string does not end on its line; close it, or end the line with `\\` to go on in the next"),
    ("'a", "this string does not end on its line; close it, or end the line with `\\` to go on in the next"),
    ("Infinity", "unexpected `I`"), ("-Infinity", "Infinity and NaN are no values here"), ("+NaN", "Infinity and NaN are no values here"),
    ("30s", "not a number as JSON writes them"), ("012", "not a number as JSON writes them"), (".", "not a number as JSON writes them"),
    ("0x", "not a number as JSON writes them"), ("0x1G", "not a number as JSON writes them"),
    ("0xFFFFFFFFFFFFFFFFF", "not a number as JSON writes them"),
    ("+", "not a number as JSON writes them"), ("1e", "not a number as JSON writes them"), (#"'\1'"#, "invalid escape in a string"),
    (#"'\01'"#, "invalid escape in a string"),
    (#"'\x4'"#, "invalid escape in a string"), ("{1a: 2}", "unexpected `1`"), ("{a-b: 2}", "unexpected `-`"),
    ("{\\u002d: 1}", "invalid escape in a string"),
    ("{a:1, 'a':2}", "duplicate name \"a\" in an object"), ("{a: 1", "unexpected end of the text"), ("/", "unexpected `/`"),
    ("", "expected a value, found nothing"),
    ("\u{feff}1", "a byte order mark stands before the value; remove it"), ("#", "unexpected `#`"),
  ])
  func refuses(text: String, why: String) {
    do {
      let value = try JSONParser.parse(text, limits: Self.json5)
      Issue.record("\(text) was read as \(value.text)")
    } catch { #expect(error.description == why) }
  }

  @Test(arguments: [
    "{a:1}", "[1,]", "{\"a\":1,}", "'a'", "+1", ".5", "5.", "0x1", "1 // c", "/**/1", "\u{a0}1", "\"a\\\nb\"", "\"\\x41\"", "\"\\v\"",
    "\"a\tb\"",
  ])
  func strictJSONStaysStrict(text: String) {
    #expect(throws: JSONError.self) { try JSONParser.parse(text) }
  }

  @Test func placesAreThoseOfTheText() throws {
    let text = "// c\n{ mode: 'observe' }"
    let value = try JSONParser.parse(text, limits: Self.json5)
    let member = try #require(value.object?.first)
    #expect(SourceText(name: "", text).position(of: member.nameSpan.lowerBound) == SourceText.Position(line: 2, column: 3))
    #expect(String(decoding: Array(text.utf8)[member.nameSpan], as: UTF8.self) == "mode")
    #expect(String(decoding: Array(text.utf8)[member.value.span], as: UTF8.self) == "'observe'")
  }

  @Test func nestingIsBoundedAndCutTextsNeverTrap() {
    #expect(throws: JSONError.self) { try JSONParser.parse(String(repeating: "[/**/", count: 100_000), limits: Self.json5) }
    let whole = Array("{ a: [0x1F, +.5e1, 'x\\u00e9\\x41\\\n', \"\\ud83d\\ude00\"], \\u0061: /* c */ null, }".utf8)
    for length in 0..<whole.count { #expect(throws: JSONError.self) { try JSONParser.parse(whole[..<length], limits: Self.json5) } }
    for index in whole.indices {
      for byte: UInt8 in [0, 0x22, 0x27, 0x5c, 0x2f, 0xe2, 0xff] {
        var changed = whole
        changed[index] = byte
        do { _ = try JSONParser.parse(changed, limits: Self.json5) } catch { #expect(error.offset <= changed.count) }
      }
    }
  }
}
