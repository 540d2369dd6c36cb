internal import Fronts
internal import HTTP
internal import Net

/// `stockade avp serve`: a Verified Permissions service of ours.
let verifiedPermissionsCommand = Command(
  name: "avp",
  summary: "a local Verified Permissions service, for tests",
  operand: "serve",
  flags: [
    Flag("listen", "ADDRESS", "a loopback address to listen on; default 127.0.0.1:0"),
    Flag("state", "DIR", "the folder that keeps stores and policies"),
    Flag("jwks", "ISSUER=URL", "where the keys of an issuer are, if not where its name says", repeats: true),
  ],
  examples: [
    "stockade avp serve --listen 127.0.0.1:8787 --state ./avp",
    "AWS_ENDPOINT_URL_VERIFIEDPERMISSIONS=http://127.0.0.1:8787 aws verifiedpermissions list-policy-stores",
  ]
) { arguments in
  guard arguments.operands == ["serve"], let state = arguments["state"] else {
    Terminal.error("stockade: avp needs what to do: stockade avp serve --state DIR\n")
    return .usage
  }
  return VerifiedPermissionsService.run(arguments, state: state)
}

private enum VerifiedPermissionsService {
  static func run(_ arguments: Arguments, state: String) -> ExitStatus {
    var keyURLs: [String: String] = [:]
    for text in arguments.all("jwks") {
      // An issuer's URL may have `=` in it, a key set's rarely: the last one parts them.
      guard let equals = text.lastIndex(of: "="), equals > text.startIndex else {
        Terminal.error("stockade: --jwks is ISSUER=URL, not \(text)\n")
        return .usage
      }
      keyURLs[String(text[..<equals])] = String(text[text.index(after: equals)...])
    }
    do throws(NetError) {
      Signals.ignoreBrokenPipes()
      let address = try SocketAddress.parse(arguments["listen"] ?? "127.0.0.1:0")
      guard address.ip?.isLoopback == true else {
        Terminal.error("stockade: avp serve asks nobody for a signature, so it listens on a loopback address alone, not on \(address)\n")
        return .usage
      }
      let loop = try EventLoop()
      return try serve(loop, address, state, keyURLs, arguments)
    } catch {
      Terminal.error("stockade: \(error)\n")
      return .failure
    }
  }

  private static func serve(
    _ loop: EventLoop, _ address: SocketAddress, _ state: String, _ keyURLs: [String: String], _ arguments: Arguments
  ) throws(NetError) -> ExitStatus {
    let signals = try Signals(loop, [.terminate, .interrupt]) { _ in loop.stop() }
    let server: VerifiedPermissionsServer
    do throws(VerifiedPermissionsServerError) {
      server = try VerifiedPermissionsServer(loop, at: address, stateFolder: state, keyURLs: keyURLs)
    } catch {
      Terminal.error("stockade: \(error)\n")
      return .failure
    }
    let url = "http://\(server.address ?? address)"
    Terminal.out("Verified Permissions at \(url), state in \(state)\nAWS_ENDPOINT_URL_VERIFIEDPERMISSIONS=\(url)\n")
    try loop.run()
    withExtendedLifetime((server, signals)) {}
    return .success
  }
}
