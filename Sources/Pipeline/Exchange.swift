internal import AWS
public import Cedar
public import HTTP
internal import JOSE
public import Telemetry

/// One request and its response (RFC 9110 §3.4), from the parsed head to the decision record.
///
/// A connection keeps one and uses it for every request, so that the head's memory is reused. It belongs to no socket:
/// whoever holds it says when to decide, and what became of it.
public struct Exchange: Sendable {
  /// The parsed head; what is evaluated is what is forwarded.
  public var head = RequestHead()
  /// The connection's other end.
  public let peer: Peer
  /// Where the request came from: that, or what a trusted proxy there says.
  public internal(set) var client: Client
  /// Seconds since 1970 when the head was complete. The page asks no other clock.
  public var time: Int64 = 0
  /// When the head was complete, in monotonic nanoseconds: tells what was fetched before from what was fetched after.
  public var arrival: UInt64 = 0
  /// The trace that it belongs to; nil where traces are off: then what the client says of one goes by unchanged.
  public var trace: RequestTrace?
  /// Whether it is recorded as part of a trace.
  public var isTraced: Bool { trace?.context.isSampled ?? false }
  /// What was in force when the request arrived; it stays in force for this request.
  public var snapshot: Snapshot
  // A proof of possession is used once, however often the page runs.
  var proofIsAdmitted = false
  /// The decision's name.
  public var id = DecisionID(milliseconds: 0, random: (0, 0))
  /// What was learned of this request since its head was read.
  var learned = Learned()
  /// Whether the client was told to go on with its body: then nobody else tells it.
  public private(set) var hasContinued = false
  /// What the page found on its way, for the record.
  public internal(set) var trail = Trail()

  /// An exchange for one connection.
  public init(peer: Peer, under snapshot: Snapshot) {
    self.peer = peer
    client = Client(peer: peer)
    self.snapshot = snapshot
  }

  /// Begins the next request of the connection, whose head was just parsed into `head`.
  public mutating func begin(id: DecisionID, at time: Int64, arrival: UInt64 = 0, under snapshot: Snapshot) {
    self.id = id
    self.time = time
    self.arrival = arrival
    proofIsAdmitted = false
    hasContinued = false
    beginAnew(under: snapshot)
  }

  /// Begins this request again, under another load: nothing that was learned under the one before counts. Its proof of possession
  /// was used all the same.
  public mutating func beginAnew(under snapshot: Snapshot) {
    self.snapshot = snapshot
    learned = Learned()
    client = Client(peer: peer)
    trail = Trail()
  }

  /// The bounds of the body that the page waits for.
  public var bodyWanted: BodyBounds? { route?.body?.bounds ?? route?.signing?.body }
  /// Notes that the client, which waited for it, was told to send the body (RFC 9110 §10.1.1).
  public mutating func continued() { hasContinued = true }
  /// The body that the page waits for has arrived, whole.
  public mutating func bodyArrived(_ bytes: UnsafeRawBufferPointer) {
    learned.body = route?.body?.read(bytes)
    if let signing = route?.signing, signing.settings.body == .hash { learned.signedBody = SignedBody(bytes) }
  }
  /// How the body is delimited on its way to the service: as it came, or by its length where it was read whole to be signed.
  public var forwardedFraming: BodyFraming {
    guard head.framing == .chunked, let body = learned.signedBody else { return head.framing }
    return .length(body.count)
  }
  /// The answer to the lookup that the page waits for has arrived.
  public mutating func entitiesArrived(_ answer: EntityAnswer) { learned.entities = answer }
  /// The answer of another engine that the page waits for has arrived.
  public mutating func decisionArrived(_ answer: RemoteAnswer) { learned.remote = answer }

  /// The matched route.
  public var route: Route? { trail.question?.route }
  /// The service that the request goes to, by its place: 0 the usual one, then those of the configuration's `upstreams`.
  public var upstream: Int { route?.upstream ?? 0 }
  /// The largest body that it may have, and what says so; nil for no bound.
  public var bodyLimit: (bytes: UInt64, setting: String)? { snapshot.mapping.bodyLimit(of: route) }

  /// The issuer whose keys the page waits for.
  public var issuerWaitedFor: String? { trail.token?.issuer }

  /// Notes a refusal that came before the page: the head could not be read, or came too late.
  public mutating func refused(_ rejection: Rejection) { trail.rejection = rejection }
}

