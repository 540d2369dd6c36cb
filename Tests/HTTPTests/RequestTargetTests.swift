import Bytes
import Foundation
import HTTP
import JSON
import TestSupport
import Testing

@Suite struct RequestTargetTests {
  static func read(_ target: [UInt8], rules: PathRules = .strict) -> Result<(RequestTarget.Parts, DecodedPath), HTTPRefusal> {
    var path = DecodedPath()
    do throws(HTTPRefusal) {
      let parts = try target.withUnsafeBufferPointer { bytes throws(HTTPRefusal) in
        try RequestTarget.read(UnsafeRawBufferPointer(bytes), rules: rules, into: &path)
      }
      return .success((parts, path))
    } catch {
      return .failure(error)
    }
  }

  static func describe(_ target: [UInt8], rules: PathRules = .strict) -> String {
    switch read(target, rules: rules) {
    case .success((let parts, let path)):
      let query = parts.query.map { " query \(String(decoding: target[$0], as: UTF8.self).debugDescription)" } ?? ""
      let authority = parts.authority.map { " authority \(String(decoding: target[$0], as: UTF8.self))" } ?? ""
      return "\(path.segments)\(path.hasTrailingSlash ? " and a slash" : "")\(query)\(authority)"
    case .failure(let refusal): return refusal.detail
    }
  }

  static let targets: [String] = [
    "/", "/a", "/a/", "/a/b", "/a/b/", "//", "/a//b", "/a//", "//a", "/a?b", "/a?", "/?", "/a?b?c", "/a?//..", "/a?%zz", "/a?x=%00",
    "/a?\\", "/a?{}|\"<>^`",
    "/.", "/..", "/a/.", "/a/..", "/a/./b", "/a/../b", "/...", "/.a", "/a.", "/..a", "/a..", "/a.b", "/%2e", "/%2E%2e/a", "/.%2e",
    "/a/%2e%2e",
    "/%2e%2e%2fa", "/..%2fa", "/a%2f..", "/a%2f../b", "/a%2fb", "/a%2F", "/%2f", "/%2fa", "/a%2f%2fb", "/a%5cb", "/a\\b", "/..\\a", "/a;b",
    "/a;",
    "/;", "/a/;/b", "/..;/a", "/..;x=1/a", "/.;a/b", "/%2e%2e;/a", "/a%3bb", "/..%3b/a", "/a%00", "/a%00.js", "/a%0a", "/a%0d%0ab", "/a%09",
    "/a%7f",
    "/a%1f", "/a%20b", "/%20", "/..%20/a", "/..%20%20", "/. ", "/%", "/%2", "/%zz", "/a%2g", "/%%41", "/%u002e", "/%41", "/%61dmin", "/%25",
    "/%252e%252e/a",
    "/%252f", "/%3f", "/%23", "/a%23b?c", "/%c3%a9", "/%C3%A9", "/%ff", "/%c0%ae", "/%c0%af", "/%e0%80%af", "/%ed%a0%80", "/%f4%90%80%80",
    "/%f0%9f%98%80",
    "/%ef%bc%8f", "/a%ef%bc%8fb", "/%ef%bc%8e%ef%bc%8e/a", "/%ef%bc%8e", "/%e2%80%a4%e2%80%a4", "/%e2%80%a5", "/.%e2%80%a4", "/%ef%bc%bc",
    "/%ef%b9%a8",
    "/%e2%80%a6", "/a%e2%81%84b", "/a%e2%88%95b",
    "/a%e2%88%96b", "/a%ef%bc%9bb", "/a%cd%beb", "/..%cd%be/a", "/..%e2%88%95a", "/%ef%bc%8e%ef%bc%8e%ef%bc%9bx", "/%e2%82%ac", "/e%cc%81",
    "/\u{e9}", "/a b", "/a\tb", "/a#b", "/a?b#c", "/#", "/a\"b", "/a<b", "/a>b", "/a{b}", "/a`b", "/a|b", "/a[b]",
    "/a^b",
    "/~a", "/a:b", "/a@b", "/a!$&'()*+,=b", "/:", "/a*b", "*", "**", "", "a", "a/b", "a:80", "?", "?a", "http://a", "http://a/",
    "http://a?b", "http://a/b/../c",
    "http://a//", "https://A.Example:443/x?y", "http://", "http:///a", "http://:80/", "http://a:/", "http://a:99999/", "http://u@a/",
    "http://u:p@a/b", "http://[::1]/a",
    "http://[::1/a", "http://[::1]x/a", "http://[::1]:8/a", "http://a\\b/c", "http://a#b", "http:/a", "http:a", "ftp://a/", "javascript:x",
    "HTTP://a/b",
    "httpx://a/", "http://a%2eb/", "http://a..b/", "http://.a/", "http://a./b", "http://1.2.3.4/", "http://a/%2e%2e",
  ]

