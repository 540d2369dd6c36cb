internal import AWS
internal import AWSClient
internal import Bytes
internal import CedarSchema
internal import Crypto
internal import Pipeline
internal import PolicyTools
internal import Telemetry

/// The contents of the policy store that is followed, as policy files: at the start the store's, or the last good ones on disk;
/// afterwards what the follower brings.
final class FollowedStore {
  /// What is in force.
  private(set) var current: PolicyStoreContents?
  /// What is to be in force next, while it is tried.
  var candidate: PolicyStoreContents?
  /// Whether the process cannot start because the store cannot be reached.
  private(set) var isUnreachable = false
  private var source: PolicySource?
  private var copy: StoreCopy?

  /// The policies of a configuration: of its store, or of its folder.
  func files(for configuration: Configuration) throws(ConfigurationError) -> PolicyFiles {
    guard let wanted = configuration.policySource else {
      guard source == nil else { throw Self.restartNeeded }
      return try PolicyFolder.read(for: configuration)
    }
    if let source {
      // The store is read while the process starts and nobody waits; a loop that serves must not stand still for it.
      guard source.store == wanted.store else { throw Self.restartNeeded }
    } else {
      try open(wanted, configuration)
    }
    guard let contents = candidate ?? current else { throw Self.restartNeeded }
    return try Self.files(contents, ids: configuration.policyIDs)
  }

  private static let restartNeeded = ConfigurationError([
    "policies.store: which store is followed changes with a restart, not with a reload"
  ])

  /// What was tried is in force.
  func adopted(_ contents: PolicyStoreContents) -> String? {
    current = contents
    return copy?.write(contents)
  }

  // MARK: - The start

  private func open(_ source: PolicySource, _ configuration: Configuration) throws(ConfigurationError) {
    let log = ServerLog()
    let session = try StoreSession(source.store, attempts: 2)
    let copy = StateDirectory.prepare() ? StoreCopy(of: "\(session.place)\n\(source.store.policyStore)", in: StateDirectory.path) : nil
    self.copy = copy
    var problem: ConfigurationError
    do throws(StoreCallError) {
      let contents = try session.read()
      do throws(ConfigurationError) {
        try Self.check(contents, configuration)
        if let why = adopted(contents) { log.warn("policy_store_copy_failed", ["why": .text(why)]) }
        self.source = source
        return
      } catch { problem = error }
    } catch {
      isUnreachable = true
      problem = ConfigurationError(["policy store \(source.store.policyStore) at \(session.place) cannot be read: \(error)"])
    }
    let kept = copy?.read()
    guard let contents = kept?.contents else {
      let reason =
        kept?.problem.map { "the last good copy cannot be used: \($0)" } ?? "there is no last good copy in \(StateDirectory.path)"
      throw ConfigurationError(problem.problems + [reason])
    }
    try Self.check(contents, configuration)
    log.warn(
      "policy_store_copy",
      [
        "policy_store": .text(source.store.policyStore), "why": .text(problem.problems.first ?? ""),
        "meaning": "the last good copy of its policies is in force until the store can be read",
      ])
    isUnreachable = false
    current = contents
    self.source = source
  }

  /// Whether a snapshot can be made of contents.
  private static func check(_ contents: PolicyStoreContents, _ configuration: Configuration) throws(ConfigurationError) {
    _ = try SnapshotBuilder.build(configuration, policies: try files(contents, ids: configuration.policyIDs), generation: 1)
  }

  private static func files(
    _ contents: PolicyStoreContents, ids: PolicyBundle.Options.PolicyIDs
  ) throws(ConfigurationError) -> PolicyFiles {
    let files = StoreFiles(contents, ids: ids)
    guard files.shadowed.isEmpty else {
      throw ConfigurationError(
        files.shadowed.map {
          "\($0) in policy store \(contents.id) says @mode(\"shadow\"): the store enforces it, and here it would not be"
        })
    }
    var hashed: [UInt8] = []
    func source(_ file: StoreFiles.File) -> SourceText {
      hashed += Array("\(file.name)\n\(file.text.utf8.count)\n".utf8) + Array(file.text.utf8)
      return SourceText(name: "\(contents.id)/\(file.name)", file.text)
    }
    let policies = files.policies.map(source)
    let schema = files.schema.map(source)
    return PolicyFiles(
      policies: policies, schema: schema, entities: nil, hash: "sha256:" + Hex.encode(Digest.sha256(hashed)).prefix(12))
  }
}
