import HTTP
import Net
import Testing

@testable import Proxy

@Suite struct InquiriesTests {
  private final class Desk {
    let loop: EventLoop
    var asked: [String] = []
    var heard: [String] = []
    var held: [HTTPServer.Answer] = []
    var holds = false
    private var server: HTTPServer?
    var inquiries: Inquiries<String>?

    init(_ bounds: Inquiries<String>.Bounds) throws {
      Signals.ignoreBrokenPipes()
      loop = try EventLoop()
      let server = try HTTPServer(loop, at: .ip(.loopbackV4, port: 0)) { [unowned self] request, reply in
        asked.append(request.head.rawPath)
        if holds { held.append(reply) } else { reply.send(KeyBench.response([])) }
      }
      self.server = server
      let client = HTTPClient(loop, resolver: try Resolver(loop), tls: try TLSContext(clientTrusting: .system), rule: .noLinkLocal)
      inquiries = Inquiries(
        loop, client: client, bounds,
        request: { question throws(NetError) in
          guard !question.isEmpty else { throw .closed }
          return HTTPClient.Request(.get, try HTTPURL.parse("http://\(server.address)/\(question)"))
        },
        finished: { [unowned self] question, outcome, _ in
          switch outcome {
          case .response(let response): heard.append("\(question) \(response.status.code)")
          case .failed: heard.append("\(question) failed")
          case .crowded: heard.append("\(question) crowded")
          }
        })
    }

    deinit { loop.releaseAll() }

    func turn(_ what: String, until condition: () -> Bool) throws {
      let end = LoopClock.monotonicNanos() + 10_000_000_000
      while !condition() {
        guard LoopClock.monotonicNanos() < end else { throw KeyBench.Late(what: what) }
        try loop.turn(maxWaitMillis: 10)
      }
    }
  }

  @Test func aQuestionIsAskedOnceAtATime() throws {
    let desk = try Desk(.init(calls: 8, waiting: 8))
    for _ in 0..<100 { desk.inquiries?.ask("a") }
    try desk.turn("an answer") { !desk.heard.isEmpty }
    #expect(desk.asked == ["/a"] && desk.heard == ["a 200"])
    desk.inquiries?.ask("a")
    try desk.turn("another") { desk.heard.count == 2 }
    #expect(desk.asked == ["/a", "/a"])
  }

  @Test func onlySoManyAreAskedAndOnlySoManyWait() throws {
    let desk = try Desk(.init(calls: 2, waiting: 3))
    desk.holds = true
    for index in 0..<10 { desk.inquiries?.ask("\(index)") }
    #expect(desk.heard == (5..<10).map { "\($0) crowded" }, "told at once")
    try desk.turn("two questions") { desk.held.count == 2 }
    #expect(Set(desk.asked) == ["/0", "/1"])
    desk.holds = false
    for reply in desk.held { reply.send(KeyBench.response([])) }
    try desk.turn("all answers") { desk.heard.count == 10 }
    #expect(desk.asked.count == 5)
  }

  @Test func oneBeginsAnIntervalAfterTheOther() throws {
    let desk = try Desk(.init(calls: 1, waiting: 8, intervalMillis: 100))
    try desk.loop.turn(maxWaitMillis: 0)
    let began = LoopClock.monotonicNanos()
    for index in 0..<4 { desk.inquiries?.ask("\(index)") }
    try desk.turn("all answers") { desk.heard.count == 4 }
    #expect(LoopClock.monotonicNanos() - began >= 290_000_000, "three intervals")
    #expect(desk.asked == ["/0", "/1", "/2", "/3"])
  }

  @Test func whatCannotBeAskedIsAFailureAndHoldsUpNone() throws {
    let desk = try Desk(.init(calls: 1, waiting: 8))
    desk.inquiries?.ask("")
    desk.inquiries?.ask("b")
    try desk.turn("both") { desk.heard.count == 2 }
    #expect(desk.heard == [" failed", "b 200"])
  }

  @Test func whatIsClosedTellsNothing() throws {
    let desk = try Desk(.init(calls: 1, waiting: 8))
    desk.holds = true
    desk.inquiries?.ask("a")
    desk.inquiries?.ask("b")
    try desk.turn("a question") { desk.held.count == 1 }
    desk.inquiries?.close()
    desk.held.first?.send(KeyBench.response([]))
    let end = LoopClock.monotonicNanos() + 100_000_000
    try desk.turn("a while") { LoopClock.monotonicNanos() > end }
    #expect(desk.heard.isEmpty && desk.asked == ["/a"])
  }
}
