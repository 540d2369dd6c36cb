public import Bytes
public import CedarSchema
public import JOSE
public import Telemetry

/// What an operator says: where to listen, what to protect, whom to trust, which policies.
///
/// Plain values as given; `SnapshotBuilder` and the servers check them and say what is wrong.
public struct Configuration: Sendable {
  /// Where requests arrive: `address:port`, or `unix:PATH`.
  public var listen = Defaults.listen
  /// Where `/livez`, `/readyz`, `/startupz` and `/metrics` are served.
  public var opsListen = Defaults.opsListen
  /// The service behind.
  public var upstream: String
  /// The services behind single routes; a route's `upstream` counts from 1 here.
  public var routeUpstreams: [String] = []
  /// Scheme and authority of every place that entities are looked up at.
  public var entitySources: [String] { routes?.routes.compactMap { $0.entities?.base } ?? [] }
  /// How long things may take with the service behind.
  public var upstreamLimits = UpstreamLimits()
  /// Who may issue tokens.
  public var issuers: [IssuerConfiguration] = []
  /// Whether decisions are enforced.
  public var mode = Snapshot.Mode.enforce
  /// Which streams end when their request would be refused by now.
  public var closeStreams = StreamRule.upgrades
  /// What the failure of a policy means.
  public var onPolicyError = Authorization.OnPolicyError.deny
  /// What policies are called.
  public var policyIDs = PolicyBundle.Options.PolicyIDs.annotation
  /// The realm that challenges name.
  public var realm = Defaults.realm
  /// How long `/readyz` already fails while requests are still accepted, in milliseconds.
  public var drainDelayMillis = Defaults.drainDelayMillis
  /// How long requests in flight may take to finish after that, in milliseconds.
  public var drainTimeoutMillis = Defaults.drainTimeoutMillis
  /// How many worker threads; 0 means as many as there are processors.
  public var workers = 0
  /// Whether development issuers are accepted, whose keys live in memory and whose passwords everyone knows.
  public var isDevelopment = false
  /// The routes; nil for none, where the method is the action and the path the resource.
  public var routes: RouteTable?
  /// What becomes of a request that no route matches.
  public var unrouted = Unrouted.deny
  /// The Cedar namespace of actions and of types without one; empty for none.
  public var namespace = ""
  /// Who decides where no route says otherwise.
  public var engine = Engine.local
  /// Which engine is asked in the background about what another has decided; nil for none.
  public var compare: Engine?
  /// The engines elsewhere.
  public var engines: [RemoteEngine] = []
  /// Whether some request is, or may be, decided by policies in files.
  public var needsPolicies: Bool {
    let choices = [engine] + [compare].compactMap { $0 } + (routes?.routes ?? []).compactMap(\.engine)
    return choices.contains(.local) || engines.contains { $0.fallsBack }
  }
  /// Fields of the request that policies see.
  public var contextHeaders: [String] = []
  /// Parameters of the query that policies see.
  public var contextQuery: [String] = []
  /// Whose word is taken for where a request came from.
  public var trustedProxies = TrustedProxies.none
  /// Whether every connection begins with a PROXY protocol header.
  public var expectsProxyHeader = false
  /// How the service behind is told who asks.
  public var identityHeaders = IdentityHeaders()
  /// Origins whose scripts may read our own 401 and 403.
  public var errorOrigins: [String] = []
  /// What proofs of possession must be like.
  public var proofs = ProofRules()
  /// What the service behind is told under our signature; nil for nothing.
  public var assertion: AssertionSettings?
  /// The file of revoked tokens; empty if none is given.
  public var revocations = ""
  /// What clients may learn about the service; nil for nothing.
  public var protectedResource: ProtectedResourceMetadata?
  /// The policy store that policies are taken from, in place of a folder.
  public var policySource: PolicySource?
  /// The folder of policies; empty if none is given.
  public var policies = ""
  /// Where decisions go: `stdout`, `none`, or a file.
  public var log = "stdout"
  /// How they are written: `json`, `text` or `auto`.
  public var logFormat = "auto"
  /// What happens to a request when the log has no room.
  public var logOnFull = DecisionLog.FullPolicy.drop
  /// How many lines may wait to be written.
  public var logQueue = 8192
  /// What of decisions is written.
  public var logShape = DecisionShape()
  /// Where spans are sent, and of which requests; nil if traces are off.
  public var traces: TraceSettings?
  /// Whether records hold what the policies saw, so that `why` and `replay` can ask again.
  public var recordsInput = false
  /// Every setting with its origin, if the configuration was read and not made by a program.
  public var settings: Setting?
  /// The file it was read from.
  public var source: SourceText?
  /// What is odd and stops nothing.
  public var warnings: [String] = []

