extension Fields {
  /// What bounds clients, and how names become addresses. `Limit` says what happens at each bound.
  static let limits: [Field] = [
    Field("limits", .object, "What clients may use; of a number for the whole process each worker has its equal part, rounded up"),
    Field(
      "limits.connections", .integer(1...1_000_000), "How many connections of clients, in all", default: "\(Defaults.clientConnections)"),
    Field(
      "limits.connections_per_peer", .integer(1...1_000_000), "How many of one address, proxies that are trusted apart; default: no bound"),
    Field("limits.handshakes", .integer(1...1_000_000), "How many TLS handshakes at one time, in all", default: "\(Defaults.handshakes)"),
    Field(
      "limits.handshake_rate", .integer(1...1_000_000), "How many TLS handshakes may begin in a second, in all",
      default: "\(Defaults.handshakesPerSecond)"),
    Field(
      "limits.handshake_timeout", .duration(timeout), "How long a TLS handshake may take", default: millis(Defaults.handshakeTimeoutMillis)),
    Field(
      "limits.requests_per_connection", .integer(1...1_000_000_000), "How many requests, one after the other, on one connection",
      default: "\(Defaults.requestsPerConnection)"),
    Field(
      "limits.requests_in_flight", .integer(1...1_000_000), "How many requests at one time, in all", default: "\(Defaults.requestsInFlight)"
    ),
    Field(
      "limits.header", .size(1024...(1 << 20)), "The largest head of a request, and of a response; and as much again behind a chunked body",
      default: size(Defaults.headBytes)),
    Field("limits.header_count", .integer(8...10_000), "How many field lines it may have", default: "\(Defaults.fieldLines)"),
    Field("limits.target", .size(64...(1 << 20)), "The longest request target", default: size(Defaults.targetBytes)),
    Field("limits.body", .size(0...(1 << 50)), "The largest body of a request where no route says otherwise; default: no bound"),
    Field(
      "limits.header_timeout", .duration(timeout), "How long a head may take from its first byte, and a new connection to its first",
      default: millis(Defaults.headTimeoutMillis)),
    Field("limits.idle_timeout", .duration(timeout), "How long an idle connection is kept", default: millis(Defaults.idleTimeoutMillis)),
    Field(
      "limits.total_timeout", .duration(timeout),
      "How long a forwarded request may take from its head to the end of its response; default: no bound"),
    Field(
      "limits.body_rate", .size(0...(1 << 40)),
      "How many bytes a second a client must send of a body and take of a response, measured over \(Defaults.bodyRateGraceMillis / 1000) seconds",
      default: size(Defaults.bodyRate)),
    Field(
      "limits.buffered", .size((1 << 16)...(1 << 40)), "How many bytes of clients and services are held in memory, in all",
      default: size(UInt64(Defaults.bufferedBytes))),
    Field("dns", .object, "How names of services and issuers become addresses"),
    Field(
      "dns.server", .text("ADDRESS"),
      "The name server to ask, such as 127.0.0.1:53, in place of the system's; the hosts file then plays no part"),
    Field(
      "dns.refresh", .duration(1000...300_000), "How long an address is used whose name came from elsewhere than a name server",
      default: millis(Defaults.dnsRefreshMillis)),
  ]

  private static func size(_ bytes: some BinaryInteger) -> String { Units.size(Int64(clamping: bytes)) }
}
