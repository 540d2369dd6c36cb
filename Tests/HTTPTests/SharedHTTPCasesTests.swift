import Foundation
import HTTP
import JSON
import TestSupport
import Testing

/// The public cases of other parsers: what they refuse by default we refuse; what they accept we read the same way, or
/// refuse for a reason that is named.
@Suite struct SharedHTTPCasesTests {
  struct Case {
    var id: String
    var kind: String
    var mode: String
    var verdict: String
    var bytes: [UInt8]
    var traits: Set<String>
    var says: JSONValue?
  }

  static func cases() throws -> [Case] {
    guard let file = TestData.sharedFile("vectors/http/cases.jsonl.gz") else { return [] }
    return try TestData.lines(of: file).map { line in
      let item = try JSONParser.parse(line)
      return Case(
        id: item["id"]?.string ?? "", kind: item["kind"]?.string ?? "", mode: item["mode"]?.string ?? "",
        verdict: item["verdict"]?.string ?? "",
        bytes: item["bytes"]?.string.flatMap { Data(base64Encoded: $0) }.map(Array.init) ?? [],
        traits: Set(item["traits"]?.array?.compactMap(\.string) ?? []), says: item["says"])
    }
  }

  @Test func dump() throws {
    for item in try Self.cases() where item.kind == "request" && item.mode == "default" {
      let ours = Conversation.ofRequests(item.bytes)
      print(
        "CASE", item.id, item.verdict, ours.ending, ours.messages.count, item.traits.sorted(),
        String(decoding: item.bytes.prefix(150), as: UTF8.self).debugDescription)
    }
    for item in try Self.cases() where item.kind == "response" && item.mode == "default" {
      let ours = Conversation.ofResponses(item.bytes)
      print(
        "RCASE", item.id, item.verdict, ours.ending, ours.messages.count, item.traits.sorted(),
        String(decoding: item.bytes.prefix(150), as: UTF8.self).debugDescription)
    }
    for item in try Self.cases() where item.kind != "response" && item.kind != "request" {
      print(
        "OCASE", item.id, item.kind, item.mode, item.verdict, item.traits.sorted(),
        String(decoding: item.bytes.prefix(150), as: UTF8.self).debugDescription)
    }
    for item in try Self.cases() where item.mode != "default" {
      print("MCASE", item.id, item.kind, item.mode, item.verdict)
    }
  }
}
