import HTTP
import Testing

@Suite struct TrailerTests {
  /// What a body says behind its last chunk, read `size` bytes at a time.
  static func read(_ section: String, by size: Int = .max, limits: ChunkedDecoder.Limits = ChunkedDecoder.Limits()) -> (
    ChunkedDecoder.Step, [UInt8]
  ) {
    let bytes = Array(("0\r\n" + section).utf8)
    var decoder = ChunkedDecoder(limits: limits, keepsTrailers: true)
    var step = ChunkedDecoder.Step.needMore
    var start = 0
    while start < bytes.count, step == .needMore {
      let end = min(bytes.count, size == .max ? bytes.count : start + size)
      step = bytes[start..<end].withUnsafeBytes { decoder.next($0) }
      if case .end(let consumed) = step { step = .end(consumed: start + consumed) }
      start = end
    }
    return (step, decoder.trailers)
  }

  static func head(_ lines: String) -> FieldSection {
    var head = RequestHead()
    _ = Array("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\(lines)\r\n".utf8).withUnsafeBytes {
      RequestHeadParser.parse($0, limits: HeadLimits(), into: &head)
    }
    return head.fields
  }

  static func forwarded(_ lines: String, head: String = "", owned: OwnedFields? = nil) -> String {
    var out: [UInt8] = []
    TrailerSection.append(Array(lines.utf8), of: Self.head(head), owned: owned, to: &out)
    return String(decoding: out, as: UTF8.self)
  }

  @Test(arguments: [1, 2, 7, Int.max]) func linesAreKeptAsTheyCame(size: Int) {
    let lines = "Grpc-Status:0\r\nx-checksum: \t sha \r\nETag: \"a\"\r\nX-Empty:\r\n"
    let (step, trailers) = Self.read(lines + "\r\nGET", by: size)
    #expect(step == .end(consumed: lines.utf8.count + 5))
    #expect(String(decoding: trailers, as: UTF8.self) == lines)
  }

  @Test func onlyWhoAsksForTrailersKeepsThem() {
    var decoder = ChunkedDecoder()
    _ = Array("0\r\nX: y\r\n\r\n".utf8).withUnsafeBytes { decoder.next($0) }
    #expect(decoder.isEnded && decoder.trailers.isEmpty)
  }

