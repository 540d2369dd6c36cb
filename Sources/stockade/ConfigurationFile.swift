internal import Bytes
internal import FoundationEssentials
internal import Net
internal import Pipeline
internal import Proxy

/// Finds and reads the configuration: the file, the environment, the flags.
enum ConfigurationFile {
  /// The flags of every command that needs a configuration: from the table of settings.
  static let flags: [Flag] =
    [Flag("config", "FILE", "the configuration; default: STOCKADE_CONFIG, then ./stockade.json5, then /etc/stockade/stockade.json5")]
    + Fields.flagged.map { field in
      let fallback = field.fallback.flatMap { field.valueName == nil || $0 == "0" ? nil : "; default \($0)" } ?? ""
      return Flag(field.flag ?? "", field.valueName, field.help + fallback, repeats: field.repeats)
    }

  /// Where a configuration is looked for if none is named; the first that exists.
  static let usualPlaces = ["stockade.json5", "/etc/stockade/stockade.json5"]

  /// What is said where policies are needed and not named.
  static let noPolicies = "no policies are given; name their folder with --policies DIR, or policies: 'DIR' in the configuration"

  /// What is said where policies are needed as files and are in a store.
  static func policiesElsewhere(_ source: PolicySource) -> String {
    let store = source.store.policyStore
    return "policies come from policy store \(store); get them as files with: stockade avp pull --policy-store \(store) policies"
  }

  /// Whether there is a configuration at all: a file, or a flag or variable beside the folder of policies.
  static func isGiven(_ arguments: Arguments) throws(ConfigurationError) -> Bool {
    let variables = ProcessInfo.processInfo.environment
    if try file(arguments["config"], variables) != nil { return true }
    return Fields.flagged.contains { field in
      guard let flag = field.flag, flag != "policies" else { return false }
      return arguments.has(flag) || field.variable.map { variables[$0] != nil } ?? false
    }
  }

  /// Whether a configuration file is where one is looked for.
  static var isThere: Bool {
    ProcessInfo.processInfo.environment["STOCKADE_CONFIG"] != nil || usualPlaces.contains { FileManager.default.fileExists(atPath: $0) }
  }

  /// The configuration, and the file it came from.
  static func read(_ arguments: Arguments) throws(ConfigurationError) -> (configuration: Configuration, file: String?) {
    let (configuration, files) = try readNotingFiles(arguments, sockets: nil)
    return (configuration, files.configuration)
  }

  /// The configuration, with all files that it was read from. `sockets` are those handed over to this process, if it is the one to
  /// listen.
  static func readNotingFiles(_ arguments: Arguments, sockets: [Systemd.InheritedSocket]?) throws(ConfigurationError) -> (
    configuration: Configuration, files: Files
  ) {
    let variables = ProcessInfo.processInfo.environment
    let source = try file(arguments["config"], variables)
    let named = Locked<[String]>([])
    var surroundings = Surroundings(
      variables: variables,
      readFile: { path in
        named.withLock { $0.append(path) }
        return contents(of: path)
      }, problemOfPlace: { text in ListenPlace.problem(of: text, among: sockets).map { ($0.message, $0.help) } },
      problemOfAddress: Gateway.problem)
    surroundings.problemsOfTLS = Gateway.problems(of:)
    surroundings.problemsOfUpstreamTLS = Gateway.problems(ofUpstream:)
    let configuration = try Configuration.read(file: source, flags: arguments.values, surroundings: surroundings)
    return (configuration, Files(configuration: source?.name, named: named.withLock { $0 }))
  }

  /// The files of one configuration.
  struct Files: Sendable {
    /// The configuration itself, if it is a file.
    var configuration: String?
    /// What it names: secrets, and keys of issuers.
    var named: [String]

    /// The folders they are in.
    var folders: [String] {
      var folders: [String] = []
      for path in [configuration].compactMap({ $0 }) + named {
        let folder = ConfigurationFile.folder(of: path)
        if !folders.contains(where: { exactlyEquals($0, folder) }) { folders.append(folder) }
      }
      return folders
    }
  }

  /// The configuration of a file that something else than the command line names.
  static func read(at path: String) throws(ConfigurationError) -> Configuration {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw ConfigurationError(["the configuration \(path) cannot be read"])
    }
    let surroundings = Surroundings(
      variables: ProcessInfo.processInfo.environment, readFile: { contents(of: $0) }, problemOfAddress: Gateway.problem)
    return try Configuration.read(file: SourceText(name: path, bytes: data), flags: [:], surroundings: surroundings)
  }

  private static func file(_ named: String?, _ variables: [String: String]) throws(ConfigurationError) -> SourceText? {
    if let path = named ?? variables["STOCKADE_CONFIG"], !path.isEmpty {
      guard let data = FileManager.default.contents(atPath: path) else {
        throw ConfigurationError(["\(path) cannot be read; \(named == nil ? "STOCKADE_CONFIG" : "--config") names the configuration file"])
      }
      return SourceText(name: path, bytes: data)
    }
    for path in usualPlaces where FileManager.default.fileExists(atPath: path) {
      guard let data = FileManager.default.contents(atPath: path) else { throw ConfigurationError(["\(path) is there and cannot be read"]) }
      return SourceText(name: path, bytes: data)
    }
    return nil
  }

  /// The folder of a file with its final slash.
  static func folder(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "./" }
    return String(decoding: path.utf8[...slash], as: UTF8.self)
  }

  private static func contents(of path: String) -> (contents: String?, problem: String) {
    guard let data = FileManager.default.contents(atPath: path) else { return (nil, "\(path) cannot be read") }
    guard data.count <= 512 * 1024 else { return (nil, "\(path) is larger than 512 KiB") }
    guard let text = String(validating: data, as: UTF8.self) else { return (nil, "\(path) is not UTF-8 text") }
    return (text, "")
  }

  /// Problems as a person is shown them, with their number.
  static func shown(_ error: ConfigurationError, ending: String) -> String {
    let count = error.problems.count
    return error.report + "\(count) error\(count == 1 ? "" : "s"). \(ending)\n"
  }

  /// Runs a command's work; what is wrong with its configuration is shown, and the command ends as `invalid`.
  static func reporting(_ ending: String, _ work: () throws(ConfigurationError) -> ExitStatus) -> ExitStatus {
    do throws(ConfigurationError) {
      return try work()
    } catch {
      Terminal.error(shown(error, ending: ending))
      return .invalid
    }
  }
}
