internal import Bytes
public import HTTP
internal import JOSE
internal import JSON
public import Telemetry

/// What we answer ourselves: the refusals, and the faults of the upstream. A small problem document (RFC 9457) that names
/// the decision and nothing else, with `message` beside it, which AWS's clients read.
public struct Answer: Sendable {
  /// The status.
  public let status: Status
  /// Field lines beyond those of every answer.
  public let fields: [(name: String, value: String)]
  /// The body's media type.
  public let contentType: String
  /// Whether and how long it may be kept, RFC 9111 §5.2.2.
  public let cacheControl: String
  /// The body.
  public let body: [UInt8]

  /// The answer to a refused request; `cors` are fields that let a script of another origin read it, `manner` is what the policy that
  /// refused it has to say; `explanation` is for whoever has a debug ticket.
  public init(
    _ rejection: Rejection, id: DecisionID, challenge: Challenge, cors: [(name: String, value: String)] = [],
    manner: PolicyNotes.Manner? = nil, explanation: String? = nil
  ) {
    status = manner?.status ?? rejection.status
    var fields: [(name: String, value: String)] = []
    if status == .unauthorized || rejection.row.bearerError != nil {
      fields.append(("WWW-Authenticate", challenge.value(for: rejection)))
    }
    if let nonce = challenge.nonce { fields.append(("DPoP-Nonce", nonce)) }
    if status == .methodNotAllowed { fields.append(("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")) }
    if let seconds = rejection.retryAfter { fields.append(("Retry-After", String(seconds))) }
    self.fields = fields + cors
    contentType = Self.problemType
    cacheControl = "no-store"
    body = Self.problem(status, text: manner?.message ?? rejection.publicText, id: id, explanation: explanation)
  }

  /// The answer to an allowed request whose upstream failed.
  ///
  /// - Parameter retryAfter: seconds after which trying again makes sense, where the status is 503.
  public init(_ fault: UpstreamFault, id: DecisionID, retryAfter: UInt64 = 1) {
    status = fault.status
    fields = fault.status == .serviceUnavailable ? [("Retry-After", String(retryAfter))] : []
    contentType = Self.problemType
    cacheControl = "no-store"
    body = Self.problem(status, text: fault.publicText, id: id)
  }

  /// A document of ours, for everyone: scripts of every origin may read it.
  init(document: JSONValue) {
    status = .ok
    fields = [("Access-Control-Allow-Origin", "*")]
    contentType = "application/json"
    cacheControl = "public, max-age=300"
    body = Array(document.text.utf8)
  }

  /// The answer to a preflight for such a document.
  init(preflightFor _: JSONValue) {
    status = .noContent
    fields = [
      ("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Methods", "GET, HEAD"), ("Access-Control-Allow-Headers", "*"),
    ]
    contentType = "application/json"
    cacheControl = "no-store"
    body = []
  }

  private static let problemType = "application/problem+json"

  private static func problem(_ status: Status, text: String, id: DecisionID, explanation: String? = nil) -> [UInt8] {
    var writer = JSONWriter(reserving: 256)
    writer.beginObject()
    writer.name("type")
    writer.string("about:blank")
    writer.name("title")
    writer.string(status.reason)
    writer.name("status")
    writer.integer(status.code)
    writer.name("detail")
    writer.string(text)
    writer.name("decision_id")
    writer.string(id.description)
    writer.name("message")
    writer.string(text)
    if let explanation {
      writer.name("explanation")
      writer.beginArray()
      for line in explanation.split(separator: "\n", omittingEmptySubsequences: false) { writer.string(String(line)) }
      writer.endArray()
    }
    writer.endObject()
    writer.endLine()
    return writer.bytes
  }
}
