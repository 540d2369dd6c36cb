internal import HTTP
public import JSON
public import Net
public import Telemetry

/// The operations listener: `/livez`, `/readyz`, `/startupz` and `/metrics`, for orchestrators and scrapers, and the public keys of our
/// assertions, for the service behind. It carries no data of requests.
public final class OpsServer {
  /// What an orchestrator asks.
  public enum Probe: String, Sendable, CaseIterable {
    /// Does it still work, or is it better started anew?
    case alive
    /// Shall it get requests now?
    case ready
    /// Has it begun to take requests, ever?
    case started

    /// Where it is asked.
    var path: String {
      switch self {
      case .alive: "/livez"
      case .ready: "/readyz"
      case .started: "/startupz"
      }
    }
  }

  /// Finds out what an answer depends on, and calls back.
  public typealias Checks = (Probe, @escaping ([Check]) -> Void) -> Void

  /// One thing that must be well.
  public struct Check: Sendable {
    /// What: `listener`, `keys:main`, `worker:0`.
    public let name: String
    /// What is wrong with it; nil if nothing is.
    public let problem: String?

    /// A check's outcome.
    public init(name: String, problem: String?) {
      self.name = name
      self.problem = problem
    }
  }

  /// What is decided and not enforced. Numbers and no names: whoever can reach the listener need not learn where nothing is enforced.
  public struct Enforcement: Sendable {
    /// `enforce` or `observe`.
    public let mode: String
    /// How many single routes are observed.
    public let observedRoutes: Int
    /// How many policies are in the shadow.
    public let shadowPolicies: Int

    /// What is and is not enforced.
    public init(mode: String, observedRoutes: Int, shadowPolicies: Int) {
      self.mode = mode
      self.observedRoutes = observedRoutes
      self.shadowPolicies = shadowPolicies
    }
  }

  private let server: HTTPServer

  /// Listens. `checks` is asked at every probe, `enforcement` at every `/readyz`, `assertionKeys` at every `/assertion/jwks.json`.
  public init(
    _ loop: EventLoop, at place: ListenPlace, metrics: Metrics,
    assertionKeys: @escaping () -> (document: JSONValue, cacheSeconds: Int64)? = { nil },
    checks: @escaping Checks, enforcement: @escaping () -> Enforcement
  ) throws(NetError) {
    server = try HTTPServer(loop, at: place) { request, answer in
      guard request.head.method == .get || request.head.method == .head else {
        var fields = FieldBlock()
        fields.append("Allow", "GET, HEAD")
        return answer.send(
          HTTPServer.Response(.methodNotAllowed, "text/plain; charset=utf-8", "Only GET and HEAD are served here.\n", fields: fields))
      }
      if let probe = Probe.allCases.first(where: { $0.path == request.head.rawPath }) {
        return checks(probe) { answer.send(Self.answer(to: probe, $0, probe == .ready ? enforcement() : nil)) }
      }
      switch request.head.rawPath {
      case "/metrics":
        let format = MetricsFormat(accepting: request.head.fields.value(of: .accept))
        answer.send(HTTPServer.Response(.ok, format.contentType, metrics.text(as: format)))
      case "/assertion/jwks.json":
        guard let keys = assertionKeys() else { fallthrough }
        var fields = FieldBlock()
        // As long as a key is shown before it signs (`AssertionKeys`).
        fields.append("Cache-Control", "public, max-age=\(keys.cacheSeconds)")
        answer.send(HTTPServer.Response(.ok, "application/jwk-set+json", keys.document.text, fields: fields))
      default:
        answer.send(HTTPServer.Response(.notFound, "text/plain; charset=utf-8", "Here are /livez, /readyz, /startupz and /metrics.\n"))
      }
    }
  }

  /// Where it listens, the real port included.
  public var address: SocketAddress { server.address }

  /// Stops listening.
  public func close() { server.close() }

  static func answer(to probe: Probe, _ checks: [Check], _ enforcement: Enforcement?) -> HTTPServer.Response {
    let isWell = checks.allSatisfy { $0.problem == nil }
    var writer = JSONWriter()
    writer.beginObject()
    writer.name(probe.rawValue)
    writer.bool(isWell)
    writer.name("checks")
    writer.beginObject()
    for check in checks {
      writer.name(check.name)
      writer.string(check.problem ?? "ok")
    }
    writer.endObject()
    if let enforcement {
      writer.name("mode")
      writer.string(enforcement.mode)
      writer.name("observed_routes")
      writer.integer(enforcement.observedRoutes)
      writer.name("shadow_policies")
      writer.integer(enforcement.shadowPolicies)
    }
    writer.endObject()
    writer.endLine()
    return HTTPServer.Response(isWell ? .ok : .serviceUnavailable, "application/json", writer.text)
  }
}
