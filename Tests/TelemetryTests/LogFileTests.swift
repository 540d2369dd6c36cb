import Foundation
import JSON
import Testing

@testable import Telemetry

private func bytes(_ path: String) -> [UInt8] { Array(FileManager.default.contents(atPath: path) ?? Data()) }
private func text(_ path: String) -> String { String(decoding: bytes(path), as: UTF8.self) }
private func lines(_ numbers: ClosedRange<Int>) -> [UInt8] { numbers.flatMap { Array("line \($0)\n".utf8) } }

private func write(_ sink: inout LogSink, _ bytes: [UInt8]) -> SystemCallError? { sink.write(bytes, from: 0, to: bytes.count)?.error }

@Suite struct LogFileTests {
  @Test(arguments: [7, 8, 20, 64, 1000])
  func aFileIsBegunAnewBetweenLinesAndNoneIsLostSplitOrOutOfOrder(_ largest: Int) throws {
    let folder = try TemporaryFolder()
    let path = folder.file("log")
    var sink = try LogSink(opening: .file(path: path, rotation: LogRotation(maximumBytes: largest, keep: 1000)))
    for start in stride(from: 1, to: 200, by: 10) { #expect(write(&sink, lines(start...(start + 9))) == nil) }
    sink.close()
    let old = (1...1000).prefix { FileManager.default.fileExists(atPath: "\(path).\($0)") }.reversed().map { "\(path).\($0)" }
    #expect(!old.isEmpty)
    let files = old + [path]
    #expect(files.flatMap(bytes) == lines(1...200))
    for file in files {
      #expect(bytes(file).count <= largest || bytes(file).filter { $0 == 0x0a }.count == 1, "only a line that is longer alone is alone")
      #expect(bytes(file).last == 0x0a)
    }
  }

  @Test func asManyOldFilesAsWantedAreKept() throws {
    for keep in [0, 1, 3] {
      let folder = try TemporaryFolder()
      let path = folder.file("log")
      var sink = try LogSink(opening: .file(path: path, rotation: LogRotation(maximumBytes: 8, keep: keep)))
      for number in 1...9 { #expect(write(&sink, lines(number...number)) == nil) }
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["log"] + (1...3).prefix(keep).map { "log.\($0)" })
      #expect(text(path) == "line 9\n")
      if keep > 0 { #expect(text(path + ".1") == "line 8\n") }
    }
  }

  @Test func whatIsThereAlreadyCounts() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("log")
    try Data("old old old\n".utf8).write(to: URL(fileURLWithPath: path))
    var sink = try LogSink(opening: .file(path: path, rotation: LogRotation(maximumBytes: 16, keep: 2)))
    #expect(write(&sink, lines(1...1)) == nil)
    #expect(text(path) == "line 1\n" && text(path + ".1") == "old old old\n")
  }

  @Test func aFileThatCannotBeBegunAnewGrowsOnAndThatIsTold() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("log")
    // Where the next file would be is a folder, which nobody may open for writing, not even root.
    try FileManager.default.createDirectory(atPath: path + ".next", withIntermediateDirectories: false)
    var sink = try LogSink(opening: .file(path: path, rotation: LogRotation(maximumBytes: 8, keep: 2)))
    #expect(write(&sink, lines(1...5)) == nil)
    #expect(bytes(path) == lines(1...5))
    #expect(sink.takeRotationFailure()?.code == EISDIR)
    #expect(sink.takeRotationFailure() == nil)
    // Opened anew, it may be tried again.
    try FileManager.default.removeItem(atPath: path + ".next")
    try sink.reopen()
    #expect(write(&sink, lines(6...6)) == nil)
    #expect(text(path) == "line 6\n" && bytes(path + ".1") == lines(1...5))
  }

  @Test func anOldFileThatCannotBeMovedLeavesAllAsItWas() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("log")
    try FileManager.default.createDirectory(atPath: path + ".1/full", withIntermediateDirectories: true)
    var sink = try LogSink(opening: .file(path: path, rotation: LogRotation(maximumBytes: 8, keep: 1)))
    #expect(write(&sink, lines(1...5)) == nil)
    #expect(bytes(path) == lines(1...5))
    #expect(sink.takeRotationFailure() != nil)
    #expect(!FileManager.default.fileExists(atPath: path + ".next"))
  }

  @Test func aWholeLogGoesThroughRotationsWithoutALoss() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("log")
    let rotation = LogRotation(maximumBytes: 50_000, keep: 1000)
    let log = try DecisionLog(
      .init(destination: .file(path: path, rotation: rotation), onFull: .block), serverLog: ServerLog(level: .error, descriptor: -1))
    let port = log.port()
    for number: UInt64 in 0..<2000 {
      var record = sampleRecord()
      record.generation = number
      port.write(record, in: port.reserve())
      if number % 37 == 0 { port.flush() }
      // Somebody else moves files as well.
      if number % 500 == 499 { log.reopen() }
    }
    port.flush()
    #expect(log.drain(timeoutMillis: 10_000))
    let old = (1...1000).prefix { FileManager.default.fileExists(atPath: "\(path).\($0)") }.reversed().map { "\(path).\($0)" }
    #expect(old.count > 10)
    let numbers = try (old + [path]).flatMap {
      try text($0).split(separator: "\n").map { try JSONParser.parse(String($0))["generation"]?.integer }
    }
    #expect(numbers == (0..<2000).map(Int64.init))
  }
}

