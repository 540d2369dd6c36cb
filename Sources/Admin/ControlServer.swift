internal import HTTP
internal import JSON
public import Net

/// The control socket: how commands of the same machine and user talk to the running process. A unix socket in the state
/// directory, so that who may use it is a matter of file permissions.
public final class ControlServer {
  /// What a reload came to: the generation now in force, or the report of what is wrong.
  public typealias ReloadOutcome = Result<UInt64, ReloadProblem>

  /// Why a reload changed nothing.
  public struct ReloadProblem: Error, Sendable {
    /// For a person, with places.
    public let report: String

    /// A report.
    public init(_ report: String) { self.report = report }
  }

  private let server: HTTPServer

  /// Listens at a path; `reload` is called for each `POST /reload` and calls back when it is done, `checks` is asked at every
  /// `GET /readyz`.
  public init(
    _ loop: EventLoop, at path: String, checks: @escaping OpsServer.Checks,
    enforcement: @escaping () -> OpsServer.Enforcement,
    reload: @escaping (@escaping (ReloadOutcome) -> Void) -> Void
  ) throws(NetError) {
    server = try HTTPServer(
      loop, at: .unix(path: path),
      respond: { request, answer in
        switch (request.head.method, request.head.rawPath) {
        case (.post, "/reload"): reload { outcome in answer.send(Self.response(outcome)) }
        case (.get, "/readyz"): checks(.ready) { answer.send(OpsServer.answer(to: .ready, $0, enforcement())) }
        default: answer.send(HTTPServer.Response(.notFound, "text/plain; charset=utf-8", "Here are POST /reload and GET /readyz.\n"))
        }
      })
  }

  /// Stops listening and removes the socket.
  public func close() { server.close() }

  private static func response(_ outcome: ReloadOutcome) -> HTTPServer.Response {
    switch outcome {
    case .success(let generation):
      return HTTPServer.Response(
        .ok, "application/json", JSONValue.object(["generation": .integer(Int64(clamping: generation))]).text + "\n")
    case .failure(let problem):
      return HTTPServer.Response(.conflict, "application/json", JSONValue.object(["report": .string(problem.report)]).text + "\n")
    }
  }
}
