internal import AWS
internal import Bytes
internal import Cedar

/// One thing that a folder has and a store may have: a static policy, a link or a template.
struct LocalItem {
  let id: PolicyID
  let isTemplate: Bool
  let effect: Effect
  /// The text; nil for a link.
  let text: String?
  /// The statement; of a link, its template's.
  let policy: Policy?
  /// The link.
  let link: TemplateLink?

  init(_ statement: LocalPolicies.Statement) {
    id = statement.id
    isTemplate = statement.isTemplate
    effect = statement.policy.effect
    text = statement.text
    policy = statement.policy
    link = nil
  }

  init(_ link: LocalPolicies.Link) {
    id = link.link.id
    isTemplate = false
    effect = link.effect
    text = nil
    policy = nil
    self.link = link.link
  }

  /// What it comes to; nil for a link whose template the store does not have.
  func content(_ templates: [PolicyID: String]) -> StoreContent? {
    if let text { return .statement(text) }
    guard let link, let template = templates[link.template] else { return nil }
    return .link(template: template, principal: link.principal, resource: link.resource)
  }
}

/// One thing that a store has.
struct StoredItem {
  let id: String
  let isTemplate: Bool
  let name: String?
  let description: String?
  let updated: String
  let content: StoreContent
  /// What it permits or forbids; nil if its text cannot be read.
  let effect: Effect?
  /// Its text as the store has it, white space and all; nil for a link.
  let fullText: String?

  init(_ template: StoredTemplate) {
    id = template.id
    isTemplate = true
    name = template.name
    description = template.description?.string
    updated = template.updated
    content = .statement(template.statement.string)
    effect = StoreText.policy(template.statement.string)?.effect
    fullText = template.statement.string
  }

  init(_ policy: StoredPolicy, in contents: PolicyStoreContents) {
    id = policy.id
    isTemplate = false
    name = policy.name
    description = policy.description?.string
    updated = policy.updated
    content = StoreContent(policy)
    switch policy.definition {
    case .statement(let text):
      effect = StoreText.policy(text.string)?.effect
      fullText = text.string
    case .link(let template, _, _):
      effect = contents.template(template).flatMap { StoreText.policy($0.statement.string)?.effect }
      fullText = nil
    }
  }

  /// Its text; nil for a link.
  var text: String? { if case .statement(let text) = content { text.string } else { nil } }
  /// The template that it is linked to.
  var template: String? { if case .link(let template, _, _) = content { template } else { nil } }
}

/// Which of ours is which of theirs.
struct StoreMatch {
  /// By what it is called here.
  private(set) var stored: [PolicyID: StoredItem] = [:]
  /// What the store has and the folder has not.
  private(set) var rest: [StoredItem] = []
  /// What the folder has and the store has not.
  private(set) var missing: [LocalItem] = []

  /// Pairs by what the manifest says where both agree; then by equal contents, for a policy may have been moved, or made before
  /// its id could be noted; then by what the manifest says though they differ.
  init(
    _ local: [LocalItem], _ stored: [StoredItem], _ entries: [ExactString: StoreManifest.Entry], templates: [PolicyID: String],
    retired: [String]
  ) {
    var free: [ExactString: StoredItem] = [:]
    for item in stored { free[ExactString(item.id)] = item }
    for id in retired { free[ExactString(id)] = nil }
    var byContent: [String: [String]] = [:]
    for item in stored where free[ExactString(item.id)] != nil { byContent[item.content.digest, default: []].append(item.id) }
    var open: [LocalItem] = []
    for item in local {
      let content = item.content(templates)
      if let entry = entries[ExactString(item.id.text)], let found = free[ExactString(entry.id)], found.content == content {
        take(found, for: item, &free)
      } else {
        open.append(item)
      }
    }
    var differing: [LocalItem] = []
    for item in open {
      let content = item.content(templates)
      let candidates = content.flatMap { byContent[$0.digest] } ?? []
      if let id = candidates.first(where: { free[ExactString($0)] != nil }), let found = free[ExactString(id)], found.content == content {
        take(found, for: item, &free)
      } else {
        differing.append(item)
      }
    }
    for item in differing {
      if let entry = entries[ExactString(item.id.text)], let found = free[ExactString(entry.id)] {
        take(found, for: item, &free)
      } else {
        missing.append(item)
      }
    }
    rest = stored.filter { item in free[ExactString(item.id)] != nil || retired.contains { exactlyEquals($0, item.id) } }
  }

  private mutating func take(_ found: StoredItem, for item: LocalItem, _ free: inout [ExactString: StoredItem]) {
    stored[item.id] = found
    free[ExactString(found.id)] = nil
  }
}
