internal import AWS
internal import Bytes
internal import Cedar
internal import CedarSchema
internal import JSON

/// The schema's part of a push: it decides, too, where it puts actions into groups.
extension PushPlanner {
  mutating func planSchema() {
    let stored = contents.schema.flatMap { StoreText.json($0.text.string) }
    guard let source = local.schema else {
      guard stored != nil else { return }
      if known.schema?.isMade ?? false || options.prunes {
        schema = ("{}", changesGroups(nil))
      } else {
        plan.notes.append("the store's schema is kept: it was not made from these files; --prune deletes it")
        plan.manifest.schema = known.schema
      }
      if contents.isStrict, schema != nil { plan.invalid.append("the store validates strictly, and would have no schema") }
      return
    }
    guard let (text, json) = StoreText.schemaJSON(source) else { return plan.invalid.append("the schema cannot be said in JSON") }
    if text.utf8.count > 100_000 { plan.invalid.append("the schema has \(text.utf8.count) bytes in JSON, and a store takes 100000") }
    if json.object?.contains(where: { $0.name.isEmpty }) ?? false {
      plan.invalid.append("the schema has declarations outside of namespaces, and a store takes none")
    }
    plan.manifest.schema = known.schema
    if let stored, stored == json {
      plan.manifest.schema = (StoreContent.digest(schema: json), known.schema?.isMade ?? false)
      return
    }
    if let before = known.schema?.digest, before != stored.map({ StoreContent.digest(schema: $0) }) {
      conflict("the schema was \(stored == nil ? "deleted" : "changed") in the store")
    } else if known.schema == nil, stored != nil {
      conflict("the store has a schema that is not from these files")
    }
    schema = (text, changesGroups(source))
  }

  /// Whether some action gets into a group or leaves one: then the schema decides, too.
  private func changesGroups(_ source: SourceText?) -> Bool {
    func groups(_ schema: Schema?) -> [EntityUID: [EntityUID]] {
      var groups: [EntityUID: [EntityUID]] = [:]
      for action in schema?.actions ?? [] where !action.parents.isEmpty { groups[action.uid] = action.parents }
      return groups
    }
    let after = source.flatMap { StoreText.schemaJSON($0) }.flatMap { Self.schema($0.text) }
    // Where nothing is permitted yet, there is nothing to keep from being permitted more.
    guard storedPolicies.contains(where: { $0.effect != .forbid }) else { return false }
    return groups(contents.schema.flatMap { Self.schema($0.text.string) }) != groups(after)
  }

  mutating func addSchema(_ text: String, changesGroups: Bool) {
    let words = text == "{}" ? "take the schema away" : "put the schema"
    plan.steps.append(
      PushStep(
        phase: changesGroups ? .schema : .schemaFirst, work: .putSchema(text), id: nil, isTemplate: false, updated: nil,
        text: changesGroups ? words + ", which changes groups of actions" : words))
    guard changesGroups, contents.isStrict else { return }
    // Forbids come first, so the schema that is there now must know them.
    var early = PolicySet()
    for (item, fate) in fates where item.effect == .forbid {
      if case .reword = fate { continue }
      guard let policy = item.policy else { continue }
      do throws(PolicySetError) { try early.add(policy) } catch { continue }
    }
    let before = contents.schema.flatMap { Self.schema($0.text.string) }
    let isKnown = before.map { Validator($0).validate(early).errors.isEmpty } ?? early.ids.isEmpty
    guard !isKnown else { return }
    plan.invalid.append(
      "forbids need the new schema, which also changes groups of actions: push the schema without that change first")
  }

  private static func schema(_ text: String) -> Schema? {
    do throws(SchemaErrors) { return try Schema(jsonText: text) } catch { return nil }
  }
}
