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
  /// Whether other processes may listen there, too.
  public var sharesPort = false
  /// How clients speak TLS; nil for plain HTTP.
  public var tls: TLSSettings?
  /// Where `/livez`, `/readyz`, `/startupz` and `/metrics` are served.
  public var opsListen = Defaults.opsListen
  /// The services behind: the usual one, then those of single routes. A route's `upstream` is a place in here.
  public var upstreams: [UpstreamSettings]
  /// The first address of the usual one; empty if none is given.
  public var upstream: String { upstreams.first?.addresses.first ?? "" }
  /// Scheme and authority of every place that entities are looked up at.
  public var entitySources: [String] { routes?.routes.compactMap { $0.entities?.base } ?? [] }
  /// What clients may use.
  public var limits = ClientLimits()
  /// The name server to ask in place of the system's, as `address:port`; nil for the system's.
  public var nameServer: String?
  /// How long an address is used whose name came from elsewhere than a name server, in milliseconds.
  public var dnsRefreshMillis = Defaults.dnsRefreshMillis
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
  /// How requests of routes are signed for services behind that are APIs of AWS.
  public var signings: [UpstreamSigning] = []
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
  /// Where decisions go; the first is the one that flags speak of.
  public var logSinks = [LogSinkSettings()]
  /// What of decisions is written.
  public var logShape = DecisionShape()
  /// Where spans are sent, and of which requests; nil if traces are off.
  public var traces: TraceSettings?
  /// Whether records hold what the policies saw, so that `why` and `replay` can ask again.
  public var recordsInput = false
  /// Who may be told all that led to a decision; nil for nobody.
  public var debugTickets: DebugTickets?
  /// Every setting with its origin, if the configuration was read and not made by a program.
  public var settings: Setting?
  /// The file it was read from.
  public var source: SourceText?
  /// What is odd and stops nothing.
  public var warnings: [String] = []

  /// A configuration for one service.
  public init(upstream: String) {
    upstreams = [UpstreamSettings(name: "upstream", addresses: upstream.isEmpty ? [] : [upstream])]
  }

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
