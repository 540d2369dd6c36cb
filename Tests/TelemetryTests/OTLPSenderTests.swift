import Bytes
import Foundation
import HTTP
import JSON
import Net
import Testing

@testable import Telemetry

/// A collector that answers as it is told, and a sender to it, on one loop.
private final class Collector {
  /// What a collector hears and says.
  final class Heard {
    var bodies: [JSONValue] = []
    var fields: [String] = []
    /// What the next requests are answered with; the last one stays.
    var answers: [HTTPServer.Response] = [.init(.ok, "application/json", "{}")]

    func answer(_ request: HTTPServer.Request) -> HTTPServer.Response {
      fields.append(
        "\(request.head.methodText) \(request.head.rawPath) \(request.head.fields.values(named: "content-type").joined()) "
          + request.head.fields.values(named: "x-key").joined())
      do { bodies.append(try JSONParser.parse(request.body)) } catch { Issue.record(error) }
      return answers.count > 1 ? answers.removeFirst() : answers[0]
    }
  }

  let loop: EventLoop
  let heard: Heard
  let sender: OTLPSender
  var bodies: [JSONValue] { heard.bodies }
  var fields: [String] { heard.fields }
  var answers: [HTTPServer.Response] {
    get { heard.answers }
    set { heard.answers = newValue }
  }

  init(_ signal: OTLPSignal = .logs, _ change: (inout OTLPSender.Settings) -> Void = { _ in }) throws {
    Signals.ignoreBrokenPipes()
    loop = try EventLoop()
    let heard = Heard()
    self.heard = heard
    let server = try HTTPServer(loop, at: .ip(.loopbackV4, port: 0)) { heard.answer($0) }
    let message = OTLPMessage(signal, resource: [("service.name", "orders")], version: "1")
    var settings = OTLPSender.Settings(try HTTPURL.parse("http://\(server.address)\(signal.path)"), message)
    settings.fields.append("X-Key", "secret")
    settings.paceMillis = 0
    change(&settings)
    let client = HTTPClient(loop, resolver: try Resolver(loop), tls: nil)
    sender = OTLPSender(loop, client: client, signal, settings, serverLog: ServerLog(level: .error, descriptor: -1))
  }

  deinit {
    sender.close()
    loop.releaseAll()
  }

  func turn(until condition: () -> Bool) throws -> Bool {
    let end = ContinuousClock.now + .seconds(20)
    while !condition() {
      guard ContinuousClock.now < end else { return false }
      try loop.turn(maxWaitMillis: 20)
    }
    return true
  }

  /// The numbers that arrived, a list a request.
  var numbers: [[Int64]] {
    bodies.map { body in
      let records = body["resourceLogs"]?[0]?["scopeLogs"]?[0]?["logRecords"]?.array ?? []
      return records.compactMap { $0["n"]?.integer }
    }
  }
}

extension JSONValue {
  fileprivate subscript(_ index: Int) -> JSONValue? { array.flatMap { $0.indices.contains(index) ? $0[index] : nil } }
}

private func lines(_ numbers: some Sequence<Int>) -> [UInt8] { numbers.flatMap { Array("{\"n\":\($0)}\n".utf8) } }

@Suite struct OTLPSenderTests {
  @Test func recordsTravelInOneMessageWithTheirResource() throws {
    let collector = try Collector()
    var fates: [OTLPSender.Fate] = []
    collector.sender.offer(lines(0..<3), count: 3) { fates.append($0) }
    #expect(fates.isEmpty, "called from within")
    #expect(try collector.turn { fates.count == 1 })
    #expect(collector.numbers == [[0, 1, 2]])
    #expect(collector.fields == ["POST /v1/logs application/json secret"])
    let resource = collector.bodies[0]["resourceLogs"]?[0]?["resource"]?["attributes"]?[0]
    #expect(resource?["key"]?.string == "service.name" && resource?["value"]?["stringValue"]?.string == "orders")
    #expect(collector.sender.counts.sent == 3 && collector.sender.counts.dropped == 0)
  }

  @Test func spansHaveAMessageOfTheirOwn() throws {
    let collector = try Collector(.traces)
    collector.sender.offer(lines([1]), count: 1)
    #expect(try collector.turn { collector.bodies.count == 1 })
    #expect(collector.bodies[0]["resourceSpans"]?[0]?["scopeSpans"]?[0]?["spans"]?[0]?["n"]?.integer == 1)
    #expect(collector.fields[0].hasPrefix("POST /v1/traces "))
  }

  @Test func whatComesWhileARequestIsOnItsWayTravelsTogetherAndInOrder() throws {
    let collector = try Collector()
    for number in 0..<100 { collector.sender.offer(lines([number]), count: 1) }
    #expect(try collector.turn { collector.sender.counts.sent == 100 })
    #expect(collector.numbers.flatMap { $0 } == Array(0..<100))
    #expect(collector.numbers.count == 2)
  }