  @Test func verdictsOnOurOwnTargetsAreWhatTheGoldenFileSays() {
    let text = Self.targets.map { "\($0.debugDescription): \(Self.describe(Array($0.utf8)))\n" }.joined()
    let difference = Golden.difference(text, from: "target-verdicts.txt")
    #expect(difference == nil, "\(difference ?? "")")
  }

  @Test func aRouteMayDeclareWhatIsDataAndNothingMore() {
    let rules: [(String, PathRules)] = [
      ("/a;b", .semicolonIsData), ("/a%3bb", .semicolonIsData), ("/a%2fb", .encodedSlashIsData), ("/a%ef%bc%8fb", .encodedSlashIsData),
    ]
    for (target, rule) in rules {
      guard case .success((_, let path)) = Self.read(Array(target.utf8), rules: rule) else {
        Issue.record("\(target) is allowed by its rule")
        continue
      }
      #expect(path.count == 1)
      #expect(path.refusal(under: .strict) != nil && path.refusal(under: rule) == nil, "a stricter route refuses it later")
    }
    let all: PathRules = [.semicolonIsData, .encodedSlashIsData]
    for target in [
      "/..;/a", "/a/..;x", "/;/a", "/..%2fa", "/a%2f..%2fb", "/a%2f..", "/a%2f%2fb", "/%2fa", "/a%2f", "/..%3b/a", "/a%2f..;/b",
      "/..%ef%bc%8fa", "/a%5cb", "/a%00",
    ] {
      guard case .failure(let refusal) = Self.read(Array(target.utf8), rules: all) else {
        Issue.record("\(target) is no data under any rule")
        continue
      }
      #expect(refusal.reason == .pathAmbiguous, "\(target)")
    }
  }

  /// Five servers that read a path in five ways; where we accept it, all read the same segments.
  @Test func whatIsAcceptedIsReadTheSameByEveryServerWeCanThinkOf() {
    var generator = SplitMix(seed: 0x5eed)
    let pieces = ["/", "/", "a", "b", ".", "..", "%2e", "%2f", ";", "%5c", "\\", "%25", "%41", "%00", "%c3%a9", "x=1", " ", "%20"]
    var accepted = 0
    for _ in 0..<20_000 {
      let target =
        "/"
        + (0..<Int.random(in: 0..<8, using: &generator)).map { _ in pieces[Int.random(in: 0..<pieces.count, using: &generator)] }.joined()
      guard case .success((let parts, let path)) = Self.read(Array(target.utf8)) else { continue }
      accepted += 1
      #expect(parts.path == 0..<target.utf8.count)
      let ours = path.segments + (path.hasTrailingSlash && path.count > 0 ? [""] : [])
      let decoded = Self.decode(target)
      #expect(Self.segments(decoded) == ours, "decodes, then splits: \(target)")
      #expect(Self.removeDots(Self.segments(decoded)) == ours, "decodes, then resolves dots: \(target)")
      #expect(Self.removeDots(Self.segments(target)).map(Self.decode) == ours, "resolves dots, then decodes: \(target)")
      #expect(Self.segments(decoded.replacing("\\", with: "/")) == ours, "takes \\ for /: \(target)")
      #expect(Self.segments(target).map { Self.decode(String($0.prefix { $0 != ";" })) } == ours, "cuts at ;, then decodes: \(target)")
      #expect(Self.segments(decoded).map { String($0.prefix { $0 != ";" }) } == ours, "decodes, then cuts at ;: \(target)")
      #expect(Self.segments(decoded).filter { !$0.isEmpty } == path.segments, "merges slashes: \(target)")
      #expect(!decoded.utf8.contains(0), "ends at NUL: \(target)")
    }
    #expect(accepted > 500)
  }

  private static func decode(_ text: String) -> String { text.removingPercentEncoding ?? "?" }
  private static func segments(_ path: String) -> [String] {
    path == "/" ? [] : path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
  }
  private static func removeDots(_ segments: [String]) -> [String] {
    var out: [String] = []
    for (index, segment) in segments.enumerated() {
      let isLast = index == segments.count - 1
      if segment == "." || segment == ".." {
        if segment == "..", !out.isEmpty { out.removeLast() }
        if isLast { out.append("") }
      } else {
        out.append(segment)
      }
    }
    return out
  }

