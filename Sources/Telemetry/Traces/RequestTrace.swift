public import HTTP

/// The trace that a request belongs to, and the spans in it that are ours.
public struct RequestTrace: Sendable {
  /// The trace, and the span that stands for the request here.
  public let context: TraceParent
  /// The span of the caller; 0 if nobody called, or what it said was not valid.
  public let parent: UInt64
  /// What the service behind is told: the span of our call to it.
  public let upstream: TraceParent
  /// Whether the caller's `tracestate` goes on to the service.
  public let keepsState: Bool
  /// That, for the spans; nil where there is none or nothing is recorded.
  let state: String?
}

/// What a request's spans say that its record does not.
public struct SpanFacts: Sendable {
  /// When the head was complete, in monotonic nanoseconds.
  public var began: UInt64 = 0
  /// When it was known who asks; 0 if nobody was.
  public var authenticated: UInt64 = 0
  /// When it was decided; 0 if it was refused before.
  public var decided: UInt64 = 0
  /// When the response's head was there.
  public var ended: UInt64 = 0
  /// Whether the service behind was asked.
  public var isForwarded = false
  /// The status of the service's response; nil without one.
  public var upstreamStatus: Int?
  /// The matched route's path.
  public var routePath: String?
  /// How the client reached us: `http` or `https`.
  public var scheme = "http"
  /// The service behind, as configured.
  public var upstream = ""

  /// Nothing known.
  public init() {}
}
