/// A template with its slots filled: a policy of its own, evaluated like one (Cedar reference, "template-linked policies").
public struct TemplateLink: Sendable, Equatable {
  /// The new policy's id.
  public let id: PolicyID
  /// The template.
  public let template: PolicyID
  /// What stands for `?principal`.
  public let principal: EntityUID?
  /// What stands for `?resource`.
  public let resource: EntityUID?

  /// A link.
  public init(id: PolicyID, template: PolicyID, principal: EntityUID? = nil, resource: EntityUID? = nil) {
    self.id = id
    self.template = template
    self.principal = principal
    self.resource = resource
  }

  /// What stands for a slot.
  public func value(of slot: SlotID) -> EntityUID? {
    switch slot {
    case .principal: principal
    case .resource: resource
    }
  }
}

/// Policies, templates and links; every id occurs once among them all.
public struct PolicySet: Sendable {
  /// The static policies in the order they were added.
  public private(set) var policies: [Policy] = []
  /// The templates in the order they were added; they evaluate only through links.
  public private(set) var templates: [Policy] = []
  /// The links in the order they were added.
  public private(set) var links: [TemplateLink] = []
  private var places: [PolicyID: Place] = [:]

  private enum Place {
    case policy(Int), template(Int), link(Int)
  }

  /// An empty set.
  public init() {}

  /// A set of statements as a parser gives them.
  public init(_ statements: some Sequence<Policy>) throws(PolicySetError) {
    for statement in statements { try add(statement) }
  }

  /// Adds a statement: a template if it has slots, else a policy.
  public mutating func add(_ statement: Policy) throws(PolicySetError) {
    if !statement.slots.isEmpty { return try addTemplate(statement) }
    guard places[statement.id] == nil else { throw .duplicateID(statement.id) }
    places[statement.id] = .policy(policies.count)
    policies.append(statement)
  }

  /// Adds a template, with or without slots.
  public mutating func addTemplate(_ template: Policy) throws(PolicySetError) {
    guard places[template.id] == nil else { throw .duplicateID(template.id) }
    places[template.id] = .template(templates.count)
    templates.append(template)
  }

  /// Links a template: exactly its slots must be given.
  public mutating func link(_ link: TemplateLink) throws(PolicySetError) {
    let template: Policy
    switch places[link.template] {
    case .template(let index): template = templates[index]
    case nil: throw .noSuchTemplate(link.template)
    case .policy, .link: throw .notATemplate(link.template)
    }
    for slot in SlotID.allCases {
      switch (template.slots.contains(slot), link.value(of: slot) != nil) {
      case (true, false): throw .missingSlot(slot, link.id)
      case (false, true): throw .unexpectedSlot(slot, link.id)
      default: break
      }
    }
    guard places[link.id] == nil else { throw .duplicateID(link.id) }
    places[link.id] = .link(links.count)
    links.append(link)
  }

  /// The ids of policies and links, in byte order.
  public var ids: [PolicyID] { (policies.map(\.id) + links.map(\.id)).sorted() }

  /// The static policy with that id.
  public func policy(_ id: PolicyID) -> Policy? { if case .policy(let index) = places[id] { policies[index] } else { nil } }
  /// The template with that id.
  public func template(_ id: PolicyID) -> Policy? { if case .template(let index) = places[id] { templates[index] } else { nil } }
  /// The link with that id.
  public func link(_ id: PolicyID) -> TemplateLink? { if case .link(let index) = places[id] { links[index] } else { nil } }

  /// The static policy of that id, or the template behind the link of that id.
  public func statement(_ id: PolicyID) -> Policy? {
    switch places[id] {
    case .policy(let index): policies[index]
    case .template(let index): templates[index]
    case .link(let index): template(links[index].template)
    case nil: nil
    }
  }

  /// The static policies and links that are picked, with every template.
  public func picking(_ isPicked: (PolicyID) -> Bool) -> PolicySet {
    var set = PolicySet()
    for policy in policies where isPicked(policy.id) {
      set.places[policy.id] = .policy(set.policies.count)
      set.policies.append(policy)
    }
    for template in templates {
      set.places[template.id] = .template(set.templates.count)
      set.templates.append(template)
    }
    for link in links where isPicked(link.id) {
      set.places[link.id] = .link(set.links.count)
      set.links.append(link)
    }
    return set
  }

  /// The set in which statements that have an `@id` are named by it, as the reference's command line does; links keep theirs.
  public func namedByAnnotation() throws(PolicySetError) -> PolicySet {
    var renamed = PolicySet()
    var templateNames: [PolicyID: PolicyID] = [:]
    for var policy in policies {
      if let id = policy.annotation("id") { policy.id = PolicyID(id) }
      try renamed.add(policy)
    }
    for var template in templates {
      let old = template.id
      if let id = template.annotation("id") { template.id = PolicyID(id) }
      templateNames[old] = template.id
      try renamed.addTemplate(template)
    }
    for link in links {
      try renamed.link(
        TemplateLink(
          id: link.id, template: templateNames[link.template] ?? link.template, principal: link.principal, resource: link.resource))
    }
    return renamed
  }
}

/// Why a statement or link does not fit into a set.
public enum PolicySetError: Error, Sendable, Equatable, CustomStringConvertible {
  case duplicateID(PolicyID)
  case noSuchTemplate(PolicyID)
  case notATemplate(PolicyID)
  case missingSlot(SlotID, PolicyID)
  case unexpectedSlot(SlotID, PolicyID)

  /// One line for a person.
  public var description: String {
    switch self {
    case .duplicateID(let id): "duplicate policy id `\(id)`; ids of policies, templates and links must differ"
    case .noSuchTemplate(let id): "there is no template `\(id)` to link"
    case .notATemplate(let id): "expected a template, but `\(id)` is a static policy or a link"
    case .missingSlot(let slot, let id): "link `\(id)` gives no value for `\(slot)`"
    case .unexpectedSlot(let slot, let id): "link `\(id)` gives a value for `\(slot)`, which the template does not have"
    }
  }
}
