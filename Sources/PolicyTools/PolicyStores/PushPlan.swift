public import AWS
internal import Bytes
public import Cedar

/// What makes a store hold what a folder holds: steps in an order that is safe at every moment, or why there are none.
///
/// While anything that permits is changed, every forbid of before and of after is in the store. So whatever is allowed at a moment is
/// allowed before the push, or after it.
public struct PushPlan: Sendable {
  /// How to plan.
  public struct Options: Sendable {
    /// Delete what the store has and the folder has not, whoever made it.
    public var prunes: Bool
    /// Overwrite what has changed in the store since folder and store agreed last.
    public var overwrites: Bool

    /// The careful way, unless said otherwise.
    public init(prunes: Bool = false, overwrites: Bool = false) {
      self.prunes = prunes
      self.overwrites = overwrites
    }
  }

  /// What is done, in order.
  public internal(set) var steps: [PushStep] = []
  /// What is left alone, and why.
  public internal(set) var notes: [String] = []
  /// What the store would not take; nothing is done.
  public internal(set) var invalid: [String] = []
  /// What somebody else has changed; nothing is done.
  public internal(set) var conflicts: [String] = []
  /// The manifest as it is before the first step: what both sides have is noted already.
  public internal(set) var manifest = StoreManifest.Store()
  /// How many policies and templates both sides have.
  public internal(set) var sameCount = 0

  /// Plans.
  public init(
    _ local: LocalPolicies, to contents: PolicyStoreContents, manifest: StoreManifest.Store, options: Options = Options()
  ) {
    var planner = PushPlanner(local, contents, manifest, options)
    planner.run()
    self = planner.plan
  }

  init() {}

  /// The plan for a person, at most 80 columns wide where names allow it.
  public func text(from folder: String, to store: String) -> String {
    var lines = ["\(folder) to policy store \(store)"]
    for problem in invalid { lines.append("  error: \(problem)") }
    for conflict in conflicts { lines.append("  conflict: \(conflict)") }
    guard invalid.isEmpty, conflicts.isEmpty else {
      if !conflicts.isEmpty {
        lines.append("Take these changes over with: stockade avp pull; or push over them: --overwrite.")
      }
      lines.append("Nothing is done.")
      return lines.joined(separator: "\n") + "\n"
    }
    let width = String(steps.count).utf8.count
    for (index, step) in steps.enumerated() {
      let number = String(index + 1)
      lines.append("  " + String(repeating: " ", count: width - number.utf8.count) + number + "  " + step.text)
    }
    for note in notes { lines.append("  -  " + note) }
    let same = sameCount == 0 ? "" : "; \(counted(sameCount, "policy or template is", "policies and templates are")) there already"
    lines.append(steps.isEmpty ? "Nothing to do\(same)." : "\(counted(steps.count, "step", "steps"))\(same).")
    if steps.count > 1 { lines.append("At no moment is anything allowed that is allowed neither before nor after.") }
    return lines.joined(separator: "\n") + "\n"
  }
}

/// One call that a push makes.
public struct PushStep: Sendable {
  /// What is asked for.
  public enum Work: Sendable, Equatable {
    /// The schema, in JSON; `{}` takes it away.
    case putSchema(String)
    /// A static policy or a template.
    case createStatement(text: String, name: String?, description: String?)
    /// A link to a template of the folder.
    case createLink(template: PolicyID, principal: EntityUID?, resource: EntityUID?, name: String?)
    /// Another text, in place.
    case update(id: String, text: String)
    /// Another name, empty for none; a template's text has to be said again.
    case rename(id: String, name: String, text: String?)
    /// Away with it.
    case delete(id: String)
  }

  /// When it is done.
  enum Phase: Int, Comparable {
    case schemaFirst, release, createForbidTemplate, createForbid, deletePermit, deletePermitTemplate, schema, update
    case createPermitTemplate, createPermit, deleteForbid, deleteForbidTemplate, rename

    static func < (a: Phase, b: Phase) -> Bool { a.rawValue < b.rawValue }
  }

  let phase: Phase
  /// What is asked for.
  public let work: Work
  /// What it is called in the folder; nil for what the folder does not have.
  public let id: PolicyID?
  /// Whether it is about a template.
  public let isTemplate: Bool
  /// When the store changed it last, as the plan knows; on something that has changed since, the step is not done.
  public let updated: String?
  /// What it comes to, in words.
  public let text: String
}

// MARK: - What a step leaves in the manifest

extension StoreManifest.Store {
  /// Notes that something is about to be made, and with which token: the one of an earlier attempt at the same.
  ///
  /// - Returns: the token, and whether it was used before.
  public mutating func beginCreate(_ step: PushStep, freshToken: String) -> (token: String, isUsed: Bool) {
    let id = step.id?.text ?? ""
    let digest = content(of: step)?.digest ?? ""
    if case .create(let before, let content, let token) = begun, exactlyEquals(before, id), content == digest { return (token, true) }
    begun = .create(of: id, digest: digest, token: freshToken)
    return (freshToken, false)
  }

  /// Notes that something is about to be deleted.
  public mutating func beginDelete(_ id: String) { begun = .delete(id) }

  /// Notes that a step is done; `made` is the id of what it made.
  public mutating func finish(_ step: PushStep, made: String? = nil) {
    begun = nil
    switch step.work {
    case .putSchema(let text):
      schema = text == "{}" ? nil : StoreText.json(text).map { (StoreContent.digest(schema: $0), true) }
    case .createStatement(_, let name, let description): note(step, made, name, description)
    case .createLink(_, _, _, let name): note(step, made, name, nil)
    case .update(_, let text): change(step) { $0.digest = StoreContent.statement(text).digest }
    case .rename(_, let name, _):
      // A name that was taken from what is to go stays known, for what comes in its place.
      if step.phase == .rename { change(step) { $0.name = name.isEmpty ? nil : name } }
    case .delete(let id):
      retired.removeAll { $0 == id }
      policies = policies.filter { $0.value.id != id }
      templates = templates.filter { $0.value.id != id }
    }
  }

  /// What a step makes, by the templates that are there.
  func content(of step: PushStep) -> StoreContent? {
    switch step.work {
    case .createStatement(let text, _, _): .statement(text)
    case .createLink(let template, let principal, let resource, _):
      templates[ExactString(template.text)].map { .link(template: $0.id, principal: principal, resource: resource) }
    default: nil
    }
  }

  private mutating func note(_ step: PushStep, _ made: String?, _ name: String?, _ description: String?) {
    guard let id = step.id.map({ ExactString($0.text) }), let made, let digest = content(of: step)?.digest else { return }
    let entry = StoreManifest.Entry(id: made, isMade: true, name: name, description: description, digest: digest)
    // What it replaces is still there, and ours to delete.
    let before = step.isTemplate ? templates.updateValue(entry, forKey: id) : policies.updateValue(entry, forKey: id)
    if let before { retired.append(before.id) }
  }

  private mutating func change(_ step: PushStep, _ body: (inout StoreManifest.Entry) -> Void) {
    guard let id = step.id.map({ ExactString($0.text) }) else { return }
    if step.isTemplate {
      if var entry = templates[id] { body(&entry); templates[id] = entry }
    } else if var entry = policies[id] {
      body(&entry)
      policies[id] = entry
    }
  }
}
