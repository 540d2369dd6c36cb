internal import Bytes
internal import CedarSchema
internal import Net
internal import Pipeline
internal import PolicyTools

/// Runs files of policy tests, each under the configuration that it names, if none was given.
enum PolicyTestRun {
  static func run(
    _ files: [PolicyTestFile], _ folder: String, _ bundle: PolicyBundle, _ configuration: Configuration?, matching pattern: String? = nil
  ) throws(ConfigurationError) -> PolicyTests {
    let policies = try PolicyFolder.read(folder)
    var tests = PolicyTests(bundle)
    // By the configuration's path; empty where the file names none, or one was given.
    var stages: [String: PolicyTestStage] = [:]
    for file in files {
      let path = configuration == nil ? file.configuration.map { ConfigurationFile.folder(of: file.source.name) + $0 } : nil
      let stage: PolicyTestStage
      if let known = stages[path ?? ""] {
        stage = known
      } else {
        let named = try path.map { (path) throws(ConfigurationError) in try ConfigurationFile.read(at: path) }
        let configuration = named ?? configuration ?? ConfigurationCheck.standIn(for: files)
        stage = try PolicyTestStage(SnapshotBuilder.build(configuration, policies: policies, generation: 1))
        stages[path ?? ""] = stage
      }
      tests.run(file, on: stage, matching: pattern) { LoopClock.monotonicNanos() }
    }
    return tests
  }
}
