import Cedar

// Applications of the shapes that Cedar's authors measured in "Cedar: A New Language for Expressive, Fast, Safe, and Analyzable
// Authorization" (OOPSLA 2024): documents in folders, repositories of organizations, lists of tasks. `count` entities of each type
// are connected with a chance of 5 percent, requests ask for whatever is there.

/// A hierarchy in the making.
private struct Graph {
  var random: Seeded
  let count: Int
  private(set) var entities: [Entity] = []

  init(seed: UInt64, count: Int) {
    random = Seeded(seed &* 1_000 &+ UInt64(count))
    self.count = count
  }

  mutating func add(_ uid: EntityUID, _ attributes: Record = .empty, in parents: [EntityUID] = []) {
    entities.append(Entity(uid: uid, attributes: attributes, parents: Set(parents)))
  }

  /// Some of the entities of a type; `below` keeps a type that holds itself free of cycles.
  mutating func some(_ type: String, below: Int? = nil) -> [EntityUID] {
    (0..<(below ?? count)).filter { _ in random.chance(5) }.map { uid(type, "\(type.lowercased())_\($0)") }
  }

  mutating func any(_ type: String) -> EntityUID { uid(type, "\(type.lowercased())_\(random.below(count))") }

  mutating func requests(_ principal: String, _ asked: [(action: String, resource: String)]) -> [Request] {
    (0..<200).map { number in
      let (action, type) = asked[number % asked.count]
      return Request(
        principal: any(principal), action: uid("Action", action), resource: type == "Application" ? uid(type, "TinyTodo") : any(type))
    }
  }
}

private func name(_ type: String, _ number: Int) -> EntityUID { uid(type, "\(type.lowercased())_\(number)") }

// MARK: Documents

private let documentRights = """
  permit(principal, action == Action::"read", resource) when { resource.isPublic };
  permit(principal, action in [Action::"read", Action::"write", Action::"share"], resource)
    when { resource in principal.ownedDocuments || resource in principal.ownedFolders };
  permit(principal, action == Action::"changeOwner", resource) when { principal.ownedDocuments.contains(resource) };
  permit(principal, action == Action::"createDocument", resource) when { principal.ownedFolders.contains(resource) };

  """

private let documentActions = [
  ("read", "Document"), ("write", "Document"), ("share", "Document"), ("changeOwner", "Document"), ("createDocument", "Folder"),
]

/// Who may view what is in the hierarchy of views, or, linked, in a template's links: then each user has `links` of them to
/// different documents.
func drive(_ count: Int, seed: UInt64, links: Int? = nil) -> Input {
  var graph = Graph(seed: seed, count: count)
  func view(_ holder: EntityUID) -> EntityUID { uid("View", "\(holder.type) \(holder.id)") }
  var members: [EntityUID: [EntityUID]] = [:]
  for number in 0..<count {
    let user = name("User", number)
    let groups = graph.some("Group")
    for group in groups { members[group, default: []].append(user) }
    var attributes: [Record.Field] = [
      Record.Field("ownedDocuments", .set(ValueSet(graph.some("Document").map { .entity($0) }))),
      Record.Field("ownedFolders", .set(ValueSet(graph.some("Folder").map { .entity($0) }))),
    ]
    if links == nil {
      attributes.append(Record.Field("viewable", .entity(view(user))))
      graph.add(view(user))
    }
    graph.add(user, Record(lastWins: attributes), in: groups)
  }
  for number in 0..<count {
    let group = name("Group", number)
    graph.add(group)
    if links == nil { graph.add(view(group), in: (members[group] ?? []).map(view)) }
  }
  // What is viewed lies below the view of whoever views it.
  for (type, isPublic) in [("Document", true), ("Folder", false)] {
    for number in 0..<count {
      var parents = graph.some("Folder", below: type == "Folder" ? number : nil)
      if links == nil { parents += (graph.some("User") + graph.some("Group")).map(view) }
      graph.add(name(type, number), isPublic ? record(["isPublic": .bool(graph.random.chance(50))]) : .empty, in: parents)
    }
  }
  let requests = graph.requests("User", documentActions)
  guard let links else {
    return Input(
      name: "gdrive \(count) seed \(seed)",
      policies: "permit(principal, action == Action::\"read\", resource) when { resource in principal.viewable };\n" + documentRights,
      entities: graph.entities, requests: requests)
  }
  return Input(
    name: "gdrive, \(links) links a user, seed \(seed)",
    policies: "permit(principal in ?principal, action == Action::\"read\", resource in ?resource);\n" + documentRights,
    links: linking(count, links, to: "Document", templates: ["policy0"], &graph.random), entities: graph.entities, requests: requests)
}

/// `links` for every user, to different resources.
private func linking(_ users: Int, _ links: Int, to type: String, templates: [PolicyID], _ random: inout Seeded) -> [TemplateLink] {
  (0..<users).flatMap { user in
    (0..<users).shuffled(using: &random).prefix(links).map { resource in
      TemplateLink(
        id: PolicyID("link \(user) \(resource)"), template: templates[random.below(templates.count)], principal: name("User", user),
        resource: name(type, resource))
    }
  }
}

