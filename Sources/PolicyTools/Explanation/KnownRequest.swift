internal import Bytes
internal import Cedar

/// A request as far as it is known: the question, the entities that matter to it, and what of them is not known.
struct KnownRequest {
  let request: Request
  /// The entities that policies can reach from the request.
  let entities: Entities
  private let gaps: Gaps?

  /// What may be missing of a request that was put together from a record.
  struct Gaps {
    /// Whether the principal's groups and attributes are known.
    var knowsPrincipal = false
    /// Whether the resource's parents and attributes are known.
    var knowsResource = false
    /// Records of the context of which nothing is missing, by their paths.
    var wholeRecords: [[String]] = []
  }

  /// A request with entities of its own over others, which matter as far as they can be reached from it.
  ///
  /// - Parameter gaps: what is missing; nil if all is known.
  init(_ request: Request, overlay: [Entity], over known: Entities, literals: [EntityUID], gaps: Gaps? = nil) throws(EntitiesError) {
    self.request = request
    self.gaps = gaps
    var merged: [EntityUID: Entity] = [:]
    for entity in overlay { merged[entity.uid] = Self.merge(entity, merged[entity.uid]) }
    for uid in Array(merged.keys) { merged[uid] = known[uid].map { Self.merge($0, merged[uid]) } ?? merged[uid] }
    var reached: [EntityUID: Entity] = [:]
    var pending = [request.principal, request.action, request.resource] + literals
    Self.addEntities(of: .record(request.context), to: &pending)
    while let uid = pending.popLast() {
      guard reached[uid] == nil, let entity = merged[uid] ?? known[uid] else { continue }
      reached[uid] = entity
      pending += entity.parents
      Self.addEntities(of: .record(entity.attributes), to: &pending)
      Self.addEntities(of: .record(entity.tags), to: &pending)
    }
    entities = try Entities(reached.values)
  }

  // As overlays are: the parents of both, and the content of the one that has any.
  private static func merge(_ entity: Entity, _ other: Entity?) -> Entity {
    guard let other else { return entity }
    return Entity(
      uid: entity.uid, attributes: entity.attributes.isEmpty ? other.attributes : entity.attributes,
      parents: entity.parents.union(other.parents), tags: entity.tags.isEmpty ? other.tags : entity.tags)
  }

  private static func addEntities(of value: Value, to uids: inout [EntityUID]) {
    switch value {
    case .entity(let uid): uids.append(uid)
    case .record(let record): for field in record.fields { addEntities(of: field.value, to: &uids) }
    case .set(let set): for element in set.elements { addEntities(of: element, to: &uids) }
    default: break
    }
  }

  // MARK: - What is missing

  /// Why it is not known what an entity is in; nil if it is.
  func gap(inParentsOf uid: EntityUID) -> String? {
    guard let gaps else { return nil }
    if uid == request.principal, !gaps.knowsPrincipal { return "the principal's groups" }
    if uid == request.resource, !gaps.knowsResource { return "what the resource is in" }
    return nil
  }

  /// The facts that an expression asks for and that are not known.
  func gaps(in expression: ExprID, of tree: ExprTree) -> [String] {
    guard gaps != nil else { return [] }
    var found: [String] = []
    var pending = [expression]
    while let next = pending.popLast() {
      var parts: [ExprID] = []
      tree[next].forEachPart { parts.append($0) }
      var gap: String?
      switch tree[next] {
      case .variable(.context): gap = self.gap(inContext: [])
      case .attribute, .has, .method(.getTag, _, _), .method(.hasTag, _, _):
        if let (root, path) = Self.chain(next, tree) {
          gap = self.gap(in: path, of: root)
          // The base is part of the chain; the name of a tag is an expression of its own.
          parts = Array(parts.dropFirst())
        } else if mentionsSubject(next, tree) {
          gap = "attributes that are reached in a roundabout way"
        }
      case .in(let left, _): gap = self.gap(inParentsOf: left, tree)
      case .is(let left, _, in: let right): if right != nil { gap = self.gap(inParentsOf: left, tree) }
      default: break
      }
      if let gap, !found.contains(where: { exactlyEquals($0, gap) }) { found.append(gap) }
      pending += parts.reversed()
    }
    return found
  }

  private func gap(inParentsOf left: ExprID, _ tree: ExprTree) -> String? {
    switch tree[left] {
    case .variable(.principal): gap(inParentsOf: request.principal)
    case .variable(.resource): gap(inParentsOf: request.resource)
    case .entity(let uid): gap(inParentsOf: uid)
    case .variable(.action), .variable(.context): nil
    default: mentionsSubject(left, tree) ? "what entities are in that are reached in a roundabout way" : nil
    }
  }

  private enum Root {
    case variable(Variable)
    case entity(EntityUID)
  }

  /// A variable or an entity and the names behind it, `context.token.scope`; nil for anything else.
  private static func chain(_ expression: ExprID, _ tree: ExprTree) -> (root: Root, path: [String])? {
    var path: [String] = []
    var here = expression
    while true {
      switch tree[here] {
      case .attribute(let base, let name):
        path.insert(name, at: 0)
        here = base
      case .has(let base, let names):
        path.insert(contentsOf: names, at: 0)
        here = base
      case .method(.getTag, let base, _), .method(.hasTag, let base, _):
        path.insert("(tag)", at: 0)
        here = base
      case .variable(let variable): return (.variable(variable), path)
      case .entity(let uid): return (.entity(uid), path)
      default: return nil
      }
    }
  }

  private func gap(in path: [String], of root: Root) -> String? {
    switch root {
    case .variable(.context): gap(inContext: path)
    case .variable(.principal): gap(inAttributesOf: request.principal)
    case .variable(.resource): gap(inAttributesOf: request.resource)
    case .variable(.action): nil
    case .entity(let uid): gap(inAttributesOf: uid)
    }
  }

  private func gap(inAttributesOf uid: EntityUID) -> String? {
    guard let gaps else { return nil }
    if uid == request.principal, !gaps.knowsPrincipal { return "attributes of the principal" }
    if uid == request.resource, !gaps.knowsResource { return "attributes of the resource" }
    return nil
  }

  private func gap(inContext path: [String]) -> String? {
    guard let gaps else { return nil }
    var here = request.context
    for (index, name) in path.enumerated() {
      guard let value = here[name] else {
        let isWhole = gaps.wholeRecords.contains { $0.elementsEqual(path[..<index]) { exactlyEquals($0, $1) } }
        return isWhole ? nil : "context." + path[...index].joined(separator: ".")
      }
      guard case .record(let inner) = value else { return nil }
      here = inner
    }
    let isWhole = gaps.wholeRecords.contains { $0.elementsEqual(path) { exactlyEquals($0, $1) } }
    return isWhole ? nil : path.isEmpty ? "the whole context" : "all of context." + path.joined(separator: ".")
  }

  private func mentionsSubject(_ expression: ExprID, _ tree: ExprTree) -> Bool {
    var pending = [expression]
    while let next = pending.popLast() {
      switch tree[next] {
      case .variable(.principal), .variable(.resource): return true
      default: tree[next].forEachPart { pending.append($0) }
      }
    }
    return false
  }
}

extension PolicySet {
  /// The entities that the policies name.
  var literals: [EntityUID] {
    var found: Set<EntityUID> = []
    for policy in policies + templates {
      for case .entity(let uid) in policy.expressions.nodes { found.insert(uid) }
    }
    return Array(found)
  }
}
