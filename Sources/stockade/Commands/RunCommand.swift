internal import Bytes
internal import Net
internal import Pipeline

/// `stockade run`: the sidecar.
let runCommand = Command(
  name: "run",
  summary: "start the proxy in front of a service",
  operand: nil,
  flags: [
    Flag("to", "URL", "the service behind: http://127.0.0.1:3000, https://…, unix:/path"),
    Flag("cognito", "POOL_ID", "accept tokens of this Amazon Cognito user pool, such as us-east-1_AbC123"),
    Flag(
      "issuer", "URL",
      "accept tokens of this OpenID Connect issuer; the exact iss of its tokens (with --cognito: of a pool that is not AWS's)"),
    Flag("client-id", "ID", "an app client whose tokens are meant for this service", repeats: true),
    Flag("audience", "NAME", "an audience that access tokens may name", repeats: true),
    Flag("id-prefix", "TEXT", "what stands before | in Cedar ids; default: the pool's id, or the issuer without https://"),
    Flag("jwks-url", "URL", "where the issuer's keys are, if not where the issuer says"),
    Flag("allow-insecure-jwks", nil, "fetch keys over plain HTTP from elsewhere than this machine"),
    Flag("policies", "DIR", "folder with *.cedar, schema.cedarschema and entities.json"),
    Flag("on-policy-error", "deny|skip", "a forbid that fails to evaluate refuses (deny, the default) or does not apply (skip, as Cedar)"),
    Flag("mode", "enforce|observe", "observe: decide and log, and let pass what policy would refuse"),
    Flag("listen", "ADDRESS", "where requests arrive; default \(Defaults.listen); port 0 takes a free one"),
    Flag("ops-listen", "ADDRESS", "where /livez, /readyz and /metrics are; default \(Defaults.opsListen)"),
    Flag("log", "TO", "where decisions go: stdout (default), none, or a file"),
    Flag("log-format", "json|text|auto", "auto (default): text on a terminal, JSON elsewhere"),
    Flag("workers", "N", "how many threads serve requests; default: one a processor"),
    Flag("drain-delay", "DURATION", "how long /readyz fails before accepting ends at SIGTERM, such as 5s; default 0s"),
    Flag("drain-timeout", "DURATION", "how long requests in flight may then take; default 25s"),
    Flag("dev", nil, "accept a development issuer (stockade demo's); never in production"),
    Flag("ready-file", "PATH", "write the bound addresses there as JSON once requests are accepted"),
    Flag("clock-offset", "SECONDS", "shift the clock", hidden: true),
  ],
  examples: [
    "stockade run --to http://127.0.0.1:3000 --cognito us-east-1_AbC123 --client-id 4h57example --policies policies",
    "stockade run --to http://127.0.0.1:3000 --issuer https://login.example.com --client-id web --policies policies --mode observe",
  ]
) { arguments in
  do throws(ConfigurationError) {
    let (configuration, extras) = try RunSettings.read(arguments)
    let files = try PolicyFolder.read(extras.policies)
    return try GatewayProcess.run(configuration, files: files, extras: extras)
  } catch {
    let count = error.problems.count
    Terminal.error(error.problems.map { "error: \($0)\n" }.joined() + "\(count) error\(count == 1 ? "" : "s"). Nothing was started.\n")
    return .invalid
  }
}

/// The flags of `run` as a configuration, or everything that is wrong with them.
enum RunSettings {
  /// What the process needs beside the configuration.
  struct Extras {
    var policies = ""
    var log = "stdout"
    var logFormat = "auto"
    var readyFile: String?
    var clockOffsetMillis: Int64 = 0
  }