  /// A configuration for one service.
  public init(upstream: String) { self.upstream = upstream }

  /// What becomes of a request that no route matches.
  public enum Unrouted: String, Sendable, CaseIterable {
    /// It is refused: `no_route`.
    case deny
    /// It is mapped by its method and path, as without routes.
    case path
  }

  /// The setting at a path, or else the nearest that it would stand in: where a message points.
  func setting(_ path: String...) -> Setting? {
    guard var here = settings else { return nil }
    for name in path {
      guard let next = here[name] else { break }
      here = next
    }
    return here
  }
}

/// Bounds of the service behind.
public struct UpstreamLimits: Sendable, Equatable {
  /// How long connecting may take, in milliseconds.
  public var connectTimeoutMillis = Defaults.connectTimeoutMillis
  /// How long it may take to begin its response, in milliseconds.
  public var responseTimeoutMillis = Defaults.responseTimeoutMillis
  /// How long a body may pause, in milliseconds.
  public var bodyTimeoutMillis = Defaults.bodyIdleTimeoutMillis
  /// How long an idle connection is kept, in milliseconds.
  public var idleMillis = Defaults.upstreamIdleMillis
  /// How many connections a worker opens at most.
  public var connections = Defaults.upstreamConnections

  /// The defaults.
  public init() {}
}

/// One issuer, as an operator names it.
public struct IssuerConfiguration: Sendable {
  /// Its name in the log and in metrics.
  public var name: String
  /// Which issuer.
  public var kind: Kind
  /// The app clients whose tokens are accepted; empty accepts none but those with an accepted audience.
  public var clientIDs: [String] = []
  /// Audiences that access tokens may name.
  public var audiences: [String] = []
  /// What stands before `|` in ids; nil for the pool's id or the issuer without `https://`.
  public var idPrefix: String?
  /// Where the keys are, if not where the issuer says.
  public var jwksURL: String?
  /// The file that the keys are in, if they are not fetched.
  public var keyFile: SourceText?
  /// The load balancer that speaks for it; nil for an issuer whose tokens clients send.
  public var loadBalancer: LoadBalancerSettings?
  /// How it is asked about tokens; nil if it is not.
  public var introspection: IntrospectionSettings?
  /// How fresh the keys are kept.
  public var keyFreshness = KeyFreshness()
  /// Whether keys may be fetched over plain HTTP from elsewhere than this machine.
  public var allowsInsecureKeys = false
  /// Whether it is a development issuer.
  public var isDevelopment = false
  /// Which of its tokens are accepted.
  public var tokenUses: Set<TokenUse> = [.id, .access]
  /// The accepted algorithms; nil for the usual ones.
  public var algorithms: Set<JWSAlgorithm>?
  /// Allowance for clocks that differ, in seconds.
  public var clockSkewSeconds = Defaults.clockSkewSeconds
  /// The longest time from `iat` to `exp`, in seconds.
  public var maximumLifetimeSeconds = Defaults.maximumLifetimeSeconds
  /// Whether a token without a scheme is accepted; nil for the usual: yes for a Cognito pool, else no.
  public var acceptsBareToken: Bool?
  /// The namespace of its principals and groups; nil for the configuration's.
  public var namespace: String?
  /// The types of its principals and groups, without namespace where one of those applies.
  public var principalType = "User"
  /// See `principalType`.
  public var groupType = "UserGroup"
  /// The claim that names the principal.
  public var idClaim = "sub"
  /// The claim that lists the groups; nil for the usual.
  public var groupClaim: String?
  /// The claim that lists the scopes; nil for the usual.
  public var scopeClaim: String?
  /// More attributes of the principal: name, claim, and what the claim's text is read as (nil as it is).
  public var attributes: [(name: String, claim: String, type: TypedText?)] = []

