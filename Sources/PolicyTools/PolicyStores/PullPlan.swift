public import AWS
internal import Bytes
internal import Cedar
public import CedarSchema
internal import JSON

/// What makes a folder hold what a store holds: files to write and to delete, or why there are none.
///
/// What is the same on both sides is left as it is, byte for byte; what was changed here alone is left for the next push.
public struct PullPlan: Sendable {
  /// What is done to a file, by its name in the folder.
  public enum Change: Sendable, Equatable {
    /// It is made, or gets another text.
    case write(name: String, text: String)
    /// It goes.
    case delete(name: String)
  }

  /// What is done.
  public private(set) var changes: [Change] = []
  /// What is left alone, and why.
  public private(set) var notes: [String] = []
  /// What was changed on both sides; nothing is done.
  public private(set) var conflicts: [String] = []
  /// What no folder could hold; nothing is done.
  public private(set) var invalid: [String] = []
  /// The manifest afterwards.
  public private(set) var manifest = StoreManifest.Store()
  /// How many policies and templates both sides had.
  public private(set) var sameCount = 0

  private let local: LocalPolicies
  private let known: StoreManifest.Store
  private let ids: PolicyBundle.Options.PolicyIDs
  private let overwrites: Bool
  private var edits: [Int: [(range: Range<Int>, text: String?)]] = [:]
  private var removals: [Int: Set<ExactString>] = [:]
  private var fresh: [StoredItem] = []
  // What is kept under which name: settled once it is known what goes from which file.
  private var kept: [(item: LocalItem, stored: StoredItem, text: String?, isAgreed: Bool)] = []
  private var removed: Set<PolicyID> = []

  /// Plans.
  public init(
    _ contents: PolicyStoreContents, into local: LocalPolicies, manifest known: StoreManifest.Store,
    ids: PolicyBundle.Options.PolicyIDs = .annotation, overwrites: Bool = false
  ) {
    self.local = local
    self.known = known
    self.ids = ids
    self.overwrites = overwrites
    if !known.retired.isEmpty || known.begun != nil {
      conflict("a push to this store was not ended; run it again")
    }
    let templates = local.statements.filter(\.isTemplate).map { LocalItem($0) }
    let policies = local.statements.filter { !$0.isTemplate }.map { LocalItem($0) } + local.links.map { LocalItem($0) }
    let storedTemplates = contents.templates.map { StoredItem($0) }
    let storedPolicies = contents.policies.map { StoredItem($0, in: contents) }
    let byTemplate = StoreMatch(templates, storedTemplates, known.templates, templates: [:], retired: [])
    let templateIDs = byTemplate.stored.mapValues(\.id)
    let byPolicy = StoreMatch(policies, storedPolicies, known.policies, templates: templateIDs, retired: [])
    pair(templates, byTemplate, known.templates, [:])
    pair(policies, byPolicy, known.policies, templateIDs)
    add(byTemplate.rest, known.templates)
    add(byPolicy.rest, known.policies)
    settleFiles()
    settleSchema(contents)
  }

  private mutating func conflict(_ text: String) { if !overwrites { conflicts.append(text) } }

  // MARK: - What becomes of everything

  private mutating func pair(
    _ items: [LocalItem], _ match: StoreMatch, _ entries: [ExactString: StoreManifest.Entry], _ templates: [PolicyID: String]
  ) {
    for item in items {
      let entry = entries[ExactString(item.id.text)]
      let content = item.content(templates)
      guard let stored = match.stored[item.id] else {
        guard let entry else {
          notes.append("\(item.noun) \(item.id) is here alone; a push takes it to the store")
          continue
        }
        // A link whose template is gone has gone with it.
        if let content, !exactlyEquals(content.digest, entry.digest), !overwrites {
          conflicts.append("\(item.noun) \(item.id) was changed here and deleted in the store")
        }
        remove(item)
        continue
      }
      guard stored.content != content else {
        sameCount += 1
        kept.append((item, stored, nil, true))
        continue
      }
      let isChangedHere = !exactlyEqual(content?.digest, entry?.digest)
      let isChangedThere = !exactlyEqual(stored.content.digest, entry?.digest)
      if isChangedHere, !isChangedThere, !overwrites {
        notes.append("\(item.noun) \(item.id) was changed here; a push takes it to the store")
        kept.append((item, stored, nil, false))
        continue
      }
      if isChangedHere { conflict("\(item.noun) \(item.id) was changed here and in the store") }
      replace(item, by: stored)
    }
  }

