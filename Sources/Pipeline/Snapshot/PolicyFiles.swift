public import Bytes
internal import Cedar
internal import CedarSchema
internal import JOSE

/// The contents of a policy folder, as read: policies (`*.cedar`), policy sets with templates and links (`*.cedar.json`), a
/// schema and entities.
public struct PolicyFiles: Sendable {
  /// Policy texts and policy sets.
  public var policies: [SourceText]
  /// The schema, if there is one; in JSON if its name ends in `.json`, else in Cedar syntax.
  public var schema: SourceText?
  /// The entities, if there are any.
  public var entities: SourceText?
  /// The name of the set: `sha256:` and the first hexadecimal digits of the hash of all files.
  public var hash: String

  /// Contents.
  public init(policies: [SourceText], schema: SourceText?, entities: SourceText?, hash: String) {
    self.policies = policies
    self.schema = schema
    self.entities = entities
    self.hash = hash
  }

  /// No files: where another engine decides everything.
  public static let none = PolicyFiles(policies: [], schema: nil, entities: nil, hash: "none")

  /// The files read together, with everything that is wrong with them.
  ///
  /// `actions` are there for policies without a schema; what the schema or the entities say of them counts.
  func bundle(actions: [Entity], ids: PolicyBundle.Options.PolicyIDs) -> PolicyBundle {
    PolicyBundle(.init(policies: policies, schema: schema, entities: entities), options: .init(knownEntities: actions, ids: ids))
  }

  /// The policies made ready to decide, and those in the shadow if there are any; or every mistake in every file, drawn with its place.
  func authorization(
    onPolicyError: Authorization.OnPolicyError, mapping: Mapping, ids: PolicyBundle.Options.PolicyIDs, mayBeEmpty: Bool = false
  ) throws(ConfigurationError) -> (inForce: Authorization, shadow: Authorization?, bundle: PolicyBundle) {
    guard !policies.isEmpty || mayBeEmpty else {
      throw ConfigurationError(["there is no policy file (*.cedar), so every request would be refused"])
    }
    let bundle = bundle(actions: mapping.actionEntities, ids: ids)
    guard bundle.isSound else {
      throw ConfigurationError(bundle.problems.filter { $0.diagnostic.severity == .error }.map(\.rendered))
    }
    let stepUps = try stepUps(of: bundle)
    func authorization(_ policies: PolicySet, forbids: Set<PolicyID>, isShadow: Bool) -> Authorization {
      let authorizer = Authorizer(policies: policies, entities: bundle.entities, words: RequestWords.words(mapping))
      return Authorization(
        policySet: hash, onPolicyError: onPolicyError, authorizer: authorizer, forbids: forbids, notes: PolicyNotes(policies),
        entities: bundle.entities,
        stepUps: stepUps,
        schema: bundle.schema, words: RequestWords(mapping, in: authorizer), isShadow: isShadow)
    }
    let set = bundle.policiesInForce
    let inForce = authorization(set, forbids: Self.forbids(of: set), isShadow: false)
    // Policies in the shadow are a set of their own, so that without any of them a request costs nothing more.
    guard !bundle.shadowed.isEmpty else { return (inForce, nil, bundle) }
    return (inForce, authorization(bundle.policiesInShadow, forbids: Self.forbids(of: bundle.policies), isShadow: true), bundle)
  }

  // What would lift a forbid, by its annotations.
  private func stepUps(of bundle: PolicyBundle) throws(ConfigurationError) -> [PolicyID: StepUp] {
    let set = bundle.policies
    var stepUps: [PolicyID: StepUp] = [:]
    var problems: [String] = []
    for statement in set.policies + set.templates {
      do throws(StepUpAnnotations.Mistake) { stepUps[statement.id] = try StepUpAnnotations.read(statement) } catch {
        problems.append(error.rendered(in: bundle.source(of: statement.id)))
      }
    }
    guard problems.isEmpty else { throw ConfigurationError(problems) }
    for link in set.links { stepUps[link.id] = stepUps[link.template] }
    return stepUps
  }

  private static func forbids(of set: PolicySet) -> Set<PolicyID> {
    Set(set.policies.filter { $0.effect == .forbid }.map(\.id) + set.links.filter { set.statement($0.id)?.effect != .permit }.map(\.id))
  }
}
