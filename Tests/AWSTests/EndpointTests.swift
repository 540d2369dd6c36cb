import AWS
import Foundation
import JSON
import TestSupport
import Testing

@Suite struct EndpointTests {
  /// Every region, with and without FIPS and dual stack, as botocore's rules have it (`Tests/Deep/aws_cases.py` writes them).
  @Test func everyEndpointIsTheOneOfBotocore() throws {
    let file = TestData.checkout.appendingPathComponent("Tests/AWSTests/Golden/botocore-endpoints.jsonl")
    var count = 0
    for line in try TestData.lines(of: file) {
      let json = try JSONParser.parse(line)
      let service = try #require(json["service"]?.string.flatMap(AWSService.init))
      let region = try #require(json["region"]?.string)
      let endpoint = Endpoint(service, region: region, fips: json["fips"]?.bool == true, dualStack: json["dualStack"]?.bool == true)
      #expect(endpoint?.url == json["url"]?.string, "\(line)")
      #expect(endpoint?.region == region)
      count += 1
    }
    #expect(count > 500)
  }

  @Test(arguments: ["", "us-east", "us-east-1.evil.com", "us-east-1/", "us-east-1@evil", "US-EAST-1", "us--1", "us-east-1-"])
  func whatIsNoRegionHasNoEndpoint(_ text: String) {
    #expect(Endpoint(.verifiedPermissions, region: text) == nil)
  }

  @Test func aRegionOfTheFutureIsOneOfTheFirstPartition() {
    #expect(Endpoint(.sts, region: "moon-north-1")?.url == "https://sts.moon-north-1.amazonaws.com")
  }
}

@Suite struct InstantTests {
  @Test func momentsAreReadAsTheyAreWritten() {
    #expect(Instant.basic(1_440_938_160) == "20150830T123600Z")
    #expect(Instant.basic(-5) == "19700101T000000Z")
    #expect(Instant.iso8601(micros: 1_748_956_187_752_255) == "2025-06-03T13:09:47.752255Z")
    #expect(Instant.seconds(iso8601: "2025-06-03T13:09:47.752255+00:00") == 1_748_956_187)
    #expect(Instant.seconds(iso8601: "2025-06-03T15:09:47+0200") == 1_748_956_187)
    #expect(Instant.seconds(iso8601: "2024-02-29T00:00:00Z") == 1_709_164_800)
    #expect(Instant.seconds(httpDate: "Sun, 06 Nov 1994 08:49:37 GMT") == 784_111_777)
    for day in stride(from: Int64(0), to: 40_000, by: 37) {
      #expect(Instant.seconds(iso8601: Instant.iso8601(micros: (day * 86_400 + 5) * 1_000_000)) == day * 86_400 + 5)
    }
  }

  @Test(arguments: [
    "", "2025", "2025-02-29T00:00:00Z", "2025-13-01T00:00:00Z", "2025-01-01T24:00:00Z", "2025-01-01T00:00:00", "2025-01-01T00:00:00.Z",
    "2025-01-01 00:00:00Z", "99999-01-01T00:00:00Z", "2025-01-01T00:00:00+25:00", "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 31 Feb 1994 08:49:37 GMT",
  ]) func whatIsNoMomentIsNotRead(_ text: String) {
    #expect(Instant.seconds(iso8601: text) == nil)
    #expect(Instant.seconds(httpDate: text) == nil)
  }
}
