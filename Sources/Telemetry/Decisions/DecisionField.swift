/// One field of a decision line: the one table behind the published schema, and behind what `stockade logs` can name.
public struct DecisionField: Sendable {
  /// The object it stands in; empty for the line itself.
  let outer: StaticString
  /// Its name there.
  let key: StaticString
  /// One sentence for the documentation.
  public let meaning: StaticString
  let kind: Kind
  /// Whether it may be `null`: the fact was not to be had.
  let isNullable: Bool
  /// Whether it is left out where there is nothing to say.
  let isOptional: Bool

  /// What it holds.
  enum Kind: Sendable {
    case version
    case choice([String])
    case time
    case text(longest: Int)
    case count
    case integer
    case flag
    case texts
    case object
    case anything
  }

  /// Its name with the object it stands in: `http.method`.
  public var name: String { outer.utf8CodeUnitCount == 0 ? "\(key)" : "\(outer).\(key)" }

  private init(
    _ key: StaticString, in outer: StaticString = "", _ kind: Kind, nullable: Bool = false, optional: Bool = false, _ meaning: StaticString
  ) {
    self.outer = outer
    self.key = key
    self.meaning = meaning
    self.kind = kind
    isNullable = nullable
    isOptional = optional
  }

  /// Every field in the order of the line; what stands in an object follows it.
  static let all: [DecisionField] = [
    DecisionField("v", .version, "The version of the schema: it changes only when a field is removed or renamed."),
    DecisionField(
      "type", .choice(["decision", "difference"]),
      "What kind of line this is; difference: another engine decided otherwise, beside the decision's own line with the same id."),
    DecisionField("time", .time, "When the request was decided, UTC with milliseconds."),
    DecisionField("id", .text(longest: DecisionID.textLength), "The decision's name, a ULID; the caller was told it too."),
    DecisionField("decision", .choice(Decision.allCases.map(\.rawValue)), "What was decided; error: it could not be, which refuses."),
    DecisionField("enforced", .flag, "Whether the decision was acted upon; false in observe mode."),
    DecisionField("reason", .choice(DecisionReason.allCases.map(\.rawValue)), "Why."),
    DecisionField("status", .count, "The status sent to the client; 0 if it went away before one was sent, and in a difference."),
    DecisionField("detail", .text(longest: Limits.detail), optional: true, "What exactly was seen, for the operator."),
    DecisionField("policies", .texts, "The policies that determined the decision."),
    DecisionField("policies_more", .count, optional: true, "How many more policies than are listed determined it."),
    DecisionField("policy_set", .text(longest: Limits.name), "The hash of the policies in force."),
    DecisionField("generation", .count, "Counted up by every load of configuration and policies."),
    DecisionField("errors", .count, "How many policies failed to evaluate."),
    DecisionField(
      "would", .object, optional: true, "What would be decided if the policies in the shadow were in force, where they have a say."),
    DecisionField("decision", in: "would", .choice(Decision.allCases.map(\.rawValue)), "The decision; it was not acted upon."),
    DecisionField("reason", in: "would", .choice(DecisionReason.allCases.map(\.rawValue)), "Why."),
    DecisionField("policies", in: "would", .texts, "The policies that would determine it."),
    DecisionField("policies_more", in: "would", .count, optional: true, "How many more policies than are listed would determine it."),
    DecisionField("errors", in: "would", .count, "How many policies would fail to evaluate."),
    DecisionField("difference", .object, optional: true, "How another engine decided (compare)."),
    DecisionField(
      "by", in: "difference", .choice(DecisionRecord.Difference.Cause.allCases.map(\.rawValue)),
      "decision: Cedar's own answers differ; on_policy_error: that rule alone makes the difference."),
    DecisionField("engine", in: "difference", .text(longest: Limits.name), "The other engine."),
    DecisionField("decision", in: "difference", .choice(Decision.allCases.map(\.rawValue)), "What it would have decided."),
    DecisionField("principal", .text(longest: Limits.uid), nullable: true, "Cedar's principal; null if nobody was identified."),
    DecisionField("action", .text(longest: Limits.uid), nullable: true, "Cedar's action."),
    DecisionField("resource", .text(longest: Limits.uid), nullable: true, "Cedar's resource."),
    DecisionField("route", .text(longest: Limits.uid), nullable: true, "The matched route as configured."),
    DecisionField("http", .object, "What was asked."),
    DecisionField(
      "method", in: "http", .text(longest: Limits.method), nullable: true, "The method; null if the request could not be read."),
    DecisionField("host", in: "http", .text(longest: Limits.name), nullable: true, "The host asked for."),
    DecisionField("path", in: "http", .text(longest: Limits.path), nullable: true, "The path as sent, without the query."),
    DecisionField("version", in: "http", .text(longest: Limits.method), nullable: true, "1.0, 1.1 or 2."),
    DecisionField("request_bytes", in: "http", .count, nullable: true, "The length of the request's body; null if it was not announced."),
    DecisionField("user_agent", in: "http", .text(longest: Limits.name), nullable: true, "The client's name for itself."),
    DecisionField("client", .object, "Who asked, by address."),
    DecisionField("ip", in: "client", .text(longest: Limits.name), nullable: true, "The address; null on a unix socket."),
    DecisionField("forwarded", in: "client", .flag, "Whether a trusted proxy told the address."),
    DecisionField("token", .object, nullable: true, "What the token says about itself; never the token. null if there was none to read."),
    DecisionField("issuer", in: "token", .text(longest: Limits.name), nullable: true, "The configuration's name for the issuer."),
    DecisionField("use", in: "token", .text(longest: Limits.name), nullable: true, "access or id."),
    DecisionField("alg", in: "token", .text(longest: Limits.name), nullable: true, "The JOSE algorithm."),
    DecisionField("kid", in: "token", .text(longest: Limits.name), nullable: true, "The key's id."),
    DecisionField("client_id", in: "token", .text(longest: Limits.name), nullable: true, "The client the token was issued to."),
    DecisionField("expires_in_s", in: "token", .integer, nullable: true, "Seconds until exp; negative once expired."),
    DecisionField(
      "jti_hash", in: "token", .text(longest: Limits.name), optional: true, "The first hexadecimal digits of the SHA-256 of the jti."),
    DecisionField(
      "keys_stale", in: "token", .flag, optional: true, "true: it was judged by keys that could not be renewed when they were due."),
    DecisionField("engine", .text(longest: Limits.name), nullable: true, "Which engine answered; null if none was asked."),
    DecisionField("authz_us", .count, nullable: true, "Microseconds spent on deciding."),
    DecisionField("lookup_us", .count, optional: true, "Microseconds that the request waited for entities."),
    DecisionField("total_us", .count, nullable: true, "Microseconds from the request's first byte to the response's head."),
    DecisionField("upstream_us", .count, nullable: true, "Microseconds from the first byte forwarded to the service's response head."),
    DecisionField("upstream_error", .text(longest: Limits.name), optional: true, "What went wrong behind us."),
    DecisionField("trace_id", .text(longest: Limits.name), nullable: true, "W3C trace id, 32 hexadecimal digits."),
    DecisionField("span_id", .text(longest: Limits.name), nullable: true, "W3C span id, 16 hexadecimal digits."),
    DecisionField("instance", .text(longest: Limits.name), nullable: true, "The host or pod that decided."),
    DecisionField("audit", .flag, optional: true, "true: a policy that determined the decision is annotated @audit."),
    DecisionField("debug_ticket", .flag, optional: true, "true: the caller had a debug ticket and was told all that led to the decision."),
    DecisionField("weight", .count, optional: true, "How many decisions this one stands for, where not all that allowed are written."),
    DecisionField(
      "stream_of", .text(longest: DecisionID.textLength), optional: true,
      "The decision that began a stream, which this one asks about again: it ended the stream, unless it is not enforced."),
    DecisionField("redacted", .texts, optional: true, "JSON Pointers to what was left out of this line."),
    DecisionField(
      "input", .anything, optional: true, "What the policies saw, as Cedar JSON: entities and context (log.decisions.record: replayable)."),
  ]

  /// Fields of decision lines by number, leaving out objects: those that a line is searched and grouped by.
  static let leaves: [DecisionField] = all.filter {
    switch $0.kind {
    case .object: false
    default: true
    }
  }

  private typealias Limits = DecisionLine.Limits
}