  @Test func pathsOnWhichServersDiffer() throws {
    guard let file = TestData.sharedFile("vectors/uri/paths.json") else { return }
    let cases = try JSONParser.parse(TestData.contents(of: file))["cases"]?.array ?? []
    for item in cases {
      guard let path = item["path"]?.string else { continue }
      let marks = Set(item["marks"]?.array?.compactMap(\.string) ?? [])
      switch Self.read(Array(path.utf8)) {
      case .success((let parts, let decoded)):
        // Accepted: the readings agree, and ours is theirs.
        // (The empty segment of an absolute target is what stands before its authority.)
        let known: Set<String> = parts.authority == nil ? [] : ["empty-segment"]
        #expect(
          marks.subtracting(known).subtracting(["decodes-twice", "encoded-delimiter", "not-origin-form", "outside-rfc3986"]).isEmpty,
          "\(path) \(marks)")
        #expect(marks.contains("outside-rfc3986") == false || path.contains(where: { "[]|^".contains($0) }), "\(path)")
        guard parts.authority == nil, let base64 = item["decoded"]?.string, let bytes = Data(base64Encoded: base64) else { continue }
        let rebuilt = "/" + decoded.segments.joined(separator: "/") + (decoded.hasTrailingSlash && decoded.count > 0 ? "/" : "")
        #expect(Array(rebuilt.utf8) == Array(bytes), "\(path)")
        #expect(exactlyEquals(item["dotsRemoved"]?.string ?? "", path), "\(path)")
      case .failure:
        // Refused: some reading differs, or it is no origin-form target; what looks like another character counts as it.
        #expect(!marks.isEmpty || path.contains("%ef%bc") || path == "/..%20/a", "\(path)")
      }
    }
    TestData.report("uri/paths", ran: cases.count)
  }

  /// What a browser would send for these URLs: refused, or its path is exactly what is matched, decoded.
  @Test func urlsOfBrowsers() throws {
    guard let file = TestData.sharedFile("vectors/uri/wpt-urltestdata.jsonl.gz") else { return }
    var ran = 0
    for line in try TestData.lines(of: file) {
      let item = try JSONParser.parse(line)
      ran += 1
      // The raw input, as somebody without a browser would send it.
      if let input = item["input"]?.string { _ = Self.describe(Array(input.utf8)) }
      guard let protocolName = item["protocol"]?.string, protocolName == "http:" || protocolName == "https:",
        let pathname = item["pathname"]?.string
      else { continue }
      let search = item["search"]?.string ?? ""
      let target = Array((pathname + search).utf8)
      guard case .success((let parts, let path)) = Self.read(target) else { continue }
      #expect(exactlyEquals(String(decoding: target[parts.path], as: UTF8.self), pathname))
      let rebuilt = "/" + path.segments.joined(separator: "/") + (path.hasTrailingSlash && path.count > 0 ? "/" : "")
      #expect(exactlyEquals(rebuilt, pathname.removingPercentEncoding ?? ""), "\(pathname)")
    }
    TestData.report("uri/wpt-urltestdata", ran: ran)
  }

  /// RFC 3986 §5.4: a reference is no request target; its resolution is one, and resolving dots changes nothing in it.
  @Test func referencesOfTheRFC() throws {
    guard let file = TestData.sharedFile("vectors/uri/rfc3986.json") else { return }
    let items = try JSONParser.parse(TestData.contents(of: file))["resolution"]?.array ?? []
    for item in items {
      guard let target = item["target"]?.string else { continue }
      switch Self.read(Array(target.utf8), rules: .semicolonIsData) {
      case .success((let parts, _)):
        #expect(target.hasPrefix("http://") && !target.contains("#"), "\(target)")
        let path = String(decoding: Array(target.utf8)[parts.path], as: UTF8.self)
        #expect(!Self.segments(path).contains { $0 == "." || $0 == ".." }, "\(target)")
      case .failure(let refusal):
        #expect(
          !target.hasPrefix("http://") || target.contains("#") || (refusal == .pathEmptySegment && target.contains("/;")),
          "\(target): \(refusal)")
      }
    }
    TestData.report("uri/rfc3986", ran: items.count)
  }
}

/// A small repeatable generator.
struct SplitMix: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var value = state
    value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
    return value ^ (value >> 31)
  }
}