  static func read(_ arguments: Arguments) throws(ConfigurationError) -> (Configuration, Extras) {
    var problems: [String] = []
    var configuration = Configuration(upstream: arguments["to"] ?? "")
    if arguments["to"] == nil {
      problems.append("no service to protect is given; name it with --to URL, such as --to http://127.0.0.1:3000")
    }
    if let listen = arguments["listen"] { configuration.listen = listen }
    if let listen = arguments["ops-listen"] { configuration.opsListen = listen }
    configuration.isDevelopment = arguments.has("dev")
    configuration.issuers = issuers(arguments, &problems)
    if let text = arguments["mode"] {
      if let mode = Snapshot.Mode(rawValue: text) {
        configuration.mode = mode
      } else {
        problems.append(choice("mode", text, Snapshot.Mode.allCases.map(\.rawValue)))
      }
    }
    if let text = arguments["on-policy-error"] {
      if let rule = Authorization.OnPolicyError(rawValue: text) {
        configuration.onPolicyError = rule
      } else {
        problems.append(choice("on-policy-error", text, Authorization.OnPolicyError.allCases.map(\.rawValue)))
      }
    }
    if let text = arguments["workers"] {
      if let count = Int(text), (1...64).contains(count) {
        configuration.workers = count
      } else {
        problems.append("--workers \(text): expected a number from 1 to 64")
      }
    }
    if let millis = duration("drain-delay", arguments, &problems) { configuration.drainDelayMillis = millis }
    if let millis = duration("drain-timeout", arguments, &problems) { configuration.drainTimeoutMillis = millis }

    var extras = Extras()
    extras.policies = arguments["policies"] ?? ""
    if arguments["policies"] == nil { problems.append("no policies are given; name their folder with --policies DIR") }
    if let log = arguments["log"] { extras.log = log }
    if let format = arguments["log-format"] {
      if ["json", "text", "auto"].contains(format) {
        extras.logFormat = format
      } else {
        problems.append(choice("log-format", format, ["json", "text", "auto"]))
      }
    }
    extras.readyFile = arguments["ready-file"]
    if let text = arguments["clock-offset"] {
      // A century either way; beyond it sums of milliseconds could leave 64 bits.
      if let seconds = Int64(text), abs(seconds) < 3_200_000_000 {
        extras.clockOffsetMillis = seconds * 1000
      } else {
        problems.append("--clock-offset \(text): expected seconds")
      }
    }
    guard problems.isEmpty else { throw ConfigurationError(problems) }
    return (configuration, extras)
  }

  private static func issuers(_ arguments: Arguments, _ problems: inout [String]) -> [IssuerConfiguration] {
    let kind: IssuerConfiguration.Kind
    switch (arguments["cognito"], arguments["issuer"]) {
    case (let pool?, let issuer): kind = .cognito(poolID: pool, issuer: issuer)
    case (nil, let issuer?): kind = .oidc(issuer: issuer)
    case (nil, nil): return []
    }
    var issuer = IssuerConfiguration(name: "main", kind: kind)
    issuer.clientIDs = arguments.all("client-id")
    issuer.audiences = arguments.all("audience")
    issuer.idPrefix = arguments["id-prefix"]
    issuer.jwksURL = arguments["jwks-url"]
    issuer.allowsInsecureKeys = arguments.has("allow-insecure-jwks")
    issuer.isDevelopment = DemoIssuer.isOne(kind)
    return [issuer]
  }

  private static func choice(_ flag: String, _ value: String, _ choices: [String]) -> String {
    var text = "--\(flag) \(value): expected \(choices.joined(separator: " or "))"
    if let near = Spelling.nearest(to: value, among: choices) { text += "; did you mean \(near)?" }
    return text
  }

  private static func duration(_ flag: String, _ arguments: Arguments, _ problems: inout [String]) -> UInt64? {
    guard let text = arguments[flag] else { return nil }
    guard let millis = DurationText.millis(text) else {
      problems.append("--\(flag) \(text): expected a number and a unit, such as 250ms, 5s or 1m")
      return nil
    }
    return millis
  }
}

/// Durations as people write them: `250ms`, `5s`, `1m`, `2h`.
enum DurationText {
  /// Milliseconds, or nil; a bare number is nil, for nobody knows of what; more than a year is nil.
  static func millis(_ text: String) -> UInt64? {
    let digits = text.utf8.prefix { ASCII.isDigit($0) }
    guard let number = UInt64(String(decoding: digits, as: UTF8.self)) else { return nil }
    let factor: UInt64
    switch String(text.dropFirst(digits.count)) {
    case "ms": factor = 1
    case "s": factor = 1000
    case "m": factor = 60_000
    case "h": factor = 3_600_000
    default: return nil
    }
    let (millis, overflow) = number.multipliedReportingOverflow(by: factor)
    return overflow || millis > 366 * 24 * 3_600_000 ? nil : millis
  }
}
