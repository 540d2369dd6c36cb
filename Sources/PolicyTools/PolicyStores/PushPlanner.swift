internal import AWS
internal import Bytes
internal import Cedar

/// Works out a `PushPlan`: first what is to become of everything, then the steps.
struct PushPlanner {
  var plan = PushPlan()
  let local: LocalPolicies
  let contents: PolicyStoreContents
  let known: StoreManifest.Store
  let options: PushPlan.Options
  let storedPolicies: [StoredItem]

  /// What becomes of one thing.
  enum Fate {
    case create
    /// The text changes and what it decides does not.
    case reword(StoredItem)
    /// What it decides changes, and the service can do that in place.
    case change(StoredItem)
    /// The service can do it only by another one.
    case replace(StoredItem)
  }

  var fates: [(item: LocalItem, fate: Fate)] = []
  private var deletions: [(item: StoredItem, id: PolicyID?)] = []
  var schema: (text: String, changesGroups: Bool)?

  init(
    _ local: LocalPolicies, _ contents: PolicyStoreContents, _ known: StoreManifest.Store, _ options: PushPlan.Options
  ) {
    self.local = local
    self.contents = contents
    self.known = known
    self.options = options
    storedPolicies = contents.policies.map { StoredItem($0, in: contents) }
  }

  mutating func run() {
    for id in local.shadowed.sorted() { plan.notes.append("\(id) is not pushed: it is in the shadow, and a store would enforce it") }
    let enforced = local.statements.filter { !local.shadowed.contains($0.id) }
    let templates = enforced.filter(\.isTemplate).map { LocalItem($0) }
    let links = local.links.filter { !local.shadowed.contains($0.link.id) }
    let policies = enforced.filter { !$0.isTemplate }.map { LocalItem($0) } + links.map { LocalItem($0) }
    for item in templates + policies { checkLimits(item) }
    planSchema()
    plan.manifest.begun = known.begun
    plan.manifest.retired = known.retired.filter { contents.policy($0) != nil || contents.template($0) != nil }

    let storedTemplates = contents.templates.map { StoredItem($0) }
    let byTemplate = StoreMatch(templates, storedTemplates, known.templates, templates: [:], retired: known.retired)
    let ids = byTemplate.stored.mapValues(\.id)
    let byPolicy = StoreMatch(policies, storedPolicies, known.policies, templates: ids, retired: known.retired)
    decide(templates, byTemplate, known.templates)
    // A link of a template that is made anew is made anew.
    let renewed = Set(fates.compactMap { fate in if case .replace = fate.fate { fate.item.id } else { nil } })
    decide(policies, byPolicy, known.policies, renewed: renewed)
    remove(byTemplate.rest + byPolicy.rest)
    settle()
    checkTemplates()
    for (item, fate) in fates { addSteps(item, fate) }
    for (item, id) in deletions { delete(item, as: id) }
    if let schema { addSchema(schema.text, changesGroups: schema.changesGroups) }
    // Stable: within a phase as files and store have them.
    plan.steps = plan.steps.enumerated().sorted { ($0.element.phase, $0.offset) < ($1.element.phase, $1.offset) }.map(\.element)
  }

  // MARK: - What becomes of everything

  private mutating func decide(
    _ items: [LocalItem], _ match: StoreMatch, _ entries: [ExactString: StoreManifest.Entry], renewed: Set<PolicyID> = []
  ) {
    for item in items {
      let entry = entries[ExactString(item.id.text)]
      guard let stored = match.stored[item.id] else {
        if let entry, !wasBegun(deleting: entry.id), !plan.manifest.retired.contains(entry.id), !exists(entry.id, item.isTemplate) {
          conflict("\(item.noun) \(item.id) was deleted in the store")
        }
        fates.append((item, .create))
        continue
      }
      note(item, stored, entry)
      if let template = item.link?.template, renewed.contains(template) {
        fates.append((item, .replace(stored)))
        continue
      }
      if item.text.map({ .statement($0) == stored.content }) ?? isSame(item, stored) {
        plan.sameCount += 1
        rename(item, stored)
        continue
      }
      if let entry, !exactlyEquals(entry.digest, stored.content.digest) { conflict("\(item.noun) \(item.id) was changed in the store") }
      fates.append((item, fate(of: item, stored)))
    }
  }

