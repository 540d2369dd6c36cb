internal import Net
internal import Pipeline

/// `stockade run`: the sidecar.
let runCommand = Command(
  name: "run",
  summary: "start the proxy in front of a service",
  operand: nil,
  flags: ConfigurationFile.flags + [
    Flag("ready-file", "PATH", "write the bound addresses there as JSON once requests are accepted"),
    Flag("clock-offset", "SECONDS", "shift the clock", hidden: true),
  ],
  examples: [
    "stockade run",
    "stockade run --to http://127.0.0.1:3000 --cognito us-east-1_AbC123 --client-id 4h57example --policies policies",
    "stockade run --to http://127.0.0.1:3000 --issuer https://login.example.com --client-id web --policies policies --mode observe",
  ]
) { arguments in
  let followed = FollowedStore()
  let status = ConfigurationFile.reporting("Nothing was started.") { () throws(ConfigurationError) in
    let extras = try RunSettings.read(arguments)
    let sockets = extras.supervisor.sockets
    return try GatewayProcess.run(
      { () throws(ConfigurationError) in
        let (configuration, files) = try ConfigurationFile.readNotingFiles(arguments, sockets: sockets)
        return Loaded(
          configuration: configuration, files: try followed.files(for: configuration), file: files.configuration,
          folders: files.folders + [configuration.policies].filter { !$0.isEmpty },
          revocations: try RevocationFile.read(configuration.revocations))
      }, extras: extras, followed: followed)
  }
  // A store that cannot be reached is no mistake of the configuration's.
  return status == .invalid && followed.isUnreachable ? .failure : status
}

/// What `run` needs beside the configuration.
enum RunSettings {
  /// What the process needs beside the configuration.
  struct Extras {
    var readyFile: String?
    var clockOffsetMillis: Int64 = 0
    var supervisor: Supervisor
  }

  static func read(_ arguments: Arguments) throws(ConfigurationError) -> Extras {
    var extras = Extras(supervisor: .fromEnvironment())
    extras.readyFile = arguments["ready-file"]
    if let text = arguments["clock-offset"] {
      // A century either way; beyond it sums of milliseconds could leave 64 bits.
      guard let seconds = Int64(text), abs(seconds) < 3_200_000_000 else {
        throw ConfigurationError(["--clock-offset \(text): expected seconds"])
      }
      extras.clockOffsetMillis = seconds * 1000
    }
    return extras
  }
}
