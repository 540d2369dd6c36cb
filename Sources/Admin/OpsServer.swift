internal import HTTP
public import JSON
public import Net
public import Telemetry

/// The operations listener: `/livez`, `/readyz` and `/metrics`, for orchestrators and scrapers, and the public keys of our
/// assertions, for the service behind. It carries no data of requests.
public final class OpsServer {
  /// One thing that must be well for the process to be ready.
  public struct Check: Sendable {
    /// What: `listener`, `keys:main`.
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

  /// Listens. `checks` and `enforcement` are asked at every `/readyz`, `assertionKeys` at every `/assertion/jwks.json`; `/livez` is
  /// answered when `whenAlive` calls back, and not while it does not.
  public init(
    _ loop: EventLoop, at place: ListenPlace, metrics: Metrics,
    assertionKeys: @escaping () -> (document: JSONValue, cacheSeconds: Int64)? = { nil },
    whenAlive: @escaping (@escaping () -> Void) -> Void, checks: @escaping () -> [Check], enforcement: @escaping () -> Enforcement
  ) throws(NetError) {
    server = try HTTPServer(loop, at: place) { request, answer in
      guard request.head.method == .get || request.head.method == .head else {
        var fields = FieldBlock()
        fields.append("Allow", "GET, HEAD")
        return answer.send(
          HTTPServer.Response(.methodNotAllowed, "text/plain; charset=utf-8", "Only GET and HEAD are served here.\n", fields: fields))
      }
      switch request.head.rawPath {
      case "/livez": whenAlive { answer.send(HTTPServer.Response(.ok, "text/plain; charset=utf-8", "ok\n")) }
      case "/readyz": answer.send(Self.readiness(checks(), enforcement()))
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
        answer.send(HTTPServer.Response(.notFound, "text/plain; charset=utf-8", "Here are /livez, /readyz and /metrics.\n"))
      }
    }
  }

  /// Where it listens, the real port included.
  public var address: SocketAddress { server.address }

  /// Stops listening.
  public func close() { server.close() }

  static func readiness(_ checks: [Check], _ enforcement: Enforcement) -> HTTPServer.Response {
    let isReady = checks.allSatisfy { $0.problem == nil }
    var writer = JSONWriter()
    writer.beginObject()
    writer.name("ready")
    writer.bool(isReady)
    writer.name("checks")
    writer.beginObject()
    for check in checks {
      writer.name(check.name)
      writer.string(check.problem ?? "ok")
    }
    writer.endObject()
    writer.name("mode")
    writer.string(enforcement.mode)
    writer.name("observed_routes")
    writer.integer(enforcement.observedRoutes)
    writer.name("shadow_policies")
    writer.integer(enforcement.shadowPolicies)
    writer.endObject()
    writer.endLine()
    return HTTPServer.Response(isReady ? .ok : .serviceUnavailable, "application/json", writer.text)
  }
}
