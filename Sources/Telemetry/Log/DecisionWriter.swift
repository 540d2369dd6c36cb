internal import Bytes
internal import Glibc
internal import Net

/// The writer thread's work: takes batches, writes them, and says when lines were lost.
struct DecisionWriter: ~Copyable {
  private let queue: DecisionQueue
  private var sink: LogSink
  private let counts: LogCounts
  private let serverLog: ServerLog
  private let name: String
  // Where losing a line is not allowed, a failing destination is tried again until it works.
  private let keepsTrying: Bool
  private let export: LogExport?
  private var rendering: DecisionRendering
  private var isFailing = false
  private var isFailingToRotate = false
  private var reportedDrops: UInt64 = 0
  private var lastSummaryMillis = 0

  init(
    _ name: String, queue: DecisionQueue, sink: consuming LogSink, counts: LogCounts, options: DecisionLog.Options, serverLog: ServerLog
  ) {
    self.name = name
    self.queue = queue
    keepsTrying = options.onFull != .drop || sink.waitsForPeer
    self.sink = sink
    self.counts = counts
    self.serverLog = serverLog
    rendering = DecisionRendering(options.format)
    export = if case .collector(let export) = options.destination { export } else { nil }
  }

  mutating func run() {
    while true {
      let work = queue.nextWork()
      if work.wantsReopen { reopen() }
      for batch in work.batches { write(batch) }
      if work.wantsStop && queue.endIfEmpty() {
        reportDrops(atLeastApartMillis: 0)
        sink.close()
        if let export { export.mailbox.post(.stop(queue)) } else { queue.reportStopped() }
        return
      }
      reportDrops(atLeastApartMillis: Self.summaryMillis)
    }
  }

  private mutating func reopen() {
    guard export == nil else { return }
    do {
      try sink.reopen()
      serverLog.info("decision_log_reopened", ["sink": .text(name)])
    } catch {
      counts.countFailure(.reopen)
      serverLog.error("decision_log_reopen_failed", ["sink": .text(name), "error": .text(error.description)])
    }
  }

  private mutating func write(_ batch: DecisionQueue.Batch) {
    if let export {
      export.mailbox.post(.batch(batch, queue))
      return
    }
    var offset = 0
    while let (failure, reached) = sink.write(batch.storage, from: offset, to: batch.count) {
      counts.countFailure(.write)
      noteRotation()
      if !isFailing {
        isFailing = true
        serverLog.error(
          "decision_log_failed", ["sink": .text(name), "error": .text(failure.description), "keeps_trying": .flag(keepsTrying)])
      }
      if keepsTrying && !queue.wantsStop {
        offset = reached
        poll(nil, 0, Self.retryMillis)
        continue
      }
      let lost = batch.storage[reached..<batch.count].reduce(0) { $0 + ($1 == ASCII.lf ? 1 : 0) }
      queue.countDropped(lost)
      queue.done(with: batch, written: batch.lines - lost)
      return
    }
    noteRotation()
    if isFailing {
      isFailing = false
      serverLog.info("decision_log_recovered", ["sink": .text(name)])
    }
    queue.done(with: batch, written: batch.lines)
  }

  // A file that cannot be begun anew grows on; nothing is lost by that.
  private mutating func noteRotation() {
    guard let failure = sink.takeRotationFailure() else { return }
    counts.countFailure(.rotate)
    guard !isFailingToRotate else { return }
    isFailingToRotate = true
    serverLog.error(
      "decision_log_rotation_failed",
      ["sink": .text(name), "error": .text(failure.description), "meaning": "the file grows beyond its size until it can be begun anew"])
  }

  /// One line for all that was lost since the last such line.
  private mutating func reportDrops(atLeastApartMillis interval: Int) {
    let drops = queue.droppedLines
    guard drops > reportedDrops, !isFailing else { return }
    let now = MonotonicClock.millis()
    guard lastSummaryMillis == 0 || now - lastSummaryMillis >= interval else { return }
    var line = LineBuffer()
    line.write { rendering.appendSummary(of: drops - reportedDrops, at: WallClock.millis(), to: &$0) }
    if let export {
      export.mailbox.post(.summary(line.bytes))
    } else {
      guard sink.write(line.bytes, from: 0, to: line.count) == nil else { return }
    }
    reportedDrops = drops
    lastSummaryMillis = now
  }

  private static let retryMillis: Int32 = 100
  private static let summaryMillis = 1000
}
