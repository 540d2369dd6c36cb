internal import Bytes
internal import JSON

/// Reads the JSON policy format and collects every mistake on the way.
struct PolicyJSONReader {
  private(set) var errors: [ParseError] = []
  let limits = Limits()

  // MARK: - Sets and links

  mutating func policySet(_ json: JSONValue) -> PolicySet {
    var (set, links, areTemplatesGood) = parts(json)
    // With a broken template every link to it would be one more mistake.
    guard areTemplatesGood else { return set }
    for (link, span) in links {
      do throws(PolicySetError) { try set.link(link) } catch { errors.append(ParseError("\(error)", at: span)) }
    }
    return set
  }

  /// A set without its links, and the links: their templates may stand elsewhere.
  mutating func parts(_ json: JSONValue) -> (set: PolicySet, links: [(link: TemplateLink, span: SourceSpan)], areTemplatesGood: Bool) {
    var set = PolicySet()
    var links: [(link: TemplateLink, span: SourceSpan)] = []
    guard let parts = fields(of: json, "a policy set", required: ["staticPolicies", "templates", "templateLinks"]) else {
      return (set, links, false)
    }
    for member in members(of: parts[0], "`staticPolicies`") {
      guard let policy = policy(member.value, id: PolicyID(member.name)) else { continue }
      if let slot = policy.slots.first {
        fail("expected a static policy, got a template containing the slot \(slot)", member.nameSpan, help: "move it to `templates`")
      } else {
        do throws(PolicySetError) { try set.add(policy) } catch { fail("\(error)", member.nameSpan) }
      }
    }
    for member in members(of: parts[1], "`templates`") {
      guard let template = policy(member.value, id: PolicyID(member.name)) else { continue }
      do throws(PolicySetError) { try set.addTemplate(template) } catch { fail("\(error)", member.nameSpan) }
    }
    let areTemplatesGood = errors.isEmpty
    for element in elements(of: parts[2], "`templateLinks`") {
      if let link = link(element) { links.append((link, span(element))) }
    }
    return (set, links, areTemplatesGood)
  }

  private mutating func link(_ json: JSONValue) -> TemplateLink? {
    guard let parts = fields(of: json, "a template link", required: ["templateId", "newId", "values"]) else { return nil }
    var values: [SlotID: EntityUID] = [:]
    for member in members(of: parts[2], "`values`") {
      guard let slot = SlotID.allCases.first(where: { exactlyEquals($0.rawValue, member.name) }) else {
        fail("`\(member.name)` is not a slot", member.nameSpan, help: "the slots are `?principal` and `?resource`")
        continue
      }
      values[slot] = entity(member.value)
    }
    guard let template = string(parts[0], "`templateId`"), let id = string(parts[1], "`newId`") else { return nil }
    return TemplateLink(id: PolicyID(id), template: PolicyID(template), principal: values[.principal], resource: values[.resource])
  }

  // MARK: - Policies

  mutating func policy(_ json: JSONValue, id: PolicyID) -> Policy? {
    let before = errors.count
    guard
      let parts = fields(
        of: json, "a policy", required: ["effect", "principal", "action", "resource", "conditions"], optional: ["annotations"])
    else { return nil }
    var effect: Effect?
    if let word = string(parts[0], "`effect`") {
      effect = exactlyEquals(word, "permit") ? .permit : exactlyEquals(word, "forbid") ? .forbid : nil
      if effect == nil { fail("invalid policy effect: `\(word)`", parts[0].span, help: "effect must be either `permit` or `forbid`") }
    }
    let (principal, principalSpans) = scopeConstraint(parts[1], slot: .principal)
    let (action, actionSpans) = actionConstraint(parts[2])
    let (resource, resourceSpans) = scopeConstraint(parts[3], slot: .resource)
    var tree = ExprTree()
    var conditions: [Condition] = []
    for element in elements(of: parts[4], "`conditions`") {
      if let condition = condition(element, into: &tree) { conditions.append(condition) }
    }
    let annotations = parts.count > 5 ? annotations(parts[5]) : []
    guard errors.count == before, let effect, let principal, let action, let resource else { return nil }
    return Policy(
      id: id, effect: effect, annotations: annotations, principal: principal, action: action, resource: resource, conditions: conditions,
      expressions: tree, span: span(json), scopeSpans: (principalSpans, actionSpans, resourceSpans))
  }

  private mutating func condition(_ json: JSONValue, into tree: inout ExprTree) -> Condition? {
    guard let parts = fields(of: json, "a condition", required: ["kind", "body"]) else { return nil }
    var kind: Condition.Kind?
    if let word = string(parts[0], "`kind`") {
      kind = exactlyEquals(word, "when") ? .when : exactlyEquals(word, "unless") ? .unless : nil
      if kind == nil { fail("`\(word)` is not a kind of condition", parts[0].span, help: "write `when` or `unless`") }
    }
    guard let body = expression(parts[1], into: &tree, depth: 1), let kind else { return nil }
    return Condition(kind, body, span: span(json))
  }

