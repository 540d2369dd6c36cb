internal import AWS
internal import AWSClient
internal import Bytes
internal import Cedar
internal import CedarSchema
internal import Crypto
internal import FoundationEssentials
internal import JSON
internal import Pipeline
internal import PolicyTools

/// `stockade avp pull` and `push`: a folder and a store, one made like the other.
struct StoreWork {
  private let arguments: Arguments
  private let engine: RemoteEngine
  private let folder: String

  /// How a command ends early.
  private struct Stop: Error {
    let status: ExitStatus
  }

  init(_ arguments: Arguments, _ engine: RemoteEngine, folder: String) {
    self.arguments = arguments
    self.engine = engine
    self.folder = folder
  }

  private func stop(_ status: ExitStatus, _ message: String) -> Stop {
    Terminal.error(message.hasSuffix("\n") ? message : "stockade: \(message)\n")
    return Stop(status: status)
  }

  private func running(_ work: () throws(Stop) -> ExitStatus) -> ExitStatus {
    do throws(Stop) { return try work() } catch { return error.status }
  }

  // MARK: - Push

  func push(applies: Bool) -> ExitStatus {
    running { () throws(Stop) in
      let local = try localPolicies()
      var manifest = try readManifest()
      let session = try session()
      let contents = try read(session)
      let plan = PushPlan(
        local, to: contents, manifest: manifest[contents.id],
        options: .init(prunes: arguments.has("prune"), overwrites: arguments.has("overwrite")))
      Terminal.out(plan.text(from: folder, to: contents.id))
      guard plan.invalid.isEmpty else { return .invalid }
      guard plan.conflicts.isEmpty else { return .failure }
      guard applies else {
        if !plan.steps.isEmpty { Terminal.out("Nothing is done without --apply.\n") }
        return .success
      }
      manifest[contents.id] = plan.manifest
      var push = PushRun(session, contents, manifest) { text in self.writeManifest(text) }
      do throws(PushRun.Failure) { try push.run(plan) } catch {
        throw stop(.failure, "\(error.message)\nWhat was done stays done; the same command goes on from there.\n")
      }
      return .success
    }
  }

  // MARK: - Pull

  func pull() -> ExitStatus {
    running { () throws(Stop) in
      let session = try session()
      let contents = try read(session)
      var manifest = try readManifest()
      let local = try FileManager.default.fileExists(atPath: folder) ? localPolicies(mayBeEmpty: true) : .none
      let plan = PullPlan(
        contents, into: local, manifest: manifest[contents.id], ids: try policyIDs(), overwrites: arguments.has("overwrite"))
      for problem in plan.invalid { Terminal.error("error: \(problem)\n") }
      for conflict in plan.conflicts { Terminal.error("conflict: \(conflict)\n") }
      guard plan.invalid.isEmpty else { throw stop(.invalid, "nothing was written") }
      guard plan.conflicts.isEmpty else {
        throw stop(.failure, "nothing was written; push what is here, or take what is there with --overwrite")
      }
      do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
        throw stop(.failure, "\(folder) cannot be made")
      }
      for change in plan.changes {
        switch change {
        case .write(let name, let text):
          guard TextFiles.write(text, to: path(name)) else { throw Stop(status: .failure) }
          Terminal.out("wrote \(path(name))\n")
        case .delete(let name):
          do { try FileManager.default.removeItem(atPath: path(name)) } catch { throw stop(.failure, "\(path(name)) cannot be deleted") }
          Terminal.out("deleted \(path(name))\n")
        }
      }
      manifest[contents.id] = plan.manifest
      guard writeManifest(manifest.text) else { throw stop(.failure, "\(path(StoreManifest.fileName)) cannot be written") }
      for note in plan.notes { Terminal.out("  -  \(note)\n") }
      Terminal.out("\(folder) has policy store \(contents.id): \(summary(plan))\n")
      // What the store takes is not always what is taken here: an annotation may mean something here alone.
      guard let bundle = PolicyCommands.bundle(arguments, folder: folder) else { return .invalid }
      let errors = bundle.problems.filter { $0.diagnostic.severity == .error }.map(\.rendered)
      for error in errors { Terminal.error(error) }
      for id in bundle.policiesInShadow.ids where plan.manifest.policies[ExactString(id.text)] != nil {
        Terminal.error("error: \(id) says @mode(\"shadow\"): the store enforces it, and the engine here would not\n")
      }
      let isShadowed = bundle.policiesInShadow.ids.contains { plan.manifest.policies[ExactString($0.text)] != nil }
      return errors.isEmpty && !isShadowed ? .success : .invalid
    }
  }

  private func summary(_ plan: PullPlan) -> String {
    let count = plan.changes.count
    let files = count == 0 ? "nothing to change" : "\(count) file\(count == 1 ? "" : "s") changed"
    return "\(files), \(plan.sameCount) polic\(plan.sameCount == 1 ? "y" : "ies") and templates the same"
  }

  // MARK: - Both sides

  private func session() throws(Stop) -> StoreSession {
    do throws(ConfigurationError) { return try StoreSession(engine) } catch { throw stop(.invalid, error.report) }
  }

  private func read(_ session: StoreSession) throws(Stop) -> PolicyStoreContents {
    do throws(StoreCallError) { return try session.read() } catch {
      throw stop(.failure, "policy store \(engine.policyStore) at \(session.place) cannot be read: \(error)")
    }
  }

  private func policyIDs() throws(Stop) -> PolicyBundle.Options.PolicyIDs {
    guard let text = arguments["policy-ids"] else { return .annotation }
    guard let ids = PolicyBundle.Options.PolicyIDs(rawValue: text) else {
      throw stop(.usage, "--policy-ids \(text): write annotation or position")
    }
    return ids
  }

  private func localPolicies(mayBeEmpty: Bool = false) throws(Stop) -> LocalPolicies {
    guard let bundle = PolicyCommands.bundle(arguments, folder: folder) else { throw Stop(status: .invalid) }
    guard bundle.isSound else {
      let errors = bundle.problems.filter { $0.diagnostic.severity == .error }
      throw stop(.invalid, errors.map(\.rendered).joined() + "\(folder) has errors. Nothing is done.\n")
    }
    // An empty folder would empty the store: more often it is the wrong one.
    guard mayBeEmpty || !bundle.sources.policies.isEmpty else {
      throw stop(.invalid, "there is no policy file (*.cedar) in \(folder)")
    }
    do throws(OutputTooLarge) { return try LocalPolicies(bundle) } catch {
      throw stop(.invalid, "a policy is too large to be written as text")
    }
  }

  private func path(_ name: String) -> String { folder.hasSuffix("/") ? folder + name : folder + "/" + name }

  private func readManifest() throws(Stop) -> StoreManifest {
    guard let data = FileManager.default.contents(atPath: path(StoreManifest.fileName)) else { return StoreManifest() }
    do throws(StoreManifestError) {
      return try StoreManifest(SourceText(name: path(StoreManifest.fileName), bytes: data))
    } catch { throw stop(.invalid, error.rendered) }
  }

  private func writeManifest(_ text: String) -> Bool {
    let name = path(StoreManifest.fileName)
    if let before = FileManager.default.contents(atPath: name), before.elementsEqual(text.utf8) { return true }
    return TextFiles.write(text, to: name)
  }
}