  @Test func aRequestIsNotMuchLongerThanItMayBe() throws {
    let collector = try Collector { $0.requestBytes = 40 }
    for number in 0..<10 { collector.sender.offer(lines([number]), count: 1) }
    #expect(try collector.turn { collector.sender.counts.sent == 10 })
    #expect(collector.numbers.flatMap { $0 } == Array(0..<10))
    #expect(collector.numbers.allSatisfy { $0.count <= 5 })
  }

  @Test func aCollectorThatIsBusyIsAskedAgainAndNothingIsLostOrDoubled() throws {
    let collector = try Collector()
    collector.answers = [
      .init(.serviceUnavailable, "text/plain", "later\n"), .init(Status(rawValue: 429) ?? .ok, "text/plain", "slower\n"),
      .init(.ok, "application/json", "{}"),
    ]
    collector.sender.offer(lines([1, 2]), count: 2)
    #expect(try collector.turn { collector.sender.counts.sent == 2 })
    #expect(collector.numbers == [[1, 2], [1, 2], [1, 2]])
    #expect(collector.sender.counts.dropped == 0)
  }

  @Test func whatACollectorRefusesForGoodIsDroppedCountedAndNotTriedAgain() throws {
    let collector = try Collector()
    collector.answers = [.init(.badRequest, "text/plain", "no\n"), .init(.ok, "application/json", "{}")]
    var fates: [OTLPSender.Fate] = []
    collector.sender.offer(lines([1]), count: 1) { fates.append($0) }
    #expect(try collector.turn { fates.count == 1 })
    collector.sender.offer(lines([2]), count: 1) { fates.append($0) }
    #expect(try collector.turn { fates.count == 2 })
    #expect(fates == [.dropped, .sent])
    #expect(collector.numbers == [[1], [2]])
    #expect(collector.sender.counts.sent == 1 && collector.sender.counts.dropped == 1)
  }

  @Test(arguments: [
    #"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}"#, #"{"partialSuccess":{"rejectedLogRecords":2}}"#,
  ])
  func recordsThatACollectorDidNotWantAreCounted(_ answer: String) throws {
    let collector = try Collector()
    collector.answers = [.init(.ok, "application/json", answer)]
    collector.sender.offer(lines([1, 2, 3]), count: 3)
    #expect(try collector.turn { collector.sender.counts.sent == 1 })
    #expect(collector.sender.counts.dropped == 2)
  }

  @Test(arguments: ["", "{", "[]", "{}", #"{"partialSuccess":{}}"#, #"{"partialSuccess":{"rejectedLogRecords":"-1"}}"#])
  func aStrangeAnswerOfSuccessIsSuccess(_ answer: String) { #expect(OTLPSender.rejected(Array(answer.utf8)) == 0) }

  @Test func moreThanMayWaitIsDroppedAndTold() throws {
    let collector = try Collector { $0.capacity = 3 }
    var fates: [OTLPSender.Fate] = []
    collector.sender.offer(lines([0]), count: 1)
    // The first is on its way and waits no more.
    for number in 1...5 { collector.sender.offer(lines([number]), count: 1) { fates.append($0) } }
    #expect(try collector.turn { fates.count == 5 })
    #expect(fates.filter { $0 == .dropped }.count == 2)
    #expect(collector.numbers.flatMap { $0 } == [0, 1, 2, 3])
  }

  @Test func aSenderGivesUpAfterItsTime() throws {
    let collector = try Collector { $0.giveUpMillis = 0 }
    collector.answers = [.init(.serviceUnavailable, "text/plain", "later\n")]
    var fates: [OTLPSender.Fate] = []
    collector.sender.offer(lines([1]), count: 1) { fates.append($0) }
    #expect(try collector.turn { fates.count == 1 })
    #expect(fates == [.dropped])
  }

  @Test func requestsThatAreNotFullKeepAPaceAndADrainDoesNotWaitForIt() throws {
    let collector = try Collector { $0.paceMillis = 3_600_000 }
    collector.sender.offer(lines([1]), count: 1)
    #expect(try collector.turn { collector.sender.counts.sent == 1 })
    collector.sender.offer(lines([2]), count: 1)
    collector.sender.offer(lines([3]), count: 1)
    try collector.loop.turn(maxWaitMillis: 20)
    #expect(collector.bodies.count == 1)
    var isDrained = false
    collector.sender.drain { isDrained = true }
    #expect(try collector.turn { isDrained })
    #expect(collector.numbers == [[1], [2, 3]])
  }

  @Test func whatWaitsWhenASenderClosesIsDropped() throws {
    let collector = try Collector { $0.paceMillis = 3_600_000 }
    var fates: [OTLPSender.Fate] = []
    for number in 0..<3 { collector.sender.offer(lines([number]), count: 1) { fates.append($0) } }
    collector.sender.close()
    #expect(try collector.turn { fates.count == 3 })
    #expect(fates == [.dropped, .dropped, .dropped])
    #expect(collector.sender.counts.dropped == 3)
  }
}
