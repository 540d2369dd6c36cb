internal import Bytes
public import Cedar
public import HTTP
internal import JOSE

/// The certificate that a client showed on its connection, verified: what policies see of it, and what tokens may be bound to.
public final class ClientCertificate: Sendable {
  /// The SHA-256 digest of its DER form in base64url, as `cnf.x5t#S256` has it (RFC 8705 §3.1).
  public let thumbprint: String
  /// `context.client.certificate`.
  public let record: Record

  /// A certificate.
  ///
  /// - Parameters:
  ///   - subject: as text (RFC 2253); so is the issuer.
  ///   - serial: big-endian.
  ///   - thumbprint: the SHA-256 digest of its DER form.
  ///   - names: its alternative names by kind.
  public init(
    subject: String, issuer: String, serial: [UInt8], thumbprint: [UInt8], dns: [String], ips: [HTTP.IPAddress], uris: [String],
    emails: [String]
  ) {
    self.thumbprint = Base64URL.encode(thumbprint)
    func texts(_ names: [String]) -> Value { .set(ValueSet(names.map { .string($0) })) }
    record = Record(lastWins: [
      Record.Field("subject", .string(subject)), Record.Field("issuer", .string(issuer)),
      Record.Field("serial", .string(Hex.encode(serial))), Record.Field("thumbprint", .string(self.thumbprint)),
      Record.Field("dns", texts(dns)), Record.Field("uris", texts(uris)), Record.Field("emails", texts(emails)),
      Record.Field("ips", .set(ValueSet(ips.compactMap { Peer($0).ip.map { .ip($0) } }))),
    ])
  }
}

extension Exchange {
  /// Refuses a token that is bound to another client's certificate (RFC 8705 §3), and on routes that demand it one that is bound to
  /// none. The certificate is the connection's; of a client that a proxy speaks of there is none.
  mutating func requireCertificate(of identity: Identity, for question: Question) throws(Stop) {
    let bound = identity.certificateThumbprint
    guard bound != nil || question.demandsCertificate else { return }
    trail.token = trail.token ?? TokenTrace(identity)
    guard let certificate = client.peer.certificate else { throw .refuse(.token(.certificateBinding(.noCertificate))) }
    guard let bound else { throw .refuse(.token(.certificateBinding(.notBound))) }
    guard exactlyEquals(bound, certificate.thumbprint) else { throw .refuse(.token(.certificateBinding(.otherCertificate))) }
  }
}
