import Bytes
import Foundation
import HTTP
import JSON
import TestSupport
import Testing

/// The public cases of other parsers: what they refuse by default we refuse; what they accept we read the same way, or
/// refuse for a reason that is named here.
@Suite struct SharedHTTPCasesTests {
  struct Case {
    var id: String
    var kind: String
    var mode: String
    var verdict: String
    var bytes: [UInt8]
    var says: JSONValue?
  }

  static func cases() throws -> [Case] {
    guard let file = TestData.sharedFile("vectors/http/cases.jsonl.gz") else { return [] }
    return try TestData.lines(of: file).map { line in
      let item = try JSONParser.parse(line)
      return Case(
        id: item["id"]?.string ?? "", kind: item["kind"]?.string ?? "", mode: item["mode"]?.string ?? "",
        verdict: item["verdict"]?.string ?? "",
        bytes: item["bytes"]?.string.flatMap { Data(base64Encoded: $0) }.map(Array.init) ?? [], says: item["says"])
    }
  }

  /// What a source accepts and we refuse, by the rule that we refuse it for.
  static let strictness: Set<HTTPRefusal> = [
    // RFC 9112 §3.2 asks for Host; RFC 9110 §4.2.1 for one that is not empty; the rest is what no host name has.
    .hostMissing, .hostInvalid,
    // Obsolete or lenient line endings and white space, RFC 9112 §2.2, §3, §5.2.
    .bareLF, .obsFold, .requestLineMalformed, .statusLineMalformed, .controlByte, .chunkSizeInvalid, .chunkExtensionInvalid,
    // Other protocols than HTTP/1.
    .versionMalformed, .versionUnsupported,
    // Targets that no origin server is asked, or that are no URI.
    .methodConnect, .targetAsterisk, .targetFormUnsupported, .targetUserInformation, .targetFragment, .targetInvalid,
    // Paths with two readings.
    .pathSemicolon, .pathCaseUnclear, .pathEmptySegment, .pathEncodedSlash, .pathBackslash, .pathControl, .pathBadEscape, .pathNotUTF8,
    .pathDotSegment,
    // Framing that is recovered from elsewhere and refused here.
    .contentLengthInvalid, .contentLengthWithTransferEncoding, .contentLengthRepeated, .transferEncodingInvalid, .transferEncodingRepeated,
    .transferEncodingUnsupported, .chunkSizeTooLarge, .framingForbidden, .upgradeUnasked,
  ]

  /// What a source refuses and we do not: its own opinion or its own limits.
  static let opinions: [String: String] = [
    "llhttp/request/invalid#3": "ANNOUNCE belongs to RTSP there; here it is a token, and a method that no route has",
    "gunicorn/invalid/007": "a limit of 8190 bytes a field", "gunicorn/invalid/008": "a limit of 8190 bytes a field",
    "gunicorn/invalid/009": "a limit of fields",
    "gunicorn/invalid/001": "cut: incomplete here, and the end of input is the connection's to judge",
  ]

  @Test func requestsOfOtherParsers() throws {
    var ran = 0
    for item in try Self.cases() where item.kind == "request" && item.mode == "default" {
      ran += 1
      let ours = Conversation.ofRequests(item.bytes)
      check(item, ours)
      #expect(ours == Conversation.ofRequests(item.bytes, step: 1), "\(item.id) byte by byte")
      if case .refused = ours.ending { continue }
      compare(item, ours)
    }
    TestData.report("http requests", ran: ran)
  }

  @Test func responsesOfOtherParsers() throws {
    var ran = 0
    for item in try Self.cases() where item.kind == "response" && item.mode == "default" {
      ran += 1
      for upgradeOffered in [false, true] {
        let ours = Conversation.ofResponses(item.bytes, upgradeOffered: upgradeOffered)
        check(item, ours)
        #expect(ours == Conversation.ofResponses(item.bytes, upgradeOffered: upgradeOffered, step: 1), "\(item.id) byte by byte")
        if case .refused = ours.ending { continue }
        compare(item, ours)
      }
    }
    TestData.report("http responses", ran: ran)
  }