  private func isSame(_ item: LocalItem, _ stored: StoredItem) -> Bool {
    guard let link = item.link, case .link(let template, let principal, let resource) = stored.content else { return false }
    let entry = plan.manifest.templates[ExactString(link.template.text)]
    return exactlyEqual(entry?.id, template) && principal == link.principal && resource == link.resource
  }

  private func fate(of item: LocalItem, _ stored: StoredItem) -> Fate {
    guard let policy = item.policy, let text = stored.text, let was = StoreText.policy(text) else { return .replace(stored) }
    guard policy.effect == was.effect, policy.principal == was.principal, policy.resource == was.resource else { return .replace(stored) }
    if let meaning = StoreText.meaning(of: policy), meaning == StoreText.meaning(of: was) { return .reword(stored) }
    return .change(stored)
  }

  private mutating func note(_ item: LocalItem, _ stored: StoredItem, _ entry: StoreManifest.Entry?) {
    let mine = exactlyEqual(entry?.id, stored.id) ? entry : nil
    var wasMade = mine?.isMade ?? all(known).first { exactlyEquals($0.value.id, stored.id) }?.value.isMade ?? false
    if case .create(let id, let digest, _) = known.begun, exactlyEquals(id, item.id.text), digest == stored.content.digest {
      wasMade = true
    }
    // While both differ, what they had when they agreed last stays known.
    let isSame = item.text.map { .statement($0) == stored.content } ?? self.isSame(item, stored)
    let new = StoreManifest.Entry(
      id: stored.id, isMade: wasMade, name: mine == nil ? stored.name : mine?.name, description: stored.description,
      digest: isSame ? stored.content.digest : mine?.digest ?? stored.content.digest)
    let key = ExactString(item.id.text)
    if item.isTemplate { plan.manifest.templates[key] = new } else { plan.manifest.policies[key] = new }
  }

  /// What the store has and the folder has not.
  private mutating func remove(_ rest: [StoredItem]) {
    for item in rest {
      let entry = all(known).first { exactlyEquals($0.value.id, item.id) && $0.isTemplate == item.isTemplate }
      let isRetired = known.retired.contains { exactlyEquals($0, item.id) }
      let isOurs = isRetired || entry?.value.isMade ?? false
      guard isOurs || options.prunes else {
        let name = item.name.map { " \($0)" } ?? ""
        plan.notes.append("\(item.noun) \(item.id)\(name) is kept: it was not made from these files; --prune deletes it")
        if let entry { keep(entry) }
        continue
      }
      if let entry, !isRetired, !exactlyEquals(entry.value.digest, item.content.digest) {
        conflict("\(item.noun) \(entry.key), which the folder no longer has, was changed in the store")
      }
      if let entry { keep(entry) }
      deletions.append((item, entry.map { PolicyID($0.key) }))
    }
  }

  // What is known of something stays known until it is deleted; if another has its name by now, as something to delete.
  private mutating func keep(_ entry: (key: String, value: StoreManifest.Entry, isTemplate: Bool)) {
    let key = ExactString(entry.key)
    let isTaken = entry.isTemplate ? plan.manifest.templates[key] != nil : plan.manifest.policies[key] != nil
    if isTaken {
      if entry.value.isMade { plan.manifest.retired.append(entry.value.id) }
    } else if entry.isTemplate {
      plan.manifest.templates[key] = entry.value
    } else {
      plan.manifest.policies[key] = entry.value
    }
  }

  /// Forbids are changed in place only where nothing else changes: between two changes there would be a moment that is neither.
  private mutating func settle() {
    let deciding =
      fates.count { if case .reword = $0.fate { false } else { true } } + deletions.count + (schema?.changesGroups == true ? 1 : 0)
    let groupsChange = schema?.changesGroups ?? false
    fates = fates.map { item, fate in
      guard case .change(let stored) = fate else { return (item, fate) }
      let isInPlace = item.effect == .permit ? !groupsChange : deciding == 1
      return (item, isInPlace ? fate : .replace(stored))
    }
    // The links of a template that is replaced after all go with it.
    for (item, fate) in fates where item.isTemplate {
      guard case .replace = fate else { continue }
      for (id, link) in local.links.map({ ($0.link.id, LocalItem($0)) }) where link.link?.template == item.id {
        guard !fates.contains(where: { $0.item.id == id }), let entry = plan.manifest.policies[ExactString(id.text)],
          let stored = storedPolicies.first(where: { exactlyEquals($0.id, entry.id) })
        else { continue }
        plan.sameCount -= 1
        fates.append((link, .replace(stored)))
      }
    }
  }

