import Bytes
import Testing

@Suite struct BytesTests {
  @Test func base64URLIsStrict() {
    #expect(Base64URL.decode("AQAB".utf8) == [1, 0, 1])
    #expect(Base64URL.decode("AQ".utf8) == [1])
    for wrong in ["AQ==", "A", "AR", "AQAB ", "AQ+B", "AQ/B", "A\nQAB", "AAB"] { #expect(Base64URL.decode(wrong.utf8) == nil, "\(wrong)") }
    for length in 0..<50 {
      let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 11) }
      #expect(Base64URL.decode(Base64URL.encode(bytes).utf8) == bytes)
    }
  }

  @Test func canonicallyEquivalentStringsAreNotExactlyEqual() {
    #expect("\u{212A}" == "K", "Swift's own idea of equality, the reason for ExactString")
    #expect(!exactlyEquals("\u{212A}", "K"))
    #expect(ExactString("\u{212A}") != ExactString("K"))
    #expect(Set([ExactString("e\u{301}"), ExactString("\u{e9}")]).count == 2)
  }

  @Test func queueKeepsOrderThroughCompaction() {
    var queue = ByteQueue()
    var expected: [UInt8] = []
    var taken: [UInt8] = []
    for round in 0..<500 {
      let piece = (0..<97).map { UInt8(truncatingIfNeeded: $0 &+ round) }
      queue.append(piece)
      expected += piece
      let count = round % 131
      queue.withBytes { taken += $0.prefix(count) }
      queue.consume(count)
    }
    queue.withBytes { taken += $0 }
    #expect(taken == expected)
    queue.consume(.max)
    #expect(queue.isEmpty)
  }

  @Test func spellingFindsSlipsAndNothingFarther() {
    #expect(Spelling.nearest(to: "mod", among: ["listen", "mode", "upstream"]) == "mode")
    #expect(Spelling.nearest(to: "upstraem", among: ["listen", "mode", "upstream"]) == "upstream")
    #expect(Spelling.nearest(to: "banana", among: ["listen", "mode", "upstream"]) == nil)
    #expect(Spelling.nearest(to: "", among: ["listen"]) == nil)
  }

  @Test func secretsDoNotPrint() {
    let secret = Secret("hunter2")
    #expect("\(secret)" == "‹redacted›")
    #expect(String(reflecting: secret) == "‹redacted›")
  }

  @Test func constantTimeEqualityIsEquality() {
    #expect(constantTimeEquals([1, 2, 3], [1, 2, 3]))
    #expect(!constantTimeEquals([1, 2, 3], [1, 2, 4]))
    #expect(!constantTimeEquals([1, 2, 3], [1, 2]))
  }
}
