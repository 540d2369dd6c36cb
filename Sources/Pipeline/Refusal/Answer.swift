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
  /// The body, `application/problem+json`.
  public let body: [UInt8]

  /// The answer to a refused request; `cors` are fields that let a script of another origin read it, `manner` is what the policy that
  /// refused it has to say.
  public init(
    _ rejection: Rejection, id: DecisionID, realm: String, cors: [(name: String, value: String)] = [], manner: PolicyNotes.Manner? = nil
  ) {
    status = manner?.status ?? rejection.status
    var fields: [(name: String, value: String)] = []
    if status == .unauthorized || rejection.row.bearerError != nil {
      fields.append(("WWW-Authenticate", Self.challenge(rejection, realm: realm)))
    }
    if status == .methodNotAllowed { fields.append(("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")) }
    if let seconds = rejection.retryAfter { fields.append(("Retry-After", String(seconds))) }
    self.fields = fields + cors
    body = Self.problem(status, text: manner?.message ?? rejection.publicText, id: id)
  }

  /// The answer to an allowed request whose upstream failed.
  public init(_ fault: UpstreamFault, id: DecisionID) {
    status = fault.status
    fields = fault == .busy ? [("Retry-After", "1")] : []
    body = Self.problem(status, text: fault.publicText, id: id)
  }

  private static func challenge(_ rejection: Rejection, realm: String) -> String {
    guard let error = rejection.row.bearerError else { return WWWAuthenticate(realm: realm).value }
    let description: String
    if case .token(let token) = rejection { description = token.errorDescription } else { description = rejection.publicText }
    var challenge = WWWAuthenticate(realm: realm, error: error, errorDescription: description)
    if case .insufficientScope(let needed) = rejection { challenge.scope = needed.joined(separator: " ") }
    return challenge.value
  }

  private static func problem(_ status: Status, text: String, id: DecisionID) -> [UInt8] {
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
    writer.endObject()
    writer.endLine()
    return writer.bytes
  }
}
