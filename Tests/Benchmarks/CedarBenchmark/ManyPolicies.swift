import Cedar

/// One policy for each of `count` principals.
func perPrincipal(_ count: Int) -> Input {
  var random = Seeded(1)
  let text = (0..<count).map {
    "permit(principal == User::\"u\($0)\", action == Action::\"get\", resource) when { resource.level < 5 };\n"
  }.joined()
  return Input(
    name: "principals \(count)", policies: text,
    entities: [Entity(uid: uid("Doc", "d"), attributes: record(["level": .long(3)]))],
    requests: (0..<64).map { _ in
      Request(principal: uid("User", "u\(random.below(count))"), action: uid("Action", "get"), resource: uid("Doc", "d"))
    })
}

/// A schema for those.
let perPrincipalSchema = """
  entity User; entity Doc { level: Long };
  action get appliesTo { principal: User, resource: Doc, context: {} };
  """

/// One policy for each of `count` groups; the principal is in three of them.
func perGroup(_ count: Int) -> Input {
  var random = Seeded(2)
  let text = (0..<count).map {
    "permit(principal in Group::\"g\($0)\", action == Action::\"get\", resource) when { resource.level < 5 };\n"
  }.joined()
  var entities = [Entity(uid: uid("Doc", "d"), attributes: record(["level": .long(3)]))]
  for user in 0..<64 {
    entities.append(Entity(uid: uid("User", "u\(user)"), parents: Set((0..<3).map { _ in uid("Group", "g\(random.below(count))") })))
  }
  return Input(
    name: "groups \(count)", policies: text, entities: entities,
    requests: (0..<64).map { Request(principal: uid("User", "u\($0)"), action: uid("Action", "get"), resource: uid("Doc", "d")) })
}

/// `count` links of one template.
func linked(_ count: Int) -> Input {
  var random = Seeded(3)
  return Input(
    name: "links \(count)",
    policies: "permit(principal == ?principal, action == Action::\"get\", resource) when { resource.level < 5 };",
    links: (0..<count).map { TemplateLink(id: PolicyID("link\($0)"), template: "policy0", principal: uid("User", "u\($0)")) },
    entities: [Entity(uid: uid("Doc", "d"), attributes: record(["level": .long(3)]))],
    requests: (0..<64).map { _ in
      Request(principal: uid("User", "u\(random.below(count))"), action: uid("Action", "get"), resource: uid("Doc", "d"))
    })
}

/// `count` policies with an open scope: half of them compare an attribute of the request with a constant, half do
/// something that no index excludes.
func open(_ count: Int) -> Input {
  var random = Seeded(4)
  let text = (0..<count).map { number in
    switch number % 6 {
    case 0, 2, 4: "permit(principal, action, resource) when { context.department == \"d\(number)\" };\n"
    case 1: "permit(principal, action, resource) when { context.level < \(-1 - number) };\n"
    case 3: "permit(principal, action, resource) when { context.path like \"/p\(number)/*\" };\n"
    default: "permit(principal, action, resource) when { context.tags.contains(\"t\(number)\") };\n"
    }
  }.joined()
  return Input(
    name: "open \(count)", policies: text,
    requests: (0..<64).map { _ in
      Request(
        principal: uid("User", "u"), action: uid("Action", "get"), resource: uid("Doc", "d"),
        context: record([
          "department": .string("d\(2 * random.below(count / 2 + 1))"), "level": .long(3), "path": .string("/x/y"),
          "tags": .set(ValueSet([.string("a"), .string("b")])),
        ]))
    })
}

/// A schema for those.
let openSchema = """
  entity User; entity Doc;
  action get appliesTo { principal: User, resource: Doc, context: { department: String, level: Long, path: String, tags: Set<String> } };
  """

/// The half of them that an index can exclude, by itself.
func equalities(_ count: Int) -> Input {
  var input = open(count)
  input.name = "equalities \(count)"
  input.policies = input.policies.split(separator: "\n").enumerated().filter { $0.offset % 2 == 0 }.map { $0.element + "\n" }.joined()
  return input
}
