public import JSON

/// What is written about one decided request: schema version 1 of the decision log.
///
/// It never holds a token, an `Authorization` or `Cookie` value, or a query string; there is no field to put them in.
/// Strings that came from outside may be anything: the encoding escapes and shortens them.
public struct DecisionRecord: Sendable {
  /// The schema's version. It changes only when a field is removed or renamed.
  public static let version = 1

  /// Milliseconds since 1970 UTC when the request was decided.
  public var timeMillis: UInt64
  /// The decision's name, which the caller was told too.
  public var id: DecisionID
  /// What was decided.
  public var decision: Decision
  /// Whether the decision was acted upon; false in observe mode.
  public var enforced: Bool
  /// Why.
  public var reason: DecisionReason
  /// What exactly was seen, for the operator: expected and actual values. Never a credential.
  public var detail: String?
  /// The status sent to the client; 0 if the client went away before one was sent.
  public var status: Int = 0
  /// The policies that determined the decision: `@id`, else the policy's id.
  public var policies: [String] = []
  /// A name for the set of policies in force, such as `sha256:9f2c5a7be1d0`.
  public var policySet: String = ""
  /// The snapshot's generation, counted up by every reload.
  public var generation: UInt64 = 0
  /// How many policies failed to evaluate.
  public var errors: Int = 0
  /// What would be decided if the policies in the shadow were in force; nil where they change nothing, or there are none.
  public var would: Would?
  /// How another engine decided the same request, in a record of its own beside the decision's; nil in the decision's.
  public var difference: Difference?
  /// Cedar's principal as text, nil if nobody was identified.
  public var principal: String?
  /// Cedar's action as text.
  public var action: String?
  /// Cedar's resource as text.
  public var resource: String?
  /// The matched route as written in the configuration.
  public var route: String?
  /// What was asked.
  public var http = HTTPFacts()
  /// Who asked, by address.
  public var client = ClientFacts()
  /// What the accepted or refused token said about itself, nil if there was none to read.
  public var token: TokenFacts?
  /// Which engine answered.
  public var engine: String?
  /// Microseconds spent on deciding.
  public var authorizeMicros: Int?
  /// Microseconds that the request waited for entities; nil if none were looked up.
  public var lookupMicros: Int?
  /// Microseconds from the first byte of the request to the response's head.
  public var totalMicros: Int?
  /// Microseconds from the first byte forwarded to the upstream's response head.
  public var upstreamMicros: Int?
  /// What went wrong behind us: `connect`, `timeout`, `tls`, `reset`, `malformed`.
  public var upstreamError: String?
  /// W3C trace id, 32 hexadecimal digits.
  public var traceID: String?
  /// W3C span id, 16 hexadecimal digits.
  public var spanID: String?
  /// The host or pod that decided.
  public var instance: String = ""
  /// Whether a policy that determined the decision asks for it to be marked.
  public var isAudited = false
  /// Whether the caller was told all that led to the decision, for a debug ticket.
  public var wasExplained = false
  /// How many decisions the line stands for, where not all that allowed are written.
  public var weight = 1
  /// The decision that began the stream which this one ended; nil for a decision about a request that came.
  public var streamOf: DecisionID?
  /// JSON Pointers to what was left out of the line.
  public var redacted: [String] = []
  /// What the policies saw, as Cedar JSON; nil unless records are to be replayable.
  public var input: JSONValue?

  /// A record with what is always known; the rest has defaults and is filled in.
  public init(timeMillis: UInt64, id: DecisionID, decision: Decision, enforced: Bool, reason: DecisionReason) {
    self.timeMillis = timeMillis
    self.id = id
    self.decision = decision
    self.enforced = enforced
    self.reason = reason
  }

  /// A decision by the policies in force and those in the shadow together. It was not acted upon.
  public struct Would: Sendable {
    /// What would be decided.
    public var decision: Decision
    /// Why.
    public var reason: DecisionReason
    /// The policies that would determine it, in force or in the shadow.
    public var policies: [String]
    /// How many policies failed to evaluate, in force or in the shadow.
    public var errors: Int

    /// A decision.
    public init(decision: Decision, reason: DecisionReason, policies: [String], errors: Int) {
      self.decision = decision
      self.reason = reason
      self.policies = policies
      self.errors = errors
    }
  }

  /// How another engine, which was asked in the background, decided otherwise.
  public struct Difference: Sendable {
    /// What makes the difference.
    public enum Cause: String, Sendable, CaseIterable {
      /// Cedar's own answers differ.
      case decision
      /// Cedar's own answers are one, and `on_policy_error` alone makes the difference.
      case onPolicyError = "on_policy_error"
    }

    /// What makes it.
    public var by: Cause
    /// The other engine.
    public var engine: String
    /// What it would have decided.
    public var decision: Decision

    /// A difference.
    public init(by: Cause, engine: String, decision: Decision) {
      self.by = by
      self.engine = engine
      self.decision = decision
    }
  }

  /// What the request asked for.
  public struct HTTPFacts: Sendable {
    /// The method, nil if the request could not be read.
    public var method: String?
    /// The host asked for.
    public var host: String?
    /// The path as forwarded, without the query.
    public var path: String?
    /// `1.0`, `1.1` or `2`.
    public var version: String?
    /// The length of the request's body in bytes; nil if it is chunked or unknown.
    public var requestBytes: UInt64?
    /// The client's name for itself.
    public var userAgent: String?

    /// Nothing known yet.
    public init(
      method: String? = nil, host: String? = nil, path: String? = nil, version: String? = nil, requestBytes: UInt64? = nil,
      userAgent: String? = nil
    ) {
      self.method = method
      self.host = host
      self.path = path
      self.version = version
      self.requestBytes = requestBytes
      self.userAgent = userAgent
    }
  }

  /// Where the request came from.
  public struct ClientFacts: Sendable {
    /// The client's address without port.
    public var ip: String?
    /// Whether the address was told by a trusted proxy rather than seen on the connection.
    public var forwarded: Bool

    /// Nothing known yet.
    public init(ip: String? = nil, forwarded: Bool = false) {
      self.ip = ip
      self.forwarded = forwarded
    }
  }

  /// What a token said about itself. Of a token that did not verify, these are claims and not facts.
  public struct TokenFacts: Sendable {
    /// The configuration's name for the issuer; never the token's own `iss`.
    public var issuer: String?
    /// `access` or `id`.
    public var use: String?
    /// The JOSE algorithm.
    public var algorithm: String?
    /// The key's id.
    public var keyID: String?
    /// The client the token was issued to.
    public var clientID: String?
    /// Seconds until `exp`; negative once expired.
    public var expiresInSeconds: Int64?
    /// The first hexadecimal digits of the `jti`'s hash.
    public var jtiHash: String?
    /// Whether it was judged by keys that could not be renewed.
    public var keysAreStale = false

    /// A token's description.
    public init(
      issuer: String? = nil, use: String? = nil, algorithm: String? = nil, keyID: String? = nil, clientID: String? = nil,
      expiresInSeconds: Int64? = nil, jtiHash: String? = nil
    ) {
      self.issuer = issuer
      self.use = use
      self.algorithm = algorithm
      self.keyID = keyID
      self.clientID = clientID
      self.expiresInSeconds = expiresInSeconds
      self.jtiHash = jtiHash
    }
  }
}