  /// A case run leniently or with options there: it must not trap here, and cuts must not matter.
  @Test func lenientModesOfOtherParsers() throws {
    var ran = 0
    for item in try Self.cases() where (item.kind == "request" || item.kind == "response") && item.mode != "default" {
      ran += 1
      if item.kind == "request" {
        #expect(Conversation.ofRequests(item.bytes) == Conversation.ofRequests(item.bytes, step: 1), "\(item.id)")
      } else {
        #expect(Conversation.ofResponses(item.bytes) == Conversation.ofResponses(item.bytes, step: 1), "\(item.id)")
      }
    }
    TestData.report("http messages in lenient modes", ran: ran)
  }

  private func check(_ item: Case, _ ours: Conversation) {
    switch (item.verdict, ours.ending) {
    case ("reject", .refused), ("accept-then-reject", .refused): break
    case ("accept-then-reject", _):
      // A whole message, then bad bytes: read only if the connection goes on behind the message.
      #expect(ours.messages.count == 1 && ours.messages[0].keepAlive == false, "\(item.id): \(ours.ending)")
    case ("reject", _): #expect(Self.opinions[item.id] != nil, "\(item.id) is refused elsewhere, here: \(ours.ending)")
    case ("incomplete", .whole):
      // llhttp leaves a response open that ends with its connection.
      #expect(ours.messages.last?.framing == .untilClose, "\(item.id) is incomplete elsewhere, here: \(ours.ending)")
    case (_, .refused(let refusal)):
      #expect(Self.strictness.contains(refusal), "\(item.id) is \(item.verdict) elsewhere, here: \(ours.ending)")
    case ("accept", .incomplete): Issue.record("\(item.id) is whole elsewhere and incomplete here")
    default: break
    }
  }