  /// A template is not deleted while something that stays is linked to it, for that would go along.
  private mutating func checkTemplates() {
    var going = Set(deletions.filter { !$0.item.isTemplate }.map { ExactString($0.item.id) })
    for (item, fate) in fates where !item.isTemplate { if case .replace(let stored) = fate { going.insert(ExactString(stored.id)) } }
    func staying(_ template: String) -> StoredItem? {
      storedPolicies.first { exactlyEqual($0.template, template) && !going.contains(ExactString($0.id)) }
    }
    for (item, fate) in fates where item.isTemplate {
      guard case .replace(let stored) = fate, let link = staying(stored.id) else { continue }
      plan.conflicts.append("template \(item.id) must be replaced, and policy \(link.id), not made here, is linked to it")
    }
    deletions.removeAll { item, _ in
      guard item.isTemplate, let link = staying(item.id) else { return false }
      plan.notes.append("template \(item.id) is kept: policy \(link.id), which stays, is linked to it")
      return true
    }
    let made = fates.count { item, fate in
      guard item.isTemplate, item.effect == .forbid else { return false }
      switch fate {
      case .create, .replace: return true
      case .reword, .change: return false
      }
    }
    let later = fates.count { item, fate in if item.isTemplate, item.effect == .permit, case .create = fate { true } else { false } }
    let gone = deletions.count { $0.item.isTemplate && $0.item.effect == .permit }
    let most = max(contents.templates.count + made, contents.templates.count + made - gone + later)
    if most > Self.mostTemplates {
      plan.invalid.append("there would be \(most) templates at a time, and a store holds \(Self.mostTemplates)")
    }
  }

  // MARK: - Steps

  private mutating func addSteps(_ item: LocalItem, _ fate: Fate) {
    let isForbid = item.effect == .forbid
    switch fate {
    case .create: create(item, named: freeName(for: item), description: nil)
    case .reword(let stored): update(item, stored, "change the text of \(item.noun) \(item.id), which decides the same")
    case .change(let stored): update(item, stored, "change \(item.noun) \(item.id) in place")
    case .replace(let stored):
      let name = plan.manifest.entry(item)?.name ?? stored.name
      // In the store a name stands for one thing at a time.
      if isForbid || stored.effect != .permit, let before = stored.name, exactlyEqual(before, name) {
        add(
          .release, .rename(id: stored.id, name: "", text: item.isTemplate ? stored.text : nil), item, stored,
          "take \(before) from the \(item.noun) that is to go")
      }
      create(item, named: name, description: stored.description)
      delete(stored, as: item.id)
    }
  }

  private mutating func create(_ item: LocalItem, named name: String?, description: String?) {
    let isForbid = item.effect == .forbid
    if let text = item.text {
      let phase: PushStep.Phase =
        item.isTemplate ? (isForbid ? .createForbidTemplate : .createPermitTemplate) : isForbid ? .createForbid : .createPermit
      add(
        phase, .createStatement(text: text, name: name, description: description), item, nil,
        "create \(item.noun) \(item.id)" + Self.suffix(name, item))
    } else if let link = item.link {
      add(
        isForbid ? .createForbid : .createPermit,
        .createLink(template: link.template, principal: link.principal, resource: link.resource, name: name), item, nil,
        "create \(item.noun) \(item.id), linked to \(link.template)" + Self.suffix(name, item))
    }
  }

  private static func suffix(_ name: String?, _ item: LocalItem) -> String {
    guard let name, !exactlyEquals(name, "name/\(item.id.text)") else { return "" }
    return ", \(name)"
  }

  private mutating func delete(_ stored: StoredItem, as id: PolicyID?) {
    let isPermit = stored.effect == .permit
    let phase: PushStep.Phase =
      stored.isTemplate
      ? (isPermit ? .deletePermitTemplate : .deleteForbidTemplate) : isPermit ? .deletePermit : .deleteForbid
    plan.steps.append(
      PushStep(
        phase: phase, work: .delete(id: stored.id), id: id, isTemplate: stored.isTemplate, updated: stored.updated,
        text: "delete \(stored.noun) " + (id.map { "\($0) (\(stored.id))" } ?? stored.id)))
  }

