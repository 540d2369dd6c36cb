extension Fields {
  /// How clients speak TLS with us. All files are in PEM form and are read again when they change.
  static let tls: [Field] = [
    Field("tls", .object, "TLS for clients; without it requests arrive in plain HTTP"),
    Field("tls.certificates", .list, "The certificates; by the name a client asks for, else the first"),
    Field("tls.certificates.*", .object, "One certificate"),
    Field("tls.certificates.*.certificate", .text("FILE"), "The certificate, and the rest of its chain"),
    Field("tls.certificates.*.key", .text("FILE"), "Its private key, without a passphrase"),
    minimum("tls"),
    Field("tls.ciphers", .text("LIST"), "Ciphers of TLS 1.2 as OpenSSL writes them; default: ECDHE+AESGCM:ECDHE+CHACHA20"),
    Field("tls.cipher_suites", .text("LIST"), "Suites of TLS 1.3; default: OpenSSL's own"),
    Field("tls.client_certificates", .object, "Certificates of clients; policies see them as context.client.certificate", shorthand: "ask"),
    Field(
      "tls.client_certificates.ask", .choice(TLSSettings.Clients.allCases.map(\.rawValue)),
      "Whether clients are asked for one; default: none"),
    Field("tls.client_certificates.ca", .text("FILE"), "Certificates of who issues them"),
    Field(
      "tls.client_certificates.crl", .text("FILE"),
      "Lists of revoked ones; then one whose issuer has no current list is refused, too"),
  ]

  /// How we speak TLS with a service behind, at its place.
  static func upstreamTLS(_ place: String) -> [Field] {
    [
      Field("\(place).tls", .object, "TLS with it, beyond what https:// says"),
      Field("\(place).tls.ca", .text("FILE"), "Certificates of who issues its own; default: whom the system trusts"),
      Field("\(place).tls.certificate", .text("FILE"), "The certificate that we show it"),
      Field("\(place).tls.key", .text("FILE"), "Its private key"),
      Field("\(place).tls.server_name", .text("NAME"), "The name that is asked for and verified; default: the host of its address"),
      minimum("\(place).tls"),
    ]
  }

  private static func minimum(_ place: String) -> Field {
    Field("\(place).minimum_version", .choice(["1.2", "1.3"]), "The lowest version that is spoken; default: 1.2")
  }
}
