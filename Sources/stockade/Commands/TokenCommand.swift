internal import Bytes
internal import Development
internal import HTTP
internal import Net

/// `stockade token NAME`: a token of a demo user, in order or with a flaw.
let tokenCommand = Command(
  name: "token",
  summary: "print a token of a user of the running demo",
  operand: "NAME",
  flags: [
    Flag("id", nil, "an ID token instead of an access token"),
    Flag("expired", nil, "one that has expired"),
    Flag("forged", nil, "one that another key signed"),
    Flag("not-yet", nil, "one that is not valid yet"),
    Flag("other-issuer", nil, "one of another issuer"),
    Flag("alg-none", nil, "one without signature"),
    Flag("client", "ID", "issued to this app client; default demoapp"),
    Flag("issuer", "URL", "where the demo's issuer is; default http://127.0.0.1:8081"),
  ],
  examples: ["stockade token alice", "stockade token bob --id", "stockade token carol --forged"]
) { arguments in
  guard let name = arguments.operands.first else {
    Terminal.error("stockade: token needs the name of a demo user: alice, bob, carol, mallory or robot\n")
    return .usage
  }
  let flaws = TokenFlaw.allCases.map(\.rawValue).filter(arguments.has)
  guard flaws.count <= 1 else {
    Terminal.error("stockade: one flaw at a time: --\(flaws.joined(separator: " or --"))\n")
    return .usage
  }
  var query = "user=\(PercentEncoding.encode(name.utf8))&use=\(arguments.has("id") ? "id" : "access")"
  if let flaw = flaws.first { query += "&kind=\(flaw)" }
  if let client = arguments["client"] { query += "&client=\(PercentEncoding.encode(client.utf8))" }
  return TokenRequest.send(to: arguments["issuer"] ?? "http://127.0.0.1:8081", query)
}

/// Asks a running development issuer.
enum TokenRequest {
  static func send(to text: String, _ query: String) -> ExitStatus {
    do throws(NetError) {
      let base = try HTTPURL.parse(text)
      guard base.host == "localhost" || IPAddress(base.host)?.isLoopback == true else {
        Terminal.error("stockade: \(base) is not on this machine; tokens are only made by a development issuer here\n")
        return .invalid
      }
      let loop = try EventLoop()
      let client = HTTPClient(loop, resolver: try Resolver(loop), tls: nil)
      var status = ExitStatus.failure
      _ = client.send(HTTPClient.Request(.get, base.with(target: "/token?" + query))) { result in
        switch result {
        case .success(let response) where response.status == .ok:
          Terminal.out(String(decoding: response.body, as: UTF8.self))
          status = .success
        case .success(let response): Terminal.error("stockade: " + String(decoding: response.body, as: UTF8.self))
        case .failure(let error): Terminal.error("stockade: \(error)\nIs the demo running? Start it with: stockade demo\n")
        }
        loop.stop()
      }
      try loop.run()
      return status
    } catch {
      Terminal.error("stockade: \(error)\n")
      return .failure
    }
  }
}