  /// Which issuer.
  public enum Kind: Sendable, Equatable {
    /// An Amazon Cognito user pool by its id, such as `us-east-1_AbC123`; `issuer` is the exact `iss` of a pool that is
    /// not AWS's own (a development issuer), else nil.
    case cognito(poolID: String, issuer: String? = nil)
    /// Any OpenID Connect issuer by its exact `iss`.
    case oidc(issuer: String)

    /// Whether it can only be a development issuer: the demo's pool, or one that speaks plain HTTP, which OpenID Connect
    /// forbids (Discovery 1.0 §3: the scheme is https).
    public var isDevelopment: Bool {
      switch self {
      case .cognito(let id, let issuer): exactlyEquals(id, Self.demoPoolID) || issuer?.hasPrefix("http://") == true
      case .oidc(let issuer): issuer.hasPrefix("http://")
      }
    }

    /// What its tokens say in `iss`; of a pool of AWS's the form that is the default there.
    var identifier: String {
      switch self {
      case .cognito(let id, let issuer): issuer ?? CognitoUserPool(id: id)?.originalIssuer ?? id
      case .oidc(let issuer): issuer
      }
    }

    /// The pool that `stockade demo` plays.
    public static let demoPoolID = "us-east-1_Demo00000"
  }

  /// An issuer.
  public init(name: String, kind: Kind) {
    self.name = name
    self.kind = kind
  }
}

/// What the service behind is told under our signature.
public struct AssertionSettings: Sendable, Equatable {
  /// `aud`.
  public var audience: String
  /// `iss`.
  public var issuer = "stockade"
  /// How long a key signs, in seconds.
  public var rotationSeconds: Int64 = 86_400
  /// How long a new key is shown before it signs, in seconds.
  public var announcementSeconds: Int64 = 300

  /// Settings for a service.
  public init(audience: String) { self.audience = audience }
}

/// How fresh an issuer's keys are kept.
public struct KeyFreshness: Sendable, Equatable {
  /// How old they may become before they are fetched anew, in seconds; a shorter `max-age` of theirs counts.
  public var refreshSeconds = Defaults.keysRefreshSeconds
  /// How much longer the last good ones serve while fetching fails, in seconds.
  public var maximumStaleSeconds = Defaults.keysMaximumStaleSeconds
  /// The shortest time between two fetches that unknown names of keys cause, in milliseconds.
  public var minimumIntervalMillis = Defaults.keysMinimumIntervalMillis

  /// The defaults.
  public init() {}

  /// How long keys are taken for fresh that the issuer says may be kept so long, in seconds; nil where it says nothing.
  public func life(said: Int64?) -> Int64 {
    min(max(said ?? refreshSeconds, Defaults.keysShortestLifeSeconds), refreshSeconds)
  }
}

