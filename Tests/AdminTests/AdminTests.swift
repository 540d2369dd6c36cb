import Foundation
import HTTP
import Net
import Telemetry
import Testing

@testable import Admin

/// The operations listener and the control socket, asked over real sockets on one loop.
@Suite struct AdminTests {
  private final class Desk {
    let loop: EventLoop
    let client: HTTPClient

    init() throws {
      Signals.ignoreBrokenPipes()
      loop = try EventLoop()
      client = HTTPClient(loop, resolver: try Resolver(loop), tls: nil)
    }

    deinit { loop.releaseAll() }

    func ask(_ method: HTTP.Method, _ place: String, _ target: String, _ answered: @escaping (Int, String) -> Void) throws {
      let url = try HTTPURL.parse(place)
      _ = client.send(HTTPClient.Request(method, url.with(target: target))) { result in
        guard case .success(let response) = result else { return answered(0, "\(result)") }
        answered(Int(response.status.code), String(decoding: response.body, as: UTF8.self))
      }
    }

    func turn(until condition: () -> Bool) throws -> Bool {
      let end = LoopClock.monotonicNanos() + 10_000_000_000
      while !condition() {
        guard LoopClock.monotonicNanos() < end else { return false }
        try loop.turn(maxWaitMillis: 20)
      }
      return true
    }
  }

  @Test func eachProbeHasItsChecksAndTheirReasons() throws {
    let desk = try Desk()
    var waiting: [([OpsServer.Check]) -> Void] = []
    let place = ListenPlace.address(.ip(.loopbackV4, port: 0))
    let ops = try OpsServer(
      desk.loop, at: place, metrics: Metrics(),
      checks: { probe, completion in
        switch probe {
        case .alive: waiting.append(completion)
        case .ready: completion([.init(name: "listener", problem: nil), .init(name: "keys:main", problem: "no \"answer\"")])
        case .started: completion([.init(name: "listener", problem: nil)])
        }
      },
      enforcement: { OpsServer.Enforcement(mode: "enforce", observedRoutes: 0, shadowPolicies: 0) })
    var answers: [String: String] = [:]
    for path in ["/livez", "/readyz", "/startupz"] {
      try desk.ask(.get, "http://\(ops.address)", path) { answers[path] = "\($0) \($1)" }
    }
    #expect(try desk.turn { answers.count == 2 && !waiting.isEmpty })
    #expect(
      answers["/readyz"]
        == "503 {\"ready\":false,\"checks\":{\"listener\":\"ok\",\"keys:main\":\"no \\\"answer\\\"\"},\"mode\":\"enforce\",\"observed_routes\":0,\"shadow_policies\":0}\n"
    )
    #expect(answers["/startupz"] == "200 {\"started\":true,\"checks\":{\"listener\":\"ok\"}}\n")
    #expect(answers["/livez"] == nil)
    waiting[0]([.init(name: "worker:0", problem: nil), .init(name: "worker:1", problem: "has not answered for 2 s")])
    #expect(try desk.turn { answers["/livez"] != nil })
    #expect(answers["/livez"] == "503 {\"alive\":false,\"checks\":{\"worker:0\":\"ok\",\"worker:1\":\"has not answered for 2 s\"}}\n")
    ops.close()
  }

  @Test func theControlSocketTellsReadinessAndReloads() throws {
    let desk = try Desk()
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("control-\(UUID().uuidString.prefix(8))").path
    let control = try ControlServer(
      desk.loop, at: path, checks: { $1([OpsServer.Check(name: "keys:main", problem: "no answer")]) },
      enforcement: { OpsServer.Enforcement(mode: "observe", observedRoutes: 1, shadowPolicies: 2) }, reload: { $0(.success(7)) })
    var answers: [String] = []
    for (method, target) in [(HTTP.Method.get, "/readyz"), (.post, "/reload"), (.get, "/reload")] {
      var isAnswered = false
      try desk.ask(method, "unix:\(path)", target) { status, body in
        answers.append("\(status) \(body)")
        isAnswered = true
      }
      #expect(try desk.turn { isAnswered })
    }
    #expect(
      answers == [
        "503 {\"ready\":false,\"checks\":{\"keys:main\":\"no answer\"},\"mode\":\"observe\",\"observed_routes\":1,\"shadow_policies\":2}\n",
        "200 {\"generation\":7}\n",
        "404 Here are POST /reload and GET /readyz.\n",
      ])
    control.close()
  }
}
