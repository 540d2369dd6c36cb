internal import Bytes
internal import Development
internal import FoundationEssentials
internal import JSON
internal import Net
internal import Pipeline
internal import Telemetry

/// `stockade demo`: development issuer, demo service and proxy in one process, ready to be tried.
let demoCommand = Command(
  name: "demo",
  summary: "try it: development issuer, demo service and proxy in one process",
  operand: nil,
  flags: [
    Flag("port", "N", "the proxy's port; the issuer and the service take the next two; default 8080; 0 takes free ones"),
    Flag("policies", "DIR", "policy folder; default: ./policies if there is one, else the built-in sample"),
    Flag("log", "TO", "where decisions go: stdout (default), none, or a file"),
    Flag("json", nil, "print one line of JSON with the addresses and the lines to try, and decisions as JSON"),
  ],
  examples: ["stockade demo", "stockade demo --port 0 --json"]
) { arguments in
  ConfigurationFile.reporting("Nothing was started.") { () throws(ConfigurationError) in
    return try Demo(arguments).run()
  }
}

/// The demo's parts, on one loop.
final class Demo {
  private let beganAt = LoopClock.monotonicNanos()
  private let foreground: Foreground
  private let isJSON: Bool
  private let policiesName: String
  private let issuer: LocalIssuer
  private let service: LocalService
  private let process: GatewayProcess
  private let loaded: Loaded

  init(_ arguments: Arguments) throws(ConfigurationError) {
    isJSON = arguments.has("json")
    foreground = try Foreground()
    let ports = try Self.ports(arguments)
    let loop = foreground.loop
    do throws(NetError) {
      issuer = try LocalIssuer(loop, at: ports.issuer)
      service = try LocalService(loop, at: ports.service)
    } catch {
      throw ConfigurationError([error.description])
    }
    let flags = [
      "to": ["http://\(service.address)"], "listen": ["127.0.0.1:\(ports.proxy)"], "ops-listen": ["127.0.0.1:\(ports.ops)"],
      "workers": ["1"], "dev": ["true"], "log": [arguments["log"] ?? "stdout"], "log-format": [isJSON ? "json" : "text"],
      "log-record": [isJSON ? "replayable" : "decision"],
    ]
    let pool = ["cognito": [issuer.poolID], "issuer": [issuer.issuer], "client-id": issuer.clientIDs, "id-prefix": ["demo"]]
    let surroundings = Surroundings(variables: ["DEMO_SERVICE": "http://\(service.address)", "DEMO_ISSUER": issuer.issuer])
    let load: Load = { () throws(ConfigurationError) in
      let (files, file) = try Self.policies(arguments)
      // A folder without the sample's configuration is one of policies for paths alone.
      let flags = file == nil ? flags.merging(pool) { $1 } : flags
      return Loaded(
        configuration: try Configuration.read(file: file, flags: flags, surroundings: surroundings), files: files, file: file?.name,
        folders: [Self.folder(arguments)].compactMap { $0 })
    }
    loaded = try load()
    policiesName = Self.folder(arguments).map { "\($0) (edit them: a change is in force at once)" } ?? "built-in sample"
    // The demo says what it is in its own words; what goes wrong still has to be heard.
    let serverLog = ServerLog(level: .error)
    let log = try LogOutput(loaded.configuration, serverLog: serverLog)
    process = try GatewayProcess(
      loaded, load: load, extras: RunSettings.Extras(supervisor: .fromEnvironment()), loop: loop, serverLog: serverLog, log: log)
  }

  func run() -> ExitStatus {
    process.whenReady { [self] address in
      process.beginWatching(loaded)
      // Ready means that the first curl will be answered as printed: the keys must be there as well.
      whenKeysAreThere { [self] in show(proxy: address) }
    }
    return process.run(foreground)
  }

  private func whenKeysAreThere(_ completion: @escaping () -> Void) {
    guard !process.isReady else { return completion() }
    foreground.loop.after(1) { [self] in whenKeysAreThere(completion) }
  }