/// Every number that has a default, with its unit and reason.
public enum Defaults {
  /// Loopback: reachable from outside only when somebody says so.
  public static let listen = "127.0.0.1:8080"
  /// Loopback; may be bound wider, it carries no data.
  public static let opsListen = "127.0.0.1:9902"
  /// What challenges call the protected space.
  public static let realm = "stockade"
  /// No delay: right for one instance on a host; a load balancer that polls `/readyz` wants some seconds.
  public static let drainDelayMillis: UInt64 = 0
  /// Long enough for nearly every request, shorter than the usual 30 s before SIGKILL.
  public static let drainTimeoutMillis: UInt64 = 25_000
  /// What a request may wait for an engine elsewhere, all tries together; a decision in the same region takes some 10 ms.
  public static let remoteTimeoutMillis: UInt64 = 1000
  /// One try: two of them fit.
  public static let remoteAttemptMillis: UInt64 = 400
  /// A part of it: a host in the region answers within a few milliseconds.
  public static let remoteConnectMillis: UInt64 = 300
  /// As AWS's own clients.
  public static let remoteAttempts = 3
  /// A store takes 200 questions a second; more at a time than this only wait there.
  public static let remoteConcurrency = 64
  /// Those that wait longer than their timeout are refused anyway.
  public static let remoteQueue = 1024
  /// How much longer than the engine's own time a request waits, so that the engine says what became of it.
  public static let remoteGraceMillis: UInt64 = 1000
  /// Answers that a worker remembers; the oldest go first.
  public static let remoteAnswers = 10_000
  /// A head that takes longer is an attack or a broken client.
  public static let headTimeoutMillis: UInt64 = 10_000
  /// How long an idle client connection is kept.
  public static let idleTimeoutMillis: UInt64 = 75_000
  /// How long connecting to the upstream may take.
  public static let connectTimeoutMillis: UInt64 = 2_000
  /// How long the upstream may take to begin its response.
  public static let responseTimeoutMillis: UInt64 = 60_000
  /// How long a tunnel of another protocol may be silent on both sides.
  public static let tunnelIdleMillis: UInt64 = 600_000
  /// How long a body may pause, either way.
  public static let bodyIdleTimeoutMillis: UInt64 = 60_000
  /// How long an idle upstream connection is kept: shorter than common servers' own limits (nginx 75 s, node 5 s).
  public static let upstreamIdleMillis: UInt64 = 4_000
  /// How many upstream connections a worker keeps open at most.
  public static let upstreamConnections = 1024
  /// How many client connections a worker serves at most.
  public static let clientConnections = 10_000
  /// How long a request may wait for keys: for its turn, and then for the fetch.
  public static let keysWaitMillis: UInt64 = 10_000
  /// How many requests of a worker may wait for one issuer's keys.
  public static let waitingRequests = clientConnections / 4
  /// How old a proof of possession may be, in seconds.
  public static let proofAgeSeconds: Int64 = 60
  /// The largest body that is read before the decision, in bytes: a form, not a file.
  public static let bodyFieldsBytes: UInt64 = 64 << 10
  /// How long such a body may take to arrive.
  public static let bodyFieldsMillis: UInt64 = 30_000
  /// How many bytes of such bodies a worker holds at most.
  public static let heldBodyBytes = 64 << 20
  /// How long a request waits for entities.
  public static let entitiesTimeoutMillis: UInt64 = 500
  /// How long an answer of a source of entities serves.
  public static let entitiesCacheMillis: UInt64 = 10_000
  /// How long "there is none", and a failure, serve at most: what is made or mended is seen soon.
  public static let entitiesAbsentMillis: UInt64 = 1_000
  /// The largest answer in bytes.
  public static let entitiesBytes: Int64 = 64 << 10
  /// How many lookups are on their way at once, and how many more may wait for their turn.
  public static let entityCalls = 64
  /// See `entityCalls`.
  public static let entityCallsWaiting = 1024
  /// How many answers are kept, by the process and by each worker, and how many bytes of them.
  public static let entityAnswers = 4096
  /// See `entityAnswers`.
  public static let entityAnswerBytes = 16 << 20
  /// How long an idle connection is kept while the process leaves: a request that is on its way still gets its answer.
  public static let drainIdleMillis: UInt64 = 500
  /// How much a client may still send after a refusal, in bytes, before its connection is cut; and for how long.
  public static let discardBytes = 1 << 20
  /// See `discardBytes`.
  public static let discardMillis: UInt64 = 2_000
  /// Allowance for clocks that differ, in seconds.
  public static let clockSkewSeconds: Int64 = 60
  /// The longest lifetime of a token, in seconds: no Cognito token lives longer than a day.
  public static let maximumLifetimeSeconds: Int64 = 86_400
  /// How often keys are fetched anew, in seconds.
  public static let keysRefreshSeconds: Int64 = 3_600
  /// The shortest life of keys that is believed, in seconds: whatever an issuer says, it is not asked all the time.
  public static let keysShortestLifeSeconds: Int64 = 60
  /// Not more often than this an unknown `kid` causes a fetch, in milliseconds.
  public static let keysMinimumIntervalMillis: UInt64 = 5_000
  /// How long the last good keys serve while fetching fails, in seconds, counted from when they were due.
  public static let keysMaximumStaleSeconds: Int64 = 86_400
}
