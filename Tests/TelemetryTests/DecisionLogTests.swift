import Foundation
import JSON
import TestSupport
import Testing

@testable import Telemetry

/// A folder that goes away with the test.
final class TemporaryFolder {
  let path: String
  init() throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("telemetry-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }
  deinit { unlinkAll(path) }
  func file(_ name: String) -> String { path + "/" + name }
}

private func unlinkAll(_ path: String) {
  do { try FileManager.default.removeItem(atPath: path) } catch { print("left behind: \(path): \(error)") }
}

/// Both ends of a pipe.
final class TestPipe {
  let reader: Int32
  let writer: Int32
  init() {
    var ends: [Int32] = [-1, -1]
    let result = pipe(&ends)
    precondition(result == 0)
    (reader, writer) = (ends[0], ends[1])
  }
  deinit {
    close(reader)
    close(writer)
  }

  /// Whether a writer of a whole line would have to wait.
  var isFull: Bool {
    var poll = pollfd(fd: writer, events: Int16(POLLOUT), revents: 0)
    return Foundation.poll(&poll, 1, 0) == 0
  }

  /// Reads and forgets until the condition holds.
  func discardUntil(_ condition: () -> Bool) {
    var buffer = [UInt8](repeating: 0, count: 65536)
    for _ in 0..<1000 where !condition() {
      var poll = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
      if Foundation.poll(&poll, 1, 10) > 0 { _ = read(reader, &buffer, buffer.count) }
    }
  }

  /// Reads until this many lines came, or nothing comes for ten seconds.
  func readLines(_ wanted: Int) -> [String] {
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    var lineCount = 0
    while lineCount < wanted {
      var poll = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
      guard Foundation.poll(&poll, 1, 10_000) > 0 else { break }
      let count = read(reader, &buffer, buffer.count)
      guard count > 0 else { break }
      text += buffer[..<count]
      lineCount += buffer[..<count].reduce(0) { $0 + ($1 == 0x0a ? 1 : 0) }
    }
    return lines(String(decoding: text, as: UTF8.self))
  }
}

private func contents(_ path: String) -> String { String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self) }
private func lines(_ text: String) -> [String] { text.split(separator: "\n").map(String.init) }

private func record(_ number: UInt64) -> DecisionRecord {
  var record = sampleRecord()
  record.generation = number
  return record
}

private func silent() -> ServerLog { ServerLog(level: .error, descriptor: -1) }

/// Runs a body in a thread of its own: a blocked one must not hold up the pool that others wait in.
private func inThread(_ group: DispatchGroup, _ body: @escaping @Sendable () -> Void) {
  group.enter()
  Thread.detachNewThread {
    body()
    group.leave()
  }
}

/// Waits for something that another thread is about to make true.
func eventually(_ condition: () -> Bool) -> Bool {
  for _ in 0..<2000 {
    if condition() { return true }
    usleep(5000)
  }
  return condition()
}

@Suite struct DecisionLogTests {
  @Test func linesOfAWorkerArriveInOrderInAFileOnlyItsGroupMayRead() throws {
    let folder = try TemporaryFolder()
    let file = folder.file("decisions.log")
    try Data("kept\n".utf8).write(to: URL(fileURLWithPath: file + ".old"))
    let log = try DecisionLog(.init(destination: .file(path: file)), serverLog: silent())
    let port = log.port()
    for number: UInt64 in 0..<1000 {
      let slot = try #require(port.reserve())
      port.write(record(number), in: slot)
      if number % 7 == 0 { port.flush() }
    }
    port.flush()
    #expect(log.drain(timeoutMillis: 10_000))
    let written = lines(contents(file))
    #expect(written.count == 1000)
    #expect(try written.map { try JSONParser.parse($0)["generation"]?.integer } == (0..<1000).map(Int64.init))
    #expect(log.writtenLines == 1000 && log.droppedLines == 0 && log.queuedLines == 0)
    var status = stat()
    #expect(stat(file, &status) == 0)
    #expect(status.st_mode & 0o777 & 0o027 == 0o000 || status.st_mode & 0o777 == 0o640)
  }

  @Test func linesOfSeveralWorkersAreNeverMixedAndNoneIsLost() throws {
    let folder = try TemporaryFolder()
    let file = folder.file("decisions.log")
    let log = try DecisionLog(.init(destination: .file(path: file), onFull: .block, capacityLines: 64), serverLog: silent())
    let group = DispatchGroup()
    for worker: UInt64 in 0..<4 {
      inThread(group) {
        let port = log.port()
        for number: UInt64 in 0..<2000 {
          port.write(record(worker * 10_000 + number), in: port.reserve())
          if number % 3 == 0 { port.flush() }
        }
        port.flush()
      }
    }
    group.wait()
    #expect(log.drain(timeoutMillis: 10_000))
    let numbers = try lines(contents(file)).map { try JSONParser.parse($0)["generation"]?.integer ?? -1 }
    #expect(numbers.count == 8000)
    for worker in 0..<4 {
      let own = numbers.filter { $0 / 10_000 == Int64(worker) }
      #expect(own == own.sorted() && own.count == 2000)
    }
  }