  private mutating func add(_ rest: [StoredItem], _ entries: [ExactString: StoreManifest.Entry]) {
    for item in rest {
      if let entry = entries.first(where: { exactlyEquals($0.value.id, item.id) }), !overwrites {
        if exactlyEquals(entry.value.digest, item.content.digest) {
          notes.append("\(item.noun) \(entry.key.string) was deleted here; a push deletes it in the store if it made it, or with --prune")
          if item.isTemplate { manifest.templates[entry.key] = entry.value } else { manifest.policies[entry.key] = entry.value }
          continue
        }
        conflicts.append("\(item.noun) \(entry.key.string) was deleted here and changed in the store")
      }
      fresh.append(item)
    }
  }

  private mutating func remove(_ item: LocalItem) {
    removed.insert(item.id)
    if let statement = local.statements.first(where: { $0.id == item.id }) {
      if let range = statement.range {
        edits[statement.file, default: []].append((range, nil))
      } else {
        removals[statement.file, default: []].insert(ExactString(item.id.text))
      }
    } else if let link = local.links.first(where: { $0.link.id == item.id }) {
      removals[link.file, default: []].insert(ExactString(item.id.text))
    }
  }

  private mutating func replace(_ item: LocalItem, by stored: StoredItem) {
    guard let statement = local.statements.first(where: { $0.id == item.id }), let range = statement.range, let text = stored.fullText
    else {
      // JSON has no text to change: the new one gets a file of its own.
      remove(item)
      fresh.append(stored)
      return
    }
    edits[statement.file, default: []].append((range, StoreText.trimmed(text)))
    kept.append((item, stored, text, true))
  }

  // MARK: - Files

  private mutating func settleFiles() {
    var names: [ExactString: String] = [:]
    var taken = Set(local.files.map { ExactString(Self.basename($0.name)) })
    for (file, edits) in edits { rewrite(file, edits) }
    for (file, ids) in removals where Self.basename(local.files[file].name) != StoreFiles.linksName { strike(ids, from: file) }
    for (item, stored, text, isAgreed) in kept {
      let id = idAfter(item, text)
      names[ExactString(stored.id)] = id
      note(stored, as: id, entryOf: item, isAgreed: isAgreed)
    }
    for case .delete(let name) in changes { taken.remove(ExactString(name)) }
    let takenIDs = Set(
      (local.statements.map(\.id) + local.links.map(\.link.id)).filter { !removed.contains($0) }.map { ExactString($0.text) })
    let new = StoreFiles(fresh, ids: ids, taken: taken, known: names, takenIDs: takenIDs)
    for id in new.repeated {
      invalid.append(
        "two policies say @id(\"\(id)\"); --policy-ids position calls policies by their files (policies.ids in the configuration)")
    }
    for file in new.policies where file.name != StoreFiles.linksName { changes.append(.write(name: file.name, text: file.text)) }
    settleLinks(new)
    for item in fresh { note(item, as: new.names[ExactString(item.id)] ?? item.id, entryOf: nil, isAgreed: true) }
  }

  /// New links go where links of stores are; what else stands there stays.
  private mutating func settleLinks(_ new: StoreFiles) {
    let index = local.files.firstIndex { Self.basename($0.name) == StoreFiles.linksName }
    let links = new.policies.last { $0.name == StoreFiles.linksName }
    guard let index else {
      if let links { changes.append(.write(name: links.name, text: links.text)) }
      return
    }
    let struck = removals[index] ?? []
    guard links != nil || !struck.isEmpty else { return }
    strike(struck, from: index, adding: links.flatMap { StoreText.json($0.text)?["templateLinks"]?.array } ?? [])
  }

  private mutating func rewrite(_ file: Int, _ edits: [(range: Range<Int>, text: String?)]) {
    let source = local.files[file]
    var bytes = source.bytes
    for (range, text) in edits.sorted(by: { $0.range.lowerBound > $1.range.lowerBound }) {
      guard range.upperBound <= bytes.count else { continue }
      guard let text else {
        bytes.removeSubrange(range)
        continue
      }
      let before = bytes[range].prefix(while: StoreText.isSpace)
      let after = bytes[range].reversed().prefix(while: StoreText.isSpace).reversed()
      bytes.replaceSubrange(range, with: Array(before) + Array(text.utf8) + Array(after))
    }
    let name = Self.basename(source.name)
    if bytes.allSatisfy(StoreText.isSpace) {
      changes.append(.delete(name: name))
    } else {
      // A file begins where its first policy does.
      let start = source.bytes.first.map(StoreText.isSpace) == true ? bytes.startIndex : bytes.firstIndex { !StoreText.isSpace($0) } ?? 0
      changes.append(.write(name: name, text: String(decoding: bytes[start...], as: UTF8.self)))
    }
  }

