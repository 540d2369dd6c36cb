internal import Cedar
public import CedarSchema
internal import HTTP
internal import JOSE

/// Everything that decides requests, as of one load: built whole, replaced whole, never changed.
public final class Snapshot: Sendable {
  /// Counted up by every load; in every decision record.
  public let generation: UInt64
  /// Whether decisions are enforced.
  public let mode: Mode
  /// Which streams end when their request would be refused by now, where no route says otherwise.
  let closeStreams: StreamRule
  /// Who may issue tokens.
  public let issuers: IssuerTable
  /// How requests become questions.
  public let mapping: Mapping
  /// What the policies say.
  public let authorization: Authorization
  /// Who decides where no route says otherwise.
  let engine: Engine
  /// Which engine is asked in the background about what another has decided; nil for none.
  let compare: Engine?
  /// The engines elsewhere.
  public let engines: [RemoteEngine]
  /// What the policies in the shadow say, for the record alone; nil if there are none.
  public let shadow: Authorization?
  /// The realm that challenges name, RFC 9110 §11.5.
  public let realm: String
  /// How the service behind is told who asks.
  public let identityHeaders: IdentityHeaders
  /// The types of principals and of groups: tokens alone say who is one.
  let identityTypes: [EntityType]
  /// Whose word is taken for where a request came from.
  public let trustedProxies: TrustedProxies
  /// What proofs of possession must be like.
  let proofs: ProofRules
  /// What the service behind is told under our signature; nil for nothing.
  public let assertion: AssertionSettings?
  /// What clients may learn about the service.
  let protectedResource: ProtectedResourceMetadata?
  /// Origins whose scripts may read our own 401 and 403.
  let errorOrigins: [String]
  /// Who may be told all that led to a decision; nil for nobody.
  let debugTickets: DebugTickets?
  /// What explanations are made of; nil unless there are debug tickets.
  public let explainable: PolicyBundle?
  /// Whether records hold what the policies saw, so that others can be asked the same.
  let recordsInput: Bool

  /// Whether decisions are enforced.
  public enum Mode: String, Sendable, CaseIterable {
    /// Refusals refuse.
    case enforce
    /// Refusals are logged, and the request passes.
    case observe
  }

  init(
    _ configuration: Configuration, generation: UInt64, issuers: IssuerTable, mapping: Mapping, authorization: Authorization,
    shadow: Authorization?, bundle: PolicyBundle
  ) {
    self.generation = generation
    mode = configuration.mode
    closeStreams = configuration.closeStreams
    self.issuers = issuers
    self.mapping = mapping
    self.authorization = authorization
    engine = configuration.engine
    compare = configuration.compare
    engines = configuration.engines
    self.shadow = shadow
    realm = configuration.realm
    proofs = configuration.proofs
    assertion = configuration.assertion
    protectedResource = configuration.protectedResource
    identityTypes = issuers.issuers.flatMap { [$0.mapping.principalType, $0.mapping.groupType] }
    var headers = configuration.identityHeaders
    headers.evaluated = mapping.evaluatedFields
    headers.endsTLS = configuration.tls != nil
    identityHeaders = headers
    trustedProxies = configuration.trustedProxies
    errorOrigins = configuration.errorOrigins
    recordsInput = configuration.recordsInput
    debugTickets = configuration.debugTickets
    explainable = configuration.debugTickets == nil ? nil : bundle
  }
}

extension Snapshot {
  /// The routes whose decisions are not enforced though others are.
  public var observedRoutes: [Route] { mode == .observe ? [] : (mapping.routes?.routes ?? []).filter { $0.mode == .observe } }
}