  // MARK: - What is printed

  private func show(proxy: SocketAddress) {
    let millis = Int((LoopClock.monotonicNanos() - beganAt) / 1_000_000)
    let lines = DemoLine.all(proxy: "http://\(proxy)", token: tokenCommand)
    if isJSON {
      Terminal.out(json(proxy: proxy, millis: millis, lines: lines).text + "\n")
      return
    }
    var text = """
      stockade \(Version.number): demo, ready in \(millis) ms
      (development issuer: its keys live in memory, it listens on loopback only; never use it in production)

        proxy      http://\(proxy)   in front of the demo service http://\(service.address)
        issuer     \(issuer.issuer)
        operations http://\(process.opsAddress)   /livez /readyz /startupz /metrics
        policies   \(policiesName)
        sign in    alice (viewer), bob (editor), carol (admin), mallory (no group); password \(issuer.password)

      Try, in another terminal:


      """
    for (index, line) in lines.enumerated() { text += "  # \(index + 1). \(line.comment) → \(line.status)\n  \(line.command)\n" }
    text += """

      Put it in front of your own service:
        \(Program.name) run --to http://127.0.0.1:3000 --cognito us-east-1_AbC123 --client-id 4h57example --policies policies
      Ctrl-C stops everything. Decisions, as they happen:


      """
    Terminal.out(text)
  }

  /// The command that prints a token, as it can be typed where the demo was started.
  private var tokenCommand: String {
    let place = issuer.address.port == Self.usualPort + 1 ? "" : " --issuer http://\(issuer.address)"
    return "\(Program.name) token%NAME%\(place)"
  }

  private func json(proxy: SocketAddress, millis: Int, lines: [DemoLine]) -> JSONValue {
    .object([
      "ready_ms": .integer(Int64(millis)), "proxy": .string("http://\(proxy)"), "ops": .string("http://\(process.opsAddress)"),
      "service": .string("http://\(service.address)"), "issuer": .string(issuer.issuer), "issuer_url": .string("http://\(issuer.address)"),
      "pool_id": .string(issuer.poolID), "client_ids": .array(issuer.clientIDs.map(JSONValue.string)), "jwks_url": .string(issuer.jwksURL),
      "password": .string(issuer.password), "policies": .string(policiesName),
      "lines": .array(
        lines.map { .object(["comment": .string($0.comment), "command": .string($0.command), "expect": .integer(Int64($0.status))]) }),
    ])
  }

  // MARK: - Where things are

  private static let usualPort: UInt16 = 8080

  private static func ports(_ arguments: Arguments) throws(ConfigurationError) -> (
    proxy: UInt16, issuer: SocketAddress, service: SocketAddress, ops: UInt16
  ) {
    func local(_ port: UInt16) -> SocketAddress { .ip(.loopbackV4, port: port) }
    guard let text = arguments["port"] else {
      // Something else may have the usual ports: the first three in a row that are free are taken, and printed.
      for base in stride(from: usualPort, to: usualPort + 1000, by: 10) where (0..<3).allSatisfy({ isFree(local(base + $0)) }) {
        let ops: UInt16 = isFree(local(9902)) ? 9902 : 0
        return (base, local(base + 1), local(base + 2), ops)
      }
      throw ConfigurationError([
        "no three free ports in a row from \(usualPort) on; choose with --port N, or let the system choose: --port 0"
      ])
    }
    guard let port = UInt16(text), port == 0 || port < 65533 else {
      throw ConfigurationError(["--port \(text): expected a number from 0 to 65532"])
    }
    return port == 0 ? (0, local(0), local(0), 0) : (port, local(port + 1), local(port + 2), 0)
  }

  private static func isFree(_ address: SocketAddress) -> Bool {
    do throws(NetError) {
      let loop = try EventLoop()
      try Listener(loop, at: address) { _, _ in }.close()
      return true
    } catch {
      return false
    }
  }

