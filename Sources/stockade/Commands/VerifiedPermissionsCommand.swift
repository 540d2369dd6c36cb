internal import Fronts
internal import HTTP
internal import Net

/// `stockade avp`: policies between files and a store of Verified Permissions, and a service of ours for tests.
let verifiedPermissionsCommand = Command(
  name: "avp",
  summary: "policies to and from a store of Verified Permissions; a local service of that kind, for tests",
  operand: "serve|pull|push [DIR]",
  flags: StoreSession.flags + [
    Flag("dry-run", nil, "push: show what would be done, and do nothing"),
    Flag("apply", nil, "push: show what is done, and do it"),
    Flag("prune", nil, "push: delete what the store has and the folder has not, whoever made it"),
    Flag("overwrite", nil, "pull, push: go over what was changed on the other side"),
    PolicyCommands.policyIDs,
    Flag("listen", "ADDRESS", "serve: a loopback address to listen on; default 127.0.0.1:0"),
    Flag("state", "DIR", "serve: the folder that keeps stores and policies"),
    Flag("jwks", "ISSUER=URL", "serve: where the keys of an issuer are, if not where its name says", repeats: true),
  ],
  examples: [
    "stockade avp pull --policy-store PSEXAMPLEabcdefg111111 policies",
    "stockade avp push --policy-store policy-store-alias/shop --dry-run policies",
    "stockade avp push --policy-store policy-store-alias/shop --apply policies",
    "stockade avp serve --listen 127.0.0.1:8787 --state ./avp",
    "AWS_ENDPOINT_URL_VERIFIEDPERMISSIONS=http://127.0.0.1:8787 aws verifiedpermissions list-policy-stores",
  ]
) { arguments in
  func misused(_ message: String) -> ExitStatus {
    Terminal.error("stockade: \(message)\n")
    return .usage
  }
  let word = arguments.operands.first
  let applies: [String: [String]] = [
    "serve": ["listen", "state", "jwks"], "pull": ["policy-store", "region", "endpoint-url", "profile", "overwrite", "policy-ids"],
    "push": ["policy-store", "region", "endpoint-url", "profile", "overwrite", "policy-ids", "dry-run", "apply", "prune"],
  ]
  guard let word, let flags = applies[word] else {
    return misused("avp needs what to do: stockade avp serve --state DIR, or pull or push with --policy-store ID and a folder")
  }
  if let other = arguments.values.keys.sorted().first(where: { !flags.contains($0) }) { return misused("avp \(word) takes no --\(other)") }
  if word == "serve" {
    guard arguments.operands.count == 1, let state = arguments["state"] else {
      return misused("avp serve needs a folder for its state: stockade avp serve --state DIR")
    }
    return VerifiedPermissionsService.run(arguments, state: state)
  }
  guard let engine = StoreSession.engine(arguments) else {
    return misused("avp \(word) needs the policy store: --policy-store ID, or --policy-store policy-store-alias/NAME")
  }
  guard arguments.operands.count == 2 else {
    return misused("avp \(word) needs the policy folder: stockade avp \(word) --policy-store ID DIR")
  }
  let work = StoreWork(arguments, engine, folder: arguments.operands[1])
  if word == "pull" { return work.pull() }
  guard arguments.has("dry-run") != arguments.has("apply") else {
    return misused("avp push either shows what it would do, with --dry-run, or does it, with --apply")
  }
  return work.push(applies: arguments.has("apply"))
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
