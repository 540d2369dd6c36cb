import HTTP
import TestSupport
import Testing

/// Our own cases: bytes as one would type them, and the verdict on them, in a golden file.
@Suite struct RequestVerdictTests {
  static let cases: [(String, String)] = [
    // The request line
    ("plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), ("http10", "GET / HTTP/1.0\r\n\r\n"),
    ("http10 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), ("http12", "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    ("http20", "GET / HTTP/2.0\r\nHost: a\r\n\r\n"), ("http09", "GET /\r\n"),
    ("version in lower case", "GET / http/1.1\r\nHost: a\r\n\r\n"),
    ("version cut", "GET / HTTP/1\r\n\r\n"), ("version with a third digit", "GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    ("two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), ("two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("tab for space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"), ("space behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    ("space first", " GET / HTTP/1.1\r\nHost: a\r\n\r\n"), ("one empty line first", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), ("LF first", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n"), ("method with a colon", "G:T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("get", "get / HTTP/1.1\r\nHost: a\r\n\r\n"), ("Post", "Post / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("unknown method", "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n"), ("NUL in the method", "GE\0T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("long method", String(repeating: "M", count: 33) + " / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
    ("TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"), ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("TLS", "\u{16}\u{03}\u{01}"), ("NUL first", "\0"),
    // Lines
    ("LF for CRLF in the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
    ("LF for CRLF in a field", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
    ("LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n"), ("CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"),
    ("CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n"), ("CR at the end", "GET / HTTP/1.1\r\nHost: a\r\n\rX"),
    ("NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
    ("DEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\u{7f}b\r\n\r\n"),
    ("ESC in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\u{1b}b\r\n\r\n"),
    ("tab in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\tb\r\n\r\n"),
    ("UTF-8 in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: \u{e9}\r\n\r\n"),
    ("folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"),
    ("folded first line", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"), ("line of a space", "GET / HTTP/1.1\r\nHost: a\r\n \r\n\r\n"),
    ("space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    ("tab before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX\t: a\r\n\r\n"),
    ("space in a name", "GET / HTTP/1.1\r\nHost: a\r\nX Y: a\r\n\r\n"), ("no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"),
    ("empty name", "GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n"), ("UTF-8 in a name", "GET / HTTP/1.1\r\nHost: a\r\n\u{e9}: a\r\n\r\n"),
    ("empty value", "GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n"), ("value of spaces", "GET / HTTP/1.1\r\nHost: a\r\nX:  \t \r\n\r\n"),
    ("long name", "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "n", count: 257) + ": a\r\n\r\n"),
    ("long target", "GET /" + String(repeating: "t", count: 8192) + " HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("longest target", "GET /" + String(repeating: "t", count: 8191) + " HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("129 fields", "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: y\r\n", count: 128) + "\r\n"),
    ("128 fields", "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: y\r\n", count: 127) + "\r\n"),
    ("64 KiB and more", "GET / HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "x", count: 70_000)),
    // Framing
    ("length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"),
    ("length zero", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
    ("body cut", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabc"),
    ("length twice, equal", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
    ("length twice, different", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\ncontent-length: 4\r\n\r\nabc"),
    ("length as a list", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc"),
    ("length with sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc"),
    ("length negative", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
    ("length with leading zero", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 03\r\n\r\nabc"),
    ("length in hex", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc"),
    ("length empty", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
    ("length with a space inside", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 2\r\n\r\nabc"),
    ("length 2^63 - 1", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n"),
    ("length 2^63", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n"),
    ("length of 20 digits", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\n"),
    ("chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    ("CHUNKED", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n"),
    ("chunked and length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"),
    ("length and chunked", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunked twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunked, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("gzip, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("chunked, gzip", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ("gzip", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"),
    ("identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"),
    ("identity, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"),
    ("xchunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("vertical tab, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{0b}chunked\r\n\r\n0\r\n\r\n"),
    ("quoted chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    ("chunked with parameter", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
    ("chunked and a comma", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"),
    ("comma and chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"),
    ("empty coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n"),
    ("chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("Transfer_Encoding is another field", "POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\nContent-Length: 0\r\n\r\n"),
    // Chunks
    ("chunk cut", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"),
    ("chunk too long", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"),
    ("chunk size with sign", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n"),
    ("chunk size with 0x", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n"),
    ("chunk size with space before", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n"),
    ("chunk size with space behind", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n"),
    ("chunk size empty", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n"),
    ("chunk size of 17 digits", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000003\r\nabc\r\n0\r\n\r\n"),
    ("chunk size 2^63", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8000000000000000\r\nabc\r\n0\r\n\r\n"),
    ("chunk size and LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n"),
    ("chunk and LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n"),
    ("chunk extension", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b;c=\"d;\\\"e\" ; f\r\nabc\r\n0\r\n\r\n"),
    ("chunk extension without name", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;\r\nabc\r\n0\r\n\r\n"),
    ("chunk extension with CR", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\rb\r\nabc\r\n0\r\n\r\n"),
    ("chunk extension with LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nabc\r\n0\r\n\r\n"),
    ("chunk extension with open quote", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\r\nabc\r\n0\r\n\r\n"),
    (
      "chunk extension too long",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;" + String(repeating: "x", count: 255) + "\r\nabc"
    ),
    ("trailers", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n"),
    ("trailer Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\n\r\n"),
    ("trailer without colon", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX\r\n\r\n"),
    ("trailer folded", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n z\r\n\r\n"),
    (
      "too many trailers",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + String(repeating: "X: y\r\n", count: 129)
    ),
    (
      "trailers too large", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + String(repeating: "y", count: 9000)
    ),
    // Host
    ("no Host", "GET / HTTP/1.1\r\n\r\n"), ("Host twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    ("Host empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    ("Host with port", "GET / HTTP/1.1\r\nHost: a:8080\r\n\r\n"), ("Host with port 0", "GET / HTTP/1.1\r\nHost: a:0\r\n\r\n"),
    ("Host with empty port", "GET / HTTP/1.1\r\nHost: a:\r\n\r\n"), ("Host with port 65536", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"),
    ("Host with user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), ("Host as a list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    ("Host with path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), ("Host with two dots", "GET / HTTP/1.1\r\nHost: a..b\r\n\r\n"),
    ("Host IPv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), ("Host IPv6 without brackets", "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"),
    ("Host IPv6 with zone", "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n"),
    ("absolute target", "GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("absolute target, other case and port 80", "GET HTTP://A:80/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("absolute target, other host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("absolute target, other port", "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("absolute target with user", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("absolute target without path", "GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("absolute target without Host", "GET http://a/ HTTP/1.1\r\n\r\n"),
    ("absolute target without Host in HTTP/1.0", "GET http://a/ HTTP/1.0\r\n\r\n"),
    (
      "many names in Connection",
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: " + (0..<33).map { "x\($0)" }.joined(separator: ",") + "\r\n\r\n"
    ),
    ("ftp target", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), ("authority target", "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    // Fields that steer the connection
    ("close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("Connection with rubbish", "GET / HTTP/1.1\r\nHost: a\r\nConnection: a b\r\n\r\n"),
    ("Connection with empty elements", "GET / HTTP/1.1\r\nHost: a\r\nConnection: ,, close ,\r\n\r\n"),
    ("Expect", "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\na"),
    ("Expect something", "PUT / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\nContent-Length: 1\r\n\r\na"),
    ("websocket", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
    ("websocket without option", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"),
    ("h2c", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"),
    ("websocket with a body", "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\na"),
    ("Upgrade malformed", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: a b\r\n\r\n"),
    // Pipelines
    ("two requests", "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("good, then bad", "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\nHost: a\r\n\r\n"),
    ("smuggled behind a length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /X HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("NUL as the last byte so far", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0"),
    ("LF as the last byte so far", "GET / HTTP/1.1\r\nHost: a\r\nX: a\n"),
    ("CR as the last byte so far", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r"), ("control in the target, cut", "GET /\u{1}"), ("empty", ""),
    ("cut in a field", "GET / HTTP/1.1\r\nHos"),
  ]

  @Test func verdictsOnOurOwnCasesAreWhatTheGoldenFileSays() {
    var text = ""
    for (name, bytes) in Self.cases {
      let read = Conversation.ofRequests(Array(bytes.utf8))
      text += "\(name): \(read.ending)\n"
      for message in read.messages {
        text += "  \(message.startLine.prefix(60)) \(message.framing) \(message.keepAlive ? "keep-alive" : "close")"
        text += message.body.isEmpty ? "\n" : " \(String(decoding: message.body, as: UTF8.self).debugDescription)\n"
      }
    }
    let difference = Golden.difference(text, from: "request-verdicts.txt")
    #expect(difference == nil, "\(difference ?? "")")
  }

  @Test(arguments: [1, 2, 3, 7, 64])
  func aRequestMeansTheSameHoweverItsBytesAreCut(step: Int) {
    for (name, bytes) in Self.cases where bytes.utf8.count < 1000 || step > 1 {
      let whole = Conversation.ofRequests(Array(bytes.utf8))
      let cut = Conversation.ofRequests(Array(bytes.utf8), step: step)
      #expect(cut.ending == whole.ending, "\(name) in steps of \(step)")
      #expect(cut.messages == whole.messages, "\(name) in steps of \(step)")
    }
  }

  @Test func everyCutOfAHeadIsIncompleteAndNothingElse() {
    let head = Array("POST /a?b HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\nContent-Length: 0\r\n\r\n".utf8)
    for count in 0..<head.count {
      var out = RequestHead()
      #expect(
        head[..<count].withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &out) } == .incomplete, "\(count) bytes")
    }
  }

  @Test func aHeadThatShrinksBetweenCallsIsReadAnew() {
    let long = Array("GET /first HTTP/1.1\r\nHost: example.com\r\nAccept: a".utf8)
    let other = Array("GET /2 HTTP/1.1\r\nHost: b\r\n\r\n".utf8)
    var head = RequestHead()
    #expect(long.withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) } == .incomplete)
    #expect(other.withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) } == .complete(consumed: other.count))
    #expect(head.rawPath == "/2" && head.host == "b")
  }

  @Test func aHeadRefusedForItsPathIsKnownOtherwise() {
    let bytes = Array("POST /a/../b?q HTTP/1.1\r\nHost: Example.COM.:80\r\nUser-Agent: x\r\nContent-Length: 3\r\n\r\n".utf8)
    var head = RequestHead()
    #expect(bytes.withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) } == .refused(.pathDotSegment))
    #expect(head.method == .post && head.rawPath == "/a/../b" && head.host == "example.com" && head.fields.value(of: .userAgent) == "x")
    #expect(!head.keepAlive)
  }

  @Test(
    arguments: [
      ("GET /a?secret HTTP/9.9\r\n", "/a", "secret"), ("GET /a{?secret HTTP/1.1\r\nHost: a\r\n\r\n", "/a{", "secret"),
      ("GET http://u:p@a/b?c HTTP/1.1\r\nHost: a\r\n\r\n", "", nil),
      ("GET /a#b?c HTTP/1.1\r\nHost: a\r\n\r\n", "/a#b", "c"), ("GET\r\n", "", nil), ("GET /a?b HTTP/1.1\r\nHost : a\r\n\r\n", "/a", "b"),
      ("GET http://a?b HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "/", "b"),
    ] as [(String, String, String?)])
  func ofARefusedTargetNoQueryAndNoUserIsTakenForThePath(request: String, path: String, query: String?) {
    let bytes = Array(request.utf8)
    var head = RequestHead()
    guard case .refused = bytes.withUnsafeBytes({ RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }) else {
      Issue.record("accepted")
      return
    }
    #expect(head.rawPath == path && head.query == query)
  }

  @Test func aClientThatSendsByteByByteCostsNoMoreThanOneThatSendsAtOnce() {
    // 60 KB one byte at a time: quadratic work would be two billion steps.
    let bytes =
      Array("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ".utf8) + [UInt8](repeating: 0x61, count: 60_000) + Array("\r\n\r\n".utf8)
    var head = RequestHead()
    let clock = ContinuousClock()
    var outcome = HeadOutcome.incomplete
    let spent = clock.measure {
      bytes.withUnsafeBytes { all in
        for count in 1...all.count {
          outcome = RequestHeadParser.parse(UnsafeRawBufferPointer(rebasing: all[..<count]), limits: HeadLimits(), into: &head)
        }
      }
    }
    #expect(outcome == .complete(consumed: bytes.count))
    #expect(spent < .seconds(5))
  }
}