// MARK: Repositories

private let roles = ["read", "triage", "write", "maintain", "admin"]

/// Roles are in the hierarchy of permissions, or, linked, in the links of five templates.
func repositories(_ count: Int, seed: UInt64, links: Int? = nil) -> Input {
  var graph = Graph(seed: seed, count: count)
  func permission(_ owner: EntityUID, _ role: String) -> EntityUID {
    uid(owner.type.text == "Repository" ? "RepositoryPermission" : "OrganizationPermission", "\(owner.id)_\(role)")
  }
  let organizationRoles = ["read", "write", "admin"]
  func granted(_ owners: [EntityUID], _ roles: [String]) -> [EntityUID] {
    owners.map { permission($0, roles[graph.random.below(roles.count)]) }
  }
  for number in 0..<count {
    let organization = name("Organization", number)
    for role in organizationRoles { graph.add(permission(organization, role)) }
    graph.add(
      organization, Record(lastWins: organizationRoles.map { Record.Field($0, .entity(permission(organization, $0))) }),
      in: granted(graph.some("Organization", below: number), organizationRoles))
  }
  for number in 0..<count {
    let repository = name("Repository", number)
    var attributes = [Record.Field("owner", .entity(graph.any("Organization")))]
    if links == nil {
      for role in roles {
        attributes.append(Record.Field(role, .entity(permission(repository, role))))
        graph.add(permission(repository, role))
      }
    }
    graph.add(repository, Record(lastWins: attributes))
  }
  for type in ["Team", "User"] {
    for number in 0..<count {
      var parents = graph.some("Team", below: type == "Team" ? number : nil)
      if links == nil { parents += granted(graph.some("Repository"), roles) }
      if type == "User" { parents += graph.some("Organization") + granted(graph.some("Organization"), organizationRoles) }
      graph.add(name(type, number), in: parents)
    }
  }
  // Who may do more may do less.
  for (role, above) in zip(roles, roles.dropFirst()) { graph.add(uid("Action", role), in: [uid("Action", above)]) }
  graph.add(uid("Action", "admin"))
  let requests = graph.requests("User", roles.map { ($0, "Repository") })
  let owners = organizationRoles.map {
    "permit(principal, action in Action::\"\($0)\", resource) when { principal in resource.owner.\($0) };\n"
  }.joined()
  guard let links else {
    return Input(
      name: "github \(count) seed \(seed)",
      policies: roles.map { "permit(principal, action in Action::\"\($0)\", resource) when { principal in resource.\($0) };\n" }.joined()
        + owners, entities: graph.entities, requests: requests)
  }
  return Input(
    name: "github, \(links) links a user, seed \(seed)",
    policies: roles.map { "permit(principal in ?principal, action in Action::\"\($0)\", resource == ?resource);\n" }.joined() + owners,
    links: linking(count, links, to: "Repository", templates: (0..<roles.count).map { PolicyID("policy\($0)") }, &graph.random),
    entities: graph.entities, requests: requests)
}

// MARK: Lists of tasks

func lists(_ count: Int, seed: UInt64) -> Input {
  var graph = Graph(seed: seed, count: count)
  let application = uid("Application", "TinyTodo")
  graph.add(application)
  for number in 0..<count { graph.add(name("User", number), in: graph.some("Team") + [application]) }
  for number in 0..<count { graph.add(name("Team", number), in: graph.some("Team", below: number) + [application]) }
  for number in 0..<count {
    let tasks = (0..<graph.random.below(51)).map { task in
      Value.record(
        record([
          "name": .string("task \(graph.random.below(1_000_000))"), "id": .long(Int64(task)),
          "state": .string(graph.random.chance(50) ? "done" : "open"),
        ]))
    }
    graph.add(
      name("List", number),
      record([
        "name": .string("list \(number)"), "owner": .entity(graph.any("User")), "readers": .entity(graph.any("Team")),
        "editors": .entity(graph.any("Team")), "tasks": .set(ValueSet(tasks)),
      ]), in: [application])
  }
  let policies = """
    permit(principal, action in [Action::"CreateList", Action::"GetLists"], resource == Application::"TinyTodo");
    permit(principal, action, resource) when { resource has owner && resource.owner == principal };
    permit(principal, action == Action::"GetList", resource) when { principal in resource.readers || principal in resource.editors };
    permit(principal, action in [Action::"UpdateList", Action::"CreateTask", Action::"UpdateTask", Action::"DeleteTask"], resource)
      when { principal in resource.editors };

    """
  let asked =
    ["GetList", "UpdateList", "DeleteList", "CreateTask", "UpdateTask", "DeleteTask", "EditShares"].map { ($0, "List") }
    + [("CreateList", "Application"), ("GetLists", "Application")]
  return Input(
    name: "tinytodo \(count) seed \(seed)", policies: policies, entities: graph.entities, requests: graph.requests("User", asked))
}