  @Test func aStuckSinkNeverStopsARequestAndTheLossIsCountedAndTold() throws {
    let pipe = TestPipe()
    let log = try DecisionLog(.init(destination: .descriptor(pipe.writer), capacityLines: 500), serverLog: silent())
    let port = log.port()
    let start = ContinuousClock.now
    for number: UInt64 in 0..<5000 {
      let slot = try #require(port.reserve())
      port.write(record(number), in: slot)
      port.flush()
    }
    #expect(ContinuousClock.now - start < .seconds(5 * Sanitizer.slowness))
    let dropped = log.droppedLines
    #expect(dropped > 0)
    // The reader comes back: what was kept arrives, then one line that says how many did not.
    let group = DispatchGroup()
    inThread(group) { _ = log.drain(timeoutMillis: 10_000) }
    let arrived = try pipe.readLines(5000 - Int(dropped) + 1).map { try JSONParser.parse($0) }
    group.wait()
    let summaries = arrived.filter { $0["type"]?.string == "summary" }
    #expect(summaries.count == 1 && summaries[0]["dropped"]?.integer == Int64(dropped))
    #expect(arrived.count - summaries.count == 5000 - Int(dropped))
    #expect(arrived.count - summaries.count >= 500)
  }

  @Test func withDenyARequestIsRefusedWhenItsLineWouldHaveNoRoom() throws {
    let pipe = TestPipe()
    let log = try DecisionLog(.init(destination: .descriptor(pipe.writer), onFull: .deny, capacityLines: 3), serverLog: silent())
    let port = log.port()
    let slots = try (0..<3).map { _ in try #require(port.reserve()) }
    #expect(port.reserve() == nil)
    // The refusal's own line has no room either; it is counted.
    port.write(record(99), in: nil)
    #expect(log.droppedLines == 1)
    port.release(slots[2])
    let again = try #require(port.reserve())
    port.write(record(0), in: slots[0])
    port.write(record(1), in: slots[1])
    port.write(record(2), in: again)
    port.flush()
    #expect(pipe.readLines(3).count >= 3)
    #expect(eventually { port.reserve() != nil })
    _ = log.drain(timeoutMillis: 1000)
  }

  @Test func withBlockAWorkerWaitsForRoomAndGoesOnWhenThereIsSome() throws {
    let pipe = TestPipe()
    let log = try DecisionLog(.init(destination: .descriptor(pipe.writer), onFull: .block, capacityLines: 10), serverLog: silent())
    let group = DispatchGroup()
    inThread(group) {
      let port = log.port()
      for number: UInt64 in 0..<2000 {
        port.write(record(number), in: port.reserve())
        port.flush()
      }
    }
    // 2000 lines do not fit into a pipe of 64 KiB and a queue of ten: the worker waits.
    #expect(eventually { pipe.isFull })
    #expect(group.wait(timeout: .now() + 0.1) == .timedOut)
    #expect(pipe.readLines(2000).count == 2000)
    group.wait()
    #expect(log.droppedLines == 0)
    #expect(log.drain(timeoutMillis: 10_000))
  }

  @Test func aBlockedWorkerIsReleasedWhenTheLogStops() throws {
    let pipe = TestPipe()
    let log = try DecisionLog(.init(destination: .descriptor(pipe.writer), onFull: .block, capacityLines: 1), serverLog: silent())
    let group = DispatchGroup()
    inThread(group) {
      let port = log.port()
      for number: UInt64 in 0..<1000 {
        port.write(record(number), in: port.reserve())
        port.flush()
      }
    }
    #expect(eventually { pipe.isFull })
    #expect(group.wait(timeout: .now() + 0.1) == .timedOut)
    #expect(!log.drain(timeoutMillis: 50))
    #expect(group.wait(timeout: .now() + Double(10 * Sanitizer.slowness)) == .success)
    // The writer still holds the pipe: it must end before the pipe does.
    pipe.discardUntil { log.drain(timeoutMillis: 0) || log.queuedLines == 0 }
    #expect(eventually { log.queuedLines == 0 })
  }

  @Test func linesThatComeAfterTheEndAreCountedAsLost() throws {
    for onFull in DecisionLog.FullPolicy.allCases {
      let log = try DecisionLog(.init(destination: .file(path: "/dev/null"), onFull: onFull), serverLog: silent())
      let port = log.port()
      let early = port.reserve()
      #expect(log.drain(timeoutMillis: 10_000))
      port.write(record(1), in: early)
      port.write(record(2), in: port.reserve())
      port.flush()
      #expect(log.droppedLines == 2 && log.queuedLines == 0, "\(onFull)")
    }
  }

  @Test func afterRotationLinesGoToTheNewFile() throws {
    let folder = try TemporaryFolder()
    let file = folder.file("decisions.log")
    let log = try DecisionLog(.init(destination: .file(path: file)), serverLog: silent())
    let port = log.port()
    port.write(record(1), in: port.reserve())
    port.flush()
    #expect(eventually { log.writtenLines == 1 })
    try FileManager.default.moveItem(atPath: file, toPath: file + ".1")
    log.reopen()
    #expect(eventually { FileManager.default.fileExists(atPath: file) })
    port.write(record(2), in: port.reserve())
    port.flush()
    #expect(log.drain(timeoutMillis: 10_000))
    #expect(contents(file + ".1").contains("\"generation\":1") && !contents(file + ".1").contains("\"generation\":2"))
    #expect(contents(file).contains("\"generation\":2"))
  }

  @Test func aFullDiskAndAVanishedReaderAreCountedAndToldOnce() throws {
    for destination in [DecisionLogDestination.file(path: "/dev/full"), .descriptor(Self.brokenPipe())] {
      let messages = TestPipe()
      let log = try DecisionLog(.init(destination: destination), serverLog: ServerLog(level: .error, descriptor: messages.writer))
      let port = log.port()
      for number: UInt64 in 0..<10 {
        port.write(record(number), in: port.reserve())
        port.flush()
      }
      #expect(eventually { log.droppedLines == 10 && log.queuedLines == 0 })
      _ = log.drain(timeoutMillis: 1000)
      let told = messages.readLines(1)
      #expect(told.count == 1 && told[0].contains("decision_log_failed"))
    }
  }

  @Test func aFullDiskRefusesRequestsWhereNoLineMayBeLost() throws {
    let log = try DecisionLog(.init(destination: .file(path: "/dev/full"), onFull: .deny, capacityLines: 5), serverLog: silent())
    let port = log.port()
    for _ in 0..<5 {
      let slot = try #require(port.reserve())
      port.write(record(1), in: slot)
    }
    port.flush()
    #expect(port.reserve() == nil)
    #expect(log.droppedLines == 0)
    #expect(!log.drain(timeoutMillis: 5000))
    #expect(log.droppedLines == 5)
  }

  @Test func aDestinationThatCannotBeOpenedIsAnErrorThatNamesIt() {
    #expect(throws: SystemCallError.self) { try DecisionLog(.init(destination: .file(path: "/nonexistent/d.log")), serverLog: silent()) }
    do {
      _ = try DecisionLog(.init(destination: .file(path: "/nonexistent/d.log")), serverLog: silent())
    } catch {
      #expect(error.description == "open /nonexistent/d.log: No such file or directory")
    }
  }

  @Test func withoutADestinationNothingIsWrittenOrCounted() throws {
    let log = try DecisionLog(.init(destination: .none, onFull: .deny, capacityLines: 1), serverLog: silent())
    let port = log.port()
    for number: UInt64 in 0..<10 {
      let slot = try #require(port.reserve())
      port.write(record(number), in: slot)
    }
    port.flush()
    #expect(log.drain(timeoutMillis: 10_000))
    #expect(log.writtenLines == 0 && log.droppedLines == 0)
  }

  private static func brokenPipe() -> Int32 {
    var ends: [Int32] = [-1, -1]
    _ = pipe(&ends)
    close(ends[0])
    return ends[1]
  }
}

@Suite struct ServerLogTests {
  @Test func aMessageIsOneLineWithItsFieldsInOrder() {
    let time: UInt64 = 1_795_424_491_412
    let text = ServerLog.line(
      .warn, "jwks_refresh", ["issuer": "main", "error": "it broke\nbadly=1", "tries": 3, "stale": true, "empty": ""], format: .text,
      timeMillis: time)
    #expect(
      String(decoding: text, as: UTF8.self)
        == "2026-11-23T09:01:31.412Z warn  jwks_refresh issuer=main error=\"it broke\\u000abadly=1\" tries=3 stale=true empty=\"\"\n")
    let json = ServerLog.line(.error, "listen", ["address": "127.0.0.1:1", "error": "a \"b\""], format: .json, timeMillis: time)
    #expect(
      String(decoding: json, as: UTF8.self)
        == #"{"time":"2026-11-23T09:01:31.412Z","level":"error","event":"listen","address":"127.0.0.1:1","error":"a \"b\""}"# + "\n")
  }

  @Test func onlyMessagesSevereEnoughAreWritten() {
    let pipe = TestPipe()
    let log = ServerLog(level: .warn, descriptor: pipe.writer)
    log.info("ignored")
    log.debug("ignored")
    log.error("first")
    log.warn("second")
    let text = pipe.readLines(2).joined(separator: "\n") + "\n"
    #expect(text.contains(" error first\n") && text.contains(" warn  second\n") && !text.contains("ignored"))
    #expect(log.writes(.error) && log.writes(.warn) && !log.writes(.info) && !log.writes(.debug))
    #expect(ServerLog.Level(name: "debug") == .debug && ServerLog.Level(name: "loud") == nil)
  }

  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00.000Z"), (951_782_400_001, "2000-02-29T00:00:00.001Z"), (951_868_799_999, "2000-02-29T23:59:59.999Z"),
      (4_107_542_399_000, "2100-02-28T23:59:59.000Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
      (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ] as [(UInt64, String)])
  func timesAreRFC3339(_ millis: UInt64, _ text: String) {
    var line = LineBuffer()
    var timestamp = Timestamp()
    line.write { timestamp.append(millis, to: &$0) }
    #expect(String(decoding: line.bytes, as: UTF8.self) == text)
  }
}
