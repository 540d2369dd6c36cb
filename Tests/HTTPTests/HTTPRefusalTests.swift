import HTTP
import TestSupport
import Testing

@Suite struct HTTPRefusalTests {
  @Test func theTableOfRefusalsIsWhatTheGoldenFileSays() {
    let rows = HTTPRefusal.allCases.map { refusal in
      let reason = refusal.reason == .pathAmbiguous ? "path_ambiguous" : "request_invalid"
      return "\(refusal.status.code) \(reason) \(refusal.detail): \(refusal.sentence)"
    }
    let difference = Golden.difference(rows.joined(separator: "\n") + "\n", from: "refusals.txt")
    #expect(difference == nil, "\(difference ?? "")")
  }

  @Test func noTwoRefusalsShareADetailOrASentence() {
    #expect(Set(HTTPRefusal.allCases.map(\.detail)).count == HTTPRefusal.allCases.count)
    #expect(Set(HTTPRefusal.allCases.map(\.sentence)).count == HTTPRefusal.allCases.count)
  }
}
