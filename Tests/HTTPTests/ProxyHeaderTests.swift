import Foundation
import HTTP
import JSON
import TestSupport
import Testing

@Suite struct ProxyHeaderTests {
  static func parse(_ bytes: [UInt8]) -> ProxyHeader.Outcome { bytes.withUnsafeBytes { ProxyHeader.parse($0) } }

  @Test(arguments: ["v1", "v2"])
  func sharedCases(version: String) throws {
    guard let file = TestData.sharedFile("vectors/proxy-protocol/\(version).json") else { return }
    let cases = try JSONParser.parse(TestData.contents(of: file))["cases"]?.array ?? []
    for item in cases {
      guard let name = item["name"]?.string, let base64 = item["bytes"]?.string, let bytes = Data(base64Encoded: base64).map(Array.init)
      else { continue }
      let outcome = Self.parse(bytes)
      switch (item["verdict"]?.string, outcome) {
      case ("accept", .complete(let header, let consumed)):
        if let length = item["length"]?.integer { #expect(Int64(consumed) == Int64(length), "\(name)") }
        let isLocal = item["command"]?.string == "LOCAL"
        #expect(
          header.source?.address.description == (isLocal ? nil : item["source"]?.string).flatMap { IPAddress($0)?.description }, "\(name)")
        if !isLocal, let port = item["sourcePort"]?.integer { #expect(header.source.map { Int64($0.port) } == Int64(port), "\(name)") }
        if !isLocal, let port = item["destinationPort"]?.integer {
          #expect(header.destination.map { Int64($0.port) } == Int64(port), "\(name)")
        }
        // Any shorter part of the header is incomplete.
        for count in 0..<consumed { #expect(Self.parse(Array(bytes[..<count])) == .incomplete, "\(name) cut at \(count)") }
      case ("reject", .refused), ("incomplete", .incomplete), ("either", _): break
      default: Issue.record("\(name): \(outcome)")
      }
    }
    TestData.report("proxy-protocol/\(version)", ran: cases.count)
  }

  @Test(arguments: [
    ("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\nGET", "1.2.3.4:9 5.6.7.8:10 33"), ("PROXY TCP6 ::1 ::2 1 65535\r\n", "::1:1 ::2:65535 28"),
    ("PROXY UNKNOWN\r\n", "local 15"), ("PROXY UNKNOWN anything \t at all\r\n", "local 33"),
    ("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\n", "proxy_line_malformed"),
    ("PROXY TCP4 1.2.3.4 5.6.7.8 9 10 \r\n", "proxy_line_malformed"), ("PROXY TCP4  1.2.3.4 5.6.7.8 9 10\r\n", "proxy_line_malformed"),
    ("PROXY TCP4 ::1 ::2 9 10\r\n", "proxy_line_malformed"), ("PROXY TCP6 1.2.3.4 5.6.7.8 9 10\r\n", "proxy_line_malformed"),
    ("PROXY TCP4 1.2.3.4 5.6.7.8 09 10\r\n", "proxy_line_malformed"), ("PROXY TCP4 1.2.3.4 5.6.7.8 9 65536\r\n", "proxy_line_malformed"),
    ("PROXY TCP4 1.2.3.4 5.6.7.8 9 99999999999\r\n", "proxy_line_malformed"), ("PROXY TCP4 1.2.3.4 5.6.7.8 9\r\n", "proxy_line_malformed"),
    ("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\r\n", "proxy_line_malformed"), ("PROXY \r\n", "proxy_line_malformed"),
    ("PROXY\r\n", "proxy_signature_missing"),
    ("GET / HTTP/1.1\r\n", "proxy_signature_missing"), ("proxy TCP4", "proxy_signature_missing"), ("PROXY TCP4 1.2.3.4", "incomplete"),
    ("", "incomplete"),
    ("PROXY UNKNOWN " + String(repeating: "x", count: 200), "proxy_line_malformed"),
  ])
  func version1(line: String, expected: String) {
    #expect(Self.describe(Self.parse(Array(line.utf8))) == expected)
  }

  static func describe(_ outcome: ProxyHeader.Outcome) -> String {
    switch outcome {
    case .incomplete: "incomplete"
    case .refused(let refusal): refusal.rawValue
    case .complete(let header, let consumed):
      if let source = header.source, let destination = header.destination {
        "\(source.address):\(source.port) \(destination.address):\(destination.port) \(consumed)"
      } else {
        "local \(consumed)"
      }
    }
  }

  static func version2(_ command: UInt8, _ family: UInt8, _ body: [UInt8]) -> [UInt8] {
    [
      0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a, command, family, UInt8(body.count >> 8),
      UInt8(body.count & 255),
    ] + body
  }

  @Test func version2Headers() {
    let v4: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 0, 10]
    #expect(Self.describe(Self.parse(Self.version2(0x21, 0x11, v4))) == "1.2.3.4:9 5.6.7.8:10 28")
    #expect(Self.describe(Self.parse(Self.version2(0x20, 0x11, v4))) == "local 28")
    #expect(Self.describe(Self.parse(Self.version2(0x21, 0x00, [1, 2, 3]))) == "local 19")
    #expect(Self.describe(Self.parse(Self.version2(0x21, 0x12, v4))) == "proxy_family_unsupported")
    #expect(Self.describe(Self.parse(Self.version2(0x21, 0x11, Array(v4.dropLast())))) == "proxy_address_truncated")
    #expect(Self.describe(Self.parse(Self.version2(0x22, 0x11, v4))) == "proxy_version_unsupported")
    #expect(Self.describe(Self.parse(Self.version2(0x11, 0x11, v4))) == "proxy_version_unsupported")
    #expect(Self.describe(Self.parse(Self.version2(0x21, 0x11, v4 + [4, 0, 5, 1]))) == "proxy_tlv_malformed")
    #expect(Self.describe(Self.parse(Self.version2(0x21, 0x11, v4 + [4, 0]))) == "proxy_tlv_malformed")
    #expect(Self.describe(Self.parse(Self.version2(0x21, 0x11, v4 + [4, 0, 1, 0]))) == "1.2.3.4:9 5.6.7.8:10 32")
    #expect(Self.describe(Self.parse(Self.version2(0x21, 0x11, v4 + [3, 0, 4, 1, 2, 3, 4]))) == "proxy_checksum_wrong")
    #expect(Self.describe(Self.parse(Self.version2(0x21, 0x11, v4 + [3, 0, 2, 1, 2]))) == "proxy_tlv_malformed")
    #expect(Self.describe(Self.parse(Self.version2(0x21, 0x11, [UInt8](repeating: 0, count: 5000)))) == "proxy_header_too_long")
    #expect(Self.describe(Self.parse(Array(Self.version2(0x21, 0x11, v4).dropLast()))) == "incomplete")
  }
}

@Suite struct IPAddressTests {
  @Test(arguments: [
    ("1.2.3.4", "1.2.3.4"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("::", "::"), ("::1", "::1"), ("1::", "1::"),
    ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
    ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("::ffff:1.2.3.4", "::ffff:1.2.3.4"), ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
    ("0:0:1::", "0:0:1::"), ("1:0:0:0:1:0:0:0", "1::1:0:0:0"),
  ])
  func addressesAreReadAndPrintedCanonically(text: String, canonical: String) {
    #expect(IPAddress(text)?.description == canonical)
    #expect(IPAddress(canonical) == IPAddress(text))
  }

  @Test(arguments: [
    "", ".", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.04", "1.2.3.", ".1.2.3", "1..2.3", "1.2.3.4 ", "+1.2.3.4",
    "0x1.2.3.4", "1.2.3.1111", ":", ":::",
    "1:", ":1", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "12345::", "g::", "fe80::1%eth0",
    "[::1]", "::1.2.3", "::1.2.3.4.5",
    "1.2.3.4::", "1:2:3:4:5:6:7:1.2.3.4", "::01.2.3.4", "1:2:3:4:5:1.2.3.4:6", "\u{661}.2.3.4",
  ])
  func whatIsNoAddressIsNone(text: String) { #expect(IPAddress(text) == nil) }

  @Test func aMappedAddressIsTheOneItStandsFor() {
    #expect(IPAddress("::ffff:1.2.3.4")?.unmapped == IPAddress("1.2.3.4"))
    #expect(IPAddress("::1.2.3.4")?.unmapped == IPAddress("::102:304"))
    #expect(IPAddress("1.2.3.4")?.octets == [1, 2, 3, 4] && IPAddress("::1")?.octets.count == 16)
  }
}

@Suite struct IPNetworkTests {
  @Test(arguments: [
    ("10.0.0.0/8", "10.255.1.2", true), ("10.0.0.0/8", "11.0.0.0", false), ("192.0.2.1", "192.0.2.1", true),
    ("192.0.2.1", "192.0.2.2", false),
    ("0.0.0.0/0", "8.8.8.8", true), ("0.0.0.0/0", "::1", false), ("::/0", "1.2.3.4", false), ("fd00::/8", "fdff::1", true),
    ("fd00::/8", "fe00::", false),
    ("192.0.2.128/25", "192.0.2.127", false), ("192.0.2.128/25", "192.0.2.200", true), ("10.0.0.0/8", "::ffff:10.1.1.1", true),
    ("::ffff:10.0.0.0/104", "10.1.1.1", true),
    ("::ffff:10.0.0.0/104", "11.1.1.1", false), ("2001:db8::/33", "2001:db8:7fff::", true), ("2001:db8::/33", "2001:db8:8000::", false),
  ])
  func membership(network: String, address: String, expected: Bool) throws {
    #expect(try #require(IPNetwork(network)).contains(#require(IPAddress(address))) == expected)
  }

  @Test(arguments: [
    "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/+8", "10.0.0.1/8", "10.0.0.0/8/8", "::/129", "fd00::1/8", "10/8", "a/8",
    "10.0.0.0/-1", "10.0.0.0/8 ",
  ])
  func whatIsNoNetworkIsNone(text: String) { #expect(IPNetwork(text) == nil) }
}

@Suite struct ForwardedClientTests {
  static func client(_ peer: String, _ fields: String, _ source: ForwardedClient.Source = .xForwardedFor) -> String {
    let head = FieldTests.head(fields)
    let trusted = ["10.0.0.0/8", "fd00::/8"].compactMap { IPNetwork($0) }
    guard let peer = IPAddress(peer) else { return "bad peer" }
    guard trusted.contains(where: { $0.contains(peer) }) else { return peer.description }
    guard let chain = ForwardedClient.chain(fields: head.fields, source: source, trusted: trusted) else { return "none" }
    return (chain.first ?? peer).description
  }

  @Test func nobodyIsBelievedButTrustedProxies() {
    #expect(Self.client("192.0.2.1", "X-Forwarded-For: 1.1.1.1\r\n") == "192.0.2.1", "an untrusted peer is the client")
    #expect(Self.client("10.0.0.1", "X-Forwarded-For: 1.1.1.1\r\n") == "1.1.1.1")
    #expect(Self.client("10.0.0.1", "") == "10.0.0.1")
    #expect(
      Self.client("10.0.0.1", "X-Forwarded-For: 6.6.6.6, 1.1.1.1, 10.0.0.2\r\n") == "1.1.1.1",
      "what stands before the first untrusted was said by it")
    #expect(Self.client("10.0.0.1", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.1.1.1\r\n") == "1.1.1.1")
    #expect(Self.client("10.0.0.1", "X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n") == "10.0.0.3")
    #expect(Self.client("10.0.0.1", "X-Forwarded-For: unknown\r\n") == "none" && Self.client("10.0.0.1", "X-Forwarded-For:\r\n") == "none")
    #expect(Self.client("::ffff:10.0.0.1", "X-Forwarded-For: 1.1.1.1\r\n") == "1.1.1.1")
  }

  @Test func forwardedIsReadTheSameWayAndNeverBesideTheOther() {
    #expect(
      Self.client("fd00::1", "Forwarded: for=6.6.6.6, for=\"[2001:db8::1]:5\"\r\nX-Forwarded-For: 9.9.9.9\r\n", .forwarded) == "2001:db8::1"
    )
    #expect(
      Self.client("fd00::1", "Forwarded: for=_hidden\r\n", .forwarded) == "none"
        && Self.client("fd00::1", "Forwarded: for=\"x\r\n", .forwarded) == "none")
    #expect(Self.client("fd00::1", "Forwarded: for=1.1.1.1\r\n") == "fd00::1")
  }
}

@Suite struct QueryTests {
  static func values(_ name: String, _ query: String) -> [String]? {
    Array(query.utf8).withUnsafeBytes { Query.values(named: name, in: $0) }
  }

  @Test func pairsAreReadAsFormsWriteThem() {
    #expect(Self.values("a", "a=1&b=2&a=3&%61=4&a") == ["1", "3", "4", ""] && Self.values("a b", "a+b=1&a%20b=2") == ["1", "2"])
    #expect(Self.values("a", "a=b=c&&a=%26%3d%2B+") == ["b=c", "&=+ "] && Self.values("a", "") == [] && Self.values("A", "a=1") == [])
    #expect(Self.values("a[]", "a[]=1") == ["1"] && Self.values("\u{212a}", "K=1") == [], "names are bytes")
  }

  @Test(arguments: ["a=1;b=2", "a=%", "a=%z1", "a=%ff", "%=1", "b=%c0%ae", "a=1&b=%4"])
  func aQueryThatCanBeReadInTwoWaysHasNoValues(query: String) { #expect(Self.values("a", query) == nil) }
}