@Suite struct LogSinksTests {
  @Test func everySinkHasEveryLineInItsOwnFormatAndOneThatIsFullHoldsUpNoOther() throws {
    let folder = try TemporaryFolder()
    let pipe = TestPipe()
    let log = try DecisionLog(
      [
        .init(destination: .file(path: folder.file("native")), onFull: .block),
        .init(destination: .descriptor(pipe.writer), format: .emf, capacityLines: 50),
        .init(destination: .file(path: folder.file("ecs")), format: .ecs(version: "1"), onFull: .block),
      ], serverLog: ServerLog(level: .error, descriptor: -1))
    let port = log.port()
    for _ in 0..<2000 {
      port.write(sampleRecord(), in: port.reserve())
      port.flush()
    }
    #expect(eventually { log.sinks[0].queue.queuedLines == 0 && log.sinks[2].queue.queuedLines == 0 })
    #expect(text(folder.file("native")).split(separator: "\n").count == 2000)
    #expect(text(folder.file("ecs")).split(separator: "\n").allSatisfy { $0.hasPrefix("{\"@timestamp\":") })
    #expect(log.sinks[1].queue.droppedLines > 0 && log.droppedLines == log.sinks[1].queue.droppedLines)
    pipe.discardUntil { log.drain(timeoutMillis: 0) || log.queuedLines == 0 }
  }

  @Test func withDenyOnOneSinkNothingIsReservedInTheOthersEither() throws {
    let folder = try TemporaryFolder()
    let pipe = TestPipe()
    let log = try DecisionLog(
      [
        .init(destination: .file(path: folder.file("a")), onFull: .deny, capacityLines: 100),
        .init(destination: .descriptor(pipe.writer), onFull: .deny, capacityLines: 2),
      ], serverLog: ServerLog(level: .error, descriptor: -1))
    let port = log.port()
    let slots = try (0..<2).map { _ in try #require(port.reserve()) }
    for _ in 0..<200 { #expect(port.reserve() == nil) }
    #expect(log.sinks[0].queue.queuedLines == 2)
    for slot in slots { port.release(slot) }
    #expect(log.queuedLines == 0 && port.reserve() != nil)
    _ = log.drain(timeoutMillis: 1000)
  }

  @Test(arguments: ["\n", "\u{2028}", "\"}", "\\", "\u{1b}[31m", String(repeating: "é", count: 3000)])
  func noClientCanEndOrBreakALineInAnyFormat(_ evil: String) throws {
    var record = sampleRecord()
    record.http = .init(method: evil, host: evil, path: evil, version: evil, userAgent: evil)
    (record.principal, record.action, record.resource, record.route, record.detail) = (evil, evil, evil, evil, evil)
    (record.policies, record.redacted, record.upstreamError) = ([evil, evil], [evil], evil)
    record.would = .init(decision: .deny, reason: .policyForbid, policies: [evil], errors: 0)
    record.difference = .init(by: .decision, engine: evil, decision: .allow)
    record.token = .init(issuer: evil, use: evil, algorithm: evil, keyID: evil, clientID: evil, jtiHash: evil)
    record.decision = .error
    let message = OTLPMessage(.logs, resource: [("service.name", evil)], version: "1")
    for format: DecisionLog.Format in [.json, .ecs(version: "1"), .ocsf(version: "1"), .emf, .otlp(nil), .otlp(message)] {
      var rendering = DecisionRendering(format)
      var line = LineBuffer()
      line.write { rendering.append(record, to: &$0) }
      #expect(line.bytes.filter { $0 < 0x20 } == [0x0a] && line.bytes.last == 0x0a)
      _ = try JSONParser.parse(line.bytes.dropLast())
      line.removeAll()
      line.write { rendering.appendSummary(of: 7, at: 1_795_424_491_412, to: &$0) }
      _ = try JSONParser.parse(line.bytes.dropLast())
    }
  }

  @Test func aLineThatWasCutIsSentWholeToTheNextPeerOfASocket() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("s")
    var sink = try LogSink(opening: .socket(path: path))
    #expect(sink.waitsForPeer)
    // Nobody listens yet: nothing was sent, nothing is lost.
    #expect(sink.write(lines(1...3), from: 0, to: 21)?.reached == 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(listener) }
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
    #expect(bound == 0 && listen(listener, 4) == 0)
    #expect(sink.write(lines(1...3), from: 0, to: 21) == nil)
    let first = accept(listener, nil, nil)
    var buffer = [UInt8](repeating: 0, count: 4096)
    #expect(read(first, &buffer, buffer.count) == 21)
    close(first)
    let failure = sink.write(lines(4...6), from: 0, to: 21)
    #expect(failure?.reached == 0 && failure?.error.code == EPIPE)
    #expect(sink.write(lines(4...6), from: 0, to: 21) == nil)
    let second = accept(listener, nil, nil)
    #expect(read(second, &buffer, buffer.count) == 21)
    #expect(Array(buffer[..<21]) == lines(4...6))
    close(second)
    sink.close()
  }
}