  private mutating func annotations(_ json: JSONValue) -> [Annotation] {
    var annotations: [Annotation] = []
    for member in members(of: json, "`annotations`") {
      guard Name.isIdentifier(member.name) else {
        fail("`\(member.name)` is not a valid annotation key", member.nameSpan, help: "keys are words: letters, digits and `_`")
        continue
      }
      let place = SourceSpan(member.nameSpan.lowerBound, member.value.span.upperBound)
      if member.value.isNull {
        annotations.append(Annotation(key: member.name, value: nil, span: place))
      } else if let value = string(member.value, "the value of an annotation", or: " or null") {
        annotations.append(Annotation(key: member.name, value: value, span: place))
      }
    }
    return annotations
  }

  // MARK: - Shapes

  /// The values of an object's fields, the required ones first, then as many of the optional ones as there are up to the
  /// last that is present; nil if the object is no such object. An optional field that is null counts as absent.
  mutating func fields(
    of json: JSONValue, _ what: String, required: [String], optional: [String] = [], isOpen: Bool = false
  ) -> [JSONValue]? {
    guard json.object != nil else {
      fail("expected \(what) to be an object, got \(json.kindName)", json.span)
      return nil
    }
    let before = errors.count
    var found = [JSONValue?](repeating: nil, count: required.count + optional.count)
    let known = required + optional
    for member in members(of: json, what) {
      if let index = known.firstIndex(where: { exactlyEquals($0, member.name) }) {
        found[index] = member.value
      } else if !isOpen {
        let near = Spelling.nearest(to: member.name, among: known)
        fail(
          "unknown field `\(member.name)` in \(what)", member.nameSpan,
          help: near.map { "did you mean `\($0)`?" } ?? "the fields are \(Self.list(known))")
      }
    }
    for (index, name) in required.enumerated() where found[index] == nil {
      fail("missing field `\(name)` in \(what)", json.span)
    }
    guard errors.count == before else { return nil }
    while let last = found.last, last == nil { found.removeLast() }
    return found.compactMap { $0 }
  }

  /// The members of an object; a name that occurs twice is a mistake.
  mutating func members(of json: JSONValue, _ what: String) -> [JSONValue.Member] {
    guard let members = json.object else {
      fail("expected \(what) to be an object, got \(json.kindName)", json.span)
      return []
    }
    var seen: Set<ExactString> = []
    for member in members where !seen.insert(ExactString(member.name)).inserted {
      fail("duplicate name `\(member.name)` in \(what)", member.nameSpan)
    }
    return members
  }

  mutating func elements(of json: JSONValue, _ what: String) -> [JSONValue] {
    guard let elements = json.array else {
      fail("expected \(what) to be an array, got \(json.kindName)", json.span)
      return []
    }
    return elements
  }

  mutating func string(_ json: JSONValue, _ what: String, or more: String = "") -> String? {
    guard let text = json.string else {
      fail("expected \(what) to be a string\(more), got \(json.kindName)", json.span)
      return nil
    }
    return text
  }

  /// An entity type, normalised.
  mutating func entityType(_ json: JSONValue) -> EntityType? {
    guard let text = string(json, "an entity type") else { return nil }
    do throws(NameError) {
      return try EntityType(normalized: text)
    } catch {
      fail("invalid entity type: \(error)", json.span)
      return nil
    }
  }

  /// `{"type": …, "id": …}`, also in `{"__entity": …}`; other members mean nothing.
  mutating func entity(_ json: JSONValue) -> EntityUID? {
    let inner = json["__entity"].flatMap { $0["type"]?.string != nil && $0["id"]?.string != nil ? $0 : nil } ?? json
    guard json["__expr"]?.string == nil, let type = inner["type"], type.string != nil, let id = inner["id"]?.string else {
      fail("expected an entity reference, got \(json.kindName)", json.span, help: #"write {"type": "User", "id": "alice"}"#)
      return nil
    }
    return entityType(type).map { EntityUID(type: $0, id: id) }
  }

  mutating func fail(_ message: String, _ span: Range<Int>, help: String? = nil) {
    errors.append(ParseError(message, at: SourceSpan(span.lowerBound, span.upperBound), help: help))
  }

  func span(_ json: JSONValue) -> SourceSpan { SourceSpan(json.span.lowerBound, json.span.upperBound) }

  static func list(_ names: [String]) -> String { names.map { "`\($0)`" }.joined(separator: ", ") }
}
