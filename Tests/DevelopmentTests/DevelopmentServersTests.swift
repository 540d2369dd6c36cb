import Development
import Foundation
import JOSE
import Net
import Testing

struct DevelopmentServersTests {
  /// What a stock client got: URLSession's successor on Linux needs a library of its own, so curl asks, on its own thread.
  private static func curl(_ arguments: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["curl", "-s", "-i", "--max-time", "10"] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: data, as: UTF8.self)
  }

  @Test("both servers answer on loopback ports of their own, and the issuer's addresses name the real port")
  func servers() async throws {
    Signals.ignoreBrokenPipes()
    let loop = try EventLoop()
    defer { loop.releaseAll() }
    let servers = try DevelopmentServers(loop)
    let issuer = servers.issuer
    #expect(issuer.url.hasPrefix("http://127.0.0.1:") && servers.serviceURL.hasPrefix("http://127.0.0.1:"))
    #expect(issuer.url != servers.serviceURL && !issuer.url.hasSuffix(":0"))

    let questions = [
      [issuer.jwksURL], [issuer.url + "/token?user=alice&use=id"], ["-X", "POST", issuer.url + "/rotate"],
      [servers.serviceURL + "/orders/42"],
      ["-X", "DELETE", servers.serviceURL + "/orders/7"], ["-I", servers.serviceURL + "/orders"],
      ["-d", "{}", servers.serviceURL + "/orders"],
    ]
    let asked = try Mailbox<[String]>()
    var answers: [String]?
    try asked.attach(to: loop) { answers = $0 }
    let thread = try startThread(name: "curl") { asked.post(questions.map { (try? Self.curl($0)) ?? "" }) }
    let end = LoopClock.monotonicNanos() + 60_000_000_000
    while answers == nil, LoopClock.monotonicNanos() < end { try loop.turn(maxWaitMillis: 50) }
    thread.join()
    let texts = try #require(answers)
    #expect(texts.map { $0.split(separator: " ").dropFirst().first } == ["200", "200", "200", "200", "204", "200", "201"])
    #expect(texts[0].contains("\r\nContent-Type: application/json\r\n") && texts[0].contains("\"stockade_development\":true"))
    #expect(texts[3].hasSuffix("{\"id\":\"42\",\"item\":\"lamp\",\"quantity\":1}\n"))
    #expect(texts[5].hasSuffix("\r\n\r\n"))
    #expect(texts[6].contains("\r\nLocation: /orders/100\r\n"))
    servers.close()
  }
}