/// Where a connection comes from.
public struct Peer: Sendable {
  /// The address as text without port, for the record and for X-Forwarded-For; nil for a unix socket.
  public let address: String?
  /// The address for policies; nil for a unix socket.
  public let ip: Cedar.IPAddress?
  /// The address to compare with networks; nil for a unix socket.
  let network: HTTP.IPAddress?
  /// Whether it speaks TLS with us.
  public var isSecure = false
  /// The certificate that it showed, verified; nil for none. What a proxy says of its own client has none.
  public var certificate: ClientCertificate?

  /// A peer by its address as text and in network byte order: 4 octets, 16, or none. An IPv4 address in IPv6 clothes
  /// (`::ffff:a.b.c.d`) is for policies the IPv4 address it stands for.
  public init(address: String?, octets: [UInt8]) {
    self.address = address
    let isMapped = octets.count == 16 && octets[..<10].allSatisfy { $0 == 0 } && octets[10] == 0xff && octets[11] == 0xff
    let plain = isMapped ? Array(octets[12...]) : octets
    switch plain.count {
    case 4:
      let number = UInt32(truncatingIfNeeded: Self.number(plain[...]))
      ip = Cedar.IPAddress(v4: number)
      network = HTTP.IPAddress(v4: number)
    case 16:
      let (high, low) = (Self.number(plain[..<8]), Self.number(plain[8...]))
      ip = Cedar.IPAddress(v6: high, low)
      network = HTTP.IPAddress(v6: high, low)
    default:
      ip = nil
      network = nil
    }
  }

  /// What one subscriber has of addresses: an IPv4 address, of IPv6 a network (RFC 6177); empty for a unix socket.
  public var place: [UInt8] {
    guard let octets = network?.unmapped.octets else { return [] }
    return octets.count == 4 ? octets : Array(octets.prefix(8))
  }

  /// A client that a proxy speaks of.
  public init(_ address: HTTP.IPAddress) { self.init(address: address.unmapped.description, octets: address.octets) }

  private static func number(_ octets: ArraySlice<UInt8>) -> UInt64 { octets.reduce(0) { $0 << 8 | UInt64($1) } }
}

/// What the page found, in the order it found it.
public struct Trail: Sendable {
  /// The question in the routes' words.
  public internal(set) var question: Question?
  /// What the token says about itself, before anyone believed it.
  var token: TokenTrace?
  /// Who asks.
  public internal(set) var identity: Identity?
  /// Cedar's answer.
  public internal(set) var response: Response?
  /// Another engine's answer.
  var answer: AuthorizationAnswer?
  /// Whose credentials have signed the request for the service behind.
  var signedWith: String?
  /// Whether another engine gave none, and the local one decided in its place.
  var hasFallenBack = false
  /// What would be decided with the policies in the shadow, where that differs.
  var shadow: ShadowDecision?
  /// What refused the request.
  public internal(set) var rejection: Rejection?
  /// The issuer whose key did not make the signature that names it, by its place: its keys may have changed.
  public internal(set) var issuerDoubted: Int?
  /// Whether the request was for a document of ours.
  var isOwn = false
  /// Whether the token was judged by keys that could not be renewed.
  var keysAreStale = false
  /// Nanoseconds that verifying the token took; 0 if it was not verified here and now.
  public internal(set) var verifyingNanos: UInt64 = 0
  /// When it was known who asks, by the facts' stopwatch; 0 if it is not, or the request is not traced.
  public internal(set) var authenticatedAt: UInt64 = 0
}

/// What an unverified token says about itself: for the record of a refusal, and for nothing else.
struct TokenTrace: Sendable {
  let issuer: String
  let algorithm: JWSAlgorithm?
  let kid: String?

  init(issuer: String, algorithm: JWSAlgorithm?, kid: String?) {
    self.issuer = issuer
    self.algorithm = algorithm
    self.kid = kid
  }

  init(_ identity: Identity) { self.init(issuer: identity.issuer, algorithm: identity.algorithm, kid: identity.kid) }

  init(_ token: LoadBalancerToken, from issuer: Issuer) { self.init(issuer: issuer.name, algorithm: .es256, kid: token.kid) }

  init(_ token: UnverifiedToken, from issuer: Issuer) { self.init(issuer: issuer.name, algorithm: token.algorithm, kid: token.kid) }
}