  @Test(arguments: [
    ("X: y\r\n z\r\n\r\n", HTTPRefusal.trailerInvalid), (" X: y\r\n\r\n", .trailerInvalid), ("X : y\r\n\r\n", .trailerInvalid),
    ("X\r\n\r\n", .trailerInvalid), (": y\r\n\r\n", .trailerInvalid), ("X: a\0b\r\n\r\n", .trailerInvalid),
    ("X: a\u{7f}\r\n\r\n", .trailerInvalid), ("X\0: a\r\n\r\n", .trailerInvalid), ("X: a\nY: b\r\n\r\n", .bareLF),
    ("X: a\rY: b\r\n\r\n", .bareCR), ("X: a\r\n\n", .bareLF), ("X: a\r\n\rX", .bareCR), ("\n", .bareLF),
    ("Content-Length: 3\r\n\r\n", .trailerForbidden), ("transfer-encoding: chunked\r\n\r\n", .trailerForbidden),
    ("HOST: b\r\n\r\n", .trailerForbidden),
  ])
  func whatIsNoFieldLineIsRefused(section: String, refusal: HTTPRefusal) {
    for size in [1, 3, Int.max] { #expect(Self.read(section, by: size).0 == .refused(refusal), "\(section.debugDescription)") }
  }

  @Test func theSectionIsBoundedAsAHeadIs() {
    var head = HeadLimits()
    head.headBytes = 64
    head.fieldLines = 3
    let limits = ChunkedDecoder.Limits(head)
    let line = "X: y\r\n"
    #expect(Self.read(line + line + line + "\r\n", limits: limits).0 == .end(consumed: 23))
    #expect(Self.read(line + line + line + line + "\r\n", limits: limits).0 == .refused(.tooManyTrailers))
    #expect(Self.read("X: \(String(repeating: "y", count: 57))\r\n\r\n", limits: limits).0 == .end(consumed: 67))
    #expect(Self.read("X: \(String(repeating: "y", count: 58))\r\n\r\n", limits: limits).0 == .refused(.trailersTooLarge))
    #expect(Self.read(String(repeating: "x", count: 257) + ": y\r\n\r\n").0 == .refused(.fieldNameTooLong))
    #expect(Self.read("", limits: limits).0 == .needMore)
  }

  @Test(arguments: [
    "X-User", "x_user", "X.User", "X-Stockade-Principal", "x_stockade.groups", "X-Tenant", "x_tenant", "Authorization", "authorization",
    "Proxy-Authorization", "Cookie", "Set-Cookie", "WWW-Authenticate", "DPoP", "X-Forwarded-For", "X_Forwarded_Host", "Forwarded",
    "X-Real-IP", "X-HTTP-Method-Override", "X-Original-URL", "Content-Type", "Content_Type", "Content-Encoding", "Content-Range",
    "Content_Length", "Transfer_Encoding", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade", "Expect", "Cache-Control", "Range",
    "If-None-Match", "Max-Forwards", "Date", "Age", "Location", "Vary", "Retry-After", "Access-Control-Allow-Origin", "Via",
    "Sec-WebSocket-Key", "traceparent", "X-Gone",
  ])
  func whatWouldMeanSomethingInTheHeadIsLeftOut(name: String) {
    let owned = OwnedFields(["X-User"], evaluated: ["X-Tenant"])
    let lines = "Before: 1\r\n\(name): forged\r\nAfter: 2\r\n"
    #expect(Self.forwarded(lines, head: "Connection: close, x-gone\r\n", owned: owned) == "Before: 1\r\nAfter: 2\r\n")
  }

  @Test(arguments: [
    "Grpc-Status", "Server-Timing", "ETag", "X-Checksum", "Digest", "Authentication-Info", "Accept-Ranges", "X-Users", "Iffy", "Security",
    "X-Amz-Checksum-Crc32", "contents",
  ])
  func whatMeansNothingThereGoesOn(name: String) {
    let owned = OwnedFields(["X-User"], evaluated: ["X-Tenant"])
    #expect(Self.forwarded("\(name):  as it came \r\n", owned: owned) == "\(name):  as it came \r\n")
  }

  @Test func onlyWhatGoesOnIsAnnounced() {
    let rewrite = RequestRewrite(owned: OwnedFields(["X-User"]))
    let announced = "Trailer: X-Sum, X-User, Content-Length\r\ntrailer: X_User,,Grpc-Status\r\n"
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    #expect(
      HeadWriterTests.forward("\(chunked)\(announced)\r\n", rewrite)
        == "POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: a\r\nTrailer: X-Sum,Grpc-Status\r\nTransfer-Encoding: chunked\r\n\r\n")
    #expect(HeadWriterTests.forward("\(chunked)Trailer: X-User\r\n\r\n", rewrite)?.contains("Trailer") == false)
    #expect(
      HeadWriterTests.forward("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\(announced)\r\n", rewrite)?.contains("Trailer") == false)
    var signed = rewrite
    signed.forwardsTrailers = false
    #expect(HeadWriterTests.forward("\(chunked)\(announced)TE: trailers\r\n\r\n", signed)?.contains("railer") == false)
  }

  @Test func aResponseAnnouncesWhereItHasChunks() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Set-Cookie\r\n\r\n"
    #expect(HeadWriterTests.answer(head) == "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n")
    let toOld = HeadWriterTests.answer(head) {
      $0.framing = .untilClose
      $0.clientMinorVersion = 0
    }
    #expect(toOld?.contains("Trailer") == false)
    #expect(HeadWriterTests.answer(head, to: .head)?.contains("Trailer") == false)
    #expect(HeadWriterTests.answer("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\n\r\n") { $0.framing = .chunked }?.contains("Trailer") == false)
  }

  @Test(arguments: [
    ("TE: trailers", true), ("TE: gzip;q=0.5, Trailers", true), ("te:deflate\r\nTE: trailers", true), ("TE: trailers;q=1", false),
    ("TE: gzip", false), ("TE:", false), ("X: trailers", false),
  ])
  func thatTrailersAreUnderstoodIsSaidAnew(line: String, isSaid: Bool) {
    let out = HeadWriterTests.forward("GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\n\(line)\r\n\r\n")
    let said = isSaid ? "Connection: TE\r\nTE: trailers\r\n" : ""
    #expect(out?.replacing("X: trailers\r\n", with: "") == "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: a\r\n\(said)\r\n")
    #expect(HeadWriterTests.forward("GET / HTTP/1.0\r\nHost: a\r\n\(line)\r\n\r\n")?.contains("TE: trailers") == false)
  }

  @Test func anUpgradeAndTrailersShareTheConnectionField() {
    var rewrite = RequestRewrite(owned: OwnedFields())
    rewrite.offersUpgrade = true
    let out = HeadWriterTests.forward(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, TE\r\nUpgrade: websocket\r\nTE: trailers\r\n\r\n", rewrite)
    #expect(out?.contains("\r\nConnection: upgrade, TE\r\nUpgrade: websocket\r\nTE: trailers\r\n") == true)
  }
}
