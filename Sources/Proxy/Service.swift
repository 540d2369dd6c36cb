internal import AWSClient
internal import HTTP
internal import JOSE
internal import Net
internal import Pipeline

/// What one load of the configuration asks of a worker; safe to hand to its thread.
struct ServicePlan: Sendable {
  var snapshot: Snapshot
  /// The tokens that are revoked.
  var revocations: RevocationList
  /// The services behind.
  var upstreams: [UpstreamPlan]
  /// How TLS is spoken with each of them; nil where no address of it is https.
  var upstreamTLS: [TLSContext?]
  /// How clients speak TLS, and what it was made of; nil for plain HTTP.
  var tls: (settings: TLSSettings, context: TLSContext)?
  /// What clients may use of one worker.
  var limits: ClientLimits
  /// The engines elsewhere.
  var engines: [EnginePlan] = []
  /// From where the credentials come that sign requests of routes.
  var signings: [SigningPlan] = []
  /// Whether connections begin with a PROXY protocol header.
  var expectsProxyHeader = false
}

/// What a worker serves by, as of one load: the snapshot, and the connections to the services behind it.
///
/// An exchange keeps the one it began with, so that it is decided and forwarded by one load and never by halves of two.
final class Service {
  let plan: ServicePlan
  let headLimits: HeadLimits
  let chunkLimits: ChunkedDecoder.Limits
  let forwardedHeads: [ForwardedHead]
  let upstreams: [UpstreamGroup]
  let engines: [VerifiedPermissionsClient]

  var snapshot: Snapshot { plan.snapshot }
  var limits: ClientLimits { plan.limits }

  /// The service of a plan; connections of the one before go on if they lead to the same places.
  init(_ plan: ServicePlan, after before: Service?, resolver: Resolver, loop: EventLoop) throws(NetError) {
    self.plan = plan
    headLimits = plan.snapshot.mapping.headLimits
    chunkLimits = ChunkedDecoder.Limits(headLimits)
    var engines: [VerifiedPermissionsClient] = []
    for engine in plan.engines {
      if let before, let known = before.plan.engines.firstIndex(where: { $0.reaches(engine) }) {
        engines.append(before.engines[known])
      } else {
        engines.append(VerifiedPermissionsClient(engine, resolver: resolver, loop: loop))
      }
    }
    self.engines = engines
    forwardedHeads = plan.upstreams.map { ForwardedHead(upstreamAuthority: $0.authority) }
    upstreams = zip(plan.upstreams, plan.upstreamTLS).map { upstream, tls in
      before?.upstreams.first { $0.plan == upstream } ?? UpstreamGroup(upstream, tls: tls, resolver: resolver, loop: loop)
    }
  }

  /// Closes what is idle, and keeps nothing any more: another service has taken over.
  func retire(for successor: Service) {
    for upstream in upstreams where !successor.upstreams.contains(where: { $0 === upstream }) { upstream.retire() }
    for engine in engines where !successor.engines.contains(where: { $0 === engine }) { engine.retire() }
  }
}

extension VerifiedPermissionsClient {
  /// A worker's client for an engine.
  convenience init(_ plan: EnginePlan, resolver: Resolver, loop: EventLoop) {
    let engine = plan.engine
    self.init(
      loop, resolver: resolver, tls: plan.tls, at: plan.url, region: plan.region,
      limits: .init(
        connectMillis: engine.connectMillis, attemptMillis: engine.attemptMillis, totalMillis: engine.timeoutMillis,
        attempts: engine.attempts, concurrency: engine.concurrency, queue: engine.queue, batches: engine.batches))
  }
}