  private mutating func update(_ item: LocalItem, _ stored: StoredItem, _ words: String) {
    guard let text = item.text else { return }
    add(.update, .update(id: stored.id, text: text), item, stored, words)
    rename(item, stored)
  }

  /// Gives something the name that it had when both sides agreed, where it has another by now.
  private mutating func rename(_ item: LocalItem, _ stored: StoredItem) {
    guard let entry = plan.manifest.entry(item), !exactlyEqual(entry.name, stored.name) else { return }
    let name = entry.name ?? ""
    let words = name.isEmpty ? "no name" : name
    add(
      .rename, .rename(id: stored.id, name: name, text: item.isTemplate ? item.text : nil), item, stored,
      "give \(item.noun) \(item.id) \(words)" + (stored.name.map { " in place of \($0)" } ?? ""))
  }

  private mutating func add(_ phase: PushStep.Phase, _ work: PushStep.Work, _ item: LocalItem, _ stored: StoredItem?, _ text: String) {
    plan.steps.append(
      PushStep(phase: phase, work: work, id: item.id, isTemplate: item.isTemplate, updated: stored?.updated, text: text))
  }

  /// A name in the store after what it is called here, where the service takes such a name and nothing has it.
  private mutating func freeName(for item: LocalItem) -> String? {
    let text = item.id.text
    guard (1...140).contains(text.utf8.count),
      text.utf8.allSatisfy({ ASCII.isAlpha($0) || ASCII.isDigit($0) || "-/_".utf8.contains($0) })
    else { return nil }
    let name = "name/\(text)"
    let isTaken =
      storedPolicies.contains { exactlyEqual($0.name, name) } || contents.templates.contains { exactlyEqual($0.name, name) }
    if isTaken { plan.notes.append("\(item.noun) \(item.id) gets no name: \(name) is taken in the store") }
    return isTaken ? nil : name
  }

  // MARK: - Limits and conflicts

  private mutating func checkLimits(_ item: LocalItem) {
    guard let text = item.text, let policy = item.policy else { return }
    if text.utf8.count > Self.mostBytes {
      plan.invalid.append("\(item.noun) \(item.id) has \(text.utf8.count) bytes, and a store takes \(Self.mostBytes)")
    }
    if StoreText.policy(text) == nil { plan.invalid.append("\(item.noun) \(item.id) cannot be taken from its file by itself") }
    guard item.isTemplate else { return }
    if policy.slots.isEmpty {
      plan.invalid.append("template \(item.id) has no slot, and a store takes none without")
    } else if policy.principal == .any || policy.resource == .any {
      plan.invalid.append("template \(item.id) must say something of both principal and resource")
    }
  }

  mutating func conflict(_ text: String) { if !options.overwrites { plan.conflicts.append(text) } }

  private func wasBegun(deleting id: String) -> Bool { if case .delete(id) = known.begun { true } else { false } }
  private func exists(_ id: String, _ isTemplate: Bool) -> Bool {
    isTemplate ? contents.template(id) != nil : contents.policy(id) != nil
  }

  private func all(_ store: StoreManifest.Store) -> [(key: String, value: StoreManifest.Entry, isTemplate: Bool)] {
    store.templates.map { ($0.key.string, $0.value, true) } + store.policies.map { ($0.key.string, $0.value, false) }
  }

  private static let mostBytes = 10_000
  private static let mostTemplates = 40
}

extension LocalItem {
  /// What it is, in a word.
  var noun: String { isTemplate ? "template" : effect.rawValue }
}

extension StoredItem {
  /// What it is, in a word.
  var noun: String { isTemplate ? "template" : effect?.rawValue ?? "policy" }
}

extension StoreManifest.Store {
  func entry(_ item: LocalItem) -> StoreManifest.Entry? {
    item.isTemplate ? templates[ExactString(item.id.text)] : policies[ExactString(item.id.text)]
  }
}

/// Equal by bytes, or both absent.
func exactlyEqual(_ a: String?, _ b: String?) -> Bool {
  switch (a, b) {
  case (let a?, let b?): exactlyEquals(a, b)
  case (nil, nil): true
  default: false
  }
}
