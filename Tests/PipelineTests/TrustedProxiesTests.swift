import Telemetry
import Testing

@testable import Pipeline

/// Whose word is taken for where a request came from.
@Suite struct TrustedProxiesTests {
  static let trusting = "trusted_proxies: ['10.0.0.0/8', 'fd00::/8'],"

  private func exchange(_ configuration: String, _ fields: [String], from octets: [UInt8], _ path: String = "/orders/local") throws -> (
    Desk, Exchange
  ) {
    let desk = try Desk(configuration: configuration)
    let exchange = try desk.exchange("GET \(path)", fields, token: try desk.token("alice"), from: octets)
    return (desk, exchange)
  }

  private func client(_ configuration: String, _ fields: [String], from octets: [UInt8]) throws -> String {
    var (desk, exchange) = try exchange(configuration, fields, from: octets)
    let verdict = desk.verdict(&exchange)
    let record = exchange.record(status: 200, wallMillis: 0, observed: false)
    return verdict.hasPrefix("400") ? verdict : "\(record.client.ip ?? "none")\(record.client.forwarded == true ? " forwarded" : "")"
  }

  @Test(arguments: [
    // Nobody is believed who is not named.
    ("", ["X-Forwarded-For: 127.0.0.1"], [192, 0, 2, 1] as [UInt8], "192.0.2.1"),
    (trusting, ["X-Forwarded-For: 127.0.0.1"], [192, 0, 2, 1], "192.0.2.1"),
    // A trusted proxy is, as far back as the first address that is no proxy.
    (trusting, ["X-Forwarded-For: 198.51.100.7"], [10, 0, 0, 1], "198.51.100.7 forwarded"),
    (trusting, ["X-Forwarded-For: 127.0.0.1, 198.51.100.7, 10.2.0.1"], [10, 0, 0, 1], "198.51.100.7 forwarded"),
    (trusting, ["X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 198.51.100.7"], [10, 0, 0, 1], "198.51.100.7 forwarded"),
    (trusting, ["X-Forwarded-For: ::ffff:198.51.100.7"], [10, 0, 0, 1], "198.51.100.7 forwarded"),
    (trusting, [], [10, 0, 0, 1], "10.0.0.1"),
    // The other field says nothing, whoever sends it.
    (trusting, ["Forwarded: for=198.51.100.7"], [10, 0, 0, 1], "10.0.0.1"),
    (
      trusting + " forwarding_field: 'forwarded',", ["Forwarded: for=198.51.100.7;proto=https", "X-Forwarded-For: 127.0.0.1"],
      [10, 0, 0, 1], "198.51.100.7 forwarded"
    ),
    (trusting + " forwarding_field: 'forwarded',", ["Forwarded: for=\"[2001:db8::1]:4711\""], [10, 0, 0, 1], "2001:db8::1 forwarded"),
    // What cannot be read is nobody's request.
    (trusting, ["X-Forwarded-For: localhost"], [10, 0, 0, 1], "400 request_invalid"),
    (trusting + " forwarding_field: 'forwarded',", ["Forwarded: for=unknown"], [10, 0, 0, 1], "400 request_invalid"),
    (trusting + " mode: 'observe',", ["X-Forwarded-For: localhost"], [10, 0, 0, 1], "400 request_invalid"),
    // From somebody who is not trusted it is not even looked at.
    (trusting, ["X-Forwarded-For: localhost"], [192, 0, 2, 1], "192.0.2.1"),
  ])
  func theClient(configuration: String, fields: [String], octets: [UInt8], expected: String) throws {
    #expect(try client(configuration, fields, from: octets) == expected)
  }

  @Test func policiesSeeTheClientAndNotTheProxy() throws {
    var (desk, honest) = try exchange(Self.trusting, ["X-Forwarded-For: 127.0.0.1"], from: [10, 0, 0, 1])
    #expect(desk.verdict(&honest) == "forward")
    (desk, honest) = try exchange(Self.trusting, ["X-Forwarded-For: 198.51.100.7"], from: [10, 0, 0, 1])
    #expect(desk.verdict(&honest) == "403 policy_forbid")
    var (other, liar) = try exchange(Self.trusting, ["X-Forwarded-For: 127.0.0.1"], from: [192, 0, 2, 1])
    #expect(other.verdict(&liar) == "403 policy_forbid")
  }

  @Test func theServiceIsToldTheWayAndNothingThatWasMadeUp() throws {
    let fields = ["X-Forwarded-For: 203.0.113.9, 198.51.100.7, 10.2.0.1", "X-Forwarded-Proto: https", "Forwarded: for=203.0.113.9"]
    var (desk, exchange) = try exchange(Self.trusting, fields, from: [10, 0, 0, 1], "/orders/42")
    let head = try #require(try desk.forwarded(&exchange))
    #expect(head.contains("\r\nX-Forwarded-For: 198.51.100.7, 10.2.0.1, 10.0.0.1\r\n"))
    #expect(head.contains("\r\nX-Forwarded-Proto: https\r\n"))
    #expect(!head.contains("203.0.113.9"))
    (desk, exchange) = try self.exchange(Self.trusting, fields, from: [192, 0, 2, 1], "/orders/42")
    let other = try #require(try desk.forwarded(&exchange))
    #expect(other.contains("\r\nX-Forwarded-For: 192.0.2.1\r\n") && other.contains("\r\nX-Forwarded-Proto: http\r\n"))
  }

  @Test func aUnixSocketIsTrustedWhereItIsNamed() throws {
    #expect(try client("trusted_proxies: ['unix'],", ["X-Forwarded-For: 198.51.100.7"], from: []) == "198.51.100.7 forwarded")
    #expect(try client(Self.trusting, ["X-Forwarded-For: 198.51.100.7"], from: []) == "none")
  }
}
