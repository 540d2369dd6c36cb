import JSON
import Testing

@testable import JOSE

struct NumericDateTests {
  @Test(
    "a date is rounded up to a whole second, whatever way JSON writes it",
    arguments: [
      ("0", 0), ("-0", 0), ("1700000000", 1_700_000_000), ("1700000000.0", 1_700_000_000), ("1700000000.5", 1_700_000_001), ("-0.5", 0),
      ("-1.5", -1), ("1.7e9", 1_700_000_000), ("17E+8", 1_700_000_000), ("17000000000e-1", 1_700_000_000),
      ("17000000005e-1", 1_700_000_001),
      ("0.0000000000000000000001", 1), ("0e99999999999999999999", 0), ("0.0e5", 0), ("1e-400000", 1), ("9223372036854775807", .max),
      ("9223372036854775807.0", .max), ("0.17e10", 1_700_000_000), ("123.456e1", 1235),
    ] as [(String, Int64)])
  func values(text: String, seconds: Int64) throws {
    #expect(try NumericDate.seconds(JSONParser.parse(text)) == seconds)
  }

  @Test(
    "a number that does not fit 64 bits is no date, and costs no time",
    arguments: ["9223372036854775808", "9223372036854775807.5", "1e19", "1e999999999999", "-1e19", "99999999999999999999", "1e100000"])
  func tooLarge(text: String) throws {
    #expect(try NumericDate.seconds(JSONParser.parse(text)) == nil)
  }

  @Test("a long run of digits is judged in linear time")
  func long() throws {
    let zeros = String(repeating: "0", count: 30_000)
    #expect(try NumericDate.seconds(JSONParser.parse("0.\(zeros)1")) == 1)
    #expect(try NumericDate.seconds(JSONParser.parse("1\(zeros)")) == nil)
    #expect(try NumericDate.seconds(JSONParser.parse("0.\(zeros)1e30001")) == 1)
  }
}
