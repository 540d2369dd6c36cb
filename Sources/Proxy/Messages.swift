internal import AWSClient
internal import JOSE
internal import Net
internal import Pipeline
internal import Telemetry

/// What a worker is told.
enum WorkerMessage: Sendable {
  /// An issuer's keys, or that there are none.
  case keys(IssuerKeys, issuer: Int)
  /// A load balancer's key.
  case loadBalancerKey(LoadBalancerKeyQuestion, LoadBalancerKeyAnswer)
  /// What an issuer said about a token.
  case introspected(IntrospectionQuestion, IntrospectionAnswer)
  /// These tokens are revoked.
  case revoke(RevocationList)
  /// Sign assertions with these keys; nil for none.
  case sign(AssertionKeys?)
  /// What came of a lookup, and until when it serves, in the loops' milliseconds.
  case entities(EntityLookup, EntityAnswer, until: UInt64)
  /// What signs questions to an engine elsewhere.
  case credentials(CredentialKeeper.State, engine: Int, generation: UInt64)
  /// What signs requests of a route for the service behind, or why nothing does.
  case signing(SigningQuestion, SigningAnswer)
  /// Serve by another load, with these keys of its issuers, and these credentials for its engines.
  case adopt(ServicePlan, [IssuerKeys], [CredentialKeeper.State])
  /// What a health check says of an address of a service.
  case health(upstream: Int, address: Int, isDown: Bool, generation: UInt64)
  /// Say that the loop turns.
  case answer
  /// Accept no more, and let what is in flight finish.
  case drain
  /// The time for finishing is over.
  case cutOff
  /// Leave the loop.
  case stop
}

/// What the control loop is told by workers.
enum ControlMessage: Sendable {
  /// A request waits for an issuer's keys.
  case wantKeys(issuer: Int)
  /// A request waits for a load balancer's key.
  case wantLoadBalancerKey(LoadBalancerKeyQuestion)
  /// A request waits for what an issuer says about its token.
  case wantIntrospection(IntrospectionQuestion)
  /// A request of a worker waits for entities.
  case wantEntities(EntityLookup, worker: Int)
  /// A request of a worker waits for what signs it.
  case wantCredentials(SigningQuestion, worker: Int)
  /// A worker listens.
  case listening(worker: Int, SocketAddress)
  /// A worker could not start.
  case startFailed(worker: Int, String)
  /// A worker serves by a load.
  case adopted(worker: Int, generation: UInt64)
  /// A worker could not, and goes on as before.
  case adoptionFailed(worker: Int, String)
  /// A worker's loop turns.
  case answered(worker: Int)
  /// A worker has no connection left.
  case drained(worker: Int)
  /// Two engines differ on a decision.
  case differs(decision: String, decider: String, own: Comparison.Verdict, other: Comparison.Verdict, Comparison.Difference)
  /// Something that an operator wants to know.
  case failed(Event, String)

  /// What failed.
  enum Event: Sendable {
    case acceptFailed
    case upstreamUnreachable
    case upstreamEjected
    case circuitOpened
    case limitReached
    case descriptorsFew
    case proxyHeaderRefused
    case engineFailed
    case otherProtocol
    case handshakeFailed
  }
}

/// What a worker needs to start, all of it safe to hand to its thread.
struct WorkerSetup: Sendable {
  var index: Int
  var listen: ListenPlace
  /// Whether other workers listen there as well.
  var sharesPlace: Bool
  /// Whether other processes may do so.
  var sharesPort: Bool
  /// How names are looked up.
  var lookup: Resolver.Lookup
  var resolverLimits: Resolver.Limits
  /// The services behind: the usual one, then those of single routes.
  var plan: ServicePlan
  var log: DecisionLog
  var metrics: Metrics
  /// Traces; nil where they are off.
  var tracing: Tracing?
  var control: Mailbox<ControlMessage>
  var mailbox: Mailbox<WorkerMessage>
  var cacheKey: (UInt64, UInt64)
  /// The keys for assertions; nil for none.
  var assertionKeys: AssertionKeys?
  /// What is remembered of proofs of possession, for all workers.
  var nonces: DPoPNonce
  var usedProofs: Locked<DPoPReplayGuard>
  var instance: String
  var clockOffsetMillis: Int64
}