  private mutating func strike(_ ids: Set<ExactString>, from file: Int, adding links: [JSONValue] = []) {
    let source = local.files[file]
    let name = Self.basename(source.name)
    guard let json = StoreText.json(String(decoding: source.bytes, as: UTF8.self)), json["effect"] == nil, let members = json.object else {
      return changes.append(.delete(name: name))
    }
    var count = 0
    let left = members.map { member in
      var member = member
      if member.name == "templateLinks" {
        let kept = (member.value.array ?? []).filter { !ids.contains(ExactString($0["newId"]?.string ?? "")) } + links
        count += kept.count
        member.value = .array(kept)
      } else {
        let kept = (member.value.object ?? []).filter { !ids.contains(ExactString($0.name)) }
        count += kept.count
        member.value = JSONValue(.object(kept))
      }
      return member
    }
    guard count > 0 else { return changes.append(.delete(name: name)) }
    changes.append(.write(name: name, text: IndentedJSON.text(of: Array(JSONValue(.object(left)).text.utf8))))
  }

  /// What something is called when everything is written: by its `@id`, or by its place, which others may have left.
  private func idAfter(_ item: LocalItem, _ text: String?) -> String {
    guard let statement = local.statements.first(where: { $0.id == item.id }), statement.range != nil else { return item.id.text }
    let policy = text.flatMap { StoreText.policy($0) } ?? statement.policy
    if ids == .annotation, let id = policy.annotation("id") { return id }
    let gone = local.statements.count { $0.file == statement.file && $0.number < statement.number && removed.contains($0.id) }
    return "\(Self.basename(local.files[statement.file].name))#\(statement.number - gone)"
  }

  private mutating func note(_ stored: StoredItem, as id: String, entryOf item: LocalItem?, isAgreed: Bool) {
    let entries = stored.isTemplate ? known.templates : known.policies
    let before =
      item.flatMap { entries[ExactString($0.id.text)] }.flatMap { exactlyEquals($0.id, stored.id) ? $0 : nil }
      ?? entries.first { exactlyEquals($0.value.id, stored.id) }?.value
    let entry = StoreManifest.Entry(
      id: stored.id, isMade: before?.isMade ?? false, name: stored.name, description: stored.description,
      digest: isAgreed ? stored.content.digest : before?.digest ?? stored.content.digest)
    if stored.isTemplate { manifest.templates[ExactString(id)] = entry } else { manifest.policies[ExactString(id)] = entry }
  }

  private static func basename(_ name: String) -> String { String(name.split(separator: "/").last ?? name[...]) }

  // MARK: - The schema

  private mutating func settleSchema(_ contents: PolicyStoreContents) {
    let stored = contents.schema.flatMap { schema in StoreText.json(schema.text.string).map { (text: schema.text.string, json: $0) } }
    let here = local.schema.flatMap { source in StoreText.schemaJSON(source).map { (source: source, json: $0.json) } }
    let (there, mine) = (stored.map { StoreContent.digest(schema: $0.json) }, here.map { StoreContent.digest(schema: $0.json) })
    let isMade = known.schema?.isMade ?? false
    manifest.schema = there.map { ($0, isMade) }
    guard there != mine else { return }
    let (isChangedHere, isChangedThere) = (mine != known.schema?.digest, there != known.schema?.digest)
    if isChangedHere, !isChangedThere, !overwrites {
      notes.append("the schema was changed here; a push takes it to the store")
      manifest.schema = known.schema
      return
    }
    if isChangedHere, here != nil || known.schema != nil { conflict("the schema was changed here and in the store") }
    guard let stored else {
      if let here { changes.append(.delete(name: Self.basename(here.source.name))) }
      return
    }
    let text = stored.text.utf8.last == ASCII.lf ? stored.text : stored.text + "\n"
    if let source = here?.source, !source.name.hasSuffix(".json") {
      if let cedar = Self.cedar(stored.json) { return changes.append(.write(name: Self.basename(source.name), text: cedar)) }
      changes.append(.delete(name: Self.basename(source.name)))
    }
    changes.append(.write(name: StoreFiles.schemaName, text: text))
  }

  private static func cedar(_ json: JSONValue) -> String? {
    do throws(SchemaErrors) { return try SchemaFragment(json: json).cedarText() } catch { return nil }
  }
}
