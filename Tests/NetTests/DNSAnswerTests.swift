import HTTP
import Testing

@testable import Net

@Suite struct DNSAnswerTests {
  // An answer with one question, an alias and two addresses.
  private let message: [UInt8] =
    [0, 1, 0x81, 0x80, 0, 1, 0, 3, 0, 0, 0, 0] + [1, 0x61, 2, 0x62, 0x63, 0, 0, 1, 0, 1]
    + [0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 50, 0, 3, 1, 0x78, 0] + [0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 10, 0, 0, 1]
    + [1, 0x78, 0, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 2]

  @Test func addressesAndTheLeastLifeAreRead() throws {
    let answer = try #require(DNSAnswer(message[...], type: DNSAnswer.addressV4))
    #expect(answer.addresses.map(\.description) == ["10.0.0.1", "10.0.0.2"])
    #expect(answer.ttlSeconds == 50)
    #expect(try #require(DNSAnswer(message[...], type: DNSAnswer.addressV6)).addresses.isEmpty)
  }

  @Test func aMessageCutAnywhereIsMalformed() {
    for count in 0..<message.count { #expect(DNSAnswer(message[..<count], type: DNSAnswer.addressV4) == nil, "\(count)") }
  }

  @Test func noBytesMakeItTrap() {
    for seed in 0..<20_000 {
      var bytes = message
      for step in 0..<(1 + seed % 4) {
        let position = (seed &* 7 &+ step &* 31) % bytes.count
        bytes[position] = UInt8(truncatingIfNeeded: seed &* 131 &+ step &* 17)
      }
      if let answer = DNSAnswer(bytes[...], type: DNSAnswer.addressV4) { #expect(answer.addresses.count <= 32) }
      // A pointer to itself, a label beyond the end, as many records as can be announced.
      let noise = (0..<(seed % 64)).map { UInt8(truncatingIfNeeded: seed &* 97 &+ $0 &* 89) }
      _ = DNSAnswer(noise[...], type: DNSAnswer.addressV6)
    }
  }
}
