import Bytes
import Foundation
import HTTP
import JSON
import TestSupport
import Testing

@Suite struct FieldTests {
  static func head(_ fields: String) -> RequestHead {
    let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n".utf8)
    var head = RequestHead()
    let outcome = bytes.withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }
    if outcome != .complete(consumed: bytes.count) { Issue.record("\(fields.debugDescription): \(outcome)") }
    return head
  }

  @Test func everyKnownNameIsKnownInEveryCaseAndNoOtherIs() {
    for field in KnownField.allCases where field != .other {
      #expect(KnownField(field.name) == field && KnownField(field.name.uppercased()) == field)
      #expect(KnownField(field.name + "x") == .other || KnownField(field.name + "x").name == field.name + "x")
      #expect(KnownField(field.name.replacing("-", with: "_")) == (field.name.contains("-") ? .other : field))
      #expect(KnownField(String(field.name.dropLast()) + "~") == .other)
    }
    // Bytes that only look like a letter: U+212A KELVIN SIGN for k, U+017F for s.
    #expect(KnownField("coo\u{212a}ie") == .other && KnownField("ho\u{17f}t") == .other)
    #expect(KnownField.allCases.count <= 64, "a set of fields is one word")
  }

  @Test func methodsAreExact() {
    for method in Method.allCases where method != .other {
      #expect(Method(token: method.name.utf8) == method && Method(token: method.name.lowercased().utf8) == .other)
    }
    #expect(Method(token: "".utf8) == .other && Method(token: "GETX".utf8) == .other)
  }

  @Test(arguments: [
    ("Bearer abc.def.ghi", "token abc.def.ghi"), ("bearer abc", "token abc"), ("BEARER   a~b+c/d-e_f.g==", "token a~b+c/d-e_f.g=="),
    ("Bearer", "malformed"),
    ("Bearer a b", "malformed"), ("Bearer a,b", "multiple"), ("Bearer a, Bearer b", "multiple"), ("Bearer =", "malformed"),
    ("Bearer a=b", "malformed"),
    ("Bearer \"a\"", "malformed"), ("Bearer\ta", "malformed"), ("Basic abc", "other"), ("Digest a=b, c=d", "other"),
    ("eyJ.eyJ.sig", "raw eyJ.eyJ.sig"),
    ("eyJ.eyJ", "other"), ("a.b.c.d", "other"), ("a.b.c, d", "multiple"), ("eyJ.e+J.sig", "other"), ("eyJ..", "raw eyJ.."),
    ("a:b", "malformed"), ("Negotiate", "other"),
    ("Bearerabc", "other"), ("Bearer \u{212a}", "malformed"),
  ])
  func credentials(value: String, expected: String) {
    let head = Self.head("Authorization: \(value)\r\n")
    let read: String
    switch BearerCredential.find(in: head.fields) {
    case .token(let range): read = "token " + head.fields.text(range)
    case .rawToken(let range): read = "raw " + head.fields.text(range)
    case .otherScheme: read = "other"
    case .malformed: read = "malformed"
    case .multiple: read = "multiple"
    case .absent: read = "absent"
    }
    #expect(read == expected)
  }

  @Test func noneOrMoreThanOneAuthorization() {
    #expect(BearerCredential.find(in: Self.head("").fields) == .absent)
    #expect(BearerCredential.find(in: Self.head("Authorization: Bearer a\r\nauthorization: Bearer a\r\n").fields) == .multiple)
    #expect(BearerCredential.find(in: Self.head("Authorization:\r\n").fields) == .malformed)
    #expect(BearerCredential.find(in: Self.head("Authorization: Bearer\r\n").fields) == .malformed)
  }

  @Test func fieldsAreReadByNameAndInOrder() {
    let head = Self.head("Accept: a\r\nX: 1\r\nx: \r\nAccept: b\r\nUser-Agent: c\r\n")
    #expect(head.fields.has(.accept) && head.fields.isRepeated(.accept) && !head.fields.isRepeated(.userAgent) && !head.fields.has(.cookie))
    #expect(
      head.fields.value(of: .accept) == nil && head.fields.values(of: .accept) == ["a", "b"] && head.fields.value(of: .userAgent) == "c")
    #expect(head.fields.value(of: .cookie) == nil && head.fields.values(of: .cookie) == [] && head.fields.values(of: .other) == [])
    #expect(head.fields.values(named: "X") == ["1", ""] && head.fields.valueBytes(named: "x") == [[0x31], []])
    #expect(head.fields.withValue(of: .userAgent) { $0.count } == 1 && head.fields.withValue(of: .cookie) { $0.count } == nil)
  }

  @Test(
    arguments: [
      (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
      (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"), (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
      (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
      (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"), (-1, "Thu, 01 Jan 1970 00:00:00 GMT"), (Int64.max, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ] as [(Int64, String)])
  func dates(seconds: Int64, text: String) { #expect(HTTPDate.text(seconds) == text) }

  @Test func everyDayOfFourHundredYearsIsTheCalendars() {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = TimeZone(secondsFromGMT: 0) ?? calendar.timeZone
    for day in stride(from: 0, through: 146_097, by: 17) {
      let parts = calendar.dateComponents([.year, .day, .month], from: Date(timeIntervalSince1970: Double(day) * 86_400))
      let words = HTTPDate.text(Int64(day) * 86_400).split(separator: " ")
      #expect(Int(words[1]) == parts.day && Int(words[3]) == parts.year)
      #expect(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"].firstIndex(of: words[2]).map { $0 + 1 }
          == parts.month)
    }
  }

  @Test func challenges() {
    #expect(WWWAuthenticate().value == "Bearer")
    #expect(WWWAuthenticate(realm: "api").value == "Bearer realm=\"api\"")
    #expect(
      WWWAuthenticate(realm: "api", error: .invalidToken, errorDescription: "The token \"x\\y\" is expired\r\n\u{e9}", scope: "a b").value
        == "Bearer realm=\"api\", error=\"invalid_token\", error_description=\"The token ?x?y? is expired????\", scope=\"a b\"")
  }

  /// RFC 9110 §11.2, `=` at the end alone: wherever in a token a byte stands, sixteen at a time or by itself.
  @Test func everyByteOfATokenIsLookedAt() {
    let allowed = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/".utf8)
    for byte in UInt8(0x20)...0x7e {
      for place in 0..<35 {
        var token = [UInt8](repeating: UInt8(ascii: "a"), count: 35)
        token[place] = byte
        let head = Self.head("Authorization: Bearer \(String(decoding: token, as: UTF8.self))\r\n")
        var length: Int?
        if case .token(let range) = BearerCredential.find(in: head.fields) { length = range.count }
        // White space around a token is no part of it.
        let isOutside = byte == UInt8(ascii: " ") && (place == 0 || place == 34)
        let isWhole = allowed.contains(byte) || byte == UInt8(ascii: "=") && place == 34
        #expect(length == (isOutside ? 34 : isWhole ? 35 : nil), "\(byte) at \(place)")
      }
    }
  }

  @Test func noValueOfOursCanEndItsLine() {
    for bad in ["a\r\nb", "a\nb", "a\rb", "a\0b", "\u{7f}", "a\tb", " a", "a ", "\u{e9}"] {
      var block = FieldBlock()
      let plain = block.append("X", bad)
      #expect(!plain && block.isEmpty)
      let encoded = block.append("X", encoding: bad)
      #expect(encoded)
      #expect(block.bytes.dropFirst(3).dropLast(2).allSatisfy { $0 >= 0x20 && $0 < 0x7f })
      let text = String(decoding: block.bytes.dropFirst(3).dropLast(2), as: UTF8.self)
      #expect(exactlyEquals(text.removingPercentEncoding ?? "", bad))
    }
    for name in ["", "X Y", "X:", "X\r\n", "\u{e9}"] {
      var block = FieldBlock()
      let accepted = [block.append(name, "a"), block.append(name, encoding: "a")]
      #expect(accepted == [false, false] && block.isEmpty)
    }
    var block = FieldBlock()
    block.append("X", encoding: "50% of José, at a b")
    #expect(String(decoding: block.bytes, as: UTF8.self) == "X: 50%25 of Jos%C3%A9, at a b\r\n")
    block.append("Empty", "")
    #expect(String(decoding: block.bytes.suffix(9), as: UTF8.self) == "Empty: \r\n")
  }

  @Test func sharedForwardedCases() throws {
    guard let file = TestData.sharedFile("vectors/fields/forwarded.json") else { return }
    let cases = try JSONParser.parse(TestData.contents(of: file))["cases"]?.array ?? []
    for item in cases {
      let lines = (item["lines"]?.array ?? []).compactMap { $0.string.map { Array($0.utf8) } }
      let read = Forwarded(lines: lines)
      let name = item["name"]?.string ?? ""
      #expect((read != nil) == (item["verdict"]?.string == "accept"), "\(name)")
      guard let read, let elements = item["elements"]?.array else { continue }
      #expect(read.elements.count == elements.count, "\(name)")
      for (mine, theirs) in zip(read.elements, elements) {
        #expect(mine.for == theirs["for"]?.string && mine.by == theirs["by"]?.string, "\(name)")
        #expect(mine.host == theirs["host"]?.string && mine.proto == theirs["proto"]?.string, "\(name)")
        for (key, value) in mine.extensions { #expect(theirs[key]?.string == value, "\(name)") }
      }
    }
    TestData.report("fields/forwarded", ran: cases.count)
  }

  @Test func forwardedIsReadAsTheRFCWritesIt() throws {
    let read = try #require(
      Forwarded(lines: [
        Array("for=192.0.2.1;proto=https;BY=\"[::1]:80\" ; host=\"a\\\"b,c;d\" , ,".utf8), Array(";for=unknown;;ext=\"\";x=y".utf8),
        Array("".utf8),
      ]))
    #expect(read.elements.count == 2)
    let (first, second) = (read.elements[0], read.elements[1])
    #expect(
      first.for == "192.0.2.1" && first.proto == "https" && first.by == "[::1]:80" && first.host == "a\"b,c;d" && first.extensions.isEmpty)
    #expect(
      second.for == "unknown" && second.forAddress == nil && second.extensions.map(\.name) == ["ext", "x"]
        && second.extensions.map(\.value) == ["", "y"])
  }

  @Test(arguments: [
    "for", "for=", "=x", "for =x", "for= x", "for=x y", "for=a:b", "for=[::1]", "for=\"x", "for=\"x\\", "for=\"x\"y", "for=x;for=y",
    "by=x;BY=y", "host=a;host=a", "proto=a;proto=b", "e=1;E=2",
    "for=\"a\u{7f}\"", "for=\"\u{1}\"", "for=\"\u{e9}\"", "for=x;\"y\"", "for=x=y",
  ])
  func aChainThatIsMalformedAnywhereIsNone(line: String) {
    #expect(Forwarded(lines: [Array(line.utf8)]) == nil)
    #expect(Forwarded(lines: [Array("for=192.0.2.1".utf8), Array(line.utf8)]) == nil)
  }

  @Test func anOpenQuoteDoesNotReachTheNextLine() {
    #expect(Forwarded(lines: [Array("for=\"x".utf8), Array("for=y\"".utf8)]) == nil)
  }

  @Test func forwardedNodes() {
    func address(_ text: String) -> String? { Forwarded(lines: [Array("for=\"\(text)\"".utf8)])?.elements.first?.forAddress?.description }
    #expect(address("192.0.2.1") == "192.0.2.1" && address("192.0.2.1:80") == "192.0.2.1" && address("192.0.2.1:_x") == "192.0.2.1")
    #expect(address("[2001:DB8::1]") == "2001:db8::1" && address("[2001:db8::1]:80") == "2001:db8::1")
    for bad in [
      "unknown", "_hidden", "2001:db8::1", "[2001:db8::1", "[1.2.3.4]", "1.2.3.4:", "1.2.3.4:999999", "1.2.3.4:x", "01.2.3.4", "1.2.3", "",
    ] {
      #expect(bad == "1.2.3.4:" || address(bad) == nil, "\(bad)")
    }
  }

  @Test func manyHopsAreTooMany() {
    let line = Array(String(repeating: "for=a,", count: 65).utf8)
    #expect(Forwarded(lines: [line]) == nil)
    #expect(XForwardedFor.addresses([Array(Array(repeating: "1.2.3.4", count: 65).joined(separator: ",").utf8)]) == nil)
  }

  @Test func xForwardedForIsAllAddressesOrNothing() {
    func read(_ lines: String...) -> [String]? { XForwardedFor.addresses(lines.map { Array($0.utf8) })?.map(\.description) }
    #expect(read("1.2.3.4") == ["1.2.3.4"] && read("1.2.3.4, ::1", "5.6.7.8:90") == ["1.2.3.4", "::1", "5.6.7.8"])
    #expect(read("[::1]:80,\t1.2.3.4") == ["::1", "1.2.3.4"])
    for bad in ["", "unknown", "1.2.3.4,", ",1.2.3.4", "1.2.3.4 5.6.7.8", "1.2.3.4;5.6.7.8", "localhost", "1.2.3.256"] {
      #expect(read(bad) == nil, "\(bad)")
    }
    #expect(read() == [])
  }

  @Test func sharedCookieCases() throws {
    guard let file = TestData.sharedFile("vectors/fields/cookie.json") else { return }
    let cases = try JSONParser.parse(TestData.contents(of: file))["cases"]?.array ?? []
    for item in cases {
      let lines = (item["lines"]?.array ?? []).compactMap(\.string)
      let mine = lines.flatMap { line in Array(line.utf8).withUnsafeBytes { Cookie.pairs($0) } }
      let theirs = (item["pairs"]?.array ?? []).compactMap { $0.array?.compactMap(\.string) }
      #expect(mine.count == theirs.count && zip(mine, theirs).allSatisfy { [$0.name, $0.value] == $1 }, "\(item["name"]?.string ?? "")")
    }
    TestData.report("fields/cookie", ran: cases.count)
  }

  @Test(arguments: [
    ("a=1; b=2", "a=1 b=2"), ("a=1;b=2", "a=1 b=2"), (" a = 1 ;b", "a=1"), ("=1;a=", "a="), ("a=b=c", "a=b=c"), ("a=\"1\"", "a=\"1\""),
    (";;", ""), ("", ""), ("a=1, b=2", "a=1, b=2"),
  ])
  func cookiePairs(value: String, expected: String) {
    #expect(Array(value.utf8).withUnsafeBytes { Cookie.pairs($0) }.map { "\($0.name)=\($0.value)" }.joined(separator: " ") == expected)
  }

  @Test func cookiesAreFoundByExactNameOnAllLines() {
    let head = Self.head("Cookie: a=1; A=2;a=3\r\nCookie: b=4; a=\"5\"; a\r\n")
    func values(_ name: String) -> [String] { Cookie.values(named: name, in: head.fields).map { String(decoding: $0, as: UTF8.self) } }
    #expect(values("a") == ["1", "3", "\"5\""] && values("A") == ["2"] && values("c") == [] && values("") == [])
  }
}