  // The folder of policies; nil for the built-in sample.
  private static func folder(_ arguments: Arguments) -> String? {
    if let folder = arguments["policies"] { return folder }
    let names: [String]
    do { names = try FileManager.default.contentsOfDirectory(atPath: "policies") } catch { names = [] }
    return names.contains { $0.hasSuffix(".cedar") } ? "./policies" : nil
  }

  // The policies, and the configuration that belongs to them.
  private static func policies(_ arguments: Arguments) throws(ConfigurationError) -> (PolicyFiles, SourceText?) {
    guard let folder = folder(arguments) else {
      return (SamplePolicies.files, SourceText(name: "demo.json5", SamplePolicies.configuration))
    }
    let path = folder.hasSuffix("/") ? folder + "demo.json5" : folder + "/demo.json5"
    return (try PolicyFolder.read(folder), FileManager.default.contents(atPath: path).map { SourceText(name: path, bytes: $0) })
  }
}

/// One line to try: what it shows, the command, and the status that the proxy answers with.
struct DemoLine {
  let comment: String
  let command: String
  let status: Int

  /// Every line, in the order to try them. The one table: what is printed, and what the tests run.
  static func all(proxy: String, token: String) -> [DemoLine] {
    func bearer(_ name: String, _ flags: String = "") -> String {
      "-H \"Authorization: Bearer $(\(token.replacing("%NAME%", with: " \(name)\(flags)")))\""
    }
    return [
      DemoLine(comment: "no token", command: "curl -i \(proxy)/orders/42", status: 401),
      DemoLine(comment: "alice is a viewer", command: "curl -i \(bearer("alice")) \(proxy)/orders/42", status: 200),
      DemoLine(
        comment: "and viewers do not delete; the body names the decision",
        command: "curl -i -X DELETE \(bearer("alice")) \(proxy)/orders/42",
        status: 403),
      DemoLine(
        comment: "bob is an editor", command: "curl -i -X PUT \(bearer("bob")) -d '{\"item\":\"lamp\",\"quantity\":2}' \(proxy)/orders/42",
        status: 200),
      DemoLine(
        comment: "alice owns order 7, as the service says, so she may change it",
        command: "curl -i -X PUT \(bearer("alice")) -d '{\"item\":\"paper\",\"quantity\":30}' \(proxy)/orders/7", status: 200),
      DemoLine(comment: "but not one of bob's", command: "curl -i -X PUT \(bearer("alice")) -d '{}' \(proxy)/orders/42", status: 403),
      DemoLine(
        comment: "the archive is final, for carol the admin too",
        command: "curl -i -X PUT \(bearer("carol")) -d '{}' \(proxy)/orders/archive/2019", status: 403),
      DemoLine(comment: "mallory is in no group", command: "curl -i \(bearer("mallory")) \(proxy)/orders/42", status: 403),
      DemoLine(comment: "an ID token serves as well", command: "curl -i \(bearer("alice", " --id")) \(proxy)/orders", status: 200),
      DemoLine(comment: "an expired token", command: "curl -i \(bearer("alice", " --expired")) \(proxy)/orders/42", status: 401),
      DemoLine(comment: "a forged one", command: "curl -i \(bearer("carol", " --forged")) \(proxy)/orders/42", status: 401),
      DemoLine(
        comment: "a path that two servers could read differently",
        command: "curl -i --path-as-is \(bearer("alice")) \(proxy)/orders/../admin/report", status: 400),
      DemoLine(
        comment: "what the service behind is told", command: "curl -i \(bearer("carol")) -H 'X-Stockade-Principal: me' \(proxy)/echo",
        status: 200),
    ]
  }
}

/// What this program was called as, so that printed commands can be copied.
enum Program {
  static var name: String { Swift.CommandLine.arguments.first ?? "stockade" }
}
