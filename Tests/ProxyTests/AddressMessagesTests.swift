import Bytes
import Pipeline
import Proxy
import TestSupport
import Testing

/// What is said about addresses of a configuration that cannot be used: with their place, before anything is started.
@Suite struct AddressMessagesTests {
  @Test func everyAddressThatCannotBeUsedIsToldWithItsPlaceAndRemedy() {
    let least = "upstream: 'http://127.0.0.1:3000'"
    func issuer(_ keys: String) -> String {
      "{ \(least), issuers: { main: { cognito: 'us-east-1_AbC123', client_ids: ['app'], \(keys) } } }"
    }
    func file(_ text: String) -> String {
      "{ \(text), issuers: { main: { cognito: 'us-east-1_AbC123', client_ids: ['app'] } } }"
    }
    let cases = [
      ("a service without scheme", file("upstream: '127.0.0.1:3000'")), ("a service by name", file("upstream: 'orders:3000'")),
      ("a service with a path", file("upstream: 'http://127.0.0.1:3000/api'")),
      ("a service with a password", file("upstream: 'http://me:secret@orders'")),
      ("a service of another protocol", file("upstream: 'grpc://orders:3000'")),
      ("a port that is none", file("upstream: 'http://orders:http'")),
      ("an address that is none", file("upstream: 'http://10.0.0.256'")), ("no address", file("upstream: ''")),
      ("a route's service", file("\(least), routes: [ { match: 'GET /a', upstream: 'reports' } ]")),
      ("keys over plain HTTP", issuer("jwks_url: 'http://keys.example/keys.json'")),
      ("keys without scheme", issuer("jwks_url: 'keys.example/keys.json'")),
      ("several", file("upstream: 'orders', routes: [ { match: 'GET /a', upstream: 'other:1/x' } ]")),
    ]
    var text = ""
    for (name, file) in cases {
      text += "# \(name)\n"
      do throws(ConfigurationError) {
        _ = try Configuration.read(
          file: SourceText(name: "stockade.json5", file), flags: [:], surroundings: Surroundings(problemOfAddress: Gateway.problem))
        Issue.record("\(name) is taken")
      } catch {
        text += error.report + "\n"
        for line in error.problems { #expect(line.contains("stockade.json5:1:"), "no place for: \(line)") }
      }
    }
    #expect(Golden.difference(text, from: "addresses.txt") == nil)
  }

  @Test func addressesThatCanBeUsedAreTaken() {
    for (text, use) in [
      ("http://127.0.0.1:3000", .service), ("https://orders.internal", .service), ("unix:/run/orders.sock", .service),
      ("https://keys.example/a?b", .keys(mayBePlain: false)),
      ("http://127.0.0.1:1/keys", .keys(mayBePlain: false)), ("http://keys.example", .keys(mayBePlain: true)),
    ] as [(String, Surroundings.AddressUse)] {
      #expect(Gateway.problem(of: text, for: use) == nil, "\(text)")
    }
  }
}
