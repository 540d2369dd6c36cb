internal import HTTP
internal import JSON
public import Net
public import Telemetry

/// The operations listener: `/livez`, `/readyz` and `/metrics`, for orchestrators and scrapers. It carries no data of requests.
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

  private let server: HTTPServer

  /// Listens. `checks` is asked at every `/readyz`; `/livez` is answered when `whenAlive` calls back, and not while it does not.
  public init(
    _ loop: EventLoop, at place: ListenPlace, metrics: Metrics, whenAlive: @escaping (@escaping () -> Void) -> Void,
    checks: @escaping () -> [Check]
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
      case "/readyz": answer.send(Self.readiness(checks()))
      case "/metrics":
        let format = MetricsFormat(accepting: request.head.fields.value(of: .accept))
        answer.send(HTTPServer.Response(.ok, format.contentType, metrics.text(as: format)))
      default:
        answer.send(HTTPServer.Response(.notFound, "text/plain; charset=utf-8", "Here are /livez, /readyz and /metrics.\n"))
      }
    }
  }

  /// Where it listens, the real port included.
  public var address: SocketAddress { server.address }

  /// Stops listening.
  public func close() { server.close() }

  static func readiness(_ checks: [Check]) -> HTTPServer.Response {
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
    writer.endObject()
    writer.endLine()
    return HTTPServer.Response(isReady ? .ok : .serviceUnavailable, "application/json", writer.text)
  }
}
