import Bytes
import Cedar
import HTTP
import Testing

@testable import Pipeline

/// What policies see of a client's certificate.
@Suite struct ClientCertificateTests {
  private static let policies = """
    @id("facts") permit (principal, action, resource in Path::"/facts") when {
      context.client.certificate.subject == "CN=orders" && context.client.certificate.issuer == "CN=authority"
        && context.client.certificate.serial == "0aff" && context.client.certificate.dns == ["orders.internal", "b.internal"]
        && context.client.certificate.uris == ["spiffe://example.org/orders"] && context.client.certificate.emails == []
        && context.client.certificate.ips.contains(ip("10.1.2.3"))
        && context.client.certificate.thumbprint == "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    };
    @id("none") permit (principal, action, resource in Path::"/none") when { !(context.client has certificate) };
    """

  private static func certificate(_ subject: String = "CN=orders", first: UInt8 = 0) -> ClientCertificate {
    ClientCertificate(
      subject: subject, issuer: "CN=authority", serial: [10, 255], thumbprint: Array(first..<first + 32),
      dns: ["orders.internal", "b.internal"], ips: [HTTP.IPAddress(v4: 0x0a01_0203)], uris: ["spiffe://example.org/orders"], emails: [])
  }

  private func verdict(_ desk: Desk, _ path: String, _ certificate: ClientCertificate?) throws -> String {
    var exchange = try desk.exchange("GET \(path)", token: desk.token("alice"))
    exchange.client.peer.certificate = certificate
    return desk.verdict(&exchange)
  }

  @Test func policiesSeeItsFactsAndNothingWhereThereIsNone() throws {
    let desk = try Desk(policies: Self.policies)
    #expect(try verdict(desk, "/facts", Self.certificate()) == "forward")
    #expect(try verdict(desk, "/none", Self.certificate()) == "403 no_permit")
    #expect(try verdict(desk, "/facts", nil).hasPrefix("403"))
    #expect(try verdict(desk, "/none", nil) == "forward")
    #expect(try verdict(desk, "/facts", Self.certificate("CN=other")) == "403 no_permit")
    #expect(try verdict(desk, "/facts", Self.certificate(first: 1)) == "403 no_permit")
  }

  @Test func whatAClientSpokeIsToldTheService() throws {
    let desk = try Desk()
    var exchange = try desk.exchange("GET /orders/42", token: desk.token("alice"))
    #expect(try desk.forwarded(&exchange)?.contains("X-Forwarded-Proto: http\r\n") == true)
    var peer = Peer(address: "127.0.0.1", octets: [127, 0, 0, 1])
    peer.isSecure = true
    var secure = Exchange(peer: peer, under: desk.snapshot)
    swap(&secure.head, &exchange.head)
    secure.begin(id: exchange.id, at: Desk.time, under: desk.snapshot)
    #expect(try desk.forwarded(&secure)?.contains("X-Forwarded-Proto: https\r\n") == true)
  }
}
