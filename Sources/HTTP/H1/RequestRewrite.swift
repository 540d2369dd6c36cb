/// How a request is written for the upstream: what is ours in it.
public struct RequestRewrite: Sendable {
  /// Names that are removed from what the client sent, whatever their spelling.
  public var owned: OwnedFields
  /// The `Host` to send; nil sends what the client sent.
  public var host: String?
  /// The framing to send; nil sends what the client sent.
  public var framing: BodyFraming?
  /// Whether the client's `Authorization` goes on to the upstream.
  public var keepsAuthorization = true
  /// Whether an upgrade that the client offered is offered to the upstream, RFC 9110 §7.8.
  public var offersUpgrade = false
  /// Whether the client's `Expect: 100-continue` goes on to the upstream; if not, whoever forwards answers it.
  public var keepsExpect = false

  /// Whether the client's `traceparent` is left out, because another is said in its place.
  public var replacesTraceParent = false
  /// Whether the client's `tracestate` is left out.
  public var dropsTraceState = false

  /// Whether the fields behind a body go on, and the client's word that it understands those of a response.
  public var forwardsTrailers = true

  /// A rewrite that keeps Host and Authorization.
  public init(owned: OwnedFields) { self.owned = owned }
}
