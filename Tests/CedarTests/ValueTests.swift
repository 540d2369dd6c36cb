import Cedar
import Testing

@Suite struct ValueTests {
  @Test(arguments: [
    ("1.0", 10_000), ("-0.5", -5000), ("007.1234", 71_234), ("922337203685477.5807", Int64.max), ("-922337203685477.5808", Int64.min),
    ("-0.0", 0),
  ]) func `decimal takes`(_ text: String, as scaled: Int64) throws { #expect(try Decimal(text).scaled == scaled) }

  @Test(arguments: ["", "1", "1.", ".1", "+1.0", "1.00000", "1e1", " 1.0", "1.0 ", "922337203685477.5808", "--1.0", "1.0.0", "٣.0"])
  func `decimal refuses`(_ text: String) { #expect(throws: ExtensionError.self) { try Decimal(text) } }

  @Test func `decimal prints four fraction digits`() {
    #expect(Decimal(scaled: -5000).canonical == "-0.5000")
    #expect(Decimal(scaled: .min).canonical == "-922337203685477.5808")
  }

  @Test(arguments: ["0.0.0.0", "255.255.255.255/32", "10.0.0.1/0", "::", "::1/128", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "ABCD::ef01/64"])
  func `ip takes`(_ text: String) throws { _ = try IPAddress(text) }

  @Test(arguments: [
    "", "1.2.3", "01.2.3.4", "256.1.1.1", "1.1.1.1/33", "1.1.1.1/032", "1.1.1.1/", "1.1.1.1/+8", "::/129", "::/0128", ":::", "1::2::3",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7", "::ffff:1.2.3.4", "[::1]", "fe80::1%1", "12345::", " 1.1.1.1", "1:2:3:4:5:6:7:8::", "1:", ":1",
  ]) func `ip refuses`(_ text: String) { #expect(throws: ExtensionError.self) { try IPAddress(text) } }

  @Test func `ip ranges compare whole ranges of one family`() throws {
    func inside(_ a: String, _ b: String) throws -> Bool { try IPAddress(a).isInRange(IPAddress(b)) }
    #expect(try inside("10.1.2.3", "10.0.0.0/8"))
    #expect(try inside("10.1.2.3/8", "10.9.9.9/8"))
    #expect(try !inside("10.0.0.0/7", "10.0.0.0/8"))
    #expect(try inside("1.2.3.4", "0.0.0.0/0"))
    #expect(try !inside("::1", "0.0.0.0/0"))
    #expect(try inside("fe80:1::1", "fe80::/10"))
    #expect(try inside("2001:db8::1:0:0:1", "2001:db8::1:0:0:0/124"))
    #expect(try !inside("2001:db8::2", "2001:db8::1/128"))
  }

  @Test(
    arguments: [
      ("1970-01-01", 0), ("0000-02-29", -62_162_121_600_000), ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
      ("2024-02-29T00:00:00+0130", 1_709_159_400_000), ("1969-12-31T23:59:59.999Z", -1),
    ] as [(String, Int64)]) func `datetime takes`(_ text: String, as milliseconds: Int64) throws
  {
    #expect(try Datetime(text).milliseconds == milliseconds)
  }

  @Test(arguments: [
    "", "2024-1-01", "2023-02-29", "2100-02-29", "2024-13-01", "2024-01-01T00:00:00", "2024-01-01T24:00:00Z", "2024-01-01T00:00:60Z",
    "2024-01-01T00:00:00.1Z", "2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00+2400", "2024-01-01t00:00:00Z", "2024-01-01 ", "10000-01-01",
  ]) func `datetime refuses`(_ text: String) { #expect(throws: ExtensionError.self) { try Datetime(text) } }

  @Test(
    arguments: [
      ("1d2h3m4s5ms", 93_784_005), ("-1ms", -1), ("-9223372036854775808ms", Int64.min), ("-106751991167d7h12m55s808ms", Int64.min),
      ("9223372036854775807ms", Int64.max), ("00h", 0),
    ] as [(String, Int64)]) func `duration takes`(_ text: String, as milliseconds: Int64) throws
  {
    #expect(try Duration(text).milliseconds == milliseconds)
  }

  @Test(arguments: [
    "", "-", "1", "h", "1h1d", "1h1h", "1x", "+1h", "9223372036854775808ms", "18446744073709551616ms", "200000000000d", "1h ", "1ms1s",
  ])
  func `duration refuses`(_ text: String) { #expect(throws: ExtensionError.self) { try Duration(text) } }

  @Test func `days floor and units truncate`() throws {
    #expect(try Datetime("1969-12-31T23:59:59.999Z").date == Datetime("1969-12-31"))
    #expect(try Datetime("1969-12-31T23:59:59.999Z").timeOfDay == Duration(milliseconds: 86_399_999))
    #expect(try ExtensionFunction.toSeconds.apply([.duration(Duration("-1500ms"))]) == .long(-1))
    #expect(Datetime(milliseconds: .min).date == nil)
    #expect(Datetime(milliseconds: .max).offset(by: Duration(milliseconds: 1)) == nil)
  }

  @Test(arguments: [
    ("", "", true), ("*", "", true), ("a*b", "ab", true), ("a*b", "axxb", true), ("a*b", "axxbc", false), ("*a*", "bab", true),
    ("a*a", "a", false),
    ("\\*", "*", true), ("\\*", "x", false), ("\\u{2a}", "anything", true), ("a\\x2ab", "aXb", true), ("é*", "éa", true),
    ("é", "e\u{301}", false),
    ("*ab*ab*", "abab", true), ("*ab*ab*", "aba", false),
  ]) func `pattern`(_ pattern: String, matches text: String, is expected: Bool) {
    #expect(StringLiteral.pattern(Array(pattern.utf8)).pattern.matches(text) == expected)
  }

  @Test func `equality is by kind and content, never by spelling or normalisation`() throws {
    #expect(try Value.decimal(Decimal("1.0")) == .decimal(Decimal("1.0000")))
    #expect(try Value.ip(IPAddress("1.1.1.1")) == .ip(IPAddress("1.1.1.1/32")))
    #expect(try Value.ip(IPAddress("1.1.1.1/24")) != .ip(IPAddress("1.1.1.2/24")))
    #expect(Value.string("K") != .string("\u{212a}"))
    #expect(Value.bool(true) != .long(1))
    #expect(Value.set(ValueSet([.long(1), .long(2), .long(1)])) == .set(ValueSet([.long(2), .long(1)])))
    #expect(EntityUID(type: EntityType(unchecked: "K"), id: "\u{212a}") != EntityUID(type: EntityType(unchecked: "K"), id: "K"))
  }

  @Test(arguments: ["A", "A::B::C", "_x1::permit"]) func `name takes`(_ text: String) throws { _ = try Name(normalized: text) }

  @Test(arguments: ["", "A :: B", "A::", "::A", "A:B", "if", "A::in", "__cedar::X", "A::__cedar", "1A", "é", "A:::B", "A::B "])
  func `name refuses`(_ text: String) { #expect(throws: NameError.self) { try Name(normalized: text) } }
}