  /// What the source says about an accepted message.
  private func compare(_ item: Case, _ ours: Conversation) {
    guard let says = item.says, let first = ours.messages.first else { return }
    let parts = first.startLine.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    if item.kind == "request" {
      if let method = says["method"]?.string { #expect(parts.first == method, "\(item.id)") }
      if let target = says["target"]?.string { #expect(parts.count > 1 && parts[1] == target, "\(item.id)") }
    }
    if let headers = says["headers"]?.array {
      // A name that the source does not state is not compared; text beyond ASCII may be spelled in two ways.
      for (mine, theirs) in zip(first.fields, headers) {
        guard let pair = theirs.array, pair.count == 2, let value = pair[1].string, value.utf8.allSatisfy({ $0 < 0x80 }) else { continue }
        #expect(mine.split(separator: ":", maxSplits: 1).last.map { $0.dropFirst() == value } == true, "\(item.id)")
        if let name = pair[0].string { #expect(mine.lowercased().hasPrefix(name.lowercased() + ":"), "\(item.id)") }
      }
      #expect(first.fields.count == headers.count, "\(item.id)")
    }
    for (index, request) in (says["requests"]?.array ?? []).enumerated() where index < ours.messages.count {
      let mine = ours.messages[index].startLine.split(separator: " ").map(String.init)
      #expect(mine.first == request["method"]?.string, "\(item.id)")
      if let target = request["target"]?.string { #expect(mine.count > 1 && mine[1] == target, "\(item.id)") }
      if let body = request["body"]?.string {
        #expect(ours.messages[index].body.map { UInt32($0) } == body.unicodeScalars.map(\.value), "\(item.id)")
      }
    }
    // llhttp: the spans of its log, first method and first target.
    let log = says["log"]?.array?.compactMap(\.string) ?? []
    if let method = log.first(where: { $0.contains("span[method]=") }) {
      #expect(method.contains("=\"\(parts.first ?? "")\""), "\(item.id)")
    }
    let target = log.filter { $0.contains("span[url]=") }
    if target.count == 1, item.kind == "request", ours.messages.count == 1 { #expect(target[0].contains("=\"\(parts[1])\""), "\(item.id)") }
  }

  @Test func targetsOfOtherParsers() throws {
    var ran = 0
    for item in try Self.cases() where item.kind == "target" {
      ran += 1
      var path = DecodedPath()
      do throws(HTTPRefusal) {
        _ = try item.bytes.withUnsafeBufferPointer { bytes throws(HTTPRefusal) in
          try RequestTarget.read(UnsafeRawBufferPointer(bytes), into: &path)
        }
        #expect(item.verdict == "accept", "\(item.id)")
      } catch {
        if item.verdict == "accept" {
          #expect([.targetFragment, .targetUserInformation, .targetFormUnsupported].contains(error), "\(item.id) \(error)")
        }
      }
    }
    TestData.report("http targets", ran: ran)
  }

  @Test func chunksOfOtherParsers() throws {
    var ran = 0
    for item in try Self.cases() where item.kind == "chunked-body" || item.kind == "chunk-size-line" {
      ran += 1
      let (step, data) = Self.decode(item.bytes, by: item.bytes.count)
      for size in [1, 2, 5] {
        let again = Self.decode(item.bytes, by: size)
        #expect(again.0 == step && again.1 == data, "\(item.id) in pieces of \(size)")
      }
      switch (item.verdict, step) {
      case ("reject", .refused), ("incomplete", .needMore): break
      case ("reject", _): Issue.record("\(item.id) is refused elsewhere, here: \(step)")
      case (_, .refused(let refusal)): #expect(Self.strictness.contains(refusal), "\(item.id) \(refusal)")
      case ("accept", .needMore):
        // The source stops before the trailer's end, or after one line.
        #expect(item.mode == "leave-trailer" || item.kind == "chunk-size-line", "\(item.id)")
      case ("accept", _): break
      default: Issue.record("\(item.id) is \(item.verdict) elsewhere, here: \(step)")
      }
    }
    TestData.report("http chunks", ran: ran)
  }

  /// Decodes bytes that arrive `size` at a time: the last step but for its offset, and all data.
  static func decode(_ bytes: [UInt8], by size: Int) -> (ChunkedDecoder.Step, [UInt8]) {
    var decoder = ChunkedDecoder()
    var data: [UInt8] = []
    var start = 0
    while start < bytes.count {
      let end = min(start + max(size, 1), bytes.count)
      var taken = start
      piece: while true {
        let step = bytes[taken..<end].withUnsafeBytes { decoder.next($0) }
        switch step {
        case .needMore: break piece
        case .data(let range):
          data += bytes[taken + range.lowerBound..<taken + range.upperBound]
          taken += range.upperBound
        case .end(let consumed): return (.end(consumed: taken + consumed), data)
        case .refused: return (step, data)
        }
      }
      start = end
    }
    return (.needMore, data)
  }

  @Test func fieldsOfOtherParsers() throws {
    var ran = 0
    for item in try Self.cases() where item.kind == "fields" || item.kind == "header-block" {
      ran += 1
      let lines: [UInt8]
      if item.kind == "fields" {
        let pairs = item.says?["fields"]?.array?.compactMap { $0.array?.compactMap(\.string) } ?? []
        lines = pairs.flatMap { pair in pair.count == 2 ? Self.latin1("\(pair[0]): \(pair[1])\r\n") : [] } + Array("\r\n".utf8)
      } else {
        lines = item.bytes
      }
      let host = lines.starts(with: "Host:".utf8) ? "" : "Host: a\r\n"
      let bytes = Array("POST / HTTP/1.1\r\n\(host)".utf8) + lines
      var head = RequestHead()
      let outcome = bytes.withUnsafeBytes { RequestHeadParser.parse($0, limits: HeadLimits(), into: &head) }
      switch (item.verdict, outcome) {
      case ("accept", .complete), ("reject", .refused), ("incomplete", .incomplete): break
      case ("accept", .refused(let refusal)): #expect(Self.strictness.contains(refusal), "\(item.id) \(refusal)")
      case ("reject", .complete):
        // White space around a value is not part of it once it is on the wire.
        #expect(item.says?["fields"]?.array?.first?.array?.last?.string?.contains { $0 == " " || $0 == "\t" } == true, "\(item.id)")
      default: Issue.record("\(item.id) is \(item.verdict) elsewhere, here: \(outcome)")
      }
    }
    TestData.report("http fields", ran: ran)
  }

  private static func latin1(_ text: String) -> [UInt8] { text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) } }
}
